// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// ImportState takes [plane:]account_id/tunnel_id or the identity, and reads the
// tunnel at once.
func (r *tunnelResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, ok := importIdentity(ctx, req, resp)
	if !ok {
		return
	}
	m, ok := r.readWhole(ctx, id, &resp.Diagnostics)
	if !ok {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// importIdentity is what is to be imported, from an import id or an identity.
func importIdentity(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) (id identityModel, ok bool) {
	if req.ID == "" {
		resp.Diagnostics.Append(req.Identity.Get(ctx, &id)...)
		id.Plane = tfkit.NullIfEmpty(id.Plane.ValueString())
	} else if parsed, err := tfkit.ParseImportID(req.ID, "tunnel_id"); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("id"), "Invalid import id", tfkit.Sentence(err.Error()))
	} else {
		id = identityModel{types.StringValue(parsed.AccountID), types.StringValue(parsed.Parts[0]), tfkit.NullIfEmpty(parsed.Plane)}
	}
	return id, !resp.Diagnostics.HasError()
}

// readWhole reads a tunnel with its configuration.
func (r *tunnelResource) readWhole(ctx context.Context, id identityModel, diags *diag.Diagnostics) (m model, ok bool) {
	p := r.Data.ImportPlane(id.Plane, id.AccountID.ValueString(), diags)
	if p == nil {
		return m, false
	}
	attempt := tfkit.Attempt{Verb: "import", Kind: "tunnel", Name: id.TunnelID.ValueString(), Plane: p}
	t, err := p.Client.Tunnel(ctx, id.TunnelID.ValueString())
	switch {
	case cloudflare.IsNotFound(err):
		diags.Append(attempt.FailedBecause(err, "check the tunnel's id, the account and the plane"))
		return m, false
	case err != nil:
		diags.Append(attempt.Failed(err))
		return m, false
	case t.DeletedAt != nil:
		diags.AddError("Cannot import tunnel", "The tunnel "+t.ID+" was deleted, and Cloudflare brings none back: make a new one.")
		return m, false
	}
	config, err := configOf(ctx, p, t.ID)
	if err != nil {
		diags.Append(attempt.Failed(err))
		return m, false
	}
	m = model{Name: types.StringValue(t.Name), Plane: id.Plane}
	m.setConfig(config)
	m.setComputed(t, p.AccountID)
	return m, true
}

// MoveState takes over what the official provider made. Its tunnel and the
// configuration beside it are one resource here: remove the latter from the state
// with a removed block that destroys nothing.
func (r *tunnelResource) MoveState(context.Context) []resource.StateMover {
	return []resource.StateMover{{
		StateMover: func(ctx context.Context, req resource.MoveStateRequest, resp *resource.MoveStateResponse) {
			if !tfkit.IsOfficial(req, "cloudflare_zero_trust_tunnel_cloudflared", "cloudflare_tunnel") {
				return
			}
			var source struct {
				AccountID string `json:"account_id"`
				ID        string `json:"id"`
			}
			if err := json.Unmarshal(req.SourceRawState.JSON, &source); err != nil || source.ID == "" {
				resp.Diagnostics.AddError("Cannot move tunnel", "The state of the tunnel has no id: import it instead.")
				return
			}
			// The framework configures no resource for this. Terraform refreshes next; rules,
			// even none, make Read ask for the configuration.
			m := model{AccountID: types.StringValue(source.AccountID), ID: types.StringValue(source.ID), Ingress: []ruleModel{}}
			m.Timeouts = noTimeouts()
			resp.Diagnostics.Append(resp.TargetState.Set(ctx, m)...)
			if resp.TargetIdentity != nil {
				resp.Diagnostics.Append(resp.TargetIdentity.Set(ctx, m.identity())...)
			}
		},
	}}
}
