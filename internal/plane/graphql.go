// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Metrics says what versions have answered.
type Metrics interface {
	// Window is what a version has answered from one second to another.
	Window(versionID string, from, to time.Time) ingress.Counts
	// Live calls f with each version that is routed.
	Live(f func(t *ingress.Target))
}

// analyticsSchema is the part of Cloudflare's GraphQL API that a plane has, with its
// names and units. hybridgeServerErrors is ours.
// https://developers.cloudflare.com/analytics/graphql-api/
var analyticsSchema = sync.OnceValue(func() *ast.Schema {
	return gqlparser.MustLoadSchema(&ast.Source{Name: "analytics", Input: analyticsText})
})

const analyticsText = `
scalar string
scalar uint64
scalar float64
scalar Time
schema { query: Query }
type Query { viewer: viewer! }
type viewer { accounts(filter: accountFilter): [account!]! }
input accountFilter { accountTag: string }
type account {
  workersInvocationsAdaptive(limit: uint64!, filter: invocationsFilter): [invocations!]!
}
input invocationsFilter {
  scriptName: string
  scriptVersion: string
  status: string
  datetime_geq: Time
  datetime_leq: Time
}
type invocations { dimensions: dimensions! sum: sum! quantiles: quantiles! }
type dimensions { scriptName: string! scriptVersion: string! status: string! }
type sum { requests: uint64! errors: uint64! hybridgeServerErrors: uint64! }
type quantiles { wallTimeP50: float64! wallTimeP75: float64! wallTimeP90: float64! wallTimeP99: float64! wallTimeP999: float64! }
`

const (
	// maxQuery is far above the one query that gates send.
	maxQuery = 16 << 10
	// maxQueryTokens bounds what a short text can expand to.
	maxQueryTokens = 2000
)

func (p *Plane) analyticsRoutes() []route {
	return []route{
		{method: http.MethodPost, pattern: apiPrefix + "/graphql", permission: analyticsRead, handle: p.postGraphQL},
		{method: http.MethodGet, pattern: "/metrics", permission: analyticsRead, handle: p.getMetrics},
	}
}

type graphqlReply struct {
	Data   any          `json:"data"`
	Errors []graphqlErr `json:"errors"`
}

type graphqlErr struct {
	Message string `json:"message"`
}

// postGraphQL answers a query as GraphQL over HTTP does: what is wrong with it stands in
// "errors", with status 200, as Cloudflare has it.
func (p *Plane) postGraphQL(r *request) (*reply, error) {
	var body struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	data, err := p.query(r, body.Query, body.Variables)
	if err != nil {
		var list gqlerror.List
		var one *gqlerror.Error
		out := graphqlReply{Errors: []graphqlErr{}}
		switch {
		case errors.As(err, &list):
			for _, e := range list {
				out.Errors = append(out.Errors, graphqlErr{e.Message})
			}
		case errors.As(err, &one):
			out.Errors = append(out.Errors, graphqlErr{one.Message})
		default:
			return nil, err
		}
		return &reply{bare: true, result: out}, nil
	}
	return &reply{bare: true, result: graphqlReply{Data: data}}, nil
}

func (p *Plane) query(r *request, text string, variables map[string]any) (any, error) {
	if len(text) > maxQuery {
		return nil, gqlerror.Errorf("the query is longer than %d bytes", maxQuery)
	}
	doc, list := gqlparser.LoadQueryWithRules(analyticsSchema(), text, nil)
	if len(list) > 0 {
		return nil, list
	}
	if len(doc.Operations) != 1 || doc.Operations[0].Operation != ast.Query {
		return nil, gqlerror.Errorf("want one query")
	}
	op := doc.Operations[0]
	values, err := validator.VariableValues(analyticsSchema(), op, variables)
	if err != nil {
		return nil, err
	}
	x := execution{plane: p, request: r, variables: values}
	return x.object(op.SelectionSet, func(f *ast.Field) (any, error) {
		return x.object(f.SelectionSet, x.accounts) // viewer
	})
}

// execution answers one query.
type execution struct {
	plane     *Plane
	request   *request
	variables map[string]any
	fields    int
}

// object resolves the fields of a selection, those of fragments among them.
func (x *execution) object(set ast.SelectionSet, resolve func(*ast.Field) (any, error)) (map[string]any, error) {
	out := map[string]any{}
	for _, s := range set {
		if x.fields++; x.fields > maxQueryTokens {
			return nil, gqlerror.Errorf("the query asks for too much")
		}
		switch s := s.(type) {
		case *ast.Field:
			if s.Name == "__typename" {
				out[s.Alias] = s.ObjectDefinition.Name
				continue
			}
			v, err := resolve(s)
			if err != nil {
				return nil, err
			}
			out[s.Alias] = v
		case *ast.InlineFragment:
			if err := x.into(out, s.SelectionSet, resolve); err != nil {
				return nil, err
			}
		case *ast.FragmentSpread:
			if err := x.into(out, s.Definition.SelectionSet, resolve); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (x *execution) into(out map[string]any, set ast.SelectionSet, resolve func(*ast.Field) (any, error)) error {
	more, err := x.object(set, resolve)
	for name, v := range more {
		out[name] = v
	}
	return err
}

// accounts are those that the token may see: one, or none if another one is asked for.
func (x *execution) accounts(f *ast.Field) (any, error) {
	filter, _ := f.ArgumentMap(x.variables)["filter"].(map[string]any)
	if tag, asked := filter["accountTag"].(string); asked && tag != x.request.token.AccountID {
		return []any{}, nil
	}
	account, err := x.object(f.SelectionSet, x.invocations)
	return []any{account}, err
}

// invocations has a row for each status of each version that was asked in that time.
func (x *execution) invocations(f *ast.Field) (any, error) {
	args := f.ArgumentMap(x.variables)
	filter, _ := args["filter"].(map[string]any)
	from, to, err := window(filter, x.plane.now())
	if err != nil {
		return nil, err
	}
	versions, err := x.versions(filter)
	if err != nil {
		return nil, err
	}
	rows := []any{}
	if x.plane.metrics == nil {
		return rows, nil
	}
	status, _ := filter["status"].(string)
	for _, v := range versions {
		counts := x.plane.metrics.Window(v.id, from, to)
		for o, n := range counts.Outcomes {
			outcome := ingress.Outcome(o)
			if n == 0 || status != "" && status != outcome.String() {
				continue
			}
			row, err := x.object(f.SelectionSet, func(part *ast.Field) (any, error) {
				return x.object(part.SelectionSet, func(leaf *ast.Field) (any, error) {
					return cell(leaf.Name, v, outcome, n, counts), nil
				})
			})
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	if limit, ok := asUint(args["limit"]); ok && uint64(len(rows)) > limit {
		rows = rows[:limit]
	}
	return rows, nil
}

func asUint(v any) (uint64, bool) {
	switch n := v.(type) {
	case int64:
		return uint64(max(n, 0)), true
	case float64:
		return uint64(max(n, 0)), true
	}
	return 0, false
}

// cell is one value of a row. Server errors are counted for a version as a whole, and
// stand in its row of successes, which they are for the runtime, or in the first there is.
// Quantiles are those of all the version's invocations.
func cell(name string, v scriptVersionRef, outcome ingress.Outcome, n uint64, c ingress.Counts) any {
	switch name {
	case "scriptName":
		return v.script
	case "scriptVersion":
		return v.id
	case "status":
		return outcome.String()
	case "requests":
		return n
	case "errors":
		if outcome.Failed() {
			return n
		}
		return 0
	case "hybridgeServerErrors":
		first := slices.IndexFunc(c.Outcomes[:], func(n uint64) bool { return n > 0 })
		if int(outcome) == first {
			return c.ServerErrors
		}
		return 0
	}
	quantiles := map[string]float64{"wallTimeP50": 0.5, "wallTimeP75": 0.75, "wallTimeP90": 0.9, "wallTimeP99": 0.99, "wallTimeP999": 0.999}
	return float64(c.Quantile(quantiles[name])) / float64(time.Microsecond)
}

// window reads the two ends of the time that is asked for; by default the last hour.
func window(filter map[string]any, now time.Time) (from, to time.Time, err error) {
	from, to = now.Add(-time.Hour), now
	for name, into := range map[string]*time.Time{"datetime_geq": &from, "datetime_leq": &to} {
		text, ok := filter[name].(string)
		if !ok {
			continue
		}
		if *into, err = time.Parse(time.RFC3339, text); err != nil {
			return from, to, gqlerror.Errorf("%s must be a time such as 2026-01-02T03:04:05Z", name)
		}
	}
	return from, to, nil
}

type scriptVersionRef struct{ script, id string }

// versions are those that the filter names, of the token's account.
func (x *execution) versions(filter map[string]any) ([]scriptVersionRef, error) {
	ctx := x.request.Context()
	workers, err := x.plane.reg.Workers(ctx, x.request.token.AccountID)
	if err != nil {
		return nil, err
	}
	script, hasScript := filter["scriptName"].(string)
	id, hasID := filter["scriptVersion"].(string)
	var out []scriptVersionRef
	for _, w := range workers {
		if hasScript && w.Name != script {
			continue
		}
		if hasID {
			switch _, err := x.plane.reg.Version(ctx, w.ID, id); {
			case err == nil:
				out = append(out, scriptVersionRef{w.Name, id})
			case !errors.Is(err, registry.ErrNotFound):
				return nil, err
			}
			continue
		}
		live, _, err := x.plane.reg.LiveDeployment(ctx, w.ID)
		if err != nil {
			return nil, err
		}
		for _, s := range live.Shares {
			out = append(out, scriptVersionRef{w.Name, s.VersionID})
		}
	}
	return out, nil
}
