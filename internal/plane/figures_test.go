// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

const graphqlPath = "/client/v4/graphql"

// figures is a row of the gates' query.
type figures struct {
	Dimensions struct{ Status string }
	Sum        struct{ Requests, Errors, HybridgeServerErrors int }
	Quantiles  struct{ WallTimeP99 float64 }
}

// askGate asks what the client's metrics gates ask, about a version since from.
func askGate(t *testing.T, p *planetest.Plane, version string, from time.Time) map[string]figures {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"query": `query Gate($account: string!, $script: string!, $version: string!, $from: Time!, $to: Time!) { viewer { accounts(filter: {accountTag: $account}) {
			workersInvocationsAdaptive(limit: 10000, filter: {scriptName: $script, scriptVersion: $version, datetime_geq: $from, datetime_leq: $to}) {
			dimensions { status } sum { requests errors hybridgeServerErrors } quantiles { wallTimeP99 } } } } }`,
		"variables": map[string]any{
			"account": p.AccountID, "script": "api", "version": version,
			"from": from.UTC().Format(time.RFC3339Nano), "to": time.Now().UTC().Format(time.RFC3339Nano),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := try(t, p, "POST", graphqlPath, string(body))
	var v struct {
		Data struct {
			Viewer struct {
				Accounts []struct{ WorkersInvocationsAdaptive []figures }
			}
		}
		Errors json.RawMessage
	}
	if err := json.Unmarshal(a.body, &v); err != nil || a.status != http.StatusOK || string(v.Errors) != "null" || len(v.Data.Viewer.Accounts) != 1 {
		t.Fatalf("%v: %v", a, err)
	}
	rows := map[string]figures{}
	for _, r := range v.Data.Viewer.Accounts[0].WorkersInvocationsAdaptive {
		rows[r.Dimensions.Status] = r
	}
	return rows
}

func TestFiguresAreForThoseWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	worker := newWorker(t, p, "api")
	version := newVersion(t, p, "api", "")
	newDeployment(t, p, "api", version, 100)
	otherID, foreign := p.NewAccount(t, "Other")
	from := time.Now().Add(-time.Minute)
	p.Runtime.Traffic().Open(traffic.Key{AccountID: p.AccountID, WorkerID: worker, VersionID: version}).Observe(traffic.ScriptThrew, 500, time.Millisecond)

	if got := askGate(t, p, version, from); got["scriptThrewException"].Sum.Errors != 1 || len(got) != 1 {
		t.Errorf("the administrator sees %+v", got)
	}
	ask := func(token, account string) answer {
		t.Helper()
		body := fmt.Sprintf(`{"query":"{viewer{accounts(filter:{accountTag:\"%s\"}){workersInvocationsAdaptive(limit:9){sum{requests}}}}}"}`, account)
		return try(t, p, "POST", graphqlPath, body, "Authorization", "Bearer "+token)
	}
	for _, name := range []string{"deploy", "read", "Account Analytics Read"} {
		if a := ask(p.NewToken(t, name), p.AccountID); !strings.Contains(a.String(), `[{"sum":{"requests":1}}]`) {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := ask(foreign, otherID); a.status != http.StatusOK || !strings.Contains(a.String(), `"workersInvocationsAdaptive":[]`) {
		t.Errorf("another account about itself: %v", a)
	}
	if a := ask(foreign, p.AccountID); a.status != http.StatusForbidden || !strings.Contains(a.String(), "not authorized for that account") {
		t.Errorf("another account about ours: %v", a)
	}
	refused(t, p, 403, 10000, `lacks the permission \"Account Analytics Read\"`, "POST", graphqlPath, "{}", "Authorization", "Bearer "+p.NewToken(t, "logs"))
	refused(t, p, 413, 10027, "larger than", "POST", graphqlPath, strings.Repeat("x", 100<<10))
	if a := try(t, p, "POST", graphqlPath, "not JSON"); a.status != http.StatusBadRequest || !strings.HasPrefix(a.String(), `400 {"data":null,"errors":[{"message":"the request body must be`) {
		t.Errorf("no JSON: %v", a)
	}
}

// scrape gets the metrics with a token.
func scrape(t *testing.T, p *planetest.Plane, token string) (status int, contentType, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(body)
}

func TestPrometheusReadsTheMetrics(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	worker := newWorker(t, p, "api")
	version, idle := newVersion(t, p, "api", ""), newVersion(t, p, "api", `,"annotations":{"workers/message":"idle"}`)
	newDeployment(t, p, "api", version, 100)
	_, foreign := p.NewAccount(t, "Other")
	open := func(version string) *traffic.Counters {
		return p.Runtime.Traffic().Open(traffic.Key{AccountID: p.AccountID, WorkerID: worker, VersionID: version})
	}
	c := open(version)
	for range 3 {
		c.Observe(traffic.Success, 200, 100*time.Millisecond)
	}
	c.Observe(traffic.ScriptThrew, 500, 2*time.Second)
	c.ObserveMarked(traffic.Success)
	open(idle).Observe(traffic.Success, 200, time.Millisecond)
	p.Runtime.OnStates = func(list []workerd.VersionState) []workerd.VersionState {
		draining := list[0] // the process before, of the same version
		draining.State, draining.Restarts = "draining", 2
		return append(list, draining)
	}

	status, contentType, text := scrape(t, p, p.Token)
	if status != http.StatusOK || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Fatalf("%d %s\n%s", status, contentType, text)
	}
	labels := fmt.Sprintf(`version="%s",worker="api"`, version)
	for _, want := range []string{
		`hybridge_plane_info{version="0.0.0-test",workerd_version="2026-11-17"} 1`,
		`hybridge_worker_version_ready{` + labels + `} 1`,
		`hybridge_worker_version_restarts_total{` + labels + `} 2`,
		`hybridge_worker_requests_total{outcome="success",` + labels + `} 3`,
		`hybridge_worker_requests_total{outcome="scriptThrewException",` + labels + `} 1`,
		`hybridge_worker_requests_total{outcome="internalError",` + labels + `} 0`,
		`hybridge_worker_server_errors_total{outcome="scriptThrewException",` + labels + `} 1`,
		`hybridge_worker_marked_requests_total{outcome="success",` + labels + `} 1`,
		`hybridge_worker_request_duration_seconds_bucket{` + labels + `,le="0.065536"} 0`,
		`hybridge_worker_request_duration_seconds_bucket{` + labels + `,le="0.131072"} 3`,
		`hybridge_worker_request_duration_seconds_bucket{` + labels + `,le="16.777216"} 4`,
		`hybridge_worker_request_duration_seconds_bucket{` + labels + `,le="+Inf"} 4`,
		`hybridge_worker_request_duration_seconds_sum{` + labels + `} 2.3`,
		`hybridge_worker_request_duration_seconds_count{` + labels + `} 4`,
		"process_start_time_seconds ", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(text, idle) {
		t.Error("a version that does not run has series")
	}
	if n := strings.Count(text, version); n > 40 {
		t.Errorf("a version has %d series", n)
	}
	problems, err := promlint.New(bytes.NewReader([]byte(text))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "hybridge_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}

	if status, _, text := scrape(t, p, foreign); status != http.StatusOK || strings.Contains(text, `worker="`) {
		t.Errorf("another account sees %d\n%s", status, text)
	}
	if status, _, _ := scrape(t, p, ""); status != http.StatusBadRequest {
		t.Errorf("without a token: %d", status)
	}
	if status, _, _ := scrape(t, p, p.NewToken(t, "data")); status != http.StatusForbidden {
		t.Errorf("without permission: %d", status)
	}
}

// A candidate on real workerd, as a gate sees it through the API: what users got,
// not what was asked of it by its preview URL or by an override.
func TestAGateSeesWhatUsersGotFromARealCandidate(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Workerd: true})
	call(t, p, "POST", "/workers/workers", `{"name":"api","subdomain":{"enabled":true,"previews_enabled":true}}`)
	upload := func(code string) string {
		t.Helper()
		return call(t, p, "POST", "/workers/workers/api/versions", uploadBody(code, "")).id(t)
	}
	good := upload(`export default { fetch() { return new Response("good") } }`)
	bad := upload(`export default { async fetch(req) { switch (new URL(req.url).pathname) {
		case "/throw": throw new Error("boom");
		case "/500": return new Response("no", { status: 500 });
		case "/slow": await scheduler.wait(700);
	} return new Response("bad") } }`)
	get := func(path string, header ...string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.IngressURL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "api." + planetest.Subdomain + ".localhost"
		for i := 0; i+1 < len(header); i += 2 {
			if header[i] == "Host" {
				req.Host = header[i+1]
			}
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	// see waits for the rows of bad since from to have these numbers of requests.
	see := func(from time.Time, want map[string]int) map[string]figures {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			rows, got := askGate(t, p, bad, from), map[string]int{}
			for status, r := range rows {
				got[status] = r.Sum.Requests
			}
			if cmp.Equal(want, got) {
				return rows
			}
			if time.Now().After(deadline) {
				t.Fatalf("rows (-want +got):\n%s\n%s", cmp.Diff(want, got), p.Log())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	nextSecond := func() time.Time {
		now := time.Now()
		next := now.Truncate(time.Second).Add(time.Second)
		time.Sleep(next.Sub(now) + 50*time.Millisecond)
		return next
	}

	// At 0 % only marked requests reach it.
	newDeployment(t, p, "api", bad, 0, good, 100)
	from := nextSecond()
	for range 5 {
		get("/throw", "Cloudflare-Workers-Version-Overrides", `api="`+bad+`"`)
		get("/throw", "Host", bad[:8]+"-api."+planetest.Subdomain+".localhost")
		get("/")
	}
	see(from, map[string]int{})

	// Then it has all the traffic. Its process stays, and so does what it counts.
	newDeployment(t, p, "api", bad, 100)
	for range 4 {
		get("/throw")
		get("/500")
	}
	for range 8 {
		get("/")
	}
	get("/slow")
	rows := see(from, map[string]int{"success": 13, "scriptThrewException": 4})
	if r := rows["scriptThrewException"]; r.Sum.Errors != 4 || r.Sum.HybridgeServerErrors != 4 {
		t.Errorf("exceptions: %+v", r)
	}
	if r := rows["success"]; r.Sum.Errors != 0 || r.Sum.HybridgeServerErrors != 4 || r.Quantiles.WallTimeP99 < 600e3 || r.Quantiles.WallTimeP99 > 5e6 {
		t.Errorf("successes: %+v", r)
	}
	_, _, text := scrape(t, p, p.Token)
	if want := fmt.Sprintf(`hybridge_worker_marked_requests_total{outcome="scriptThrewException",version="%s",worker="api"} 10`, bad); !strings.Contains(text, want) {
		t.Errorf("there is no %s in\n%s", want, text)
	}

	// It goes away and comes back, with a new process, a later step asks for its own time.
	newDeployment(t, p, "api", good, 100)
	get("/")
	from2 := nextSecond()
	newDeployment(t, p, "api", bad, 100)
	get("/throw")
	see(from2, map[string]int{"scriptThrewException": 1})
	see(from, map[string]int{"success": 13, "scriptThrewException": 5})
}
