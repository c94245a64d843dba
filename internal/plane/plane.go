// SPDX-License-Identifier: MPL-2.0

// Package plane is the self-hosted plane: the Cloudflare v4 API for Workers over
// a registry and a runtime. What Cloudflare's API lacks lies under /hybridge/v1.
package plane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/analytics"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/outbox"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// Config is what a Plane is made of. The first four fields are required.
type Config struct {
	Registry *registry.Registry
	Runtime  Runtime
	Log      hclog.Logger
	Ingress  Ingress
	// Callbacks are told of every change of a rollout.
	Callbacks []outbox.Receiver
	// Version is that of this program, WorkerdVersion that of the runtime, e.g.
	// "2026-11-17".
	Version        string
	WorkerdVersion string
	// Region is where the plane is, in the operator's words; empty if nobody says.
	Region string
	// RestorePatience is how long Restore waits for Workers that do not come up, and
	// MendDelay the first pause before such a one is tried again; 0 is the default.
	RestorePatience, MendDelay time.Duration
	// RolloutLease is how long a rollout's driver may be silent, CallbackPause the first
	// pause before a callback is tried again; 0 is the default.
	RolloutLease, CallbackPause time.Duration
	// Tunnels serves the hostnames of tunnels' rules; nil where nobody does.
	Tunnels TunnelServer
	// Private reaches what VPC services name; nil: bindings to them answer with an error.
	Private PrivateNetwork
	// ReconnectPause is how long this plane's connector stays away after its connections
	// were dropped; 0 is the default.
	ReconnectPause time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// VPCTarget is the private host of a VPC service.
type VPCTarget struct {
	Host      string // an address or a name
	HTTPPort  int
	HTTPSPort int
	// Verify is how certificates are checked: verify_full, verify_ca or disabled.
	Verify string
}

// PrivateNetwork brings requests to private hosts.
type PrivateNetwork interface {
	// Fetch brings a Worker's request to t; https says that the Worker asked for https.
	Fetch(t VPCTarget, https bool) http.Handler
}

// TunnelServer serves hostnames by the rules of tunnels.
type TunnelServer interface {
	// SetTunnels replaces all rules. They have been validated.
	SetTunnels(list []ServedTunnel) error
}

// ServedTunnel is a tunnel with its rules.
type ServedTunnel struct {
	ID, Name string
	Config   tunnelrule.Config
	// Hosts are the names, *.example.com among them, whose DNS records point to the tunnel,
	// in lower case and sorted.
	Hosts []string
}

// DefaultReconnectPause gives whoever drops connections to delete a tunnel the time to.
const DefaultReconnectPause = 5 * time.Second

// Ingress is where the Workers of this plane answer.
type Ingress struct {
	Scheme string // "http" or "https"
	Domain string // what follows the account's subdomain, e.g. "localhost"
	Port   int    // of URLs; 0 leaves it out
}

// Plane is a self-hosted plane. It is safe for concurrent use.
type Plane struct {
	reg            *registry.Registry
	runtime        Runtime
	log            hclog.Logger
	ingress        Ingress
	outbox         *outbox.Outbox
	version        string
	workerdVersion string
	region         string
	now            func() time.Time
	routes         *table
	analytics      *analytics.Schema
	locks          locks
	leases         leases
	connectors     connectors
	private        PrivateNetwork
	attempts       *attempts
	tunnelServer   TunnelServer
	tunnelsMu      sync.Mutex // orders what tunnelServer is told
	servingMu      sync.Mutex // so that it is one connector of a tunnel

	reconnectPause time.Duration

	restorePatience, mendDelay, rolloutLease time.Duration

	brokenMu sync.Mutex
	broken   map[string]*breakage // by Worker id
	closed   bool

	// What goes on without a request belongs to ctx, and Close waits for it.
	ctx        context.Context
	cancel     context.CancelFunc
	background sync.WaitGroup
}

// New makes a plane. Nothing runs before Restore. It MUST be closed.
func New(c Config) (*Plane, error) {
	switch {
	case c.Registry == nil, c.Runtime == nil, c.Log == nil:
		return nil, errors.New("making a plane: it needs a registry, a runtime and a log")
	case c.Ingress.Scheme == "" || c.Ingress.Domain == "":
		return nil, errors.New("making a plane: it needs the scheme and the domain of its ingress")
	}
	p := &Plane{
		reg: c.Registry, runtime: c.Runtime, log: c.Log, ingress: c.Ingress,
		version: c.Version, workerdVersion: c.WorkerdVersion, region: c.Region, now: c.Now,
		broken:          map[string]*breakage{},
		restorePatience: cmp.Or(c.RestorePatience, DefaultRestorePatience),
		mendDelay:       cmp.Or(c.MendDelay, DefaultMendDelay),
		rolloutLease:    cmp.Or(c.RolloutLease, DefaultRolloutLease),
		private:         c.Private, tunnelServer: c.Tunnels,
		reconnectPause: cmp.Or(c.ReconnectPause, DefaultReconnectPause),
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.attempts = newAttempts(p.now)
	var err error
	p.outbox, err = outbox.New(outbox.Config{Registry: c.Registry, Receivers: c.Callbacks, Log: c.Log, Pause: c.CallbackPause, Now: p.now})
	if err != nil {
		return nil, fmt.Errorf("making a plane: %w", err)
	}
	if p.analytics, err = analytics.NewSchema(); err != nil {
		return nil, fmt.Errorf("making a plane: %w", err)
	}
	t, err := newTable(p.allRoutes())
	if err != nil {
		return nil, fmt.Errorf("making a plane: %w", err)
	}
	p.routes = t
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// allRoutes is the whole table. Every file with handlers adds its slice here.
func (p *Plane) allRoutes() []route {
	var all []route
	all = append(all, p.workersRoutes()...)
	all = append(all, p.versionsRoutes()...)
	all = append(all, p.deploymentsRoutes()...)
	all = append(all, p.scriptsRoutes()...)
	all = append(all, p.identityRoutes()...)
	all = append(all, p.rolloutsRoutes()...)
	all = append(all, p.figuresRoutes()...)
	all = append(all, p.hybridgeRoutes()...)
	all = append(all, p.tunnelsRoutes()...)
	all = append(all, p.networksRoutes()...)
	all = append(all, p.vpcRoutes()...)
	all = append(all, p.zonesRoutes()...)
	all = append(all, p.tokensRoutes()...)
	return all
}

// Handler serves /client/v4 and /hybridge/v1.
func (p *Plane) Handler() http.Handler { return http.HandlerFunc(p.serve) }
