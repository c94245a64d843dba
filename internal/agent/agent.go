// SPDX-License-Identifier: MPL-2.0

// Package agent wires a self-hosted plane together: registry, API, fleet,
// ingress, and the two servers that make them reachable.
package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/origin"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/outbox"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// LocalDomain is what the hosts of Workers end with. Resolvers answer for
// everything below it with this machine (RFC 6761 section 6.3).
const LocalDomain = "localhost"

const (
	// headerTimeout ends connections that send a header byte by byte.
	headerTimeout = 10 * time.Second
	// clientIdle is longer than most clients keep an idle connection, so that
	// they close it and not we, under a request.
	clientIdle = 2 * time.Minute
	// ingressHeaderBytes is Cloudflare's limit for all headers of a request.
	ingressHeaderBytes = 128 << 10
	apiHeaderBytes     = 64 << 10
	// uploadTime bounds the reading of a request to the API: the largest upload at
	// 160 kB/s. Requests to Workers may stream for as long as they like.
	uploadTime = 10 * time.Minute
	// DefaultStopWaitUntil is what waitUntil() gets when the whole plane stops.
	// Whoever stops a plane waits for it; a replaced version has its full time.
	DefaultStopWaitUntil = time.Second
)

// Config is what an Agent is made of.
type Config struct {
	DataDir string // created with mode 0700; one agent at a time
	API     string // host:port; port 0 takes a free one
	Ingress string // host:port; port 0 takes a free one
	// APIListener and IngressListeners, where given, are served instead of what API
	// and Ingress name. The Agent owns them from Start on.
	APIListener      *Listener
	IngressListeners []Listener
	// Hostnames gives host names to Workers by name; see SetHostnames.
	Hostnames map[string]string
	// AllowRemote admits addresses other than loopback: the API then is reachable
	// without TLS by whoever reaches the machine.
	AllowRemote bool
	Workerd     string   // path of the binary, from workerd.Find
	EgressAllow []string // CIDR ranges that Workers may reach beside the public internet
	Limits      fleet.Limits
	// StopWaitUntil is what waitUntil() gets at Close; 0 is DefaultStopWaitUntil.
	StopWaitUntil time.Duration
	// ServeTunnels makes the ingress answer at the host names of tunnels too, by their
	// rules, instead of a cloudflared: to try configurations. Whoever may write tunnels can
	// then reach what this machine can.
	ServeTunnels bool
	// Callbacks are told of every change of a rollout.
	Callbacks []outbox.Receiver
	Version   string // of this program
	Log       hclog.Logger
	// Region is where the machine is, in the operator's words; it may be empty.
	Region string
	// Prepare, if not nil, is called with the registry before any Worker is
	// started and before anything is served.
	Prepare func(context.Context, *registry.Registry) error
}

// Listener is an address to serve, with TLS and HTTP/2 if TLS is not nil.
type Listener struct {
	net.Listener
	TLS *tls.Config
}

// Addresses are where an Agent listens, as host:port with the real port.
type Addresses struct {
	API     string
	Ingress string
}

// Agent is a running self-hosted plane. It MUST be closed.
type Agent struct {
	cfg    Config
	addrs  Addresses
	reg    *registry.Registry
	plane  *plane.Plane
	fleet  *fleet.Fleet
	router *ingress.Router
	origin *origin.Server

	servers []server
	serving sync.WaitGroup
	failed  chan error // what ended a server before Close

	removeSockets func()
}

// server is one listener with its http.Server and the way to end them.
type server struct {
	*http.Server
	drain    *drain
	listener *drainListener
}

// Start brings the plane up: when it returns, both servers accept requests, and
// every live version serves, or is logged as broken and tried again. ctx bounds the start only.
// A data directory that another process uses gives a *registry.InUseError, an
// address that cannot be had a *ListenError.
func Start(ctx context.Context, cfg Config) (_ *Agent, err error) {
	a := &Agent{cfg: cfg, failed: make(chan error, 2+len(cfg.IngressListeners)), removeSockets: func() {}}
	var undo []func()
	given := slices.Clone(cfg.IngressListeners)
	if cfg.APIListener != nil {
		given = append(given, *cfg.APIListener)
	}
	for _, ln := range given {
		undo = append(undo, func() { _ = ln.Close() })
	}
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()

	workerdVersion, err := workerd.BinaryVersion(ctx, cfg.Workerd)
	if err != nil {
		return nil, err
	}
	if a.reg, err = registry.Open(ctx, cfg.DataDir); err != nil {
		return nil, err
	}
	undo = append(undo, func() { _ = a.reg.Close() })

	apiListener, ingressListeners := cfg.APIListener, cfg.IngressListeners
	if apiListener == nil {
		ln, err := listen(ctx, "API", cfg.API, cfg.AllowRemote)
		if err != nil {
			return nil, err
		}
		undo = append(undo, func() { _ = ln.Close() })
		apiListener = &Listener{Listener: ln}
	}
	if ingressListeners == nil {
		ln, err := listen(ctx, "ingress", cfg.Ingress, cfg.AllowRemote)
		if err != nil {
			return nil, err
		}
		undo = append(undo, func() { _ = ln.Close() })
		ingressListeners = []Listener{{Listener: ln}}
	}
	a.addrs.API = reachable(apiListener)
	shown := plane.Ingress{Scheme: "http", Domain: LocalDomain}
	if len(ingressListeners) > 0 {
		a.addrs.Ingress, shown.Port = reachable(ingressListeners[0]), port(ingressListeners[0])
		if ingressListeners[0].TLS != nil {
			shown.Scheme = "https"
		}
	}

	if cfg.Prepare != nil {
		if err := cfg.Prepare(ctx, a.reg); err != nil {
			return nil, err
		}
	}

	sockets, removeSockets, err := socketDir(a.reg.Dir())
	if err != nil {
		return nil, err
	}
	a.removeSockets = removeSockets
	undo = append(undo, removeSockets)
	a.router = ingress.New(cfg.Log.Named("ingress"))
	a.router.SetAliases(cfg.Hostnames)
	a.fleet, err = fleet.New(fleet.Config{
		Workerd: cfg.Workerd, SocketDir: sockets, Router: a.router, Logger: cfg.Log.Named("worker"),
		Limits: cfg.Limits, EgressAllow: cfg.EgressAllow,
	})
	if err != nil {
		return nil, err
	}
	undo = append(undo, func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		a.fleet.Close(now)
	})
	a.origin = origin.New(cfg.Log.Named("origin"))
	undo = append(undo, a.origin.Close)
	var tunnels plane.TunnelServer
	if cfg.ServeTunnels {
		tunnels = a.origin
		a.router.SetOthers(a.origin.Lookup)
	}
	p, err := plane.New(plane.Config{
		Region:   cfg.Region,
		Registry: a.reg, Runtime: a.fleet, Callbacks: cfg.Callbacks, Log: cfg.Log.Named("api"),
		Ingress: shown, Private: a.origin, Tunnels: tunnels,
		Version: cfg.Version, WorkerdVersion: workerdVersion,
	})
	if err != nil {
		return nil, err
	}
	a.plane = p
	undo = append(undo, p.Close)
	a.fleet.SetVersions(p)
	a.fleet.SetPrivate(p)
	if err := p.Restore(ctx); err != nil {
		return nil, err
	}

	a.serve(p.Handler(), *apiListener, "API")
	for _, ln := range ingressListeners {
		a.serve(a.router, ln, "ingress")
	}
	return a, nil
}

func newServer(h http.Handler, log hclog.Logger, headerBytes int) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       clientIdle,
		MaxHeaderBytes:    headerBytes,
		Protocols:         new(http.Protocols),
		// What net/http writes here are clients that broke off.
		ErrorLog: log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

func (a *Agent) serve(h http.Handler, ln Listener, what string) {
	limit := ingressHeaderBytes
	if what == "API" {
		limit = apiHeaderBytes
	}
	s := newServer(h, a.cfg.Log.Named(strings.ToLower(what)), limit)
	if what == "API" {
		s.ReadTimeout = uploadTime
	}
	serve := s.Serve
	if ln.TLS != nil {
		s.TLSConfig = ln.TLS
		s.Protocols.SetHTTP2(true)
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	d := newDrain()
	listener := d.attach(s, ln.Listener)
	a.servers = append(a.servers, server{s, d, listener})
	a.serving.Go(func() {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serving the %s on %s: %w", what, ln.Addr(), err)
		}
	})
}

// Addresses are where the plane listens.
func (a *Agent) Addresses() Addresses { return a.addrs }

// Registry is the plane's, for whoever watches that it answers.
func (a *Agent) Registry() *registry.Registry { return a.reg }

// Plane is what the API serves.
func (a *Agent) Plane() *plane.Plane { return a.plane }

// Versions are the live versions as their supervisors see them.
func (a *Agent) Versions() []workerd.VersionState { return a.fleet.States() }

// SetHostnames gives host names to Workers by name. It replaces those given before.
func (a *Agent) SetHostnames(workerByHost map[string]string) { a.router.SetAliases(workerByHost) }

// Unanswered are the host names of the configuration whose Worker is not deployed.
func (a *Agent) Unanswered() []ingress.Alias { return a.router.Unanswered() }

// Failed yields what ended a server, should one end before Close.
func (a *Agent) Failed() <-chan error { return a.failed }

// Close stops accepting, lets requests in flight and waitUntil() end, and stops
// every process. The end of ctx cuts that short; nothing runs afterwards either
// way. It is called once.
func (a *Agent) Close(ctx context.Context) error {
	var errs []error
	// A WebSocket may last for days; its client knows how to connect again.
	a.router.CloseUpgraded()
	a.origin.CloseUpgraded()
	var stopping sync.WaitGroup
	for _, s := range a.servers {
		stopping.Go(func() {
			s.drain.quiesce(ctx, s.listener)
			if err := s.Shutdown(ctx); err != nil {
				_ = s.Close() // the rest is cut off
			}
		})
	}
	stopping.Wait()
	a.serving.Wait()
	a.plane.Close()

	grace := a.cfg.StopWaitUntil
	if grace == 0 {
		grace = DefaultStopWaitUntil
	}
	background, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	a.fleet.Close(background)
	a.origin.Close()
	a.removeSockets()
	if err := a.reg.Close(); err != nil {
		errs = append(errs, fmt.Errorf("closing the registry: %w", err))
	}
	return errors.Join(errs...)
}
