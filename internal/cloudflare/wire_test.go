// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
)

const (
	testAccount = "0123456789abcdef0123456789abcdef"
	testToken   = "secret-token-secret-token-secret-token-secret"
	testWorker  = `{"success":true,"errors":[],"messages":[],"result":{"id":"fedcba9876543210fedcba9876543210","name":"api","created_on":"2026-01-02T03:04:05.678901Z"}}`
)

// waits records waits instead of waiting.
type waits struct {
	mu    sync.Mutex
	slept []time.Duration
}

func (w *waits) sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	w.slept = append(w.slept, d)
	w.mu.Unlock()
	return ctx.Err()
}

// answering gives a client of a server that answers every request with body.
func answering(t *testing.T, script *fault.Script, body string, change ...func(*Config)) (*Client, *waits) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	var slept waits
	cfg := Config{
		Plane: "paris", BaseURL: server.URL + "/client/v4", AccountID: testAccount, Token: testToken,
		HTTPTransport: script.Transport(server.Client().Transport), Sleep: slept.sleep,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, &slept
}

func TestAnIdempotentCallSurvivesEveryPassingFault(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.TooMany, fault.ErrorBefore, fault.ErrorAfter, fault.ResetBefore, fault.ResetAfter, fault.Truncated, fault.HTMLAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var script fault.Script
			script.Add(fault.Rule{Kind: kind, Times: 2})
			c, _ := answering(t, &script, testWorker)
			w, err := c.FreshWorker(t.Context(), "api")
			if err != nil {
				t.Fatal(err)
			}
			if w.Name != "api" || script.Count("GET", "") != 3 {
				t.Errorf("got Worker %q after %d requests, want api after 3", w.Name, script.Count("GET", ""))
			}
		})
	}
}

func TestWhatIsPermanentIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]fault.Rule{
		"409":      {Kind: fault.Conflict, Times: -1},
		"403":      {Kind: fault.Unauthorized, Times: -1},
		"HTML":     {Kind: fault.HTML, Times: -1},
		"HTML 404": {Kind: fault.HTML, Status: 404, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var script fault.Script
			script.Add(rule)
			c, _ := answering(t, &script, testWorker)
			if _, err := c.FreshWorker(t.Context(), "api"); err == nil {
				t.Fatal("no error")
			}
			if n := script.Count("", ""); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestAPlaneCanForbidRepeats(t *testing.T) {
	t.Parallel()
	n := 0
	c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
		cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
			n++
			h := http.Header{"Content-Type": {"application/json"}, "X-Should-Retry": {"false"}}
			return &http.Response{StatusCode: 500, Header: h, Request: req,
				Body: io.NopCloser(strings.NewReader(`{"success":false,"errors":[{"code":10021,"message":"bad"}]}`))}, nil
		})
	})
	if _, err := c.FreshWorker(t.Context(), "api"); err == nil || n != 1 {
		t.Errorf("error %v after %d requests, want an error after 1", err, n)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Rule{Kind: fault.ErrorBefore, Times: -1})
	three := 3
	c, slept := answering(t, &script, testWorker, func(cfg *Config) { cfg.MaxRetries = &three })
	_, err := c.FreshWorker(t.Context(), "api")
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || e.Code != 10002 {
		t.Fatalf("error %v, want a 503 with code 10002", err)
	}
	if n := script.Count("", ""); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
	for i, d := range slept.slept {
		if limit := firstBackoff << i; d < limit/2 || d > limit {
			t.Errorf("wait %d was %s, want between %s and %s", i, d, limit/2, limit)
		}
	}
}

func TestRetryAfterIsHonouredAndCapped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ asked, want time.Duration }{
		{7 * time.Second, 7 * time.Second},
		{24 * time.Hour, maxRetryAfter},
	} {
		var script fault.Script
		script.Add(fault.Rule{Kind: fault.TooMany, RetryAfter: test.asked})
		c, slept := answering(t, &script, testWorker)
		if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
			t.Fatal(err)
		}
		if len(slept.slept) != 1 || slept.slept[0] > test.want || slept.slept[0] < test.want-time.Second {
			t.Errorf("asked for %s the client waited %v, want about %s", test.asked, slept.slept, test.want)
		}
	}
}

func TestALimitOnOneRequestHoldsAllOfThem(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Rule{Kind: fault.TooMany, RetryAfter: time.Minute})
	none := 0
	c, slept := answering(t, &script, testWorker, func(cfg *Config) { cfg.MaxRetries = &none })
	if _, err := c.FreshWorker(t.Context(), "api"); err == nil {
		t.Fatal("no error without retries")
	}
	c.wire.budget.hold(time.Minute)
	if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
		t.Fatal(err)
	}
	if len(slept.slept) != 1 {
		t.Errorf("the second request waited %v, want once for about a minute", slept.slept)
	}
}

func TestTheBudgetOfAnEdgePlaneStaysBelowCloudflaresLimit(t *testing.T) {
	t.Parallel()
	if inFiveMinutes := edgeRate*300 + 2*edgeBurst; inFiveMinutes >= 1200 {
		t.Errorf("two processes may send %v requests in five minutes", inFiveMinutes)
	}
	limited := func(url string, perSecond float64) bool {
		c, err := New(Config{BaseURL: url, AccountID: testAccount, Token: testToken, RequestsPerSecond: perSecond})
		if err != nil {
			t.Fatal(err)
		}
		return c.wire.budget.limiter != nil
	}
	if !limited("", 0) || limited("http://127.0.0.1:1/client/v4", 0) || !limited("http://127.0.0.1:1", 5) || limited("", -1) {
		t.Error("the default is not: limited on Cloudflare, unlimited on a plane of one's own, and as configured if it is")
	}
}

func TestSomethingElseThanTheAPIIsNamedAndNeverMeansGone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 404} {
		var script fault.Script
		script.Add(fault.Rule{Kind: fault.HTML, Status: status, Times: -1})
		c, _ := answering(t, &script, testWorker)
		_, err := c.FreshWorker(t.Context(), "api")
		if err == nil || IsNotFound(err) {
			t.Fatalf("status %d: error %v, not found %v", status, err, IsNotFound(err))
		}
		for _, part := range []string{`plane "paris"`, "answered text/html, not the Cloudflare API", "check base_url", c.BaseURL()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("status %d: %q lacks %q", status, err, part)
			}
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var asked []string
	c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
		cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.URL.Host)
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"https://login.example/"}}, Request: req, Body: http.NoBody}, nil
		})
	})
	_, err := c.FreshWorker(t.Context(), "api")
	if err == nil || !strings.Contains(err.Error(), "https://login.example/") || len(asked) != 1 {
		t.Errorf("error %v after requests to %v", err, asked)
	}
}

func TestAMissingRouteIsNotAMissingObject(t *testing.T) {
	t.Parallel()
	for code, gone := range map[int]bool{10007: true, 100146: true, 7003: false} {
		c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
			cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
				body := fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":"m"}],"messages":[],"result":null}`, code)
				return &http.Response{StatusCode: 404, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
					Body: io.NopCloser(strings.NewReader(body))}, nil
			})
		})
		if _, err := c.FreshWorker(t.Context(), "api"); IsNotFound(err) != gone {
			t.Errorf("404 with code %d: gone is %v, want %v", code, !gone, gone)
		}
	}
}

func TestAnUnreachablePlaneIsNamedWithItsURL(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String() + "/client/v4/"
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	one := 1
	var slept waits
	c, err := New(Config{Plane: "paris", BaseURL: base, AccountID: testAccount, Token: testToken, MaxRetries: &one, Sleep: slept.sleep})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateWorker(t.Context(), WorkerInput{Name: "api"})
	if !IsUnreachable(err) || !strings.Contains(err.Error(), `plane "paris" at `+base) {
		t.Errorf("error %v", err)
	}
	if c.Requests() != 2 {
		t.Errorf("%d attempts of a POST that was never sent, want 2", c.Requests())
	}
}

func TestA403NamesThePermission(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Rule{Kind: fault.Unauthorized, Times: -1})
	c, _ := answering(t, &script, testWorker)
	_, readErr := c.FreshWorker(t.Context(), "api")
	_, writeErr := c.CreateWorker(t.Context(), WorkerInput{Name: "api"})
	if !IsForbidden(readErr) || !strings.Contains(readErr.Error(), PermissionScriptsRead) {
		t.Errorf("reading: %v", readErr)
	}
	if !IsForbidden(writeErr) || !strings.Contains(writeErr.Error(), PermissionScriptsWrite) {
		t.Errorf("writing: %v", writeErr)
	}
}

// memoryLog keeps what is logged.
type memoryLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *memoryLog) Debug(_ context.Context, msg string, fields map[string]any) {
	l.mu.Lock()
	l.lines = append(l.lines, fmt.Sprint(msg, fields))
	l.mu.Unlock()
}

func TestTheTokenIsNeverSeen(t *testing.T) {
	t.Parallel()
	var log memoryLog
	for _, transport := range []roundTrip{
		func(*http.Request) (*http.Response, error) {
			return nil, errors.New("proxy said: Bearer " + testToken)
		},
		func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
				Body: io.NopCloser(strings.NewReader(`{"success":false,"errors":[{"code":1,"message":"token ` + testToken + ` is bad"}]}`))}, nil
		},
		func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"/?t=" + testToken}}, Request: req, Body: http.NoBody}, nil
		},
	} {
		c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) { cfg.HTTPTransport, cfg.Logger = transport, &log })
		_, err := c.FreshWorker(t.Context(), "api")
		if err == nil || strings.Contains(err.Error(), testToken) {
			t.Errorf("error %v", err)
		}
	}
	if text := strings.Join(log.lines, "\n"); text == "" || strings.Contains(text, testToken) || strings.Contains(text, "Bearer s") {
		t.Errorf("log:\n%s", text)
	}
}

func TestBaseURLsAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url      string
		insecure bool
		want     string // the base URL, or a part of the error after "!"
	}{
		{url: "", want: "https://api.cloudflare.com/client/v4/"},
		{url: "http://127.0.0.1:8780/client/v4", want: "http://127.0.0.1:8780/client/v4/"},
		{url: "http://127.0.0.1:8780/client/v4/", want: "http://127.0.0.1:8780/client/v4/"},
		{url: "http://[::1]:8780", want: "http://[::1]:8780/client/v4/"},
		{url: "http://plane.localhost/client/v4", want: "http://plane.localhost/client/v4/"},
		{url: "http://plane.example/client/v4", want: "!insecure_http = true"},
		{url: "http://127.0.0.1.example/client/v4", want: "!unencrypted"},
		{url: "http://10.0.0.1/client/v4", insecure: true, want: "http://10.0.0.1/client/v4/"},
		{url: "https://u:hunter2@plane.example/", want: "!credentials"},
		{url: "ftp://plane.example/", want: "!not an http or https URL"},
		{url: "plane.example", want: "!not an http or https URL"},
		{url: "https://plane.example/client/v4?x=1", want: "!query"},
		{url: "http://%zz", want: "!cannot be parsed"},
	} {
		c, err := New(Config{BaseURL: test.url, AccountID: testAccount, Token: testToken, AllowInsecureHTTP: test.insecure})
		part, wantErr := strings.CutPrefix(test.want, "!")
		switch {
		case wantErr && (err == nil || !strings.Contains(err.Error(), part)):
			t.Errorf("%q: error %v, want one with %q", test.url, err, part)
		case wantErr && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the error repeats the password: %v", test.url, err)
		case !wantErr && err != nil:
			t.Errorf("%q: %v", test.url, err)
		case !wantErr && c.BaseURL() != test.want:
			t.Errorf("%q: base URL %s, want %s", test.url, c.BaseURL(), test.want)
		}
	}
}

func TestCancellationEndsTheWait(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Rule{Kind: fault.ErrorBefore, Times: -1})
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := answering(t, &script, testWorker, func(cfg *Config) {
		cfg.Sleep = func(ctx context.Context, _ time.Duration) error {
			cancel()
			return sleep(ctx, time.Hour)
		}
	})
	if _, err := c.FreshWorker(ctx, "api"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := script.Count("", ""); n != 1 {
		t.Errorf("%d requests after the cancellation, want 1", n)
	}
}

func TestASlowAnswerRunsIntoTheTimeout(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Rule{Kind: fault.Slow, Delay: time.Hour})
	c, _ := answering(t, &script, testWorker, func(cfg *Config) { cfg.RequestTimeout = 20 * time.Millisecond })
	if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
		t.Errorf("the repeat did not help: %v", err)
	}
	script.Add(fault.Rule{Kind: fault.Slow, Delay: time.Hour, Times: -1})
	none := 0
	c, _ = answering(t, &script, testWorker, func(cfg *Config) { cfg.RequestTimeout, cfg.MaxRetries = 20*time.Millisecond, &none })
	if _, err := c.FreshWorker(t.Context(), "api"); err == nil || !strings.Contains(err.Error(), "request_timeout") {
		t.Errorf("error %v", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, testWorker)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			opened++
			mu.Unlock()
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := New(Config{BaseURL: server.URL, AccountID: testAccount, Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 50 {
				if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if opened > 20 {
		t.Errorf("500 requests of 10 readers opened %d connections", opened)
	}
}

func TestPagesEndWhereThePlaneSaysSo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page func(n int) string
		want int
	}{
		"empty page":   {func(n int) string { return []string{"", `{"id":"a","name":"a"}`, `{"id":"b","name":"b"}`, ""}[n] }, 3},
		"repeats page": {func(int) string { return `{"id":"a","name":"a"}` }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
				cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
					n++
					body := `{"success":true,"errors":[],"messages":[],"result":[` + test.page(n) + `],"result_info":{"page":1}}`
					return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
						Body: io.NopCloser(strings.NewReader(body))}, nil
				})
			})
			all, err := c.ListWorkers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n != test.want || len(all) != test.want-1 {
				t.Errorf("%d requests gave %d Workers, want %d and %d", n, len(all), test.want, test.want-1)
			}
		})
	}
}

func TestTheRequestsAreThoseOfTheAPI(t *testing.T) {
	t.Parallel()
	var got []string
	c, _ := answering(t, &fault.Script{}, "", func(cfg *Config) {
		cfg.UserAgent = "terraform-provider-hybridge/test"
		cfg.HTTPTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
			got = append(got, req.Method+" "+req.URL.RequestURI())
			if a := req.Header.Get("Authorization"); a != "Bearer "+testToken {
				t.Errorf("Authorization is %q", a)
			}
			if a := req.Header.Get("User-Agent"); a != "terraform-provider-hybridge/test" {
				t.Errorf("User-Agent is %q", a)
			}
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
				Body: io.NopCloser(strings.NewReader(`{"success":true,"result":{}}`))}, nil
		})
	})
	ctx := t.Context()
	_, _ = c.FreshWorker(ctx, "a/../b")
	_, _ = c.Version(ctx, "api", "v1")
	_, _ = c.VersionWithModules(ctx, "api", "v1")
	_, _ = c.VerifyToken(ctx)
	_ = c.DeleteWorker(ctx, "api", true)
	a := "/client/v4/accounts/" + testAccount
	want := []string{
		"GET " + a + "/workers/workers/a%2F..%2Fb",
		"GET " + a + "/workers/workers/api/versions/v1",
		"GET " + a + "/workers/workers/api/versions/v1?include=modules",
		"GET /client/v4/user/tokens/verify",
		"DELETE " + a + "/workers/workers/api?force=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
