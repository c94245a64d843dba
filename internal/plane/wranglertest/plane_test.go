// SPDX-License-Identifier: MPL-2.0

package wranglertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

const subdomain = "acme"

// selfHosted is a whole self-hosted plane: registry, API, ingress and workerd.
type selfHosted struct {
	Account
	ingress string // host:port
	reg     *registry.Registry

	mu    sync.Mutex
	calls []string
}

func startPlane(t *testing.T) *selfHosted {
	t.Helper()
	log := hclog.New(&hclog.LoggerOptions{Name: "plane", Level: hclog.Warn, Output: &testLog{t: t}})
	// A short path: unix sockets lie below it.
	sockets, err := os.MkdirTemp("", "wt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	router := ingress.New(log)
	fl, err := fleet.New(fleet.Config{Workerd: workerdtest.Path(t), SocketDir: filepath.Join(sockets, "s"), Router: router, Logger: log,
		Limits: fleet.Limits{WaitUntil: time.Second}}) // no Worker here uses waitUntil
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		fl.Close(ctx)
	})
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	})
	front := httptest.NewServer(router)
	t.Cleanup(front.Close)
	p, err := plane.New(plane.Config{
		Registry: reg, Runtime: fl, Log: log, Version: "test", WorkerdVersion: "test",
		Ingress: plane.Ingress{Scheme: "http", Domain: "localhost", Port: front.Listener.Addr().(*net.TCPAddr).Port},
	})
	if err != nil {
		t.Fatal(err)
	}
	fl.SetVersions(p)
	s := &selfHosted{ingress: front.Listener.Addr().String(), reg: reg}
	api := httptest.NewServer(s.record(p.Handler()))
	t.Cleanup(api.Close)
	account, err := reg.CreateAccount(t.Context(), "Acme", subdomain)
	if err != nil {
		t.Fatal(err)
	}
	s.Account = Account{BaseURL: api.URL + "/client/v4", ID: account.ID, Token: "wrangler-test-token-0123456789-abcdefghijk"}
	groups, err := plane.ExpandPermissions([]string{"deploy", "data"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.CreateToken(t.Context(), account.ID, "ci", s.Token, groups); err != nil {
		t.Fatal(err)
	}
	return s
}

// record notes every call and its status, the account left out.
func (s *selfHosted) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		path := strings.Replace(strings.TrimPrefix(r.URL.RequestURI(), "/client/v4"), "/accounts/"+s.ID, "", 1)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, fmt.Sprintf("%s %s %d", r.Method, path, status.status))
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

// ask sends a request to a host of the ingress and returns status and body.
func (s *selfHosted) ask(t *testing.T, host, path string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.ingress+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host + "." + subdomain + ".localhost"
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
		t.Fatalf("http://%s.%s.localhost%s answers %d %q, want %q", host, subdomain, path, status, body, want)
	}
}

// mustHaveNoUnknownRoutes fails the test if wrangler asked for an endpoint that
// the plane does not have.
func (s *selfHosted) mustHaveNoUnknownRoutes(t *testing.T, allowed ...string) {
	t.Helper()
	for _, call := range s.took() {
		if (strings.HasSuffix(call, " 405") || strings.HasSuffix(call, " 500")) && !slices.Contains(allowed, call) {
			t.Errorf("wrangler got an unexpected answer: %s", call)
		}
	}
}

type testLog struct{ t *testing.T }

func (l *testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}
