// SPDX-License-Identifier: MPL-2.0

// Package planetest gives tests a self-hosted plane on loopback: the real registry
// and API, over a recording fake of the runtime or over real workerd.
package planetest

import (
	"bytes"
	"context"
	"fmt"
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
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/origin"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// Subdomain is the workers.dev subdomain of the account of a new Plane.
const Subdomain = "acme"

// Options say what kind of plane a test needs. The zero value is the fast one.
type Options struct {
	// Workerd runs versions on real workerd behind a real ingress, instead of the
	// recording Runtime.
	Workerd bool
	// Dir is the registry's directory; empty means a new one. A plane on the
	// directory of a closed one finds its Workers, accounts and tokens again.
	Dir string
	// Token is the text of the administrator's token; empty means a new one. It
	// must be given together with a Dir that has one.
	Token string
	// Wrap goes around the API's handler, e.g. to inject faults.
	Wrap func(http.Handler) http.Handler
	// OnApply is the Runtime's hook from the start, for what Restore does.
	OnApply func(w workerd.Worker, versions []workerd.Version) error
	// RestorePatience and MendDelay are the plane's; 0 is its default.
	RestorePatience, MendDelay time.Duration
	// RolloutLease and CallbackPause are the plane's; 0 is its default.
	RolloutLease, CallbackPause time.Duration
	// Tunnels serves the rules of tunnels; ReconnectPause is the plane's.
	Tunnels        plane.TunnelServer
	ReconnectPause time.Duration
	// Zones are there from the start.
	Zones []string
	// Callbacks are told of rollouts.
	Callbacks []plane.Callback
	// Now is the plane's clock.
	Now func() time.Time
}

// Plane is a plane under test. It ends with the test.
type Plane struct {
	URL        string // of the API's server, without a path
	BaseURL    string // URL + "/client/v4"
	AccountID  string
	Token      string // of an administrator
	IngressURL string // "http://127.0.0.1:port"; answers only with Options.Workerd

	Registry *registry.Registry
	Runtime  *Runtime // nil with Options.Workerd
	Plane    *plane.Plane
	Dir      string

	log      syncBuffer
	mu       sync.Mutex
	requests []string
	stop     []func()
	stopped  bool
}

// New starts a plane with one account and a token that may do everything.
func New(t testing.TB, o Options) *Plane {
	t.Helper()
	p := &Plane{Dir: o.Dir, Token: o.Token}
	t.Cleanup(p.Close)
	if p.Dir == "" {
		p.Dir = filepath.Join(t.TempDir(), "plane")
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: &p.log})
	var err error
	if p.Registry, err = registry.Open(t.Context(), p.Dir); err != nil {
		t.Fatal(err)
	}
	p.onStop(func() {
		if err := p.Registry.Close(); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	})
	config := plane.Config{
		Registry: p.Registry, Log: log, Version: "0.0.0-test", WorkerdVersion: "2026-11-17", Now: o.Now,
		RestorePatience: o.RestorePatience, MendDelay: o.MendDelay, RolloutLease: o.RolloutLease, Callbacks: o.Callbacks, CallbackPause: o.CallbackPause,
		Ingress: plane.Ingress{Scheme: "http", Domain: "localhost", Port: 8787},
		Tunnels: o.Tunnels, ReconnectPause: o.ReconnectPause,
	}
	var fl *fleet.Fleet
	if o.Workerd {
		fl = p.startFleet(t, log, &config)
	} else {
		p.Runtime = &Runtime{OnApply: o.OnApply}
		config.Runtime = p.Runtime
		p.IngressURL = "http://127.0.0.1:8787"
	}
	if p.Plane, err = plane.New(config); err != nil {
		t.Fatal(err)
	}
	p.onStop(p.Plane.Close)
	if fl != nil {
		fl.SetVersions(p.Plane)
		fl.SetPrivate(p.Plane)
	}
	p.findAccount(t)
	for _, zone := range o.Zones {
		if _, err := p.Registry.EnsureZone(t.Context(), p.AccountID, zone); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Plane.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler := p.Plane.Handler()
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	server := httptest.NewServer(p.record(handler))
	p.onStop(server.Close)
	p.URL, p.BaseURL = server.URL, server.URL+"/client/v4"
	return p
}

func (p *Plane) startFleet(t testing.TB, log hclog.Logger, config *plane.Config) *fleet.Fleet {
	t.Helper()
	// Not t.TempDir: the path of a unix socket has at most 107 bytes.
	sockets, err := os.MkdirTemp("", "hy")
	if err != nil {
		t.Fatal(err)
	}
	p.onStop(func() {
		if err := os.RemoveAll(sockets); err != nil {
			t.Errorf("removing the sockets: %v", err)
		}
	})
	router := ingress.New(log)
	private := origin.New(log)
	p.onStop(private.Close)
	router.SetOthers(private.Lookup)
	config.Private, config.Tunnels = private, private
	fl, err := fleet.New(fleet.Config{Workerd: workerdtest.Path(t), SocketDir: filepath.Join(sockets, "s"), Router: router, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	p.onStop(func() {
		// Tests have no waitUntil() to wait for.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		fl.Close(ctx)
	})
	front := httptest.NewServer(router)
	p.onStop(front.Close)
	p.IngressURL = front.URL
	config.Runtime = fl
	config.Ingress.Port = front.Listener.Addr().(*net.TCPAddr).Port
	return fl
}

// findAccount takes the registry's account, or makes one, and its token.
func (p *Plane) findAccount(t testing.TB) {
	t.Helper()
	accounts, err := p.Registry.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts) > 0 {
		p.AccountID = accounts[0].ID
		return
	}
	account, err := p.Registry.CreateAccount(t.Context(), "Acme", Subdomain)
	if err != nil {
		t.Fatal(err)
	}
	p.AccountID = account.ID
	if p.Token == "" {
		p.Token = registry.MintToken()
	}
	p.addToken(t, p.AccountID, "administrator", p.Token, "admin")
}

func (p *Plane) addToken(t testing.TB, accountID, name, text string, permissions ...string) {
	t.Helper()
	groups, err := plane.ExpandPermissions(permissions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Registry.CreateToken(t.Context(), accountID, name, text, groups); err != nil {
		t.Fatal(err)
	}
}

// NewToken makes another token of the account with these shorthands or groups.
func (p *Plane) NewToken(t testing.TB, permissions ...string) string {
	t.Helper()
	text := registry.MintToken()
	p.addToken(t, p.AccountID, "token "+strings.Join(permissions, "+"), text, permissions...)
	return text
}

// NewAccount makes another account with a token that may do everything there.
func (p *Plane) NewAccount(t testing.TB, name string) (accountID, token string) {
	t.Helper()
	a, err := p.Registry.CreateAccount(t.Context(), name, strings.ToLower(name))
	if err != nil {
		t.Fatal(err)
	}
	token = registry.MintToken()
	p.addToken(t, a.ID, "administrator", token, "admin")
	return a.ID, token
}

// Get asks the ingress for path at that Worker's host, e.g. "api" or a preview's
// "0123abcd-api", and returns status and body. It needs Options.Workerd.
func (p *Plane) Get(t testing.TB, worker, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.IngressURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = fmt.Sprintf("%s.%s.localhost", worker, Subdomain)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

// record notes every request as "METHOD /path?query".
func (p *Plane) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+r.URL.RequestURI())
		p.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// Requests are the requests to the API so far.
func (p *Plane) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Log is what the plane has logged so far, at debug level.
func (p *Plane) Log() string { return p.log.String() }

func (p *Plane) onStop(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = append(p.stop, f)
}

// Close ends the plane before the test does, e.g. to start another on its Dir.
func (p *Plane) Close() {
	p.mu.Lock()
	stop, stopped := p.stop, p.stopped
	p.stopped = true
	p.mu.Unlock()
	if stopped {
		return
	}
	for _, f := range slices.Backward(stop) {
		f()
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
