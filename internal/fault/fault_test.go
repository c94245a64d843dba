// SPDX-License-Identifier: MPL-2.0

package fault_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
)

const real = `{"success":true,"result":"the real answer"}`

// meet sends one POST that meets kind, on the client's or the server's side.
func meet(t *testing.T, kind fault.Kind, onServer bool) (acted int64, status int, body string, err error) {
	t.Helper()
	var n atomic.Int64
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, real)
	})
	var script fault.Script
	script.Add(fault.Rule{Kind: kind, Delay: time.Millisecond})
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	if onServer {
		handler = script.Handler(handler)
	} else {
		client.Transport = script.Transport(transport)
	}
	server := httptest.NewServer(handler)
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return n.Load(), 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return n.Load(), res.StatusCode, string(b), err
}

func TestEachFaultDoesWhatItSays(t *testing.T) {
	t.Parallel()
	for kind, want := range map[fault.Kind]struct {
		status int
		broken bool
		isReal bool
	}{
		fault.TooMany:      {status: 429},
		fault.ErrorBefore:  {status: 503},
		fault.ErrorAfter:   {status: 500},
		fault.ResetBefore:  {broken: true},
		fault.ResetAfter:   {broken: true},
		fault.Truncated:    {status: 200, broken: true},
		fault.HTML:         {status: 200},
		fault.HTMLAfter:    {status: 502},
		fault.Slow:         {status: 200, isReal: true},
		fault.Conflict:     {status: 409},
		fault.Unauthorized: {status: 403},
	} {
		for _, onServer := range []bool{false, true} {
			name := string(kind) + " on the client"
			if onServer {
				name = string(kind) + " on the server"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				acted, status, body, err := meet(t, kind, onServer)
				if (acted == 1) != kind.Committed() {
					t.Errorf("the plane acted %d times, committed is %v", acted, kind.Committed())
				}
				if status != want.status || (err != nil) != want.broken || (body == real) != want.isReal {
					t.Errorf("status %d, error %v, body %q", status, err, body)
				}
			})
		}
	}
}

func TestAScriptIsFollowedInOrder(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(
		fault.Rule{Method: "GET", Path: "/a/*", Skip: 1, Times: 2, Kind: fault.ErrorBefore},
		fault.Rule{Kind: fault.Conflict, Times: -1, Path: "/b"},
	)
	handler := script.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var got []int
	for _, path := range []string{"/a/1", "/a/2", "/b", "/a/3", "/a/4", "/b", "/c"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		got = append(got, w.Code)
	}
	if diff := cmp.Diff([]int{200, 503, 409, 503, 200, 409, 200}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := script.Count("GET", "/a/*"); n != 4 {
		t.Errorf("%d requests recorded for /a/*, want 4", n)
	}
}

func TestRecordsHoldNoSecret(t *testing.T) {
	t.Parallel()
	var script fault.Script
	handler := script.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	req := httptest.NewRequestWithContext(t.Context(), "PUT", "/x?y=1", strings.NewReader("hunter2"))
	req.Header.Set("Authorization", "Bearer hunter2")
	handler.ServeHTTP(httptest.NewRecorder(), req)
	want := []fault.Request{{Method: "PUT", Path: "/x", Query: "y=1", BodyBytes: 7}}
	if diff := cmp.Diff(want, script.Requests()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
