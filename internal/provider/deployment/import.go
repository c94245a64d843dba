// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// ImportState takes [plane:]account_id/worker or the identity. It deploys
// nothing: version_id comes from the configuration with the next apply, which
// changes the state only if that version is what is live.
func (r *deploymentResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, ok := importIdentity(ctx, req, resp)
	if !ok {
		return
	}
	p := r.Data.ImportPlane(id.Plane, id.AccountID.ValueString(), &resp.Diagnostics)
	if p == nil {
		return
	}
	m := model{Worker: id.Worker, Plane: id.Plane, ActiveVersions: types.MapNull(types.Float64Type)}
	attempt := m.attempt("import", p)
	live, err := p.Client.LiveDeployment(ctx, id.Worker.ValueString())
	switch {
	case cloudflare.IsNotFound(err):
		resp.Diagnostics.Append(attempt.FailedBecause(err, "check the Worker's id or name, the account, and the plane"))
		return
	case err != nil:
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	case live == nil:
		resp.Diagnostics.AddError("Nothing to import", "Worker \""+id.Worker.ValueString()+"\" on "+p.String()+
			" has no live deployment. Leave the import out: the first apply deploys.")
		return
	}
	m.setLive(live, p.AccountID)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// importIdentity is what is to be imported, from an import id or an identity.
func importIdentity(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) (identityModel, bool) {
	var m identityModel
	if req.ID == "" {
		resp.Diagnostics.Append(req.Identity.Get(ctx, &m)...)
		m.Plane = tfkit.NullIfEmpty(m.Plane.ValueString()) // as the attribute has it
		return m, !resp.Diagnostics.HasError()
	}
	id, err := tfkit.ParseImportID(req.ID, "worker")
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("id"), "Invalid import id", tfkit.Sentence(err.Error()))
		return m, false
	}
	return identityModel{
		AccountID: types.StringValue(id.AccountID), Worker: types.StringValue(id.Parts[0]), Plane: tfkit.NullIfEmpty(id.Plane),
	}, true
}
