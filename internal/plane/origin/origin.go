// SPDX-License-Identifier: MPL-2.0

// Package origin brings requests to private services: what a rule of a tunnel names,
// and what a VPC service names. It does what cloudflared does on its machine, so that
// configurations of tunnels can be tried without Cloudflare.
//
// Source: Cloudflare's documentation of ingress rules and origin parameters.
package origin

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// Server serves host names by the rules of tunnels. It MUST be closed.
type Server struct {
	log    hclog.Logger
	mark   string // of this process, in Cdn-Loop
	table  atomic.Pointer[[]*served]
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	services map[string]*vpcService // by address, see vpc.go
}

// served is a tunnel whose rules are served.
type served struct {
	plane.ServedTunnel
	matcher *tunnelrule.Matcher
	targets []*target // of the rules
}

// New returns a Server without rules.
func New(log hclog.Logger) *Server {
	s := &Server{log: log, mark: "hybridge-" + uuid.NewString()[:8], services: map[string]*vpcService{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.table.Store(&[]*served{})
	return s
}

// SetTunnels implements plane.TunnelServer. Connections to services whose settings have
// not changed stay.
func (s *Server) SetTunnels(list []plane.ServedTunnel) error {
	before, next := *s.table.Load(), make([]*served, 0, len(list))
	for _, t := range list {
		if i := slices.IndexFunc(before, func(old *served) bool { return old.same(t) }); i >= 0 {
			next = append(next, before[i])
			continue
		}
		m, err := tunnelrule.NewMatcher(t.Config.Ingress)
		if err != nil {
			return fmt.Errorf("tunnel %q: %w", t.Name, err)
		}
		made := &served{ServedTunnel: t, matcher: m}
		for _, r := range t.Config.Ingress {
			made.targets = append(made.targets, newTarget(r.Service, tunnelrule.Merge(t.Config.Origin, r.Origin)))
		}
		next = append(next, made)
	}
	s.table.Store(&next)
	for _, old := range before {
		if !slices.Contains(next, old) {
			old.close()
		}
	}
	return nil
}

func (t *served) same(o plane.ServedTunnel) bool { return reflect.DeepEqual(t.ServedTunnel, o) }

func (t *served) close() {
	for _, target := range t.targets {
		target.close()
	}
}

// Lookup finds the tunnel that serves a host: the one that a DNS record of the name points
// to, a record of the name itself before one of *.its-parent; else the newest that has a
// rule which names the host. nil: none.
func (s *Server) Lookup(host string) (tunnel string, h http.Handler) {
	table := *s.table.Load()
	name := tunnelrule.RequestHost(host)
	_, parent, _ := strings.Cut(name, ".")
	for _, record := range []string{name, "*." + parent} {
		for _, t := range table {
			if slices.Contains(t.Hosts, record) {
				return t.Name, s.handler(t)
			}
		}
	}
	for _, t := range table {
		if t.matcher.Hosts(host) {
			return t.Name, s.handler(t)
		}
	}
	return "", nil
}

func (s *Server) handler(t *served) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(strings.Join(req.Header.Values("Cdn-Loop"), ","), s.mark) {
			http.Error(w, fmt.Sprintf("a rule of the tunnel %q leads back to this ingress, where no Worker answers at %s", t.Name, req.Host), http.StatusLoopDetected)
			return
		}
		i, rule := t.matcher.Match(req.Host, req.URL.Path)
		if i < 0 { // validation sees to it that the last rule matches
			http.Error(w, fmt.Sprintf("no rule of the tunnel %q matches", t.Name), http.StatusNotFound)
			return
		}
		req = req.WithContext(withRule(req.Context(), t.Name, i, rule.Service))
		t.targets[i].serve(s, w, req)
	})
}

// CloseUpgraded ends every upgraded connection (WebSocket).
func (s *Server) CloseUpgraded() { s.cancel() }

// Close ends everything. No request may come any more.
func (s *Server) Close() {
	s.cancel()
	for _, t := range *s.table.Load() {
		t.close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.services {
		v.close()
	}
}

// where is the rule that a request is served by, for messages.
type where struct {
	tunnel, service string
	rule            int
}

type whereKey struct{}

func withRule(ctx context.Context, tunnel string, rule int, service string) context.Context {
	return context.WithValue(ctx, whereKey{}, where{tunnel, service, rule})
}

func whereOf(ctx context.Context) string {
	if w, ok := ctx.Value(whereKey{}).(where); ok {
		if w.tunnel == "" {
			return "the VPC service at " + w.service
		}
		return fmt.Sprintf("rule %d of the tunnel %q (%s)", w.rule+1, w.tunnel, w.service)
	}
	return "the VPC service"
}
