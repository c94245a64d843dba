// SPDX-License-Identifier: MPL-2.0

package network

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// virtualModel is a hybridge_tunnel_virtual_network in plan and state.
type virtualModel struct {
	Name      types.String `tfsdk:"name"`
	Comment   types.String `tfsdk:"comment"`
	Default   types.Bool   `tfsdk:"default"`
	Plane     types.String `tfsdk:"plane"`
	AccountID types.String `tfsdk:"account_id"`
	ID        types.String `tfsdk:"id"`
}

type virtualIdentity struct {
	AccountID        types.String `tfsdk:"account_id"`
	VirtualNetworkID types.String `tfsdk:"virtual_network_id"`
	Plane            types.String `tfsdk:"plane"`
}

var virtual = &tfkit.Object[virtualModel, virtualIdentity]{
	Type: "hybridge_tunnel_virtual_network", Kind: "virtual network",
	Schema: virtualSchema,
	Identity: map[string]identityschema.Attribute{
		"virtual_network_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the virtual network, a UUID."},
	},
	Parts:      []string{"virtual_network_id"},
	Name:       func(m virtualModel) string { return m.Name.ValueString() },
	Where:      func(m *virtualModel) (plane, account *types.String) { return &m.Plane, &m.AccountID },
	IdentityOf: func(m virtualModel) virtualIdentity { return virtualIdentity{m.AccountID, m.ID, m.Plane} },
	FromIdentity: func(i virtualIdentity) virtualModel {
		return virtualModel{AccountID: i.AccountID, ID: i.VirtualNetworkID, Plane: i.Plane}
	},
	FromParts: func(parts []string) virtualModel { return virtualModel{ID: types.StringValue(parts[0])} },
	Create: func(ctx context.Context, c *cloudflare.Client, m *virtualModel) error {
		return m.set(c.CreateVirtualNetwork(ctx, m.wanted()))
	},
	Read: func(ctx context.Context, c *cloudflare.Client, m *virtualModel) error {
		return m.set(c.VirtualNetwork(ctx, m.ID.ValueString()))
	},
	Update: func(ctx context.Context, c *cloudflare.Client, state virtualModel, m *virtualModel) error {
		wanted := m.Default
		err := m.set(c.UpdateVirtualNetwork(ctx, state.ID.ValueString(), m.wanted()))
		if err == nil && !wanted.IsUnknown() {
			m.Default = wanted // what is false here is taken by the next default, perhaps in this very run
		}
		return err
	},
	Delete: func(ctx context.Context, c *cloudflare.Client, m virtualModel) error {
		return c.DeleteVirtualNetwork(ctx, m.ID.ValueString())
	},
	MovedFrom: []string{"cloudflare_zero_trust_tunnel_cloudflared_virtual_network", "cloudflare_tunnel_virtual_network"},
	Moved:     func(a map[string]any) []string { return tfkit.Texts(a, "id") },
}

// NewVirtualNetwork makes the resource hybridge_tunnel_virtual_network.
func NewVirtualNetwork() resource.Resource { return virtual.NewResource() }

func (m *virtualModel) wanted() cloudflare.VirtualNetwork {
	return cloudflare.VirtualNetwork{Name: m.Name.ValueString(), Comment: m.Comment.ValueString(), IsDefault: m.Default.ValueBool()}
}

func (m *virtualModel) set(v *cloudflare.VirtualNetwork, err error) error {
	if err != nil {
		return err
	}
	m.ID, m.Name, m.Comment, m.Default = types.StringValue(v.ID), types.StringValue(v.Name), types.StringValue(v.Comment), types.BoolValue(v.IsDefault)
	return nil
}

func virtualSchema(context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A set of private routes: networks with the same addresses, e.g. of two customers, are kept apart by one virtual network each.\n\n" +
			"Permission groups: `Cloudflare Tunnel Write` (`Cloudflare Tunnel Read` suffices for planning).",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required: true, MarkdownDescription: "Name, unique in the account, 1 to 256 bytes. Changed in place.", Validators: []validator.String{stringvalidator.LengthBetween(1, 256)},
			},
			"comment": commentAttribute(),
			"default": schema.BoolAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Whether routes and clients that name no virtual network are in this one. The account has one default: `true` takes it from the former; `false` gives it up only when another " +
					"one takes it. Default: as the plane has it. Changed in place.",
				PlanModifiers: []planmodifier.Bool{boolplanmodifier.UseStateForUnknown()},
			},
			"plane":      tfkit.PlaneAttribute(),
			"account_id": tfkit.AccountAttribute(),
			"id":         idAttribute("Id of the virtual network, a UUID. Never changes."),
		},
	}
}
