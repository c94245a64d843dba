// SPDX-License-Identifier: MPL-2.0

// Package ingress brings HTTP requests to running versions: host name to
// Worker, Worker to version by weight, version to the unix socket of its
// process. It starts nothing and stops nothing; whoever owns the processes
// makes Targets and routes to them.
//
// A switch without a lost request is: start the new version, Set a Route that
// names its Target, Retire the old Target, wait for Drained, grant waitUntil
// its time, stop the process.
package ingress

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// Share is one version's part of a Worker's traffic.
type Share struct {
	Target     *Target
	Percentage float64 // 0 to 100; 0 is reached by version overrides only
}

// Route says where a Worker answers and with which versions.
type Route struct {
	WorkerID   string
	WorkerName string   // the key in Cloudflare-Workers-Version-Overrides
	Hosts      []string // exact host names, without port; empty: service bindings only
	// PreviewSuffix is "-<name>.<subdomain>.localhost"; empty: no previews.
	PreviewSuffix string
	// Shares, newest version first: with Cloudflare-Workers-Version-Key the newest
	// owns the lowest part of the key space, so raising its percentage only ever
	// moves keys towards it. Empty: nothing is deployed.
	Shares []Share
}

// PreviewFunc finds, and where necessary starts, the version of a Worker whose
// id starts with prefix (8 hex digits). The Target stays usable until release
// is called, which the router does exactly once if found is true and err nil.
type PreviewFunc func(ctx context.Context, workerID, prefix string) (t *Target, release func(), found bool, err error)

// What Pick may answer.
var (
	ErrUnknownWorker = errors.New("no Worker with this id is routed")
	ErrNotDeployed   = errors.New("no version of this Worker is live")
)

// Router is the table of routes and the HTTP handler over it. The zero value is
// not usable; New makes one. It is safe for concurrent use.
type Router struct {
	log hclog.Logger

	mu      sync.Mutex // serialises writers; readers go through table
	routes  map[string]*entry
	aliases map[string]string // normalised host to Worker name
	nextSeq uint64

	table   atomic.Pointer[table]
	preview atomic.Pointer[PreviewFunc]
	others  atomic.Pointer[Others]
	tunnels tunnels
}

// New returns a Router without routes. Requests are logged to log at info.
func New(log hclog.Logger) *Router {
	r := &Router{log: log, routes: make(map[string]*entry)}
	r.table.Store(&table{})
	return r
}

// Set replaces the route of route.WorkerID. Every request that arrives after
// Set has returned is routed by it. A host that two Workers claim belongs to
// the one that was set last.
func (r *Router) Set(route Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nextSeq++
	r.routes[route.WorkerID] = newEntry(route, r.nextSeq)
	r.table.Store(buildTable(r.routes, r.aliases))
}

// SetAliases replaces the host names that the machine's operator gives to
// Workers by name. They come before the hosts of routes, and a name without a
// Worker answers like an unknown host until there is one.
func (r *Router) SetAliases(workerByHost map[string]string) {
	aliases := make(map[string]string, len(workerByHost))
	for host, worker := range workerByHost {
		aliases[normaliseHost(host)] = worker
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aliases = aliases
	r.table.Store(buildTable(r.routes, r.aliases))
}

// Unanswered lists the hosts, sorted, that SetAliases gives to a Worker without a route, each
// with the Worker's name.
func (r *Router) Unanswered() (list []Alias) {
	r.mu.Lock()
	defer r.mu.Unlock()
	routed := map[string]bool{}
	for _, e := range r.routes {
		routed[e.WorkerName] = true
	}
	for host, worker := range r.aliases {
		if !routed[worker] {
			list = append(list, Alias{host, worker})
		}
	}
	slices.SortFunc(list, func(a, b Alias) int { return strings.Compare(a.Host, b.Host) })
	return list
}

// Alias is a host name that the operator gives to a Worker.
type Alias struct{ Host, Worker string }

// Remove forgets the Worker's route. Removing an unknown one is no error.
func (r *Router) Remove(workerID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.routes[workerID]; !ok {
		return
	}
	delete(r.routes, workerID)
	r.table.Store(buildTable(r.routes, r.aliases))
}

// SetPreview sets how versions outside a deployment are found. Until it is
// called, preview hosts reach deployed versions only.
func (r *Router) SetPreview(f PreviewFunc) { r.preview.Store(&f) }

// Others find what answers at a host that no Worker has: its name for the log, and nil if
// nobody does.
type Others func(host string) (name string, h http.Handler)

// SetOthers sets what answers where no Worker does. Until it is called, nobody does.
func (r *Router) SetOthers(f Others) { r.others.Store(&f) }

// CloseUpgraded closes every upgraded connection (WebSocket) and refuses new
// ones: http.Server.Shutdown knows nothing of them.
func (r *Router) CloseUpgraded() { r.tunnels.closeAll() }

// Pick chooses the version of a Worker that answers a request with header h
// (which may be nil) and counts a use of it. On success the caller MUST call
// release exactly once, when the request or connection is over.
// The error is ErrUnknownWorker or ErrNotDeployed.
func (r *Router) Pick(workerID string, h http.Header) (t *Target, release func(), err error) {
	t, release, _, err = r.pick(workerID, h)
	return t, release, err
}

// pick is Pick, and says whether it was an override that decided.
func (r *Router) pick(workerID string, h http.Header) (t *Target, release func(), marked bool, err error) {
	for {
		e := r.table.Load().workers[workerID]
		if e == nil {
			return nil, nil, false, ErrUnknownWorker
		}
		t, marked := e.pick(h)
		if t == nil {
			return nil, nil, false, ErrNotDeployed
		}
		if t.Acquire() {
			return t, t.release, marked, nil
		}
		if r.table.Load().workers[workerID] == e {
			// The owner retired a Target that is still routed: looking again would
			// find it again.
			return nil, nil, false, ErrNotDeployed
		}
	}
}
