// SPDX-License-Identifier: MPL-2.0

package wranglertest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// canary is in every secret that these tests set, and MUST never be in a log.
const canary = "CANARY"

// selfHosted is a whole self-hosted plane with what wrangler needs to reach it.
type selfHosted struct {
	Account
	plane *planetest.Plane

	mu    sync.Mutex
	calls []string
}

func startPlane(t *testing.T) *selfHosted {
	t.Helper()
	s := &selfHosted{}
	s.plane = planetest.New(t, planetest.Options{Workerd: true, Wrap: s.record})
	// Deleting looks at KV namespaces as well, which is what "data" is for.
	s.Account = Account{BaseURL: s.plane.BaseURL, ID: s.plane.AccountID, Token: s.plane.NewToken(t, "deploy", "data")}
	t.Cleanup(func() {
		if log := s.plane.Log(); strings.Contains(log, canary) {
			t.Error("a secret is in the plane's log")
		}
	})
	return s
}

// record notes every call and its status, the account left out.
func (s *selfHosted) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		_, path, _ := strings.Cut(r.URL.RequestURI(), "/client/v4")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, fmt.Sprintf("%s %s %d", r.Method, strings.Replace(path, "/accounts/"+s.ID, "", 1), status.status))
	})
}

// took returns the calls since the last time and forgets them.
func (s *selfHosted) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ask sends a request to a Worker's host and returns status and body.
func (s *selfHosted) ask(t *testing.T, host, path string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.plane.IngressURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host + "." + planetest.Subdomain + ".localhost"
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// mustAnswer fails the test unless the host answers with that body.
func (s *selfHosted) mustAnswer(t *testing.T, host, path, want string) {
	t.Helper()
	if status, body := s.ask(t, host, path); status != http.StatusOK || body != want {
		t.Fatalf("http://%s.%s.localhost%s answers %d %q, want %q", host, planetest.Subdomain, path, status, body, want)
	}
}

// mustHaveFoundEverything fails the test if wrangler has asked for an endpoint that
// the plane does not have, or if the plane has failed.
func (s *selfHosted) mustHaveFoundEverything(t *testing.T) {
	t.Helper()
	for _, call := range s.took() {
		if strings.HasSuffix(call, " 405") || strings.HasSuffix(call, " 500") {
			t.Errorf("wrangler got an unexpected answer: %s", call)
		}
	}
	for line := range strings.SplitSeq(s.plane.Log(), "\n") {
		if strings.Contains(line, "endpoint that this plane does not have") {
			t.Error(line)
		}
	}
}
