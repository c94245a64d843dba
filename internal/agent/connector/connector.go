// SPDX-License-Identifier: MPL-2.0

// Package connector supervises cloudflared: it starts it, watches its
// connections, starts it again with back-off, and replaces it without downtime
// when the token has changed.
package connector

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

const (
	// DefaultInterval is how often connections and the token file are looked at.
	DefaultInterval = time.Second
	// DefaultRotationTimeout is how long a successor may take to connect. Then it
	// is stopped, and the old connector stays.
	DefaultRotationTimeout = time.Minute
	firstDelay             = time.Second
	maxDelay               = time.Minute
	probeTimeout           = 5 * time.Second
)

// TokenSource gives the tunnel's token each time it is asked, and is named by its
// String in errors. Its errors never hold a secret.
type TokenSource interface {
	Read(ctx context.Context) ([]byte, error)
	String() string
}

// Config is what a Connector is made of.
type Config struct {
	Name        string
	TunnelID    string
	Cloudflared string // empty: the one on PATH
	Token       TokenSource
	Metrics     string // loopback host:port; empty: a free port
	// Interval and RotationTimeout: 0 is the default.
	Interval, RotationTimeout time.Duration
	Host                      *supervise.Host
	Log                       hclog.Logger
}

// Status is a Connector as others see it. It holds no secret.
type Status struct {
	TunnelID    string `json:"tunnel_id" jsonschema_description:"The tunnel."`
	State       string `json:"state" jsonschema_description:"starting, connected, disconnected, backing-off, crash-loop or stopped."`
	Connections int    `json:"connections" jsonschema_description:"Connections to Cloudflare."`
	ConnectorID string `json:"connector_id,omitempty" jsonschema_description:"Its id at Cloudflare."`
	Version     string `json:"cloudflared_version,omitempty" jsonschema_description:"Version of cloudflared."`
	Metrics     string `json:"metrics,omitempty" jsonschema_description:"Where its metrics are."`
	PID         int    `json:"pid,omitempty" jsonschema_description:"Its process."`
	Restarts    int    `json:"restarts" jsonschema_description:"How often it was started again after an end that nobody wanted."`
	Rotations   int    `json:"rotations" jsonschema_description:"How often another token or configuration came into use."`
	LastError   string `json:"last_error,omitempty" jsonschema_description:"Why it does not run."`
	// Pending is why the token or the configuration that is wanted is not in use,
	// while the connector before goes on.
	Pending string `json:"pending,omitempty" jsonschema_description:"Why the wanted token or configuration is not in use, while the connector before goes on."`
}

// Connector is a supervised cloudflared. It MUST be stopped.
type Connector struct {
	client  *http.Client
	stop    context.CancelFunc
	done    chan struct{}
	changed chan struct{} // has an element when cfg has changed

	mu         sync.Mutex
	cfg        Config // as wanted
	generation int    // of cfg
	status     Status
}

// run is one cloudflared with one token.
type run struct {
	process  *supervise.Process
	metrics  string
	version  string
	tunnelID string
	plan
}

// plan is what a run was started for; another one needs another run.
type plan struct {
	generation int
	digest     [sha256.Size]byte // of the token
}

// Start begins to run a connector. It returns at once: a connector that cannot
// be started is tried again and says so in its Status.
func Start(cfg Config) *Connector {
	ctx, stop := context.WithCancel(context.Background())
	c := &Connector{
		cfg: cfg.withDefaults(), stop: stop, done: make(chan struct{}), changed: make(chan struct{}, 1),
		status: Status{TunnelID: cfg.TunnelID, State: "starting"},
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	go c.loop(ctx)
	return c
}

func (cfg Config) withDefaults() Config {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.RotationTimeout == 0 {
		cfg.RotationTimeout = DefaultRotationTimeout
	}
	return cfg
}

// Change makes the connector another one, as a rotation does: the new cloudflared
// is connected before the old one ends, and where it does not connect, the old
// one stays. It returns at once.
func (c *Connector) Change(cfg Config) {
	c.mu.Lock()
	c.cfg = cfg.withDefaults()
	c.generation++
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default: // it is told already
	}
}

// wanted is the configuration as it is now.
func (c *Connector) wanted() (Config, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg, c.generation
}

// Status is the connector as it is now.
func (c *Connector) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Stop lets cloudflared end what it has in flight, and returns when it is gone.
func (c *Connector) Stop() {
	c.stop()
	<-c.done
}

func (c *Connector) set(change func(*Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
}

// problem records why nothing runs; it is logged when it changes.
func (c *Connector) problem(err error) {
	c.note(func(s *Status) *string { return &s.LastError }, err)
}

// pending records why what is wanted is not in use; nil that it is.
func (c *Connector) pending(err error) {
	c.note(func(s *Status) *string { return &s.Pending }, err)
}

func (c *Connector) note(field func(*Status) *string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	cfg, changed := c.cfg, *field(&c.status) != text
	*field(&c.status) = text
	c.mu.Unlock()
	if changed && text != "" {
		cfg.Log.Error("connector", "connector", cfg.Name, "error", text)
	}
}

func (c *Connector) loop(ctx context.Context) {
	defer close(c.done)
	defer c.set(func(s *Status) { s.State, s.Connections, s.PID = "stopped", 0, 0 })
	var current *run
	defer func() {
		if current != nil {
			current.process.Stop(stopGrace)
		}
	}()
	failures := 0
	var refused plan // what a successor could not connect with
	var refusedUntil time.Time
	for ctx.Err() == nil {
		cfg, generation := c.wanted()
		if current == nil {
			next, err := c.begin(ctx, cfg, generation, cfg.Metrics)
			if err == nil {
				current, failures = next, 0
				continue
			}
			if ctx.Err() != nil {
				return
			}
			failures++
			c.problem(err)
			c.set(func(s *Status) {
				s.State, s.Connections, s.PID = "backing-off", 0, 0
				if failures >= supervise.DefaultCrashLoop {
					s.State = "crash-loop"
				}
				s.Restarts++
			})
			c.pause(ctx, min(firstDelay<<min(failures-1, 10), maxDelay))
			continue
		}
		c.look(ctx, current)
		token, err := cfg.Token.Read(ctx)
		want := plan{generation, sha256.Sum256(token)}
		switch {
		case err != nil:
			c.pending(err) // what runs goes on with what it has
		case want == current.plan:
			c.pending(nil)
		case want == refused && time.Now().Before(refusedUntil):
		default:
			next, err := c.rotate(ctx, cfg, generation, current)
			if err != nil {
				refused, refusedUntil = want, time.Now().Add(maxDelay)
				if ctx.Err() == nil {
					c.pending(fmt.Errorf("rotating: %w; the old connector stays", err))
				}
				break
			}
			current = next
			c.look(ctx, current)
			c.set(func(s *Status) { s.Rotations++; s.Pending = "" })
			cfg.Log.Info("connector has rotated", "connector", cfg.Name)
		}
		c.pause(ctx, cfg.Interval)
	}
}

// pause waits, unless the configuration changes.
func (c *Connector) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-c.changed:
	case <-time.After(d):
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// begin starts a cloudflared and returns when its metrics server answers.
func (c *Connector) begin(ctx context.Context, cfg Config, generation int, metrics string) (*run, error) {
	path, err := Find(cfg.Cloudflared)
	if err != nil {
		return nil, err
	}
	version, knowsFile, err := Version(ctx, path)
	if err != nil {
		return nil, err
	}
	raw, err := cfg.Token.Read(ctx)
	if err != nil {
		return nil, err
	}
	token := string(raw)
	if err := CheckToken(token, cfg.TunnelID); err != nil {
		return nil, fmt.Errorf("reading %s: %w", cfg.Token, err)
	}
	if metrics == "" {
		if metrics, err = freePort(ctx); err != nil {
			return nil, err
		}
	}
	argv, env := command(path, metrics, knowsFile, token)
	var files func() ([]*os.File, error)
	if knowsFile {
		files = func() ([]*os.File, error) { return handOver(token) }
	}
	redact := func(s string) string { return strings.ReplaceAll(s, token, "[secret]") }
	line := func(text []byte) { cfg.Log.Info(redact(string(text)), "connector", cfg.Name) }
	answers := func(ctx context.Context) error {
		_, err := askReady(ctx, c.client, metrics)
		return err
	}
	p, err := cfg.Host.Start(supervise.Spec{
		Name: "connector " + cfg.Name, Argv: argv, Env: env, Files: files, Redact: redact, Stdout: line, Stderr: line,
		Ready: func(ctx context.Context, control io.Reader) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() { // it ends with the child, or when supervise has done with Ready
				_, _ = io.Copy(io.Discard, control)
				cancel()
			}()
			for {
				if err := answers(ctx); err == nil || ctx.Err() != nil {
					return ctx.Err()
				}
				pause(ctx, 50*time.Millisecond)
			}
		},
		Probe: answers, ProbeInterval: probeTimeout, ProbeTimeout: probeTimeout,
		FirstDelay: firstDelay, MaxDelay: maxDelay,
	})
	if err != nil {
		return nil, err
	}
	if err := p.WaitReady(ctx); err != nil {
		p.Stop(stopGrace)
		return nil, err
	}
	return &run{process: p, metrics: metrics, version: version, tunnelID: cfg.TunnelID, plan: plan{generation, sha256.Sum256(raw)}}, nil
}

// look takes what a cloudflared says of itself into the Status.
func (c *Connector) look(ctx context.Context, r *run) {
	state := r.process.State()
	ready, err := readiness{}, errors.New("not running")
	if state.Phase == supervise.Ready {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		ready, err = askReady(ctx, c.client, r.metrics)
	}
	c.set(func(s *Status) {
		s.PID, s.Metrics, s.Connections, s.ConnectorID = state.PID, r.metrics, ready.Connections, ready.ConnectorID
		s.Version, s.TunnelID = r.version, r.tunnelID
		switch {
		case err == nil && ready.Connections > 0:
			s.State, s.LastError = "connected", ""
		case state.Phase == supervise.Ready:
			s.State = "disconnected"
		default:
			s.State, s.LastError = string(state.Phase), state.LastError
		}
		s.Restarts = max(s.Restarts, state.Restarts)
	})
}

// rotate starts a successor beside old and returns it once it is connected and
// old has ended. On an error old is as it was.
func (c *Connector) rotate(ctx context.Context, cfg Config, generation int, old *run) (*run, error) {
	metrics := cfg.Metrics
	if metrics == old.metrics {
		metrics = "" // old has the configured port
	}
	next, err := c.begin(ctx, cfg, generation, metrics)
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, cfg.RotationTimeout)
	defer cancel()
	for {
		if ready, err := askReady(limit, c.client, next.metrics); err == nil && ready.Connections > 0 {
			break
		}
		if pause(limit, min(cfg.Interval, 250*time.Millisecond)); limit.Err() != nil {
			next.process.Stop(stopGrace)
			return nil, fmt.Errorf("the new connector had no connection within %s: is the token of this tunnel, and newer than the rotation?", cfg.RotationTimeout)
		}
		c.look(ctx, old)
	}
	old.process.Stop(stopGrace)
	return next, nil
}
