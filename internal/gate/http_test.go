// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

func newHTTP(t *testing.T, c HTTPConfig, clock rollout.Clock) *HTTP {
	t.Helper()
	c.Path = or(c.Path, "/healthz")
	g, err := NewHTTP(c, clock)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func want(t *testing.T, v rollout.Verdict, pass bool, reason string) {
	t.Helper()
	if v.Pass != pass || v.Reason != reason {
		t.Errorf("the verdict is %t %q, want %t %q (detail: %q)", v.Pass, v.Reason, pass, reason, v.Detail)
	}
}

func TestAGoodCandidateIsProbedUntilTheEndOfItsBakeTime(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var at []time.Duration
	queries := map[string]bool{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		at = append(at, clock.since())
		queries[r.URL.RawQuery] = true
		if r.Method != http.MethodGet || r.URL.Path != "/healthz" || r.Header.Get("Cache-Control") != "no-cache" || r.Header.Get(overridesHeader) != "" {
			t.Errorf("a probe is %s %s %v", r.Method, r.URL, r.Header)
		}
		clock.pass(3 * time.Millisecond)
		fmt.Fprint(w, "ok, all good")
	})
	g := newHTTP(t, HTTPConfig{PreviewURL: url, BodyContains: "ok"}, clock)
	want(t, g.Judge(t.Context(), candidate(5*time.Second)), true, "GET /healthz: good (4 of 4 probes proved, slowest 3ms)")
	// Every two seconds, and once more when the bake time is over.
	if diff := cmp.Diff([]time.Duration{0, 2 * time.Second, 4 * time.Second, 5 * time.Second}, at); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	if len(queries) != 4 {
		t.Errorf("a cache could answer: the queries are %v", queries)
	}
	if g.Asks() {
		t.Error("an HTTP gate watches")
	}
}

// reset ends a connection without an answer.
func reset(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// raw answers with these bytes and closes the connection.
func raw(w http.ResponseWriter, answer string) {
	c, b, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = b.WriteString(answer)
		_ = b.Flush()
		c.Close()
	}
}

func TestEachKindOfBadAnswerFailsTheSecondTime(t *testing.T) {
	t.Parallel()
	const first = "GET /healthz: "
	const twice = " (2 failures in a row, 2 of 2 probes proved)"
	hang := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}
	for name, c := range map[string]struct {
		config HTTPConfig
		answer func(w http.ResponseWriter, r *http.Request, clock *fakeClock)
		reason string
		detail string // what it must hold
	}{
		"status": {
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) {
				w.WriteHeader(500)
				fmt.Fprint(w, "it \x1b[1mbroke\n")
			},
			reason: "status 500, wanted 200", detail: "the body begins: it [1mbroke",
		},
		"other statuses": {
			config: HTTPConfig{Status: []int{200, 204}},
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) { w.WriteHeader(201) },
			reason: "status 201, wanted 200 or 204",
		},
		"redirect": {
			answer: func(w http.ResponseWriter, r *http.Request, _ *fakeClock) {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			},
			reason: "status 302, wanted 200",
		},
		"body": {
			config: HTTPConfig{BodyContains: "ok"},
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) { fmt.Fprint(w, "brittle") },
			reason: "status 200, but the wanted text is not in the body of 7 bytes", detail: "brittle",
		},
		"huge body": {
			config: HTTPConfig{BodyContains: "ok"},
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) {
				_, _ = io.WriteString(w, strings.Repeat("x", bodyLimit)+"ok")
			},
			reason: "status 200, but the wanted text is not in the first 65536 bytes of the body",
		},
		"compressed body": { // we have not asked for one
			config: HTTPConfig{BodyContains: "ok"},
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0})
			},
			reason: "status 200, but the wanted text is not in the body of 8 bytes",
		},
		"latency": {
			config: HTTPConfig{MaxLatency: 300 * time.Millisecond},
			answer: func(_ http.ResponseWriter, _ *http.Request, clock *fakeClock) { clock.pass(412 * time.Millisecond) },
			reason: "an answer after 412ms, wanted at most 300ms",
		},
		"hang": {
			config: HTTPConfig{Timeout: 300 * time.Millisecond},
			answer: func(_ http.ResponseWriter, r *http.Request, _ *fakeClock) { hang(r) },
			reason: "no answer within 300ms",
		},
		"slow body": {
			config: HTTPConfig{Timeout: 300 * time.Millisecond},
			answer: func(w http.ResponseWriter, r *http.Request, _ *fakeClock) {
				fmt.Fprint(w, "beginning")
				w.(http.Flusher).Flush()
				hang(r)
			},
			reason: "status 200, but no complete body within 300ms", detail: "beginning",
		},
		"truncated body": {
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) {
				raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
			},
			reason: "status 200, but the body broke off after 5 bytes", detail: "hello",
		},
		"reset": {
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) { reset(w) },
			reason: "no connection, or no answer",
		},
		"not HTTP": {
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) { raw(w, "SSH-2.0-\x1b[2J\r\n\r\n") },
			reason: "no connection, or no answer", detail: "malformed",
		},
		"huge head": {
			answer: func(w http.ResponseWriter, _ *http.Request, _ *fakeClock) {
				raw(w, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 2*headLimit)+"\r\n\r\n")
			},
			reason: "no connection, or no answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			c.config.PreviewURL = serve(t, func(w http.ResponseWriter, r *http.Request) { c.answer(w, r, clock) })
			v := newHTTP(t, c.config, clock).Judge(t.Context(), candidate(time.Minute))
			want(t, v, false, first+c.reason+twice)
			if !strings.Contains(v.Detail, c.detail) || strings.ContainsAny(v.Detail, "\x1b\n\r") {
				t.Errorf("the detail is %q, want %q in it", v.Detail, c.detail)
			}
			if strings.Contains(v.Detail, "hybridge-probe") {
				t.Errorf("the detail repeats the URL: %q", v.Detail)
			}
		})
	}
}

func TestAnUnreachablePreviewFails(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	g := newHTTP(t, HTTPConfig{PreviewURL: "http://" + l.Addr().String()}, newClock())
	want(t, g.Judge(t.Context(), candidate(time.Minute)), false, "GET /healthz: no connection, or no answer (2 failures in a row, 2 of 2 probes proved)")
}

// statuses answers with one after the other, and with the last for ever.
func statuses(t *testing.T, list ...int) string {
	var n atomic.Int64
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(list[min(int(n.Add(1)), len(list))-1])
	})
}

func TestFailuresCountInARow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers  []int
		failures int
		pass     bool
		reason   string
		ends     time.Duration
	}{
		"one is forgiven":                {[]int{200, 500, 200, 500, 200}, 0, true, "GET /healthz: good (6 of 6 probes proved, slowest 0s)", 10 * time.Second},
		"two are not":                    {[]int{200, 500, 500, 200}, 0, false, "GET /healthz: status 500, wanted 200 (2 failures in a row, 3 of 3 probes proved)", 4 * time.Second},
		"one is enough if so wanted":     {[]int{500, 200}, 1, false, "GET /healthz: status 500, wanted 200 (1 failure, 1 of 1 probes proved)", 0},
		"the last one is asked again":    {[]int{200, 200, 200, 200, 200, 500, 200}, 0, true, "GET /healthz: good (7 of 7 probes proved, slowest 0s)", 12 * time.Second},
		"the last one and the next":      {[]int{200, 200, 200, 200, 200, 500, 500}, 0, false, "GET /healthz: status 500, wanted 200 (2 failures in a row, 7 of 7 probes proved)", 12 * time.Second},
		"a patient gate is not for ever": {[]int{500}, 100, false, "GET /healthz: no good answer in the end within 40s (21 of 21 probes proved, wanted at least 1; the last one: status 500, wanted 200)", 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			g := newHTTP(t, HTTPConfig{PreviewURL: statuses(t, c.answers...), Failures: c.failures}, clock)
			want(t, g.Judge(t.Context(), candidate(10*time.Second)), c.pass, c.reason)
			if clock.since() != c.ends {
				t.Errorf("it ended after %s, want %s", clock.since(), c.ends)
			}
		})
	}
}

func TestAStepWithoutBakeTimeIsProbedOnce(t *testing.T) {
	t.Parallel()
	clock := newClock()
	g := newHTTP(t, HTTPConfig{PreviewURL: statuses(t, 200)}, clock)
	want(t, g.Judge(t.Context(), candidate(0)), true, "GET /healthz: good (1 of 1 probe proved, slowest 0s)")
	// Long after, as when a driver goes on with a rollout: what counts is now.
	clock.pass(time.Hour)
	g.MinProved = 3
	want(t, g.Judge(t.Context(), candidate(0)), true, "GET /healthz: good (3 of 3 probes proved, slowest 0s)")
}

// edge is a live URL: it applies overrides when it has heard of the version, and
// else serves the previous one.
type edge struct {
	t       *testing.T
	clock   *fakeClock
	knows   time.Duration                                // since the epoch
	target  func(w http.ResponseWriter, r *http.Request) // how the candidate answers
	mu      sync.Mutex
	applied int
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dictionary, err := httpsfv.UnmarshalDictionary(r.Header.Values(overridesHeader))
	if err != nil {
		e.t.Errorf("the override is no dictionary: %v", err)
	}
	member, _ := dictionary.Get("my-api")
	if item, ok := member.(httpsfv.Item); !ok || item.Value != target {
		e.t.Errorf("the override asks for %v", member)
	}
	if e.clock.since() < e.knows {
		w.Header().Set("X-Version", previous)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	e.mu.Lock()
	e.applied++
	e.mu.Unlock()
	if e.target != nil {
		e.target(w, r)
		return
	}
	w.Header().Set("X-Version", strings.ToUpper(target))
}

func live(t *testing.T, e *edge) HTTPConfig {
	e.t = t
	return HTTPConfig{LiveURL: serve(t, e.ServeHTTP), WorkerName: "my-api", VersionHeader: "X-Version"}
}

func TestOnTheLiveURLOnlyProvedAnswersCount(t *testing.T) {
	t.Parallel()
	clock := newClock()
	g := newHTTP(t, live(t, &edge{clock: clock, knows: 5 * time.Second}), clock)
	want(t, g.Judge(t.Context(), candidate(10*time.Second)), true, "GET /healthz: good (3 of 6 probes proved, slowest 0s)")
}

func TestPropagationMayTakeLongerThanTheBakeTime(t *testing.T) {
	t.Parallel()
	clock := newClock()
	g := newHTTP(t, live(t, &edge{clock: clock, knows: 25 * time.Second}), clock)
	want(t, g.Judge(t.Context(), candidate(5*time.Second)), true, "GET /healthz: good (1 of 14 probes proved, slowest 0s)")
	if clock.since() != 25*time.Second {
		t.Errorf("it ended after %s", clock.since())
	}
}

func TestWithoutProofTheGateFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header func(h http.Header)
		last   string
	}{
		"no header":       {func(http.Header) {}, "status 200, without X-Version"},
		"another version": {func(h http.Header) { h.Set("X-Version", previous) }, "status 200, with another version in X-Version"},
		"part of the id":  {func(h http.Header) { h.Set("X-Version", target[:8]) }, "status 200, with another version in X-Version"},
		"two ids":         {func(h http.Header) { h["X-Version"] = []string{target, previous} }, "status 200, with more than one X-Version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			g := newHTTP(t, live(t, &edge{clock: clock, target: func(w http.ResponseWriter, _ *http.Request) { c.header(w.Header()) }}), clock)
			want(t, g.Judge(t.Context(), candidate(10*time.Second)), false,
				"GET /healthz: too little proof that the new version answered within 40s (0 of 21 probes proved, wanted at least 1; the last one: "+c.last+")")
		})
	}
}

func TestAProvedFailureFailsOnTheLiveURL(t *testing.T) {
	t.Parallel()
	clock := newClock()
	g := newHTTP(t, live(t, &edge{clock: clock, knows: 4 * time.Second, target: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", target)
		w.WriteHeader(500)
	}}), clock)
	want(t, g.Judge(t.Context(), candidate(time.Minute)), false, "GET /healthz: status 500, wanted 200 (2 failures in a row, 2 of 4 probes proved)")
}

func TestNoAnswerFailsOnTheLiveURL(t *testing.T) {
	t.Parallel()
	clock := newClock()
	g := newHTTP(t, live(t, &edge{clock: clock, target: func(w http.ResponseWriter, _ *http.Request) { reset(w) }}), clock)
	want(t, g.Judge(t.Context(), candidate(time.Minute)), false, "GET /healthz: no connection, or no answer (2 failures in a row, 0 of 2 probes proved)")
}

// A Worker that throws sets no header any more. Its answers prove nothing, but a
// version that was there and is no longer does not pass.
func TestAVersionThatStopsToAnswerDoesNotPass(t *testing.T) {
	t.Parallel()
	clock := newClock()
	g := newHTTP(t, live(t, &edge{clock: clock, target: func(w http.ResponseWriter, _ *http.Request) {
		if clock.since() < 5*time.Second {
			w.Header().Set("X-Version", target)
			return
		}
		w.WriteHeader(500)
	}}), clock)
	want(t, g.Judge(t.Context(), candidate(10*time.Second)), false,
		"GET /healthz: no proof any more that the new version answers within 40s (3 of 21 probes proved, wanted at least 1; the last one: status 500, without X-Version)")
}

func TestTheQueryOfThePathStaysAsItIs(t *testing.T) {
	t.Parallel()
	for path, begins := range map[string]string{
		"/p":               "/base/p?hybridge-probe=",
		"/p?":              "/base/p?&hybridge-probe=",
		"/p?b=2&a=%2F;x+y": "/base/p?b=2&a=%2F;x+y&hybridge-probe=",
		"//p%2f":           "/base//p%2f?hybridge-probe=",
	} {
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.RequestURI, begins) || len(r.RequestURI) < len(begins)+16 {
				t.Errorf("%s is asked as %s", path, r.RequestURI)
			}
		})
		v := newHTTP(t, HTTPConfig{Path: path, PreviewURL: url + "/base/", MaxLatency: time.Second}, newClock()).Judge(t.Context(), candidate(0))
		if !v.Pass || strings.Contains(v.Reason, "?") {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestCredentialsAreSentAndNeverShown(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-c4n4ry"
	calls := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary {
			t.Error("the header was not sent")
		}
		w.WriteHeader(401)
		fmt.Fprintf(w, "%s and %s", r.Header, r.Header.Get("Authorization"))
	})
	headers := map[string]func() (string, error){"authorization": func() (string, error) { calls++; return "Bearer " + canary, nil }}
	g := newHTTP(t, HTTPConfig{PreviewURL: url, Headers: headers}, newClock())
	v := g.Judge(t.Context(), candidate(0))
	if v.Pass || strings.Contains(v.Reason+v.Detail, canary) || !strings.Contains(v.Detail, withheld) {
		t.Errorf("the verdict is %+v", v)
	}
	if calls != 1 {
		t.Errorf("the value was asked for %d times", calls)
	}

	headers["authorization"] = func() (string, error) { return "", errors.New("cannot decrypt " + canary) }
	want(t, g.Judge(t.Context(), candidate(0)), false, `the value of the header "authorization" could not be had`)
	headers["authorization"] = func() (string, error) { return canary + "\r\nHost: evil", nil }
	want(t, g.Judge(t.Context(), candidate(0)), false, `the value of the header "authorization" has characters that no header can carry`)
}

func TestNamesBelowLocalhostAreLoopback(t *testing.T) {
	t.Parallel()
	var host string
	u, err := url.Parse(serve(t, func(_ http.ResponseWriter, r *http.Request) { host = r.Host }))
	if err != nil {
		t.Fatal(err)
	}
	base := "http://0b3a1f6e-api.acme.LocalHost:" + u.Port()
	v := newHTTP(t, HTTPConfig{PreviewURL: base, Path: "/"}, newClock()).Judge(t.Context(), candidate(0))
	if !v.Pass || !strings.EqualFold("http://"+host, base) {
		t.Errorf("%+v; the host was %q", v, host)
	}
}

func TestProbingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, stall := range map[string]func(w http.ResponseWriter, r *http.Request){
		"before the head": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"in the body": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"between probes": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{}, 1)
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				begun <- struct{}{}
				stall(w, r)
			})
			judgedSoonAfterCancel(t, newHTTP(t, HTTPConfig{PreviewURL: url, Every: time.Hour}, wallClock{}), begun)
		})
	}
}

func TestProbesNeverOverlap(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	url := serve(t, func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(20 * time.Millisecond)
		now.Add(-1)
	})
	g := newHTTP(t, HTTPConfig{PreviewURL: url, Every: time.Millisecond}, wallClock{})
	c := candidate(200 * time.Millisecond)
	c.Since = time.Now()
	if v := g.Judge(t.Context(), c); !v.Pass || most.Load() != 1 {
		t.Errorf("%d at once, %+v", most.Load(), v)
	}
}

func TestCredentialsOfProbesAreCheckedWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	value := func(v string, err error) func() (string, error) { return func() (string, error) { return v, err } }
	wantProblems(t, HTTPConfig{Headers: map[string]func() (string, error){"X-Key": value("c4n4ry", nil), "X-Empty": value("", nil)}}.CheckCredentials())
	wantProblems(t, HTTPConfig{Headers: map[string]func() (string, error){
		"X-Break": value("c4n4ry\n", nil), "X-Key": value("c4n4ry", nil), "X-None": value("", errors.New("no key for c4n4ry")),
	}}.CheckCredentials(),
		`headers["X-Break"]: has characters that no header can carry, e.g. a line break`,
		`headers["X-None"]: could not be had`)
}

func TestCheckOfAnHTTPGateListsEverything(t *testing.T) {
	t.Parallel()
	token := func() (string, error) { return "", nil }
	wantProblems(t, HTTPConfig{Path: "/"}.Check())
	wantProblems(t, HTTPConfig{
		Path: "healthz", Method: "HEAD", BodyContains: "ok", Status: []int{200, 99}, MaxLatency: time.Minute, Timeout: 10 * time.Second, Every: -1, Failures: -1,
		Patience: -1, MinProved: -1, VersionHeader: "X Version", LiveURL: "http://api.example.com/?key=1",
		Headers: map[string]func() (string, error){"Host": token, "cache-control": token, "X-A": token, "x-a": token, "": token},
	}.Check(),
		"path: must begin with a slash",
		"body_contains: cannot be true: an answer to HEAD has no body",
		"status[1]: is 99 and must be from 200 to 599",
		"every: must be positive",
		"failures: must be positive",
		"patience: must be positive",
		"min_proved: must be positive",
		"max_latency: is longer than the timeout of a probe, 10s",
		"version_header: is not the name of a header",
		`headers[""]: is not the name of a header`,
		`headers["Host"]: is set by the gate itself`,
		`headers["cache-control"]: is set by the gate itself`,
		`headers["x-a"]: is there twice, in different spellings`,
		"url: must not have a query: put it into path",
		"url: must begin with https://, because headers may hold credentials",
	)
	wantProblems(t, HTTPConfig{Path: "/a#b", Method: "BREW"}.Check(), "path: must not have a fragment: it is never sent", "method: must be GET, HEAD or POST")
	wantProblems(t, HTTPConfig{Path: "/a b"}.Check(), "path: must be written in ASCII without spaces; escape other characters as %20")
	wantProblems(t, HTTPConfig{Path: "/%zz"}.Check(), "path: has an escape that is not one")
	for u, problem := range map[string]string{
		"ftp://x/": "url: must begin with https:// or http://", "https:///x": "url: has no host", "http://[::1": "url: is not a URL",
		"https://user:pw@x/": "url: must not hold a user or password: they would reach logs and state", "https://x/#f": "url: must not have a fragment: it is never sent",
	} {
		wantProblems(t, HTTPConfig{Path: "/", PreviewURL: u}.Check(), problem)
	}
}

func TestAnHTTPGateNeedsOneURLAndAWayToProve(t *testing.T) {
	t.Parallel()
	_, err := NewHTTP(HTTPConfig{Path: "/"}, newClock())
	wantProblems(t, err, "url: is needed: either the preview URL of the version or a live URL")
	_, err = NewHTTP(HTTPConfig{Path: "/", PreviewURL: "https://p.example", LiveURL: "https://l.example", WorkerName: "api", VersionHeader: "X-V"}, newClock())
	wantProblems(t, err, "url: is needed: either the preview URL of the version or a live URL")
	g := newHTTP(t, HTTPConfig{PreviewURL: "https://p.example", MaxLatency: time.Second}, newClock())
	if g.Timeout != 3*time.Second || g.Every != 2*time.Second || g.Failures != 2 || g.Patience != 30*time.Second || g.MinProved != 1 || g.Method != "GET" {
		t.Errorf("the defaults are %+v", g.HTTPConfig)
	}
	_, err = NewHTTP(HTTPConfig{Path: "/", LiveURL: "https://l.example", WorkerName: "2fast"}, newClock())
	wantProblems(t, err,
		"version_header: is needed where the version has no preview URL: without it no answer proves its version",
		`url: cannot reach one version of this Worker: its name "2fast" is no key of a structured header (RFC 8941), which begins with a lower-case letter; enable preview URLs`)
}
