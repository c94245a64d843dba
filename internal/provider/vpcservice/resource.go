// SPDX-License-Identifier: MPL-2.0

// Package vpcservice is a VPC service in Terraform: the resource hybridge_vpc_service.
package vpcservice

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// model is a hybridge_vpc_service in plan and state.
type model struct {
	Name             types.String   `tfsdk:"name"`
	Type             types.String   `tfsdk:"type"`
	TunnelID         types.String   `tfsdk:"tunnel_id"`
	IPv4             types.String   `tfsdk:"ipv4"`
	IPv6             types.String   `tfsdk:"ipv6"`
	Hostname         types.String   `tfsdk:"hostname"`
	ResolverIPs      []types.String `tfsdk:"resolver_ips"`
	HTTPPort         types.Int64    `tfsdk:"http_port"`
	HTTPSPort        types.Int64    `tfsdk:"https_port"`
	TCPPort          types.Int64    `tfsdk:"tcp_port"`
	AppProtocol      types.String   `tfsdk:"app_protocol"`
	CertVerification types.String   `tfsdk:"cert_verification_mode"`
	Plane            types.String   `tfsdk:"plane"`
	AccountID        types.String   `tfsdk:"account_id"`
	ID               types.String   `tfsdk:"id"`
}

type identity struct {
	AccountID types.String `tfsdk:"account_id"`
	ServiceID types.String `tfsdk:"service_id"`
	Plane     types.String `tfsdk:"plane"`
}

var service = &tfkit.Object[model, identity]{
	Type: "hybridge_vpc_service", Kind: "VPC service",
	Schema:     resourceSchema,
	Identity:   map[string]identityschema.Attribute{"service_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the service, a UUID."}},
	Parts:      []string{"service_id"},
	Name:       func(m model) string { return m.Name.ValueString() },
	Where:      func(m *model) (plane, account *types.String) { return &m.Plane, &m.AccountID },
	IdentityOf: func(m model) identity { return identity{m.AccountID, m.ID, m.Plane} },
	FromIdentity: func(i identity) model {
		return model{AccountID: i.AccountID, ID: i.ServiceID, Plane: i.Plane}
	},
	FromParts: func(parts []string) model { return model{ID: types.StringValue(parts[0])} },
	Create: func(ctx context.Context, c *cloudflare.Client, m *model) error {
		return m.set(c.CreateVPCService(ctx, m.wanted()))
	},
	Read: func(ctx context.Context, c *cloudflare.Client, m *model) error {
		return m.set(c.VPCService(ctx, m.ID.ValueString()))
	},
	Update: func(ctx context.Context, c *cloudflare.Client, state model, m *model) error {
		return m.set(c.UpdateVPCService(ctx, state.ID.ValueString(), m.wanted()))
	},
	Delete: func(ctx context.Context, c *cloudflare.Client, m model) error {
		return c.DeleteVPCService(ctx, m.ID.ValueString())
	},
	Remedy: func(err error, _ model) string {
		if cloudflare.IsConflict(err) {
			return "a VPC service of this name exists already, or a Worker's version that is live binds to it: choose another name, import the service, or take the binding away first"
		}
		return ""
	},
	Validate:  validate,
	MovedFrom: []string{"cloudflare_connectivity_directory_service"},
	Moved: func(a map[string]any) []string {
		if id := tfkit.Texts(a, "service_id"); id[0] != "" {
			return id
		}
		return tfkit.Texts(a, "id")
	},
}

// NewResource makes the resource hybridge_vpc_service.
func NewResource() resource.Resource { return service.NewResource() }

func (m *model) wanted() cloudflare.VPCService {
	out := cloudflare.VPCService{
		Name: m.Name.ValueString(), Type: m.Type.ValueString(), HTTPPort: m.HTTPPort.ValueInt64Pointer(), HTTPSPort: m.HTTPSPort.ValueInt64Pointer(),
		TCPPort: m.TCPPort.ValueInt64Pointer(), AppProtocol: m.AppProtocol.ValueString(),
	}
	if v := m.CertVerification.ValueString(); v != "" {
		out.TLS = &cloudflare.VPCTLS{Verification: v}
	}
	if m.Hostname.IsNull() {
		out.Host = cloudflare.VPCHost{IPv4: m.IPv4.ValueString(), IPv6: m.IPv6.ValueString(), Network: &cloudflare.VPCNetwork{TunnelID: m.TunnelID.ValueString()}}
		return out
	}
	resolver := &cloudflare.VPCResolver{TunnelID: m.TunnelID.ValueString()}
	for _, ip := range m.ResolverIPs {
		resolver.IPs = append(resolver.IPs, ip.ValueString())
	}
	out.Host = cloudflare.VPCHost{Hostname: m.Hostname.ValueString(), Resolver: resolver}
	return out
}

func (m *model) set(s *cloudflare.VPCService, err error) error {
	if err != nil {
		return err
	}
	m.ID, m.Name, m.Type = types.StringValue(s.ID), types.StringValue(s.Name), types.StringValue(s.Type)
	m.IPv4, m.IPv6, m.Hostname = tfkit.NullIfEmpty(s.Host.IPv4), tfkit.NullIfEmpty(s.Host.IPv6), tfkit.NullIfEmpty(s.Host.Hostname)
	m.TunnelID, m.ResolverIPs = types.StringNull(), nil
	if s.Host.Network != nil {
		m.TunnelID = types.StringValue(s.Host.Network.TunnelID)
	}
	if r := s.Host.Resolver; r != nil {
		m.TunnelID = types.StringValue(r.TunnelID)
		for _, ip := range r.IPs {
			m.ResolverIPs = append(m.ResolverIPs, types.StringValue(ip))
		}
	}
	m.HTTPPort, m.HTTPSPort, m.TCPPort = types.Int64PointerValue(s.HTTPPort), types.Int64PointerValue(s.HTTPSPort), types.Int64PointerValue(s.TCPPort)
	m.AppProtocol, m.CertVerification = tfkit.NullIfEmpty(s.AppProtocol), types.StringNull()
	if s.TLS != nil {
		m.CertVerification = tfkit.NullIfEmpty(s.TLS.Verification)
	}
	return nil
}
