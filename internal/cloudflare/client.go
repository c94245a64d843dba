// SPDX-License-Identifier: MPL-2.0

// Package cloudflare is what Hybridge adds to cloudflare-go: one transport with
// a request budget, retry rules and redaction, answers shared between readers,
// and mutations that look before they repeat. Its own small types stand at the
// border, so that no caller sees the SDK's.
//
// A Client speaks to one plane. It is safe for concurrent use and lives for one
// phase of Terraform, so what it remembers is as old as that phase at most.
package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// DefaultBaseURL is the edge plane's API.
const DefaultBaseURL = "https://api.cloudflare.com/client/v4/"

const (
	// DefaultMaxRetries bears an outage of some fifteen seconds: the waits between
	// the attempts are about 0.5, 1, 2, 4 and 8 seconds.
	DefaultMaxRetries = 5

	// DefaultRequestTimeout is for one attempt without a body, to the last byte of
	// its answer. An upload gets more, by its size.
	DefaultRequestTimeout = 60 * time.Second

	// idleConnections is at least what `terraform apply -parallelism=64` keeps
	// busy; with Go's default of 2 most requests would open a connection.
	idleConnections = 64
)

// Logger takes what happens on the wire. Fields never hold a secret or a body.
type Logger interface {
	Debug(ctx context.Context, msg string, fields map[string]any)
}

// Config says which plane a Client speaks to and how.
type Config struct {
	// Plane names the plane in errors and logs; empty for the default plane.
	Plane string
	// BaseURL is the Cloudflare API of the plane, e.g.
	// http://127.0.0.1:8780/client/v4, with or without a trailing slash, or the unix
	// socket that it is served at, e.g. unix:///run/hybridge/api.sock. Empty means
	// DefaultBaseURL.
	BaseURL   string
	AccountID string
	Token     string
	// TokenFrom, if not nil, gives the token instead of Token. It is called once at
	// most, before the first request; its error reaches every caller as a
	// *TokenError and MUST NOT hold the token.
	TokenFrom func(ctx context.Context) (string, error)
	// Access, if not nil, is sent with every request, to this plane and nobody else.
	Access *Access

	// RequestsPerSecond limits the sustained rate. Zero means the default: below
	// Cloudflare's limit for an edge plane, unlimited for any other.
	// Negative means unlimited.
	RequestsPerSecond float64
	// MaxRetries is how often a request is repeated. Nil means DefaultMaxRetries.
	MaxRetries *int
	// RequestTimeout bounds one attempt. Zero means DefaultRequestTimeout.
	RequestTimeout time.Duration

	UserAgent         string
	AllowInsecureHTTP bool // plain http to hosts other than loopback
	Logger            Logger

	// HTTPTransport replaces the connection pool, in tests.
	HTTPTransport http.RoundTripper
	// Sleep replaces the waits between attempts, in tests.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client speaks to one plane.
type Client struct {
	plane     string
	base      *url.URL // of requests; ends with a slash
	shown     string   // the same as base_url would have it
	accountID string
	edge      bool // known to be Cloudflare by its host
	wire      *wire

	workers     *workers.BetaWorkerService
	versions    *workers.BetaWorkerVersionService
	scripts     *workers.ScriptService
	deployments *workers.ScriptDeploymentService

	found   planeOnce
	cache   *cache
	tunnels *tunnelCache
}

type planeOnce struct {
	mu   sync.Mutex
	info *Plane
}

// New makes a Client. It sends nothing.
func New(cfg Config) (*Client, error) {
	at, err := parseBaseURL(cfg.BaseURL, cfg.AllowInsecureHTTP)
	if err != nil {
		return nil, err
	}
	base := at.url
	token, err := newToken(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.AccountID == "" {
		return nil, fmt.Errorf("no account id for %s: set account_id or CLOUDFLARE_ACCOUNT_ID", planeLabel(cfg.Plane))
	}
	if !LooksLikeID(cfg.AccountID) {
		return nil, fmt.Errorf("account id %q of %s is not 32 hexadecimal digits", cfg.AccountID, planeLabel(cfg.Plane))
	}
	access, err := newAccess(cfg, at)
	if err != nil {
		return nil, err
	}
	edge := isEdge(base)
	w := newWire(cfg, at, edge, token)
	w.access = access
	c := &Client{
		plane:     cfg.Plane,
		base:      base,
		shown:     at.String(),
		accountID: cfg.AccountID,
		edge:      edge,
		wire:      w,
		cache:     newCache(),
		tunnels:   newTunnelCache(),
	}
	opts := []option.RequestOption{
		option.WithBaseURL(base.String()),
		option.WithMaxRetries(0), // the wire knows which call may be repeated, and the token
		option.WithHTTPClient(w),
		// The SDK describes the machine in headers: no plane needs that.
		option.WithHeaderDel("X-Stainless-OS"),
		option.WithHeaderDel("X-Stainless-Arch"),
		option.WithHeaderDel("X-Stainless-Runtime"),
		option.WithHeaderDel("X-Stainless-Runtime-Version"),
		option.WithHeaderDel("X-Stainless-Retry-Count"),
		option.WithHeaderDel("X-Stainless-Timeout"),
	}
	if cfg.UserAgent != "" {
		opts = append(opts, option.WithHeader("User-Agent", cfg.UserAgent))
	}
	c.workers = workers.NewBetaWorkerService(opts...)
	c.versions = c.workers.Versions
	c.scripts = workers.NewScriptService(opts...)
	c.deployments = c.scripts.Deployments
	return c, nil
}

// AccountID is the account that every call is about.
func (c *Client) AccountID() string { return c.accountID }

// PlaneName is the name the plane has in the configuration; empty for the
// default plane.
func (c *Client) PlaneName() string { return c.plane }

// BaseURL is the address of the plane's Cloudflare API.
func (c *Client) BaseURL() string { return c.shown }

// IsEdge reports whether the address alone says that this is Cloudflare.
func (c *Client) IsEdge() bool { return c.edge }

// Close drops idle connections.
func (c *Client) Close() { c.wire.close() }

// Requests is the number of requests sent so far, repeats included.
func (c *Client) Requests() int64 { return c.wire.sent.Load() }

// IsLoopback reports whether the plane is on this machine, by its address.
func (c *Client) IsLoopback() bool { return isLoopback(c.base.Hostname()) }

// LooksLikeID reports whether s has the form of an account's or a Worker's id.
// A Worker's name may have it too, but none that people give.
func LooksLikeID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}
