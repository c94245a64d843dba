// SPDX-License-Identifier: MPL-2.0

// Package acctest is what tests of the provider share: a self-hosted plane in the
// test process, the provider as Terraform sees it, with and without a Terraform
// CLI, and the search for values that must not appear anywhere.
package acctest

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Plane is a self-hosted plane in the test process. No workerd runs: what is
// deployed is recorded by Runtime.
type Plane struct {
	URL       string // ends in /client/v4
	AccountID string
	Token     string // may do everything
	Registry  *registry.Registry
	Runtime   *Runtime
	Plane     *plane.Plane // for connectors that come and go
	// Faults stand between the provider and the plane, and record requests.
	Faults *fault.Script
}

// RolloutLease is that of a Plane: shorter than usual, so that no test waits for long for
// the end of a rollout whose driver is gone.
const RolloutLease = 2 * time.Second

// ReconnectPause is how long the connector of a Plane stays away when it is sent away: longer
// than any test takes to delete the tunnel, however busy the machine is.
const ReconnectPause = time.Minute

// acceptTunnels serves nothing: with it, a Plane is the connector of its tunnels.
type acceptTunnels struct{}

func (acceptTunnels) SetTunnels([]plane.ServedTunnel) error { return nil }

// NewPlane starts a plane that lives as long as the test.
func NewPlane(t testing.TB) *Plane {
	t.Helper()
	return NewPlaneIn(t, "")
}

// NewPlaneIn is NewPlane for one that says that it is in region.
func NewPlaneIn(t testing.TB, region string) *Plane {
	t.Helper()
	ctx := t.Context()
	reg, err := registry.Open(ctx, filepath.Join(t.TempDir(), "plane"))
	if err != nil {
		t.Fatalf("opening the registry: %v", err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	})
	account, err := reg.CreateAccount(ctx, "test", "acme")
	if err != nil {
		t.Fatalf("creating the account: %v", err)
	}
	runtime := &Runtime{}
	p, err := plane.New(plane.Config{
		Registry: reg, Runtime: runtime, Log: hclog.NewNullLogger(), Region: region, Version: "test", WorkerdVersion: "none",
		Ingress: plane.Ingress{Scheme: "http", Domain: "localhost", Port: 8787}, RolloutLease: RolloutLease,
		Tunnels: acceptTunnels{}, ReconnectPause: ReconnectPause,
	})
	if err != nil {
		t.Fatalf("making the plane: %v", err)
	}
	t.Cleanup(p.Close)
	if err := p.Restore(ctx); err != nil {
		t.Fatalf("restoring the plane: %v", err)
	}
	faults := &fault.Script{}
	server := httptest.NewServer(faults.Handler(p.Handler()))
	t.Cleanup(server.Close)
	made := &Plane{URL: server.URL + "/client/v4", AccountID: account.ID, Registry: reg, Runtime: runtime, Plane: p, Faults: faults}
	made.Token = made.TokenFor(t, "admin")
	return made
}

// OnSocket serves the plane at a unix socket as well and returns its path.
func (p *Plane) OnSocket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hb") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "api.sock")
	p.ServeAt(t, path)
	return path
}

// ServeAt serves the plane at a unix socket as well.
func (p *Plane) ServeAt(t testing.TB, path string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatalf("listening on a socket: %v", err)
	}
	server := httptest.NewUnstartedServer(p.Faults.Handler(p.Plane.Handler()))
	server.Listener = ln
	server.Start()
	t.Cleanup(server.Close)
}

// TokenFor mints a token with these permissions: groups or shorthands.
func (p *Plane) TokenFor(t testing.TB, permissions ...string) string {
	t.Helper()
	groups, err := plane.ExpandPermissions(permissions)
	if err != nil {
		t.Fatalf("minting a token: %v", err)
	}
	text := registry.MintToken()
	if _, err := p.Registry.CreateToken(t.Context(), p.AccountID, "test "+text, text, groups); err != nil {
		t.Fatalf("minting a token: %v", err)
	}
	return text
}

// Zone makes a DNS zone and returns its id.
func (p *Plane) Zone(t testing.TB, name string) string {
	t.Helper()
	zone, err := p.Registry.EnsureZone(t.Context(), p.AccountID, name)
	if err != nil {
		t.Fatalf("making the zone %s: %v", name, err)
	}
	return zone.ID
}

// Requests counts the requests so far.
func (p *Plane) Requests() int { return p.Faults.Count("", "") }

// Writes counts the requests so far that were to change something.
func (p *Plane) Writes() int {
	return p.Requests() - p.Faults.Count("GET", "") - p.Faults.Count("HEAD", "")
}

// Env is an environment that configures the plane as the default one.
func (p *Plane) Env(name string) string { return envOf(name, p.URL, p.AccountID, p.Token) }

func envOf(name, url, account, token string) string {
	return map[string]string{"CLOUDFLARE_API_TOKEN": token, "CLOUDFLARE_ACCOUNT_ID": account, "CLOUDFLARE_BASE_URL": url}[name]
}

// NoEnv is an environment without anything.
func NoEnv(string) string { return "" }

// MissingID is an id that nothing has.
const MissingID = "00000000000000000000000000000001"
