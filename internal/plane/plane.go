// SPDX-License-Identifier: MPL-2.0

// Package plane is the self-hosted plane: the Cloudflare v4 API for Workers over
// a registry and a runtime. What Cloudflare's API lacks lies under /hybridge/v1.
package plane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Config is what a Plane is made of. All fields but Now are required.
type Config struct {
	Registry *registry.Registry
	Runtime  Runtime
	Log      hclog.Logger
	Ingress  Ingress
	// Version is that of this program, WorkerdVersion that of the runtime, e.g.
	// "2026-11-17".
	Version        string
	WorkerdVersion string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

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
	version        string
	workerdVersion string
	now            func() time.Time
	routes         *table
	locks          locks

	brokenMu sync.Mutex
	broken   map[string]string // worker id -> why its live deployment could not be restored
}

// New makes a plane. Nothing runs before Restore.
func New(c Config) (*Plane, error) {
	switch {
	case c.Registry == nil, c.Runtime == nil, c.Log == nil:
		return nil, errors.New("making a plane: it needs a registry, a runtime and a log")
	case c.Ingress.Scheme == "" || c.Ingress.Domain == "":
		return nil, errors.New("making a plane: it needs the scheme and the domain of its ingress")
	}
	p := &Plane{
		reg: c.Registry, runtime: c.Runtime, log: c.Log, ingress: c.Ingress,
		version: c.Version, workerdVersion: c.WorkerdVersion, now: c.Now,
		broken: map[string]string{},
	}
	if p.now == nil {
		p.now = time.Now
	}
	t, err := newTable(p.allRoutes())
	if err != nil {
		return nil, fmt.Errorf("making a plane: %w", err)
	}
	p.routes = t
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
	all = append(all, p.hybridgeRoutes()...)
	return all
}

// Handler serves /client/v4 and /hybridge/v1.
func (p *Plane) Handler() http.Handler { return http.HandlerFunc(p.serve) }

// Restore makes the runtime run what the registry says is live. It is called once,
// before the Handler serves. A Worker that cannot be brought back is logged and
// shown in the plane's health; the others are not held up by it.
func (p *Plane) Restore(ctx context.Context) error {
	accounts, err := p.reg.Accounts(ctx)
	if err != nil {
		return fmt.Errorf("restoring the plane: %w", err)
	}
	for _, a := range accounts {
		if err := p.reapplyAccount(ctx, a.ID); err != nil {
			return fmt.Errorf("restoring the plane: %w", err)
		}
	}
	return nil
}
