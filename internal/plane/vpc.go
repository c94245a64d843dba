// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

const vpcPath = accountPattern + "/connectivity/directory/services"

func (p *Plane) vpcRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: vpcPath, permission: vpcRead, handle: p.listVPCServices},
		{method: http.MethodPost, pattern: vpcPath, permission: vpcAdmin, handle: p.postVPCService},
		{method: http.MethodGet, pattern: vpcPath + "/{service}", permission: vpcRead, handle: p.getVPCService},
		{method: http.MethodPut, pattern: vpcPath + "/{service}", permission: vpcAdmin, handle: p.putVPCService},
		{method: http.MethodDelete, pattern: vpcPath + "/{service}", permission: vpcAdmin, handle: p.deleteVPCService},
	}
}

// vpcBody is what a client says about a VPC service. The port fields are those of
// its type.
type vpcBody struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	HTTPPort    *int            `json:"http_port"`
	HTTPSPort   *int            `json:"https_port"`
	TCPPort     *int            `json:"tcp_port"`
	AppProtocol *string         `json:"app_protocol"`
	TLSSettings *vpcTLSSettings `json:"tls_settings,omitempty"`
	Host        vpcHost         `json:"host"`
}

type vpcTLSSettings struct {
	CertVerificationMode string `json:"cert_verification_mode"`
}

// vpcHost is an address, or a name that is looked up behind the tunnel.
type vpcHost struct {
	IPv4            string       `json:"ipv4,omitempty"`
	IPv6            string       `json:"ipv6,omitempty"`
	Network         *vpcNetwork  `json:"network,omitempty"`
	Hostname        string       `json:"hostname,omitempty"`
	ResolverNetwork *vpcResolver `json:"resolver_network,omitempty"`
}

type vpcNetwork struct {
	TunnelID string `json:"tunnel_id"`
}

type vpcResolver struct {
	TunnelID    string   `json:"tunnel_id"`
	ResolverIPs []string `json:"resolver_ips,omitempty"`
}

// tunnelID is the tunnel that leads to the host.
func (h vpcHost) tunnelID() string {
	switch {
	case h.Network != nil:
		return h.Network.TunnelID
	case h.ResolverNetwork != nil:
		return h.ResolverNetwork.TunnelID
	}
	return ""
}

func (b vpcBody) check() error {
	bad := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, codeBadBody, format, args...)
	}
	if b.Name == "" || len(b.Name) > 128 {
		return bad("The name of a VPC service must have 1 to 128 bytes.")
	}
	switch b.Type {
	case "http":
		if b.TCPPort != nil || b.AppProtocol != nil {
			return bad("tcp_port and app_protocol belong to services of type tcp.")
		}
	case "tcp":
		if b.HTTPPort != nil || b.HTTPSPort != nil {
			return bad("http_port and https_port belong to services of type http.")
		}
		if b.TCPPort == nil {
			return bad("A service of type tcp needs tcp_port.")
		}
		if b.AppProtocol != nil && *b.AppProtocol != "postgresql" && *b.AppProtocol != "mysql" {
			return bad("app_protocol must be postgresql or mysql.")
		}
	default:
		return bad("type must be http or tcp.")
	}
	for name, port := range map[string]*int{"http_port": b.HTTPPort, "https_port": b.HTTPSPort, "tcp_port": b.TCPPort} {
		if port != nil && (*port < 1 || *port > 65535) {
			return bad("%s must be a port from 1 to 65535.", name)
		}
	}
	if b.TLSSettings != nil {
		switch b.TLSSettings.CertVerificationMode {
		case "verify_full", "verify_ca", "disabled":
		default:
			return bad("cert_verification_mode must be verify_full, verify_ca or disabled.")
		}
	}
	return b.Host.check(bad)
}

func (h vpcHost) check(bad func(string, ...any) error) error {
	byName, byAddress := h.Hostname != "", h.IPv4 != "" || h.IPv6 != ""
	switch {
	case byName == byAddress:
		return bad("host must have either hostname with resolver_network, or ipv4 or ipv6 with network.")
	case byName && (h.ResolverNetwork == nil || h.Network != nil):
		return bad("host.hostname goes with resolver_network.")
	case byAddress && (h.Network == nil || h.ResolverNetwork != nil):
		return bad("host.ipv4 and host.ipv6 go with network.")
	}
	if byName && !tunnelrule.IsHostname(strings.ToLower(h.Hostname)) {
		return bad("host.hostname must be a host name.")
	}
	if a, err := netip.ParseAddr(h.IPv4); h.IPv4 != "" && (err != nil || !a.Is4()) {
		return bad("host.ipv4 must be an IPv4 address.")
	}
	if a, err := netip.ParseAddr(h.IPv6); h.IPv6 != "" && (err != nil || !a.Is6()) {
		return bad("host.ipv6 must be an IPv6 address.")
	}
	if h.ResolverNetwork != nil {
		for _, ip := range h.ResolverNetwork.ResolverIPs {
			if _, err := netip.ParseAddr(ip); err != nil {
				return bad("host.resolver_network.resolver_ips must be addresses.")
			}
		}
	}
	return nil
}

// viewVPCService is the body with its identity.
func viewVPCService(v registry.VPCService) (object, error) {
	var body vpcBody
	if err := json.Unmarshal(v.Body, &body); err != nil {
		return nil, err
	}
	out := object{
		"service_id": v.ID, "name": v.Name, "type": v.Type, "host": body.Host, "created_at": stamp(v.CreatedOn), "updated_at": stamp(v.UpdatedOn),
		"http_port": body.HTTPPort, "https_port": body.HTTPSPort, "tcp_port": body.TCPPort,
	}
	if body.AppProtocol != nil {
		out["app_protocol"] = body.AppProtocol
	}
	if body.TLSSettings != nil {
		out["tls_settings"] = body.TLSSettings
	}
	return out, nil
}

func (p *Plane) vpcService(r *request) (registry.VPCService, error) {
	v, err := p.reg.VPCService(r.Context(), r.account.ID, r.param("service"))
	return v, orElse(err, vpcNotFound(r.param("service")))
}

func vpcNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeNetworkNotFound, "VPC service not found: %q.", id)
}

func (p *Plane) listVPCServices(r *request) (*reply, error) {
	all, err := p.reg.VPCServices(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	kind := r.URL.Query().Get("type")
	var out []object
	for _, v := range all {
		if kind != "" && kind != v.Type {
			continue
		}
		view, err := viewVPCService(v)
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	cut, info, err := paginate(r, out)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

func (p *Plane) getVPCService(r *request) (*reply, error) {
	v, err := p.vpcService(r)
	if err != nil {
		return nil, err
	}
	return replyVPCService(v)
}

func replyVPCService(v registry.VPCService) (*reply, error) {
	view, err := viewVPCService(v)
	if err != nil {
		return nil, err
	}
	return ok(view), nil
}

func (p *Plane) postVPCService(r *request) (*reply, error) {
	return p.storeVPCService(r, registry.VPCService{AccountID: r.account.ID})
}

func (p *Plane) putVPCService(r *request) (*reply, error) {
	v, err := p.vpcService(r)
	if err != nil {
		return nil, err
	}
	return p.storeVPCService(r, v)
}

func (p *Plane) storeVPCService(r *request, v registry.VPCService) (*reply, error) {
	var body vpcBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	t, err := p.reg.Tunnel(r.Context(), r.account.ID, body.Host.tunnelID())
	if err == nil && t.DeletedOn != nil {
		err = registry.ErrNotFound
	}
	if err != nil {
		return nil, orElse(err, tunnelNotFound(body.Host.tunnelID()))
	}
	v.Name, v.Type = body.Name, body.Type
	if v.Body, err = json.Marshal(body); err != nil {
		return nil, err
	}
	v, err = p.reg.PutVPCService(r.Context(), v)
	if errors.Is(err, registry.ErrNameTaken) {
		return nil, fail(http.StatusConflict, codeNetworkTaken, "You already have a VPC service with this name: %q.", body.Name)
	}
	if err != nil {
		return nil, err
	}
	return replyVPCService(v)
}

func (p *Plane) deleteVPCService(r *request) (*reply, error) {
	v, err := p.vpcService(r)
	if err != nil {
		return nil, err
	}
	if err := p.reg.DeleteVPCService(r.Context(), v.ID); err != nil {
		return nil, err
	}
	return ok(nil), nil
}
