// SPDX-License-Identifier: MPL-2.0

// Package network is what private networks behind tunnels are in Terraform: the resources
// hybridge_tunnel_route and hybridge_tunnel_virtual_network.
package network

import (
	"context"
	"net/netip"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tunnel"
)

// routeModel is a hybridge_tunnel_route in plan and state.
type routeModel struct {
	Network          types.String `tfsdk:"network"`
	TunnelID         types.String `tfsdk:"tunnel_id"`
	VirtualNetworkID types.String `tfsdk:"virtual_network_id"`
	Comment          types.String `tfsdk:"comment"`
	Plane            types.String `tfsdk:"plane"`
	AccountID        types.String `tfsdk:"account_id"`
	ID               types.String `tfsdk:"id"`
}

type routeIdentity struct {
	AccountID types.String `tfsdk:"account_id"`
	RouteID   types.String `tfsdk:"route_id"`
	Plane     types.String `tfsdk:"plane"`
}

var route = &tfkit.Object[routeModel, routeIdentity]{
	Type: "hybridge_tunnel_route", Kind: "route",
	Schema:     routeSchema,
	Identity:   map[string]identityschema.Attribute{"route_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the route, a UUID."}},
	Parts:      []string{"route_id"},
	Name:       func(m routeModel) string { return m.Network.ValueString() },
	Where:      func(m *routeModel) (plane, account *types.String) { return &m.Plane, &m.AccountID },
	IdentityOf: func(m routeModel) routeIdentity { return routeIdentity{m.AccountID, m.ID, m.Plane} },
	FromIdentity: func(i routeIdentity) routeModel {
		return routeModel{AccountID: i.AccountID, ID: i.RouteID, Plane: i.Plane}
	},
	FromParts: func(parts []string) routeModel { return routeModel{ID: types.StringValue(parts[0])} },
	Create: func(ctx context.Context, c *cloudflare.Client, m *routeModel) error {
		return m.set(c.CreateTunnelRoute(ctx, m.wanted()))
	},
	Read: func(ctx context.Context, c *cloudflare.Client, m *routeModel) error {
		return m.set(c.TunnelRoute(ctx, m.ID.ValueString()))
	},
	Update: func(ctx context.Context, c *cloudflare.Client, state routeModel, m *routeModel) error {
		return m.set(c.UpdateTunnelRoute(ctx, state.ID.ValueString(), m.wanted()))
	},
	Delete: func(ctx context.Context, c *cloudflare.Client, m routeModel) error {
		return c.DeleteTunnelRoute(ctx, m.ID.ValueString())
	},
	Remedy: func(err error, _ routeModel) string {
		if cloudflare.IsConflict(err) {
			return "a network has one route in each virtual network: import that one, or put this one into another virtual network"
		}
		return ""
	},
	Validate:  validateRoute,
	MovedFrom: []string{"cloudflare_zero_trust_tunnel_cloudflared_route", "cloudflare_tunnel_route"},
	Moved:     func(a map[string]any) []string { return tfkit.Texts(a, "id") },
}

// NewRoute makes the resource hybridge_tunnel_route.
func NewRoute() resource.Resource { return route.NewResource() }

func (m *routeModel) wanted() cloudflare.TunnelRoute {
	return cloudflare.TunnelRoute{
		Network: m.Network.ValueString(), TunnelID: m.TunnelID.ValueString(), VirtualNetworkID: m.VirtualNetworkID.ValueString(), Comment: m.Comment.ValueString(),
	}
}

func (m *routeModel) set(r *cloudflare.TunnelRoute, err error) error {
	if err != nil {
		return err
	}
	m.ID, m.Network, m.TunnelID = types.StringValue(r.ID), types.StringValue(r.Network), types.StringValue(r.TunnelID)
	m.VirtualNetworkID, m.Comment = types.StringValue(r.VirtualNetworkID), types.StringValue(r.Comment)
	return nil
}

func routeSchema(context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Sends a private network through a tunnel: clients of the account's private networks (WARP) reach its addresses by the tunnel's connectors. Needs `warp_routing = true` " +
			"at the tunnel.\n\nPermission groups: `Cloudflare Tunnel Write` (`Cloudflare Tunnel Read` suffices for planning).",
		Attributes: map[string]schema.Attribute{
			"network": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Address range (CIDR) without bits after its length, in its shortest form, e.g. `10.20.0.0/16` or `fd00:1::/64`. Changed in place.",
			},
			"tunnel_id": schema.StringAttribute{
				Required: true, MarkdownDescription: "Id of the tunnel. Changed in place.", Validators: []validator.String{tunnel.ID()},
			},
			"virtual_network_id": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Id of the virtual network that the route is part of. Default: the account's default one, as it is when the route is made. Changed in place.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"comment":    commentAttribute(),
			"plane":      tfkit.PlaneAttribute(),
			"account_id": tfkit.AccountAttribute(),
			"id":         idAttribute("Id of the route, a UUID. Never changes."),
		},
	}
}

func commentAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true, Computed: true, Default: stringdefault.StaticString(""),
		MarkdownDescription: "A remark, at most 100 bytes. Default: none. Changed in place.", Validators: []validator.String{stringvalidator.LengthAtMost(100)},
	}
}

func idAttribute(description string) schema.StringAttribute {
	return schema.StringAttribute{
		Computed: true, MarkdownDescription: description, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
	}
}

func validateRoute(ctx context.Context, config tfsdk.Config, diags *diag.Diagnostics) {
	var network types.String
	diags.Append(config.GetAttribute(ctx, path.Root("network"), &network)...)
	if network.IsNull() || network.IsUnknown() {
		return
	}
	prefix, err := netip.ParsePrefix(network.ValueString())
	switch {
	case err != nil:
		diags.AddAttributeError(path.Root("network"), "Invalid value for network", "It must be an address range such as 10.20.0.0/16; a single address is 10.20.0.1/32.")
	case prefix.Masked().String() != network.ValueString():
		diags.AddAttributeError(path.Root("network"), "Invalid value for network", "The plane would keep it as "+prefix.Masked().String()+": write it so.")
	}
}
