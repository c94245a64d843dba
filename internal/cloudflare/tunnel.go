// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// codeTunnelConnected says that a tunnel cannot be deleted while a connector serves it.
const codeTunnelConnected = 1022

// TunnelDomain is what tunnels' host names end with.
const TunnelDomain = "cfargotunnel.com"

// Tunnel is a Cloudflare Tunnel.
type Tunnel struct {
	ID        string     `json:"id"` // UUID
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	DeletedAt *time.Time `json:"deleted_at"` // nil while it is there
	Status    string     `json:"status"`     // inactive, healthy, degraded, down
	ConfigSrc string     `json:"config_src"` // cloudflare or local
}

// TunnelConfig is a tunnel's configuration.
type TunnelConfig struct {
	Version int
	// Config is as the API writes it, see tunnelrule.Parse; nil if there is none yet.
	Config json.RawMessage
}

// Connector is a process that serves a tunnel.
type Connector struct {
	ID            string       `json:"id"`
	Version       string       `json:"version"`
	Arch          string       `json:"arch"`
	RunAt         time.Time    `json:"run_at"`
	ConfigVersion int          `json:"config_version"`
	Connections   []Connection `json:"conns"`
}

// Connection is one of a connector's.
type Connection struct {
	ID               string    `json:"id"`
	Colo             string    `json:"colo_name"`
	OpenedAt         time.Time `json:"opened_at"`
	PendingReconnect bool      `json:"is_pending_reconnect"`
}

// IsTunnelConnected reports whether a tunnel was not deleted because connectors serve it.
func IsTunnelConnected(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.hasCode(codeTunnelConnected)
}

// newTunnelSecret makes a secret that no error and no log shows.
func (c *Client) newTunnelSecret() string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails
	secret := base64.StdEncoding.EncodeToString(raw)
	c.wire.withheld.add(secret)
	return secret
}

// CreateTunnel makes a tunnel whose configuration Cloudflare keeps. Its secret is
// made here, so that a tunnel whose creation was not answered is known again by it; it
// is kept nowhere.
func (c *Client) CreateTunnel(ctx context.Context, name string) (*Tunnel, error) {
	secret := c.newTunnelSecret()
	body := map[string]any{"name": name, "config_src": "cloudflare", "tunnel_secret": secret}
	var t Tunnel
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPost, body, nil, &t, "cfd_tunnel")
	}, func() (bool, error) {
		all, err := c.ListTunnels(ctx, name)
		if err != nil || len(all) == 0 {
			return false, err
		}
		token, err := c.TunnelToken(ctx, all[0].ID)
		if err != nil {
			return false, err
		}
		if secretOf(token) != secret {
			return false, &SameNameError{"tunnel", name}
		}
		t = all[0]
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("creating the tunnel %q: %w", name, err)
	}
	c.tunnels.wrote(t.ID)
	return &t, nil
}

// secretOf is the secret in a token; empty if it is none.
func secretOf(token string) string {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return ""
	}
	var parts struct {
		S string `json:"s"`
	}
	_ = json.Unmarshal(raw, &parts) // a token that is none has no secret
	return parts.S
}

// ListTunnels lists the tunnels that are not deleted, those of one name if name is
// not empty.
func (c *Client) ListTunnels(ctx context.Context, name string) ([]Tunnel, error) {
	query := url.Values{"is_deleted": {"false"}}
	if name != "" {
		query.Set("name", name)
	}
	all, err := listV4(ctx, c, query, func(t Tunnel) string { return t.ID }, "accounts", c.accountID, "cfd_tunnel")
	if err != nil {
		return nil, fmt.Errorf("listing tunnels: %w", err)
	}
	return all, nil
}

// FreshTunnel asks the plane for a tunnel. A deleted one has DeletedAt.
func (c *Client) FreshTunnel(ctx context.Context, id string) (*Tunnel, error) {
	var t Tunnel
	if err := c.v4(ctx, http.MethodGet, nil, nil, &t, "cfd_tunnel", id); err != nil {
		return nil, fmt.Errorf("reading the tunnel %s: %w", id, err)
	}
	return &t, nil
}

// Tunnel finds a tunnel for reading. The first ones are asked for one by one; from
// then on one list answers everybody. That a tunnel does not exist is never concluded
// from the list.
func (c *Client) Tunnel(ctx context.Context, id string) (*Tunnel, error) {
	if c.tunnels.single(id) {
		return c.FreshTunnel(ctx, id)
	}
	all, err := shared(ctx, &c.tunnels.mu, c.tunnels.lists, "", func() (map[string]Tunnel, error) {
		list, err := c.ListTunnels(ctx, "")
		byID := make(map[string]Tunnel, len(list))
		for _, t := range list {
			byID[t.ID] = t
		}
		return byID, err
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if t, ok := all[id]; ok && err == nil {
		return &t, nil
	}
	return c.FreshTunnel(ctx, id)
}

// RenameTunnel changes the name of a tunnel.
func (c *Client) RenameTunnel(ctx context.Context, id, name string) error {
	c.tunnels.wrote(id)
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPatch, map[string]any{"name": name}, nil, nil, "cfd_tunnel", id)
	}, func() (bool, error) {
		t, err := c.FreshTunnel(ctx, id)
		return err == nil && t.Name == name, err
	})
	if err != nil {
		return fmt.Errorf("renaming the tunnel %s: %w", id, err)
	}
	return nil
}

// RotateTunnelSecret gives a tunnel a new secret, which is made here and kept
// nowhere. Connections that are there stay; no new one comes with the old token.
func (c *Client) RotateTunnelSecret(ctx context.Context, id string) error {
	secret := c.newTunnelSecret()
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPatch, map[string]any{"tunnel_secret": secret}, nil, nil, "cfd_tunnel", id)
	}, func() (bool, error) {
		token, err := c.TunnelToken(ctx, id)
		return err == nil && secretOf(token) == secret, err
	})
	if err != nil {
		return fmt.Errorf("rotating the secret of the tunnel %s: %w", id, err)
	}
	return nil
}

// DeleteTunnel deletes a tunnel. That it is gone already is no error.
func (c *Client) DeleteTunnel(ctx context.Context, id string) error {
	c.tunnels.wrote(id)
	if err := c.v4(ctx, http.MethodDelete, nil, nil, nil, "cfd_tunnel", id); err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting the tunnel %s: %w", id, err)
	}
	return nil
}

// TunnelToken reads the token that a connector needs. It is a secret: no error and no
// log of this client shows it, and the caller MUST NOT either.
func (c *Client) TunnelToken(ctx context.Context, id string) (string, error) {
	var token string
	if err := c.v4(ctx, http.MethodGet, nil, nil, &token, "cfd_tunnel", id, "token"); err != nil {
		return "", fmt.Errorf("reading the token of the tunnel %s: %w", id, err)
	}
	c.wire.withheld.add(token)
	if secret := secretOf(token); secret != "" {
		c.wire.withheld.add(secret)
	}
	return token, nil
}

// TunnelConfig reads a tunnel's configuration.
func (c *Client) TunnelConfig(ctx context.Context, id string) (*TunnelConfig, error) {
	var got struct {
		Version int             `json:"version"`
		Config  json.RawMessage `json:"config"`
	}
	if err := c.v4(ctx, http.MethodGet, nil, nil, &got, "cfd_tunnel", id, "configurations"); err != nil {
		return nil, fmt.Errorf("reading the configuration of the tunnel %s: %w", id, err)
	}
	out := &TunnelConfig{Version: got.Version}
	if len(got.Config) == 0 || string(got.Config) == "null" {
		return out, nil
	}
	out.Config = got.Config
	return out, nil
}

// ConfigureTunnel replaces a tunnel's configuration by what config is as JSON.
func (c *Client) ConfigureTunnel(ctx context.Context, id string, config any) error {
	if err := c.v4(ctx, http.MethodPut, map[string]any{"config": config}, nil, nil, "cfd_tunnel", id, "configurations"); err != nil {
		return fmt.Errorf("configuring the tunnel %s: %w", id, err)
	}
	return nil
}

// Connectors lists who serves a tunnel, always from the plane.
func (c *Client) Connectors(ctx context.Context, id string) ([]Connector, error) {
	var all []Connector
	if err := c.v4(ctx, http.MethodGet, nil, nil, &all, "cfd_tunnel", id, "connections"); err != nil {
		return nil, fmt.Errorf("reading the connections of the tunnel %s: %w", id, err)
	}
	return all, nil
}

// DropConnections ends the connections of one connector, or all if connector is empty. A
// connector that has a valid token comes back.
func (c *Client) DropConnections(ctx context.Context, id, connector string) error {
	query := url.Values{}
	if connector != "" {
		query.Set("client_id", connector)
	}
	if err := c.v4(ctx, http.MethodDelete, nil, query, nil, "cfd_tunnel", id, "connections"); err != nil && !IsNotFound(err) {
		return fmt.Errorf("dropping connections of the tunnel %s: %w", id, err)
	}
	return nil
}
