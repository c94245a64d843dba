// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// counted is one version's answers, of which nobody else has any.
type counted struct {
	id       string
	worker   string
	counts   ingress.Counts
	from, to time.Time
}

func (c *counted) Window(versionID string, from, to time.Time) ingress.Counts {
	if versionID != c.id {
		return ingress.Counts{}
	}
	c.from, c.to = from, to
	return c.counts
}

func (c *counted) Live(f func(*ingress.Target)) {
	f(ingress.NewTarget("api", c.worker, c.id, "/nowhere"))
}

const gateQuery = `query Gate($account: string!, $script: string!, $version: string!, $from: Time!, $to: Time!) {
	viewer { accounts(filter: {accountTag: $account}) { workersInvocationsAdaptive(limit: 10000,
		filter: {scriptName: $script, scriptVersion: $version, datetime_geq: $from, datetime_leq: $to}) {
			dimensions { status } sum { requests errors hybridgeServerErrors } quantiles { wallTimeP99 } } } } }`

type gateRow struct {
	Dimensions struct{ Status string }
	Sum        struct{ Requests, Errors, HybridgeServerErrors uint64 }
	Quantiles  struct{ WallTimeP99 float64 }
}

// graphql posts a query, and returns the rows of the one account, and the errors.
func graphql(t *testing.T, p *planetest.Plane, query string, variables map[string]any) (accounts int, rows []gateRow, problems []string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	a := try(t, p, http.MethodPost, "/client/v4/graphql", string(body), "Authorization", "Bearer "+p.Token)
	var said struct {
		Data struct {
			Viewer struct {
				Accounts []struct {
					WorkersInvocationsAdaptive []gateRow
				}
			}
		}
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(a.body, &said); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s (%v)", a, err)
	}
	for _, e := range said.Errors {
		problems = append(problems, e.Message)
	}
	for _, account := range said.Data.Viewer.Accounts {
		rows = append(rows, account.WorkersInvocationsAdaptive...)
	}
	return len(said.Data.Viewer.Accounts), rows, problems
}

func TestTheQueryOfAGateIsAnswered(t *testing.T) {
	t.Parallel()
	metrics := &counted{}
	p := planetest.New(t, planetest.Options{Metrics: metrics})
	worker := newWorker(t, p, "api")
	metrics.id = newVersion(t, p, worker, "")
	metrics.counts.Outcomes = [4]uint64{90, 3, 6, 1}
	metrics.counts.ServerErrors = 11
	variables := map[string]any{
		"account": p.AccountID, "script": "api", "version": metrics.id, "from": "2026-01-02T03:04:05Z", "to": "2026-01-02T03:05:05Z",
	}
	_, rows, problems := graphql(t, p, gateQuery, variables)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s %d/%d %d", r.Dimensions.Status, r.Sum.Errors, r.Sum.Requests, r.Sum.HybridgeServerErrors))
	}
	want := []string{"success 0/90 11", "clientDisconnected 0/3 0", "scriptThrewException 6/6 0", "internalError 1/1 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if from := metrics.from.UTC().Format(time.RFC3339); from != variables["from"] || metrics.to.Sub(metrics.from) != time.Minute {
		t.Errorf("asked for %s to %s", metrics.from, metrics.to)
	}
	// Somebody else's account, another Worker, and a version that is none have nothing.
	for name, change := range map[string]map[string]any{
		"another account": {"account": strings.Repeat("0", 32)}, "another Worker": {"script": "shop"}, "no version": {"version": "00000000-0000-4000-8000-000000000000"},
	} {
		v := map[string]any{}
		for k, value := range variables {
			v[k] = value
		}
		for k, value := range change {
			v[k] = value
		}
		accounts, rows, problems := graphql(t, p, gateQuery, v)
		if len(rows) > 0 || len(problems) > 0 || (accounts == 0) != (name == "another account") {
			t.Errorf("%s: %d accounts, %v, %v", name, accounts, rows, problems)
		}
	}
}

func TestPrometheusSeesWhatIsLiveOfItsAccount(t *testing.T) {
	t.Parallel()
	metrics := &counted{id: "v"}
	p := planetest.New(t, planetest.Options{Metrics: metrics})
	metrics.worker = newWorker(t, p, "api")
	a := try(t, p, http.MethodGet, "/metrics", "", "Authorization", "Bearer "+p.Token)
	for _, line := range []string{
		`hybridge_plane_info{version="0.0.0-test",workerd_version="2026-11-17"} 1`,
		`hybridge_worker_requests_total{outcome="scriptThrewException",version="v",worker="api"} 0`,
		`hybridge_worker_wall_time_seconds_bucket{version="v",worker="api",le="0.5"} 0`,
	} {
		if a.status != http.StatusOK || !strings.Contains(string(a.body), line+"\n") {
			t.Errorf("it lacks %s:\n%s", line, a)
		}
	}
	metrics.worker = "somebody else's"
	if a := try(t, p, http.MethodGet, "/metrics", "", "Authorization", "Bearer "+p.Token); strings.Contains(string(a.body), "hybridge_worker_requests_total") {
		t.Errorf("it shows another account's Worker:\n%s", a)
	}
	if a := try(t, p, http.MethodGet, "/metrics", "", "Authorization", ""); a.status == http.StatusOK {
		t.Error("it needs no token")
	}
}

func TestAQueryThatIsNoneIsToldWhy(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	for query, want := range map[string]string{
		`query {`:                "Expected Name",
		`query { zones { id } }`: `Cannot query field "zones"`,
		`mutation { a }`:         "Schema does not support operation type",
		`query { a: viewer { __typename } } query B { viewer { __typename } }`: "",
		gateQuery:                   "must be defined",
		strings.Repeat(" ", 17<<10): "longer than",
	} {
		_, _, problems := graphql(t, p, query, nil)
		if len(problems) == 0 || !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("%.40s: %q, want %q", query, problems, want)
		}
	}
}

func FuzzGraphQL(f *testing.F) {
	f.Add(gateQuery)
	f.Add(`query { viewer { ...a } } fragment a on viewer { accounts { ...b } } fragment b on account { workersInvocationsAdaptive(limit: 1) { ...c } } fragment c on invocations { sum { requests } }`)
	f.Add(`{ viewer { accounts(filter: null) { __typename } } }`)
	p := planetest.New(f, planetest.Options{Metrics: &counted{}})
	f.Fuzz(func(t *testing.T, query string) {
		body, err := json.Marshal(map[string]any{"query": query})
		if err != nil {
			t.Skip()
		}
		a := try(t, p, http.MethodPost, "/client/v4/graphql", string(body), "Authorization", "Bearer "+p.Token)
		if a.status != http.StatusOK || !json.Valid(a.body) {
			t.Errorf("%q: %s", query, a)
		}
	})
}
