// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// plane answers queries with what answer returns, and records them.
type plane struct {
	clock     *fakeClock
	answer    func(at time.Duration) (string, error)
	at        []time.Duration
	queries   []string
	variables []map[string]any
}

func (p *plane) GraphQL(ctx context.Context, query string, variables map[string]any, into any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.at = append(p.at, p.clock.since())
	p.queries, p.variables = append(p.queries, query), append(p.variables, variables)
	text, err := p.answer(p.clock.since())
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

type row struct {
	status                         string
	requests, errors, serverErrors int
	p99                            time.Duration
}

func (p *plane) answers(selfHosted bool, rows ...row) {
	p.answer = func(time.Duration) (string, error) { return invocationsOf(selfHosted, rows...), nil }
}

func invocationsOf(selfHosted bool, rows ...row) string {
	list := make([]string, len(rows))
	for i, r := range rows {
		member := ""
		if selfHosted {
			member = fmt.Sprintf(`,"hybridgeServerErrors":%d`, r.serverErrors)
		}
		list[i] = fmt.Sprintf(`{"dimensions":{"status":%q},"sum":{"requests":%d,"errors":%d%s},"quantiles":{"wallTimeP99":%d.5}}`,
			r.status, r.requests, r.errors, member, r.p99.Microseconds())
	}
	return `{"viewer":{"accounts":[{"workersInvocationsAdaptive":[` + strings.Join(list, ",") + `]}]}}`
}

func rate(f float64) *float64 { return &f }

// newMetrics makes a gate on a self-hosted plane, or on the edge, with its clock.
func newMetrics(t *testing.T, selfHosted bool, c MetricsConfig) (*Metrics, *plane) {
	t.Helper()
	p := &plane{clock: newClock()}
	c.SelfHosted, c.Querier, c.AccountID, c.WorkerName = selfHosted, p, "acc", "api"
	g, err := NewMetrics(c, p.clock)
	if err != nil {
		t.Fatal(err)
	}
	if g.Asks() {
		t.Error("a metrics gate watches")
	}
	return g, p
}

func TestTheEdgeIsAskedOnceWhenItsNumbersHaveSettled(t *testing.T) {
	t.Parallel()
	g, p := newMetrics(t, false, MetricsConfig{MaxFailureRate: rate(.01), MaxP99: 500 * time.Millisecond})
	p.answers(false, row{"success", 990, 0, 0, 40 * time.Millisecond}, row{"scriptThrewException", 10, 10, 0, 3 * time.Millisecond})
	c := candidate(30 * time.Second)
	c.Since = epoch.Add(-250 * time.Millisecond)
	v := g.Judge(t.Context(), c)
	want(t, v, true, "failure rate 1 %, p99 40ms (1000 requests)")
	if want := "success: 990 requests, 0 failures, p99 40ms; scriptThrewException: 10 requests, 10 failures, p99 3ms"; v.Detail != want {
		t.Errorf("the detail is %q", v.Detail)
	}
	if diff := cmp.Diff([]time.Duration{5*time.Minute + 29750*time.Millisecond}, p.at); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
	// Whole seconds, widened; the settling time is not part of the window.
	if diff := cmp.Diff([]map[string]any{{
		"account": "acc", "script": "api", "version": target, "from": "2026-11-20T11:59:59Z", "to": "2026-11-20T12:00:30Z",
	}}, p.variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if strings.Contains(p.queries[0], "hybridge") || strings.Contains(p.queries[0], "%") {
		t.Errorf("the edge is asked %s", p.queries[0])
	}
}

func TestEveryMaximumThatIsExceededIsNamed(t *testing.T) {
	t.Parallel()
	g, p := newMetrics(t, true, MetricsConfig{MaxFailureRate: rate(.01), MaxServerErrorRate: rate(0), MaxP99: 500 * time.Millisecond})
	// The slowest row counts, however few requests it has.
	p.answers(true, row{"success", 232, 0, 3, 40 * time.Millisecond}, row{"exceededResources", 8, 8, 8, 30 * time.Second}, row{"internalError", 0, 0, 0, time.Minute})
	want(t, g.Judge(t.Context(), candidate(0)), false,
		"failure rate 3.33 %, allowed 1 %; server error rate 4.58 %, allowed 0 %; p99 30s, allowed 500ms (240 requests)")
	if !strings.Contains(p.queries[0], "sum { requests errors hybridgeServerErrors }") {
		t.Errorf("the plane is asked %s", p.queries[0])
	}
	if p.clock.since() != DefaultPlaneSettle {
		t.Errorf("it was judged after %s", p.clock.since())
	}
}

func TestABadRateFailsEarlyOnASelfHostedPlane(t *testing.T) {
	t.Parallel()
	g, p := newMetrics(t, true, MetricsConfig{MaxFailureRate: rate(.01), MaxP99: time.Millisecond})
	p.answer = func(at time.Duration) (string, error) {
		switch {
		case at < 5*time.Second: // slow and bad, but too few
			return invocationsOf(true, row{"success", 49, 49, 0, time.Second}), nil
		case at < 10*time.Second: // slow, which is judged at the end
			return invocationsOf(true, row{"success", 500, 0, 0, time.Second}), nil
		case at < 15*time.Second:
			return "", errors.New("the plane restarts")
		}
		return invocationsOf(true, row{"success", 500, 6, 0, time.Second}), nil
	}
	want(t, g.Judge(t.Context(), candidate(time.Minute)), false, "failure rate 1.2 %, allowed 1 % (500 requests)")
	if diff := cmp.Diff([]time.Duration{0, 5 * time.Second, 10 * time.Second, 15 * time.Second}, p.at); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
	if p.variables[3]["to"] != "2026-11-20T12:00:15Z" {
		t.Errorf("an early window ends at %v", p.variables[3]["to"])
	}
}

func TestTooFewRequestsAreInconclusive(t *testing.T) {
	t.Parallel()
	for policy, pass := range map[string]bool{"": false, "fail": false, "pass": true} {
		g, p := newMetrics(t, true, MetricsConfig{MaxFailureRate: rate(.01), OnInconclusive: policy})
		p.answers(true, row{"success", 49, 0, 0, 0})
		want(t, g.Judge(t.Context(), candidate(10*time.Second)), pass, "inconclusive: 49 requests, wanted at least 50")
		p.answers(true)
		v := g.Judge(t.Context(), candidate(0))
		want(t, v, pass, "inconclusive: 0 requests, wanted at least 50")
		if v.Detail != "no invocations" {
			t.Errorf("the detail is %q", v.Detail)
		}
	}
}

func TestAPlaneThatDoesNotAnswerIsInconclusive(t *testing.T) {
	t.Parallel()
	for _, pass := range []bool{false, true} {
		g, p := newMetrics(t, true, MetricsConfig{MaxFailureRate: rate(.01), OnInconclusive: map[bool]string{true: "pass"}[pass]})
		p.answer = func(time.Duration) (string, error) { return "", errors.New("502 Bad\x1b Gateway") }
		v := g.Judge(t.Context(), candidate(10*time.Second))
		want(t, v, pass, "inconclusive: no numbers, 3 queries failed")
		if v.Detail != "the last query failed: 502 Bad Gateway" {
			t.Errorf("the detail is %q", v.Detail)
		}
		// Twice while it watched, and three times after it had settled.
		if diff := cmp.Diff([]time.Duration{0, 5 * time.Second, 12 * time.Second, 17 * time.Second, 22 * time.Second}, p.at); diff != "" {
			t.Errorf("queries (-want +got):\n%s", diff)
		}
	}
	// An answer at last is taken.
	g, p := newMetrics(t, false, MetricsConfig{MaxFailureRate: rate(.01)})
	p.answer = func(time.Duration) (string, error) {
		if len(p.at) < finalQueries {
			return "null", nil
		}
		return invocationsOf(false, row{"success", 50, 0, 0, 0}), nil
	}
	want(t, g.Judge(t.Context(), candidate(0)), true, "failure rate 0 %, p99 0s (50 requests)")
}

func TestHalfAnAnswerIsNone(t *testing.T) {
	t.Parallel()
	full := invocationsOf(true, row{"success", 5, 0, 0, 0})
	if n, err := decodeInvocations([]byte(full), true); err != nil || n.requests != 5 {
		t.Fatalf("%+v, %v", n, err)
	}
	rowsOf := func(rows string) string {
		return `{"viewer":{"accounts":[{"workersInvocationsAdaptive":` + rows + `}]}}`
	}
	const canary = "c4n4ry"
	for name, text := range map[string]string{
		"nothing":            "",
		"null":               "null",
		"a string":           `"` + canary + `"`,
		"no viewer":          `{"viewer":null}`,
		"no accounts":        `{"viewer":{"accounts":null}}`,
		"no account":         `{"viewer":{"accounts":[]}}`,
		"two accounts":       `{"viewer":{"accounts":[{"workersInvocationsAdaptive":[]},{"workersInvocationsAdaptive":[]}]}}`,
		"no rows":            rowsOf("null"),
		"rows as an object":  rowsOf(`{"` + canary + `":1}`),
		"a null row":         rowsOf("[null]"),
		"an empty row":       rowsOf("[{}]"),
		"an unknown member":  strings.Replace(full, `"sum"`, `"`+canary+`":1,"sum"`, 1),
		"no status":          strings.Replace(full, `"status":"success"`, `"status":null`, 1),
		"no errors":          strings.Replace(full, `,"errors":0`, ``, 1),
		"no server errors":   strings.Replace(full, `,"hybridgeServerErrors":0`, ``, 1),
		"no percentile":      strings.Replace(full, `"wallTimeP99":0.5`, `"wallTimeP99":null`, 1),
		"negative requests":  strings.Replace(full, `"requests":5`, `"requests":-5`, 1),
		"requests in parts":  strings.Replace(full, `"requests":5`, `"requests":5.5`, 1),
		"too many requests":  strings.Replace(full, `"requests":5`, `"requests":18446744073709551615`, 1),
		"a negative time":    strings.Replace(full, `:0.5`, `:-0.5`, 1),
		"an endless time":    strings.Replace(full, `:0.5`, `:1e300`, 1),
		"something after it": full + `{"` + canary + `":1}`,
		"cut off":            full[:len(full)-3],
		"at the limit":       rowsOf("[" + strings.Repeat("null,", rowLimit-1) + "null]"),
	} {
		if n, err := decodeInvocations([]byte(text), true); err == nil {
			t.Errorf("%s: became %+v", name, n)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error repeats the answer: %v", name, err)
		}
	}
}

func FuzzInvocations(f *testing.F) {
	f.Add([]byte(invocationsOf(true, row{"success", 5, 1, 2, time.Second}, row{"internalError", 0, 0, 0, 0})), true)
	f.Add([]byte(invocationsOf(false)), false)
	f.Add([]byte(`{"viewer":{"accounts":[{"workersInvocationsAdaptive":[{"dimensions":{"status":"\u0000"}}]}]}}`), false)
	f.Fuzz(func(t *testing.T, data []byte, selfHosted bool) {
		n, err := decodeInvocations(data, selfHosted)
		if err != nil && (n.requests != 0 || len(err.Error()) > 150) {
			t.Errorf("%+v with the error %v", n, err)
		}
		if n.p99 < 0 || len(n.String()) > 20*200 {
			t.Errorf("p99 %s, %s", n.p99, n)
		}
	})
}

func TestWaitingForMetricsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := &plane{clock: newClock()}
	begun := make(chan struct{}, 1)
	p.answer = func(time.Duration) (string, error) {
		begun <- struct{}{}
		return invocationsOf(true), nil
	}
	c := MetricsConfig{MaxFailureRate: rate(0), SelfHosted: true, Querier: p, AccountID: "a", WorkerName: "w", Every: time.Hour}
	g, err := NewMetrics(c, wallClock{})
	if err != nil {
		t.Fatal(err)
	}
	judgedSoonAfterCancel(t, g, begun)

	// Also when the query is what ends.
	ctx, cancel := context.WithCancel(t.Context())
	edge, p := newMetrics(t, false, MetricsConfig{MaxFailureRate: rate(0)})
	p.answer = func(time.Duration) (string, error) { cancel(); return "", ctx.Err() }
	want(t, edge.Judge(ctx, candidate(0)), false, "interrupted before it was judged")
	if len(p.at) != 1 {
		t.Errorf("%d queries", len(p.at))
	}
}

func TestCheckOfAMetricsGateListsEverything(t *testing.T) {
	t.Parallel()
	wantProblems(t, MetricsConfig{MaxFailureRate: rate(0)}.Check())
	wantProblems(t, MetricsConfig{MinRequests: -1, Settle: -1, Every: -1, OnInconclusive: "wait"}.Check(),
		"max_failure_rate: at least one of max_failure_rate, max_server_error_rate and max_p99 is needed",
		"min_requests: must be positive", "settle: must be positive", "every: must be positive", `on_inconclusive: must be "fail" or "pass"`)
	wantProblems(t, MetricsConfig{MaxFailureRate: rate(1), MaxServerErrorRate: rate(math.NaN()), MaxP99: -1}.Check(),
		"max_failure_rate: must be at least 0 and below 1; 0.01 is one percent",
		"max_server_error_rate: must be at least 0 and below 1; 0.01 is one percent",
		"max_p99: must be positive")
	_, err := NewMetrics(MetricsConfig{MaxServerErrorRate: rate(0)}, newClock())
	wantProblems(t, err,
		"max_server_error_rate: needs a self-hosted plane: Cloudflare does not count answers by version and status",
		"metrics: lacks the plane, the account or the Worker to ask about")
}
