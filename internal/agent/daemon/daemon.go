// SPDX-License-Identifier: MPL-2.0

// Package daemon runs what agent.yaml says: the plane with its ingress, the
// connectors, and the health endpoint.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/tunneltoken"
	"github.com/hybridge/terraform-provider-hybridge/internal/gate"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

// healthHeaderTimeout ends readers of the health endpoint that send nothing.
const healthHeaderTimeout = 5 * time.Second

// Config is what a Daemon is made of.
type Config struct {
	File    *agentfile.File
	Version string // of this program
	Getenv  func(string) string
	Log     hclog.Logger
}

// Daemon is a running agent. It MUST be closed.
type Daemon struct {
	version string
	log     hclog.Logger
	started time.Time
	born    time.Time // started, with the monotonic clock
	clock   clockWatch
	host    *supervise.Host
	agent   *agent.Agent // nil without a plane
	certs   *certificates
	apiCert *certificates
	health  *http.Server
	failed  chan error

	stopMonitor context.CancelFunc
	running     sync.WaitGroup

	mu          sync.Mutex
	file        *agentfile.File
	connectors  map[string]*connector.Connector
	token       []byte // of the health endpoint
	status      health.Status
	looked      time.Time // when status was made, by the monotonic clock
	restart     []string
	configError string
}

// Start brings everything up. When it returns, everything that listens accepts;
// connectors are on their way. ctx bounds the start only.
func Start(ctx context.Context, cfg Config) (_ *Daemon, err error) {
	f, now := cfg.File, time.Now()
	d := &Daemon{
		version: cfg.Version, log: cfg.Log, started: now.UTC(), born: now, file: f, failed: make(chan error, 1),
		connectors: map[string]*connector.Connector{}, stopMonitor: func() {},
	}
	defer func() {
		if err != nil {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = d.Close(now)
		}
	}()
	if d.token, err = healthToken(f); err != nil {
		return nil, err
	}
	given, err := givenSockets()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, name := range given.rest() {
			d.log.Warn("systemd handed over a socket that agent.yaml does not name", "address", name)
		}
	}()
	if d.certs, err = loadCertificates(certificatePairs(f)); err != nil {
		return nil, err
	}
	if f.Plane != nil {
		if err := d.startPlane(ctx, cfg, given); err != nil {
			return nil, err
		}
	}
	healthListener, err := given.listen(ctx, "health", f.Health.Listen)
	if err != nil {
		return nil, err
	}
	d.host = supervise.NewHost()
	for name, c := range f.Connectors {
		d.connectors[name] = connector.Start(d.connectorConfig(name, c))
	}
	d.look(ctx)
	d.health = &http.Server{
		Handler:           health.Handler(d.Status, d.alive, d.healthToken),
		ReadHeaderTimeout: healthHeaderTimeout,
		ErrorLog:          d.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	d.running.Go(func() { d.serveHealth(healthListener) })
	monitor, stop := context.WithCancel(context.Background())
	d.stopMonitor = stop
	d.running.Go(func() { d.monitor(monitor) })
	return d, nil
}

func (d *Daemon) serveHealth(ln net.Listener) {
	if err := d.health.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		d.failed <- fmt.Errorf("serving the health endpoint: %w", err)
	}
}

func (d *Daemon) startPlane(ctx context.Context, cfg Config, given *sockets) error {
	f := cfg.File
	binary, err := workerd.Find(f.Plane.Workerd, cfg.Getenv)
	if err != nil {
		return err
	}
	callbacks, err := webhooks(f)
	if err != nil {
		return err
	}
	var open []net.Listener
	fail := func(err error) error {
		for _, ln := range open {
			_ = ln.Close()
		}
		return err
	}
	api := &agent.Listener{}
	if api.Listener, err = given.listen(ctx, "API", f.Plane.API.Listen); err != nil {
		return err
	}
	open = append(open, api)
	if pair := f.Plane.API.TLS; pair != nil {
		if d.apiCert, err = loadCertificates([]agentfile.Pair{*pair}); err != nil {
			return fail(err)
		}
		api.TLS = d.apiCert.config()
	}
	listeners := []agent.Listener{} // not nil: then the Agent would make one
	if f.Ingress != nil {
		for _, l := range f.Ingress.Listen {
			ln, err := given.listen(ctx, "ingress", l.Address)
			if err != nil {
				return fail(err)
			}
			open = append(open, ln)
			listener := agent.Listener{Listener: ln}
			if l.TLS {
				listener.TLS = d.certs.config()
			}
			listeners = append(listeners, listener)
		}
	}
	d.agent, err = agent.Start(ctx, agent.Config{
		DataDir: f.DataDir, APIListener: api, IngressListeners: listeners, Hostnames: hostnames(f),
		Workerd: binary, EgressAllow: f.Plane.AllowEgress, Callbacks: callbacks, Version: cfg.Version, Log: cfg.Log,
		Prepare: func(ctx context.Context, reg *registry.Registry) error {
			return ensureInitial(ctx, reg, InitialTokenFile(f), cfg.Log)
		},
	})
	return err // the Agent owns the listeners
}

func (d *Daemon) connectorConfig(name string, c agentfile.Connector) connector.Config {
	return connector.Config{
		Name: name, TunnelID: c.TunnelID, Cloudflared: c.Cloudflared, Token: tunneltoken.Of(c), Metrics: c.Metrics,
		Host: d.host, Log: d.log.Named("connector"),
	}
}

// Addresses are where the plane listens; empty without one.
func (d *Daemon) Addresses() agent.Addresses {
	if d.agent == nil {
		return agent.Addresses{}
	}
	return d.agent.Addresses()
}

// Failed yields what ended a server, should one end before Close.
func (d *Daemon) Failed() <-chan error {
	if d.agent == nil {
		return d.failed
	}
	out := make(chan error, 1)
	go func() {
		select {
		case err := <-d.failed:
			out <- err
		case err := <-d.agent.Failed():
			out <- err
		}
	}()
	return out
}

// Close lets the connectors end, which bring requests, then stops accepting and
// lets requests in flight end. The end of ctx cuts requests short, not the grace
// of connectors.
func (d *Daemon) Close(ctx context.Context) error {
	d.stopMonitor()
	// Connectors first: what they still bring must find an ingress.
	var stopping sync.WaitGroup
	for _, c := range d.connectors {
		stopping.Go(c.Stop)
	}
	stopping.Wait()
	var errs []error
	if d.agent != nil {
		errs = append(errs, d.agent.Close(ctx))
	}
	if d.health != nil {
		_ = d.health.Close()
	}
	d.running.Wait()
	if d.host != nil {
		d.host.Close()
	}
	return errors.Join(errs...)
}

func (d *Daemon) healthToken() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.token
}

func healthToken(f *agentfile.File) ([]byte, error) {
	if f.Health.TokenFile == "" {
		return nil, nil
	}
	token, err := credential.Read(f.Health.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading health.token_file: %w", err)
	}
	return token, nil
}

func certificatePairs(f *agentfile.File) []agentfile.Pair {
	if f.Ingress == nil {
		return nil
	}
	return f.Ingress.Certificates
}

func hostnames(f *agentfile.File) map[string]string {
	out := map[string]string{}
	if f.Ingress != nil {
		for _, zone := range f.Ingress.Zones {
			for host, h := range zone.Hostnames {
				out[host] = h.Worker
			}
		}
	}
	return out
}

func webhooks(f *agentfile.File) (out []plane.Callback, err error) {
	for i, w := range f.Alerts.Webhooks {
		text, err := credential.Read(w.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("reading alerts.webhooks[%d].secret_file: %w", i, err)
		}
		key, err := gate.Key(bytes.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("reading alerts.webhooks[%d].secret_file: %w", i, err)
		}
		out = append(out, plane.Callback{URL: w.URL, Secret: key})
	}
	return out, nil
}

// notify tells systemd, if it started us. That it cannot be told is no reason to stop.
func (d *Daemon) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("telling systemd", "state", state, "socket", os.Getenv("NOTIFY_SOCKET"), "error", err)
	}
}

// NotifyReady tells systemd that the agent is up.
func (d *Daemon) NotifyReady() { d.notify(daemon.SdNotifyReady) }

// NotifyStopping tells systemd that the agent ends.
func (d *Daemon) NotifyStopping() { d.notify(daemon.SdNotifyStopping) }
