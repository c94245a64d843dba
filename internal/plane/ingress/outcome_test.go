// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// counted waits until want requests of v are counted: that happens after the
// client has its answer.
func counted(t *testing.T, c *traffic.Counters, want uint64) traffic.Totals {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		totals := c.Totals()
		var n uint64
		for o := range totals.Outcomes {
			n += totals.Outcomes[o].Requests + totals.Marked[o]
		}
		if n >= want {
			if n > want {
				t.Errorf("%d requests are counted, there were %d", n, want)
			}
			return totals
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d requests are counted", n, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// Only what no Worker can send is taken for an exception.
func TestADeliberate500IsNoException(t *testing.T) {
	t.Parallel()
	const runtime = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 21\r\n\r\nInternal Server Error"
	for name, c := range map[string]struct {
		raw  string
		want traffic.Outcome
	}{
		"workerd's own":   {runtime, traffic.ScriptThrew},
		"kept connection": {strings.Replace(runtime, "Connection: close\r\n", "", 1), traffic.Success},
		"content type":    {strings.Replace(runtime, "\r\n\r\n", "\r\nContent-Type: text/plain\r\n\r\n", 1), traffic.Success},
		"another header":  {strings.Replace(runtime, "\r\n\r\n", "\r\nX-Request-Id: 1\r\n\r\n", 1), traffic.Success},
		"other words":     {strings.Replace(runtime, "\r\n\r\nInternal Server Error", "\r\n\r\nInternal Server Panic", 1), traffic.Success},
		"other length":    {strings.Replace(runtime, "Length: 21\r\n\r\nInternal Server Error", "Length: 2\r\n\r\nno", 1), traffic.Success},
		"chunked":         {"HTTP/1.1 500 X\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n15\r\nInternal Server Error\r\n0\r\n\r\n", traffic.Success},
		"503":             {strings.Replace(runtime, "500", "503", 1), traffic.Success},
		"cut body":        {strings.TrimSuffix(runtime, "Error"), traffic.InternalError},
		"no answer":       {"", traffic.InternalError},
		"cut header":      {"HTTP/1.1 200 OK\r\nContent-", traffic.InternalError},
		"unasked upgrade": {"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", traffic.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, c.raw)
			}))
			f := startFront(t, Share{Target: v.Target, Percentage: 100})
			// A POST, so that nothing is tried twice.
			res, err := f.client.Do(f.request(t, http.MethodPost, "/", strings.NewReader("x")))
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			if got := counted(t, v.counters, 1); got.Outcomes[c.want].Requests != 1 {
				t.Errorf("counted as something else than %v: %+v", c.want, got)
			}
		})
	}
}

func TestServerErrorsAreCountedAsTheClientGotThem(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}))
	f := startFront(t, Share{Target: v.Target, Percentage: 100})
	for _, path := range []string{"/200", "/404", "/499", "/500", "/503", "/0"} {
		f.do(t, f.request(t, http.MethodPost, path, strings.NewReader("x")))
	}
	got := counted(t, v.counters, 6)
	if ok := got.Outcomes[traffic.Success]; ok.Requests != 5 || ok.ServerErrors != 2 {
		t.Errorf("successes: %d, of them %d with 5xx", ok.Requests, ok.ServerErrors)
	}
	if failed := got.Outcomes[traffic.InternalError]; failed.Requests != 1 || failed.ServerErrors != 1 {
		t.Errorf("failures: %d, of them %d with 5xx", failed.Requests, failed.ServerErrors)
	}
}

func TestAClientThatGoesIsNobodysFailure(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 4)
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	f := startFront(t, Share{Target: v.Target, Percentage: 100})
	for _, path := range []string{"/nothing", "/half"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		res, err := f.client.Do(f.request(t, http.MethodGet, path, nil).WithContext(ctx))
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	}
	// A body that breaks off is the client's doing as well.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /body HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100\r\n\r\nshort")
	_ = conn.Close()
	if got := counted(t, v.counters, 3); got.Outcomes[traffic.ClientDisconnected].Requests != 3 {
		t.Errorf("counted: %+v", got)
	}
}

func TestARequestThatReachesNoVersionCountsForNone(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.NotFoundHandler())
	f := startFront(t, Share{Target: v.Target, Percentage: 100})
	req := f.request(t, http.MethodGet, "/", nil)
	req.Host = "unknown.test"
	if res, _ := f.do(t, req); res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown host: %d", res.StatusCode)
	}
	f.do(t, f.request(t, http.MethodGet, "/", nil))
	if got := counted(t, v.counters, 1); got.Outcomes[traffic.Success].Requests != 1 {
		t.Errorf("counted: %+v", got)
	}
}

// The gate's own looks at a candidate are not what users get.
func TestMarkedRequestsAreNotLiveTraffic(t *testing.T) {
	t.Parallel()
	old, candidate := startVersion(t, idOld, http.NotFoundHandler()), startVersion(t, idNew, http.NotFoundHandler())
	f := startFront(t, Share{Target: candidate.Target, Percentage: 50}, Share{Target: old.Target, Percentage: 50})
	override := f.request(t, http.MethodGet, "/", nil)
	override.Header.Set(versionOverridesHeader, `api="`+idNew+`"`)
	f.do(t, override)
	preview := f.request(t, http.MethodGet, "/", nil)
	preview.Host = idNew[:8] + "-api.test"
	f.do(t, preview)
	got := counted(t, candidate.counters, 2)
	if got.Marked[traffic.Success] != 2 {
		t.Errorf("marked: %v", got.Marked)
	}
	// The affinity key is what users' requests carry: it marks nothing, and neither
	// does an override of something else.
	for range 20 {
		sticky := f.request(t, http.MethodGet, "/", nil)
		sticky.Header.Set(versionKeyHeader, "user")
		sticky.Header.Set(versionOverridesHeader, `api="00000000-0000-4000-8000-000000000000"`)
		f.do(t, sticky)
	}
	live := func(c *traffic.Counters) uint64 { return c.Totals().Outcomes[traffic.Success].Requests }
	deadline := time.Now().Add(patience)
	for live(old.counters)+live(candidate.counters) < 20 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if live(old.counters)+live(candidate.counters) != 20 || candidate.counters.Totals().Marked[traffic.Success] != 2 {
		t.Errorf("live: %d and %d", live(old.counters), live(candidate.counters))
	}
}

func TestAWebSocketCountsWhenItIsOpened(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err == nil {
			_, _, _ = c.Read(r.Context())
			_ = c.CloseNow()
		}
	}))
	f := startFront(t, Share{Target: v.Target, Percentage: 100})
	c, _, err := websocket.Dial(t.Context(), f.url, &websocket.DialOptions{Host: "api.test"})
	if err != nil {
		t.Fatal(err)
	}
	counted(t, v.counters, 1)
	_ = c.CloseNow()
	await(t, func() <-chan struct{} { v.Retire(); return v.Drained() }(), "drained")
	if got := counted(t, v.counters, 1); got.Outcomes[traffic.Success].Requests != 1 {
		t.Errorf("counted: %+v", got)
	}
}
