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
	TunnelID    string `json:"tunnel_id"`
	State       string `json:"state"` // "starting", "connected", "disconnected", "backing-off", "crash-loop", "stopped"
	Connections int    `json:"connections"`
	ConnectorID string `json:"connector_id,omitempty"`
	Version     string `json:"cloudflared_version,omitempty"`
	Metrics     string `json:"metrics,omitempty"`
	PID         int    `json:"pid,omitempty"`
	Restarts    int    `json:"restarts"`
	Rotations   int    `json:"rotations"`
	LastError   string `json:"last_error,omitempty"`
}

// Connector is a supervised cloudflared. It MUST be stopped.
type Connector struct {
	cfg    Config
	client *http.Client
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	status Status
}

// run is one cloudflared with one token.
type run struct {
	process *supervise.Process
	metrics string
	digest  [sha256.Size]byte
}

// Start begins to run a connector. It returns at once: a connector that cannot
// be started is tried again and says so in its Status.
func Start(cfg Config) *Connector {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.RotationTimeout == 0 {
		cfg.RotationTimeout = DefaultRotationTimeout
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Connector{
		cfg: cfg, stop: stop, done: make(chan struct{}), status: Status{TunnelID: cfg.TunnelID, State: "starting"},
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	go c.loop(ctx)
	return c
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

// problem records what is wrong; it is logged when it changes.
func (c *Connector) problem(err error) {
	if text := err.Error(); c.Status().LastError != text {
		c.cfg.Log.Error("connector", "connector", c.cfg.Name, "error", text)
		c.set(func(s *Status) { s.LastError = text })
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
	var refused [sha256.Size]byte // the token that a successor could not connect with
	var refusedUntil time.Time
	for ctx.Err() == nil {
		if current == nil {
			next, err := c.begin(ctx, c.cfg.Metrics)
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
			pause(ctx, min(firstDelay<<min(failures-1, 10), maxDelay))
			continue
		}
		c.look(ctx, current)
		token, err := c.cfg.Token.Read(ctx)
		digest := sha256.Sum256(token)
		switch {
		case err != nil:
			c.problem(err) // what runs goes on with what it has
		case digest == current.digest, digest == refused && time.Now().Before(refusedUntil):
		default:
			next, err := c.rotate(ctx, current)
			if err != nil {
				refused, refusedUntil = digest, time.Now().Add(maxDelay)
				if ctx.Err() == nil {
					c.problem(fmt.Errorf("rotating: %w; the old connector stays", err))
				}
				break
			}
			current = next
			c.set(func(s *Status) { s.Rotations++; s.LastError = "" })
			c.cfg.Log.Info("connector has rotated", "connector", c.cfg.Name)
		}
		pause(ctx, c.cfg.Interval)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// begin starts a cloudflared and returns when its metrics server answers.
func (c *Connector) begin(ctx context.Context, metrics string) (*run, error) {
	path, err := Find(c.cfg.Cloudflared)
	if err != nil {
		return nil, err
	}
	version, knowsFile, err := Version(ctx, path)
	if err != nil {
		return nil, err
	}
	raw, err := c.cfg.Token.Read(ctx)
	if err != nil {
		return nil, err
	}
	token := string(raw)
	if err := CheckToken(token, c.cfg.TunnelID); err != nil {
		return nil, fmt.Errorf("reading %s: %w", c.cfg.Token, err)
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
	line := func(text []byte) { c.cfg.Log.Info(redact(string(text)), "connector", c.cfg.Name) }
	answers := func(ctx context.Context) error {
		_, err := askReady(ctx, c.client, metrics)
		return err
	}
	p, err := c.cfg.Host.Start(supervise.Spec{
		Name: "connector " + c.cfg.Name, Argv: argv, Env: env, Files: files, Redact: redact, Stdout: line, Stderr: line,
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
	c.set(func(s *Status) { s.Version = version })
	return &run{process: p, metrics: metrics, digest: sha256.Sum256(raw)}, nil
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
func (c *Connector) rotate(ctx context.Context, old *run) (*run, error) {
	next, err := c.begin(ctx, "") // the configured port is old's
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, c.cfg.RotationTimeout)
	defer cancel()
	for {
		if ready, err := askReady(limit, c.client, next.metrics); err == nil && ready.Connections > 0 {
			break
		}
		if pause(limit, min(c.cfg.Interval, 250*time.Millisecond)); limit.Err() != nil {
			next.process.Stop(stopGrace)
			return nil, fmt.Errorf("the new connector had no connection within %s: is the token of this tunnel, and newer than the rotation?", c.cfg.RotationTimeout)
		}
		c.look(ctx, old)
	}
	old.process.Stop(stopGrace)
	return next, nil
}
