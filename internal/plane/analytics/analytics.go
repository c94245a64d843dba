// SPDX-License-Identifier: MPL-2.0

// Package analytics answers GraphQL queries about invocations as Cloudflare's
// GraphQL Analytics API does, from what a traffic.Recorder remembers. So whatever
// judges a version on the edge, by this API, can judge one on a self-hosted plane.
package analytics

import (
	_ "embed" // the schema
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

const (
	// MaxBody bounds a request: far above any query that has a use here.
	MaxBody = 64 << 10
	// maxTokens bounds a query, and with it its depth.
	maxTokens = 1000
	// maxDatasets bounds how often one request goes through the history.
	maxDatasets = 10
	// maxRows is Cloudflare's limit for a dataset.
	maxRows = 10000
)

//go:embed schema.graphql
var schemaText string

// Schema is what can be asked. It is safe for concurrent use.
type Schema struct {
	schema *ast.Schema
	rules  *rules.Rules
}

// NewSchema reads the schema that is built in.
func NewSchema() (*Schema, error) {
	s, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: schemaText})
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	r := rules.NewDefaultRules()
	// Cloudflare takes variables of the types string, String and Time for one another,
	// and its own documentation mixes them. Values are checked where they are used.
	r.RemoveRule(rules.VariablesInAllowedPositionRule.Name)
	return &Schema{s, r}, nil
}

// Request is the body of a request, as GraphQL over HTTP has it.
type Request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// Source is what the answers are made of.
type Source struct {
	// AccountID is the account of whoever asks; of others nothing is told, not even
	// whether they exist.
	AccountID string
	// Workers are the names of the account's Workers by id.
	Workers map[string]string
	Traffic *traffic.Recorder
	Now     time.Time
}

// Response is the body of an answer.
type Response struct {
	Data any `json:"data"`
	// Errors is null if there are none: Cloudflare's clients test for that.
	Errors []Error `json:"errors"`
}

// Error is one entry of an answer's errors.
type Error struct {
	Message    string         `json:"message"`
	Path       ast.Path       `json:"path"`
	Locations  []location     `json:"locations,omitempty"`
	Extensions map[string]any `json:"extensions"`
	status     int
}

type location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

func (e *Error) Error() string { return e.Message }

// refuse makes an Error with the HTTP status that it is answered with.
func refuse(status int, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), status: status}
}

func badArgs(format string, args ...any) *Error {
	return refuse(http.StatusBadRequest, "error parsing args: "+format, args...)
}

// Answer answers body from src. It never fails: what is wrong with the request is
// in the Response, and in the HTTP status that goes with it.
func (s *Schema) Answer(body []byte, src Source) (Response, int) {
	var req Request
	if err := json.Unmarshal(body, &req); err != nil || req.Query == "" {
		return failed(src.Now, refuse(http.StatusBadRequest, `the request body must be a JSON object with "query" and, where it has variables, "variables"`))
	}
	doc, err := s.load(req.Query)
	if err != nil {
		return failed(src.Now, err)
	}
	x, op, err := begin(doc, req, src)
	if err != nil {
		return failed(src.Now, err)
	}
	data, err := x.query(op)
	if err != nil {
		return failed(src.Now, err)
	}
	return Response{Data: data}, http.StatusOK
}

// load parses and validates a query. The error is a gqlerror.List.
func (s *Schema) load(query string) (*ast.QueryDocument, error) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, maxTokens)
	if err != nil {
		return nil, err
	}
	if list := validator.ValidateWithRules(s.schema, doc, s.rules); len(list) > 0 {
		return nil, list
	}
	return doc, nil
}

// failed is the answer to a request that gets no data.
func failed(now time.Time, err error) (Response, int) {
	var list []Error
	var own *Error
	var many gqlerror.List
	var one *gqlerror.Error
	switch {
	case errors.As(err, &own):
		list = []Error{*own}
	case errors.As(err, &many):
		for _, e := range many {
			list = append(list, fromParser(e))
		}
	case errors.As(err, &one):
		list = []Error{fromParser(one)}
	default:
		list = []Error{{Message: err.Error(), status: http.StatusBadRequest}}
	}
	for i := range list {
		if list[i].Extensions == nil {
			list[i].Extensions = map[string]any{}
		}
		list[i].Extensions["timestamp"] = now.UTC().Format(time.RFC3339Nano)
	}
	return Response{Errors: list}, list[0].status
}

func fromParser(e *gqlerror.Error) Error {
	out := Error{Message: e.Message, Path: e.Path, status: http.StatusBadRequest}
	for _, l := range e.Locations {
		out.Locations = append(out.Locations, location(l))
	}
	return out
}
