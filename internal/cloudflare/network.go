// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// TunnelRoute sends a private network through a tunnel.
type TunnelRoute struct {
	ID               string  `json:"id,omitempty"`
	Network          string  `json:"network"` // CIDR
	TunnelID         string  `json:"tunnel_id"`
	VirtualNetworkID string  `json:"virtual_network_id,omitempty"`
	Comment          string  `json:"comment"`
	DeletedAt        *string `json:"deleted_at,omitempty"`
}

// VirtualNetwork is a set of private routes.
type VirtualNetwork struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name"`
	Comment string `json:"comment"`
	// IsDefault is sent as true only: an account has one default, and another one takes it.
	IsDefault bool    `json:"is_default_network,omitempty"`
	DeletedAt *string `json:"deleted_at,omitempty"`
}

// VPCService is a private service that Workers can bind to.
type VPCService struct {
	ID          string  `json:"service_id,omitempty"`
	Name        string  `json:"name"`
	Type        string  `json:"type"` // http or tcp
	HTTPPort    *int64  `json:"http_port,omitempty"`
	HTTPSPort   *int64  `json:"https_port,omitempty"`
	TCPPort     *int64  `json:"tcp_port,omitempty"`
	AppProtocol string  `json:"app_protocol,omitempty"`
	TLS         *VPCTLS `json:"tls_settings,omitempty"`
	Host        VPCHost `json:"host"`
}

// VPCTLS says how the certificate of a service is checked.
type VPCTLS struct {
	Verification string `json:"cert_verification_mode"` // verify_full, verify_ca, disabled
}

// VPCHost is an address behind a tunnel, or a name that is looked up there.
type VPCHost struct {
	IPv4     string       `json:"ipv4,omitempty"`
	IPv6     string       `json:"ipv6,omitempty"`
	Network  *VPCNetwork  `json:"network,omitempty"`
	Hostname string       `json:"hostname,omitempty"`
	Resolver *VPCResolver `json:"resolver_network,omitempty"`
}

// VPCNetwork is the tunnel that leads to an address.
type VPCNetwork struct {
	TunnelID string `json:"tunnel_id"`
}

// VPCResolver is the tunnel behind which a name is looked up.
type VPCResolver struct {
	TunnelID string   `json:"tunnel_id"`
	IPs      []string `json:"resolver_ips,omitempty"`
}

// ListTunnelRoutes lists the routes that are not deleted.
func (c *Client) ListTunnelRoutes(ctx context.Context) ([]TunnelRoute, error) {
	all, err := listV4(ctx, c, url.Values{"is_deleted": {"false"}}, func(r TunnelRoute) string { return r.ID }, "accounts", c.accountID, "teamnet", "routes")
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	return all, nil
}

// CreateTunnelRoute adds a route. If the answer is lost, and there is such a route now, it
// gives a *SameNameError: it may have been there before.
func (c *Client) CreateTunnelRoute(ctx context.Context, in TunnelRoute) (*TunnelRoute, error) {
	var out TunnelRoute
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPost, in, nil, &out, "teamnet", "routes")
	}, func() (bool, error) {
		all, err := c.ListTunnelRoutes(ctx)
		for _, r := range all {
			if r.Network == in.Network && r.TunnelID == in.TunnelID && (in.VirtualNetworkID == "" || in.VirtualNetworkID == r.VirtualNetworkID) {
				return false, &SameNameError{"route", in.Network}
			}
		}
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("creating the route of %s: %w", in.Network, err)
	}
	return &out, nil
}

// TunnelRoute reads a route. A deleted one is not found.
func (c *Client) TunnelRoute(ctx context.Context, id string) (*TunnelRoute, error) {
	var out TunnelRoute
	if err := c.v4(ctx, http.MethodGet, nil, nil, &out, "teamnet", "routes", id); err != nil {
		return nil, fmt.Errorf("reading the route %s: %w", id, err)
	}
	if out.DeletedAt != nil {
		return nil, fmt.Errorf("reading the route %s: %w", id, ErrGone)
	}
	return &out, nil
}

// UpdateTunnelRoute changes a route.
func (c *Client) UpdateTunnelRoute(ctx context.Context, id string, in TunnelRoute) (*TunnelRoute, error) {
	var out TunnelRoute
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPatch, in, nil, &out, "teamnet", "routes", id)
	}, func() (bool, error) { return false, nil }) // it says the same each time
	if err != nil {
		return nil, fmt.Errorf("updating the route %s: %w", id, err)
	}
	return &out, nil
}

// DeleteTunnelRoute deletes a route. That it is gone already is no error.
func (c *Client) DeleteTunnelRoute(ctx context.Context, id string) error {
	if err := c.v4(ctx, http.MethodDelete, nil, nil, nil, "teamnet", "routes", id); err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting the route %s: %w", id, err)
	}
	return nil
}

// CreateVirtualNetwork adds a virtual network. If the answer is lost, and there is one of
// that name now, it gives a *SameNameError: it may have been there before.
func (c *Client) CreateVirtualNetwork(ctx context.Context, in VirtualNetwork) (*VirtualNetwork, error) {
	var out VirtualNetwork
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPost, in, nil, &out, "teamnet", "virtual_networks")
	}, func() (bool, error) {
		var all []VirtualNetwork
		err := c.v4(ctx, http.MethodGet, nil, url.Values{"name": {in.Name}, "is_deleted": {"false"}}, &all, "teamnet", "virtual_networks")
		for _, v := range all {
			if v.Name == in.Name {
				return false, &SameNameError{"virtual network", in.Name}
			}
		}
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("creating the virtual network %q: %w", in.Name, err)
	}
	return &out, nil
}

// VirtualNetwork reads a virtual network. A deleted one is not found.
func (c *Client) VirtualNetwork(ctx context.Context, id string) (*VirtualNetwork, error) {
	var out VirtualNetwork
	if err := c.v4(ctx, http.MethodGet, nil, nil, &out, "teamnet", "virtual_networks", id); err != nil {
		return nil, fmt.Errorf("reading the virtual network %s: %w", id, err)
	}
	if out.DeletedAt != nil {
		return nil, fmt.Errorf("reading the virtual network %s: %w", id, ErrGone)
	}
	return &out, nil
}

// UpdateVirtualNetwork changes a virtual network.
func (c *Client) UpdateVirtualNetwork(ctx context.Context, id string, in VirtualNetwork) (*VirtualNetwork, error) {
	var out VirtualNetwork
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPatch, in, nil, &out, "teamnet", "virtual_networks", id)
	}, func() (bool, error) { return false, nil })
	if err != nil {
		return nil, fmt.Errorf("updating the virtual network %s: %w", id, err)
	}
	return &out, nil
}

// DeleteVirtualNetwork deletes a virtual network without routes. That it is gone already
// is no error.
func (c *Client) DeleteVirtualNetwork(ctx context.Context, id string) error {
	if err := c.v4(ctx, http.MethodDelete, nil, nil, nil, "teamnet", "virtual_networks", id); err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting the virtual network %s: %w", id, err)
	}
	return nil
}

// vpcPath is where VPC services are.
var vpcPath = []string{"connectivity", "directory", "services"}

// CreateVPCService adds a VPC service. If the answer is lost, it looks for one of that
// name, which names one only.
func (c *Client) CreateVPCService(ctx context.Context, in VPCService) (*VPCService, error) {
	var out VPCService
	err := c.lookThenRepeat(ctx, func() error {
		return c.v4(ctx, http.MethodPost, in, nil, &out, vpcPath...)
	}, func() (bool, error) {
		all, err := listV4(ctx, c, nil, func(v VPCService) string { return v.ID }, append([]string{"accounts", c.accountID}, vpcPath...)...)
		for _, v := range all {
			if v.Name == in.Name && v.Type == in.Type {
				return false, &SameNameError{"VPC service", in.Name}
			}
		}
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("creating the VPC service %q: %w", in.Name, err)
	}
	return &out, nil
}

// VPCService reads a VPC service.
func (c *Client) VPCService(ctx context.Context, id string) (*VPCService, error) {
	var out VPCService
	if err := c.v4(ctx, http.MethodGet, nil, nil, &out, append(append([]string{}, vpcPath...), id)...); err != nil {
		return nil, fmt.Errorf("reading the VPC service %s: %w", id, err)
	}
	return &out, nil
}

// UpdateVPCService replaces a VPC service.
func (c *Client) UpdateVPCService(ctx context.Context, id string, in VPCService) (*VPCService, error) {
	var out VPCService
	if err := c.v4(ctx, http.MethodPut, in, nil, &out, append(append([]string{}, vpcPath...), id)...); err != nil {
		return nil, fmt.Errorf("updating the VPC service %s: %w", id, err)
	}
	return &out, nil
}

// DeleteVPCService deletes a VPC service. That it is gone already is no error.
func (c *Client) DeleteVPCService(ctx context.Context, id string) error {
	if err := c.v4(ctx, http.MethodDelete, nil, nil, nil, append(append([]string{}, vpcPath...), id)...); err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting the VPC service %s: %w", id, err)
	}
	return nil
}
