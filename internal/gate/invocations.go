// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// Querier asks a plane's GraphQL endpoint.
type Querier interface {
	// GraphQL posts a query and decodes the member "data" of the answer into into. An
	// answer with "errors" is an error.
	GraphQL(ctx context.Context, query string, variables map[string]any, into any) error
}

// The query is the one that the edge and a self-hosted plane both answer; the plane
// also knows the member hybridgeServerErrors.
// https://developers.cloudflare.com/analytics/graphql-api/tutorials/querying-workers-metrics/
const (
	rowLimit        = 10000 // the edge's own maximum; there are a dozen statuses
	invocationQuery = `query Gate($account: string!, $script: string!, $version: string!, $from: Time!, $to: Time!) { viewer { accounts(filter: {accountTag: $account}) {
  workersInvocationsAdaptive(limit: 10000, filter: {scriptName: $script, scriptVersion: $version, datetime_geq: $from, datetime_leq: $to}) {
    dimensions { status } sum { requests errors%s } quantiles { wallTimeP99 } } } } }`
	serverErrorsMember = " hybridgeServerErrors"
)

// numbers are what a plane has counted of one version.
type numbers struct {
	requests, failures, serverErrors uint64
	// p99 is the highest of those of the statuses: percentiles cannot be added up, and
	// that of all requests is never higher.
	p99      time.Duration
	statuses []string // for people
}

func (n numbers) String() string {
	if len(n.statuses) == 0 {
		return "no invocations"
	}
	return strings.Join(n.statuses, "; ")
}

// numbers asks for what was counted from the step's deployment until to. The edge's
// times have whole seconds: the window is widened to them, so that nothing is missed.
func (g *Metrics) numbers(ctx context.Context, c rollout.Candidate, to time.Time) (numbers, error) {
	member := ""
	if g.SelfHosted {
		member = serverErrorsMember
	}
	var data json.RawMessage
	err := g.Querier.GraphQL(ctx, fmt.Sprintf(invocationQuery, member), map[string]any{
		"account": g.AccountID,
		"script":  g.WorkerName,
		"version": c.VersionID,
		"from":    c.Since.UTC().Truncate(time.Second).Format(time.RFC3339),
		"to":      to.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second).Format(time.RFC3339),
	}, &data)
	if err != nil {
		return numbers{}, err
	}
	return decodeInvocations(data, g.SelfHosted)
}

// invocations is the answer. Pointers tell what is missing from what is 0.
type invocations struct {
	Viewer *struct {
		Accounts []struct {
			Rows *[]struct {
				Dimensions *struct {
					Status *string `json:"status"`
				} `json:"dimensions"`
				Sum *struct {
					Requests     *uint64 `json:"requests"`
					Errors       *uint64 `json:"errors"`
					ServerErrors *uint64 `json:"hybridgeServerErrors"`
				} `json:"sum"`
				Quantiles *struct {
					WallTimeP99 *float64 `json:"wallTimeP99"` // microseconds
				} `json:"quantiles"`
			} `json:"workersInvocationsAdaptive"`
		} `json:"accounts"`
	} `json:"viewer"`
}

// decodeInvocations is strict: a gate that takes half an answer for the whole passes
// what it should not. Its errors repeat nothing of the answer.
func decodeInvocations(data []byte, serverErrors bool) (numbers, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var answer invocations
	if err := decoder.Decode(&answer); err != nil || decoder.More() {
		return numbers{}, errors.New("the answer is not what the query asks for")
	}
	switch {
	case answer.Viewer == nil:
		return numbers{}, errors.New("the answer has no viewer")
	case len(answer.Viewer.Accounts) != 1:
		return numbers{}, fmt.Errorf("the answer is about %d accounts, not about one: the API token needs the permission Account Analytics Read", len(answer.Viewer.Accounts))
	case answer.Viewer.Accounts[0].Rows == nil:
		return numbers{}, errors.New("the answer has no list of invocations")
	}
	rows := *answer.Viewer.Accounts[0].Rows
	if len(rows) >= rowLimit {
		return numbers{}, errors.New("the answer is cut off at its limit")
	}
	var n numbers
	for _, row := range rows {
		if row.Dimensions == nil || row.Dimensions.Status == nil || row.Sum == nil || row.Sum.Requests == nil || row.Sum.Errors == nil ||
			row.Quantiles == nil || serverErrors && row.Sum.ServerErrors == nil {
			return numbers{}, errors.New("the answer has a row without all its members")
		}
		requests, failures, bad := *row.Sum.Requests, *row.Sum.Errors, uint64(0)
		if serverErrors {
			bad = *row.Sum.ServerErrors
		}
		// Above, sums over all rows could overflow.
		if max(requests, failures, bad) > math.MaxUint64/rowLimit {
			return numbers{}, errors.New("the answer has a number that cannot be")
		}
		n.requests, n.failures, n.serverErrors = n.requests+requests, n.failures+failures, n.serverErrors+bad
		var p99 time.Duration
		if requests > 0 {
			micros := row.Quantiles.WallTimeP99
			if micros == nil || !(*micros >= 0 && *micros <= float64(24*time.Hour/time.Microsecond)) {
				return numbers{}, errors.New("the answer has a wall time that cannot be")
			}
			p99 = time.Duration(*micros * float64(time.Microsecond))
			n.p99 = max(n.p99, p99)
		}
		if len(n.statuses) < 20 {
			n.statuses = append(n.statuses, fmt.Sprintf("%s: %d requests, %d failures, p99 %s", printable(*row.Dimensions.Status, 40), requests, failures, round(p99)))
		}
	}
	return n, nil
}
