// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func endpoint(t *testing.T, h http.HandlerFunc) Endpoint {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	e, err := Get(srv.URL+"/path?q=1", "api.test")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnOpenLoopSendsWhatItWasToldTo(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	e := endpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Host == "api.test" && r.RequestURI == "/path?q=1" {
			seen.Add(1)
		}
	})
	r := Open(t.Context(), e, 8, 200, 500*time.Millisecond)
	if len(r.Latencies) != 100 || seen.Load() != 100 || r.Failed != 0 {
		t.Errorf("%v; %d seen", r, seen.Load())
	}
}

func TestAStallIsChargedToEveryRequestThatItDelays(t *testing.T) {
	t.Parallel()
	const stall = 500 * time.Millisecond
	var n atomic.Int64
	e := endpoint(t, func(_ http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			time.Sleep(stall)
		}
	})
	// One connection: the hundred requests of the stall's time wait behind it.
	r := Open(t.Context(), e, 1, 200, 500*time.Millisecond)
	if len(r.Latencies) != 100 {
		t.Fatal(r)
	}
	if p50 := r.Percentile(.5); p50 < stall/4 {
		t.Errorf("the median is %v: a client that waited has been forgotten", p50)
	}
}

func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	e := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 3 {
		case 0:
			w.WriteHeader(http.StatusBadGateway)
		case 1:
			panic(http.ErrAbortHandler)
		}
	})
	r := Open(t.Context(), e, 1, 1000, 30*time.Millisecond)
	if len(r.Latencies) != 10 || r.Failed != 20 || r.Err == nil {
		t.Errorf("%v; %v", r, r.Err)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 16), make(chan struct{})
	e := endpoint(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Report, 1)
	go func() { done <- Closed(ctx, e, 2, time.Hour) }()
	<-arrived
	<-arrived
	cancel()
	if r := <-done; len(r.Latencies) != 0 || r.Failed != 0 {
		t.Error(r)
	}
}

func TestAReportSaysWhatMatters(t *testing.T) {
	t.Parallel()
	r := Report{Elapsed: time.Second}
	for i := range 1000 {
		r.Latencies = append(r.Latencies, time.Duration(i+1)*time.Millisecond)
	}
	want := "1000 answered, 0 failed, 1000/s; ms: p50 501.00, p90 901.00, p99 991.00, p99.9 1000.00, max 1000.00"
	if got := r.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (Report{}).Percentile(.5); got != 0 {
		t.Errorf("nothing measured: %v", got)
	}
	if _, err := Get("https://example.com/", ""); err == nil || !strings.Contains(err.Error(), "only http") {
		t.Errorf("https: %v", err)
	}
}
