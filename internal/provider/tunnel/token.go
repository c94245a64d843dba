// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ ephemeral.EphemeralResource              = (*tokenResource)(nil)
	_ ephemeral.EphemeralResourceWithConfigure = (*tokenResource)(nil)
)

type tokenResource struct{ tfkit.EphemeralResource }

// NewTokenResource makes the ephemeral resource hybridge_tunnel_token.
func NewTokenResource() ephemeral.EphemeralResource { return &tokenResource{} }

func (e *tokenResource) Metadata(_ context.Context, _ ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = "hybridge_tunnel_token"
}

func (e *tokenResource) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The token that a connector of a tunnel runs with, for arguments that Terraform does not store. Terraform opens it at plan already if the tunnel exists, so an API token " +
			"that is for planning only needs the permission too; the agent on a machine can fetch the token itself instead.\n\nPermission groups: `Cloudflare Tunnel Write`.",
		Attributes: map[string]schema.Attribute{
			"tunnel_id": schema.StringAttribute{Required: true, MarkdownDescription: "Id of the tunnel.", Validators: []validator.String{ID()}},
			"plane": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of the plane to ask, a key of the provider's `planes`. Default: the plane that the provider block itself configures.",
				Validators:          []validator.String{tfkit.PlaneName()},
			},
			"token": schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The token, for `cloudflared tunnel run --token-file`."},
		},
	}
}

func (e *tokenResource) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m struct {
		TunnelID types.String `tfsdk:"tunnel_id"`
		Plane    types.String `tfsdk:"plane"`
		Token    types.String `tfsdk:"token"`
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := e.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	token, err := p.Client.TunnelToken(ctx, m.TunnelID.ValueString())
	if err != nil {
		remedy := ""
		if cloudflare.IsForbidden(err) {
			remedy = "reading a tunnel's token takes the permission group " + cloudflare.PermissionTunnelWrite + ", also at plan. Give the API token that permission, " +
				"or leave the ephemeral resource out and let the agent on the machine fetch its token"
		}
		d := tfkit.Attempt{Verb: "read the token of", Kind: "tunnel", Name: m.TunnelID.ValueString(), Plane: p}.FailedBecause(err, remedy)
		resp.Diagnostics.AddAttributeError(path.Root("tunnel_id"), d.Summary(), d.Detail())
		return
	}
	m.Token = types.StringValue(token)
	resp.Diagnostics.Append(resp.Result.Set(ctx, m)...)
}
