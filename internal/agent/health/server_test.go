// SPDX-License-Identifier: MPL-2.0

package health

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// bridge is an endpoint on TCP whose token and findings can be changed.
type bridge struct {
	t      *testing.T
	server *httptest.Server
	status Status
	alive  error
	token  string
}

func newBridge(t *testing.T) *bridge {
	t.Helper()
	b := &bridge{t: t, token: "canary-health", status: Status{Version: DocumentVersion, Ready: true, AsOf: time.Now()}}
	b.server = httptest.NewServer(Handler(func() Status { return b.status }, func() error { return b.alive }, func() []byte { return []byte(b.token) }))
	t.Cleanup(b.server.Close)
	return b
}

func (b *bridge) ask(method, path, authorization string) (status int, body string, header http.Header) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestNobodyReadsWithoutTheToken(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	for _, path := range []string{"/healthz", "/readyz", "/status", "/nothing"} {
		for _, authorization := range []string{
			"", "Bearer", "Bearer ", "Bearer canary", "Bearer canary-health2", "Bearer canary-healt", "Bearer  canary-health",
			"Basic canary-health", "canary-health",
		} {
			status, body, header := b.ask(http.MethodGet, path, authorization)
			if status != http.StatusUnauthorized || header.Get("WWW-Authenticate") != "Bearer" || strings.Contains(body, "canary") || !strings.Contains(body, "health.token_file") {
				t.Errorf("%s with %q: %d %q", path, authorization, status, body)
			}
		}
	}
	if status, body, _ := b.ask(http.MethodGet, "/healthz", "Bearer canary-health"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _, _ := b.ask(http.MethodGet, "/healthz", "bearer canary-health"); status != http.StatusOK { // RFC 9110, 11.1
		t.Errorf("in lower case: %d", status)
	}
	if status, _, _ := b.ask(http.MethodPost, "/status", "Bearer canary-health"); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	// A reload that changes the token ends the old one at once.
	b.token = "another"
	if status, _, _ := b.ask(http.MethodGet, "/healthz", "Bearer canary-health"); status != http.StatusUnauthorized {
		t.Errorf("the token before still works: %d", status)
	}
}

func TestWhatEachPathTells(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	b.status.Add(Check{Name: "disk", Warning: true, Detail: "it fills"})
	b.status.Settle()
	const token = "Bearer canary-health"
	if status, _, _ := b.ask(http.MethodGet, "/readyz", token); status != http.StatusOK || !b.status.Ready {
		t.Errorf("a warning makes it not ready: %d", status)
	}
	b.status.Add(Check{Name: "connector paris-1", Detail: "it is disconnected"})
	b.status.Settle()
	if status, body, _ := b.ask(http.MethodGet, "/readyz", token); status != http.StatusServiceUnavailable || body != "connector paris-1: it is disconnected\n" {
		t.Errorf("%d %q", status, body)
	}
	// A lost tunnel is no reason to restart the agent.
	if status, _, _ := b.ask(http.MethodGet, "/healthz", token); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	b.alive = errors.New("the agent has not looked at itself for 9s")
	if status, body, _ := b.ask(http.MethodGet, "/healthz", token); status != http.StatusServiceUnavailable || !strings.Contains(body, "for 9s") {
		t.Errorf("%d %q", status, body)
	}
	_, body, header := b.ask(http.MethodGet, "/status", token)
	var got Status
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Version != 1 || got.Ready || len(got.Checks) != 2 || header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %+v", err, got)
	}
}

func TestWhoAsksIsToldWhy(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	address := strings.TrimPrefix(b.server.URL, "http://")
	if s, err := Ask(t.Context(), address, []byte("canary-health")); err != nil || !s.Ready {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := Ask(t.Context(), address, []byte("wrong")); err == nil || !strings.Contains(err.Error(), "401 Unauthorized: is health.token_file the agent's?") {
		t.Errorf("%v", err)
	}
	b.status.Version = 2
	if _, err := Ask(t.Context(), address, []byte("canary-health")); err == nil || !strings.Contains(err.Error(), "use the agent's own program") {
		t.Errorf("%v", err)
	}
	b.server.Close()
	if _, err := Ask(t.Context(), address, nil); err == nil || !strings.Contains(err.Error(), "is it running? systemctl status hybridge-agent") {
		t.Errorf("%v", err)
	}
}
