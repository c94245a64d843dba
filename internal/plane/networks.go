// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	virtualNetworksPath = accountPattern + "/teamnet/virtual_networks"
	tunnelRoutesPath    = accountPattern + "/teamnet/routes"
)

// networksRoutes are the private networks behind tunnels. The plane keeps them; what
// uses them are Cloudflare's clients, and VPC services of Workers.
func (p *Plane) networksRoutes() []route {
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []route{
		{method: get, pattern: virtualNetworksPath, permission: tunnelRead, handle: p.listVirtualNetworks},
		{method: post, pattern: virtualNetworksPath, permission: tunnelWrite, handle: p.postVirtualNetwork},
		{method: get, pattern: virtualNetworksPath + "/{network}", permission: tunnelRead, handle: p.getVirtualNetwork},
		{method: patch, pattern: virtualNetworksPath + "/{network}", permission: tunnelWrite, handle: p.patchVirtualNetwork},
		{method: del, pattern: virtualNetworksPath + "/{network}", permission: tunnelWrite, handle: p.deleteVirtualNetwork},
		{method: get, pattern: tunnelRoutesPath, permission: tunnelRead, handle: p.listTunnelRoutes},
		{method: post, pattern: tunnelRoutesPath, permission: tunnelWrite, handle: p.postTunnelRoute},
		{method: get, pattern: tunnelRoutesPath + "/{route}", permission: tunnelRead, handle: p.getTunnelRoute},
		{method: patch, pattern: tunnelRoutesPath + "/{route}", permission: tunnelWrite, handle: p.patchTunnelRoute},
		{method: del, pattern: tunnelRoutesPath + "/{route}", permission: tunnelWrite, handle: p.deleteTunnelRoute},
	}
}

type virtualNetworkJSON struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	Comment          string `json:"comment"`
	IsDefaultNetwork bool   `json:"is_default_network"`
	CreatedAt        stamp  `json:"created_at"`
	DeletedAt        *stamp `json:"deleted_at"`
}

func viewVirtualNetwork(v registry.VirtualNetwork) virtualNetworkJSON {
	return virtualNetworkJSON{v.ID, v.Name, v.Comment, v.IsDefault, stamp(v.CreatedOn), nullStamp(v.DeletedOn)}
}

func (p *Plane) virtualNetwork(r *request, id string) (registry.VirtualNetwork, error) {
	all, err := p.reg.VirtualNetworks(r.Context(), r.account.ID)
	if err != nil {
		return registry.VirtualNetwork{}, err
	}
	for _, v := range all {
		if v.ID == id || id == "" && v.IsDefault {
			return v, nil
		}
	}
	return registry.VirtualNetwork{}, fail(http.StatusNotFound, codeNetworkNotFound, "Virtual network not found: %q.", id)
}

func (p *Plane) listVirtualNetworks(r *request) (*reply, error) {
	all, err := p.reg.VirtualNetworks(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	var out []virtualNetworkJSON
	for _, v := range all {
		if q.Get("name") != "" && q.Get("name") != v.Name || q.Get("id") != "" && q.Get("id") != v.ID || q.Has("is_default") && r.flag("is_default") != v.IsDefault || r.flag("is_deleted") {
			continue
		}
		out = append(out, viewVirtualNetwork(v))
	}
	cut, info, err := paginate(r, out)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

func (p *Plane) getVirtualNetwork(r *request) (*reply, error) {
	v, err := p.virtualNetwork(r, r.param("network"))
	if err != nil {
		return nil, err
	}
	return ok(viewVirtualNetwork(v)), nil
}

type virtualNetworkBody struct {
	Name      *string `json:"name"`
	Comment   *string `json:"comment"`
	IsDefault *bool   `json:"is_default_network"`
}

func (b virtualNetworkBody) applyTo(v *registry.VirtualNetwork) error {
	if b.Name != nil {
		v.Name = *b.Name
	}
	if b.Comment != nil {
		v.Comment = *b.Comment
	}
	if b.IsDefault != nil {
		if v.IsDefault && !*b.IsDefault {
			return fail(http.StatusBadRequest, codeBadBody, "An account has one default virtual network: make another one the default instead.")
		}
		v.IsDefault = *b.IsDefault
	}
	if v.Name == "" || len(v.Name) > 256 {
		return fail(http.StatusBadRequest, codeBadBody, "The name of a virtual network must have 1 to 256 bytes.")
	}
	return nil
}

func virtualNetworkTaken(err error, name string) error {
	if errors.Is(err, registry.ErrNameTaken) {
		return fail(http.StatusConflict, codeNetworkTaken, "You already have a virtual network with this name: %q.", name)
	}
	return err
}

func (p *Plane) postVirtualNetwork(r *request) (*reply, error) {
	var body virtualNetworkBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	v := registry.VirtualNetwork{AccountID: r.account.ID}
	if err := body.applyTo(&v); err != nil {
		return nil, err
	}
	v, err := p.reg.CreateVirtualNetwork(r.Context(), v)
	if err != nil {
		return nil, virtualNetworkTaken(err, v.Name)
	}
	return ok(viewVirtualNetwork(v)), nil
}

func (p *Plane) patchVirtualNetwork(r *request) (*reply, error) {
	v, err := p.virtualNetwork(r, r.param("network"))
	if err != nil {
		return nil, err
	}
	var body virtualNetworkBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := body.applyTo(&v); err != nil {
		return nil, err
	}
	if err := p.reg.UpdateVirtualNetwork(r.Context(), v); err != nil {
		return nil, virtualNetworkTaken(err, v.Name)
	}
	return ok(viewVirtualNetwork(v)), nil
}

func (p *Plane) deleteVirtualNetwork(r *request) (*reply, error) {
	v, err := p.virtualNetwork(r, r.param("network"))
	switch {
	case err != nil:
		return nil, err
	case v.IsDefault:
		return nil, fail(http.StatusBadRequest, codeBadBody, "The default virtual network cannot be deleted: make another one the default first.")
	}
	err = p.reg.DeleteVirtualNetwork(r.Context(), v.ID, r.flag("force"))
	if errors.Is(err, registry.ErrInUse) {
		return nil, fail(http.StatusBadRequest, codeTunnelRouted, "Routes lie in the virtual network %q: delete them first.", v.Name)
	}
	now := p.now().UTC()
	v.DeletedOn = &now
	return ok(viewVirtualNetwork(v)), err
}

type tunnelRouteJSON struct {
	ID                 string `json:"id"`
	Network            string `json:"network"`
	TunnelID           string `json:"tunnel_id"`
	TunnelName         string `json:"tunnel_name"`
	TunType            string `json:"tun_type"`
	VirtualNetworkID   string `json:"virtual_network_id"`
	VirtualNetworkName string `json:"virtual_network_name"`
	Comment            string `json:"comment"`
	CreatedAt          stamp  `json:"created_at"`
	DeletedAt          *stamp `json:"deleted_at"`
}

func viewTunnelRoute(t registry.TunnelRoute) tunnelRouteJSON {
	return tunnelRouteJSON{t.ID, t.Network, t.TunnelID, t.TunnelName, "cfd_tunnel", t.VirtualNetworkID, t.VirtualNetwork, t.Comment, stamp(t.CreatedOn), nullStamp(t.DeletedOn)}
}

func (p *Plane) tunnelRoute(r *request) (registry.TunnelRoute, error) {
	t, err := p.reg.TunnelRoute(r.Context(), r.account.ID, r.param("route"))
	if err == nil && t.DeletedOn != nil {
		err = registry.ErrNotFound
	}
	return t, orElse(err, fail(http.StatusNotFound, codeNetworkNotFound, "Route not found: %q.", r.param("route")))
}

func (p *Plane) listTunnelRoutes(r *request) (*reply, error) {
	all, err := p.reg.TunnelRoutes(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	var out []tunnelRouteJSON
	for _, t := range all {
		if q.Has("is_deleted") && r.flag("is_deleted") != (t.DeletedOn != nil) ||
			q.Get("tunnel_id") != "" && q.Get("tunnel_id") != t.TunnelID ||
			q.Get("virtual_network_id") != "" && q.Get("virtual_network_id") != t.VirtualNetworkID {
			continue
		}
		out = append(out, viewTunnelRoute(t))
	}
	cut, info, err := paginate(r, out)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

func (p *Plane) getTunnelRoute(r *request) (*reply, error) {
	t, err := p.tunnelRoute(r)
	if err != nil {
		return nil, err
	}
	return ok(viewTunnelRoute(t)), nil
}

type tunnelRouteBody struct {
	Network          *string `json:"network"`
	TunnelID         *string `json:"tunnel_id"`
	VirtualNetworkID *string `json:"virtual_network_id"`
	Comment          *string `json:"comment"`
}

func (p *Plane) postTunnelRoute(r *request) (*reply, error) {
	return p.putTunnelRoute(r, registry.TunnelRoute{AccountID: r.account.ID})
}

func (p *Plane) patchTunnelRoute(r *request) (*reply, error) {
	t, err := p.tunnelRoute(r)
	if err != nil {
		return nil, err
	}
	return p.putTunnelRoute(r, t)
}

func (p *Plane) putTunnelRoute(r *request, t registry.TunnelRoute) (*reply, error) {
	var body tunnelRouteBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	for to, from := range map[*string]*string{&t.Network: body.Network, &t.TunnelID: body.TunnelID, &t.VirtualNetworkID: body.VirtualNetworkID, &t.Comment: body.Comment} {
		if from != nil {
			*to = *from
		}
	}
	network, err := netip.ParsePrefix(t.Network)
	if err != nil || network != network.Masked() {
		return nil, fail(http.StatusBadRequest, codeBadBody, "network must be an address range without bits after its length, such as 10.0.0.0/16: %q.", t.Network)
	}
	t.Network = network.String()
	if len(t.Comment) > 100 {
		return nil, fail(http.StatusBadRequest, codeBadBody, "comment must have at most 100 bytes.")
	}
	tunnel, err := p.reg.Tunnel(r.Context(), r.account.ID, t.TunnelID)
	if err == nil && tunnel.DeletedOn != nil {
		err = registry.ErrNotFound
	}
	if err != nil {
		return nil, orElse(err, tunnelNotFound(t.TunnelID))
	}
	v, err := p.virtualNetwork(r, t.VirtualNetworkID)
	if err != nil {
		return nil, err
	}
	t.VirtualNetworkID = v.ID
	t, err = p.reg.PutTunnelRoute(r.Context(), t)
	if errors.Is(err, registry.ErrNameTaken) {
		return nil, fail(http.StatusConflict, codeNetworkTaken, "You already have a route for %s in the virtual network %q.", network, v.Name)
	}
	if err != nil {
		return nil, err
	}
	return ok(viewTunnelRoute(t)), nil
}

func (p *Plane) deleteTunnelRoute(r *request) (*reply, error) {
	t, err := p.tunnelRoute(r)
	if err != nil {
		return nil, err
	}
	if err := p.reg.DeleteTunnelRoute(r.Context(), t.ID); err != nil {
		return nil, err
	}
	now := p.now().UTC()
	t.DeletedOn = &now
	return ok(viewTunnelRoute(t)), nil
}
