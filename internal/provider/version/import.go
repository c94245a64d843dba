// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// ImportState takes [plane:]account_id/worker/version_id or the identity; the
// Worker may be given by id or by name.
//
// The plane does not know what a version was made from, so digest stays null
// until the next plan compares the configuration with the version's marker: if
// it is made from the same sources, state alone is updated; else, and for a
// version that carries no marker of ours, a replacement is planned.
func (r *versionResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, ok := importIdentity(ctx, req, resp)
	if !ok {
		return
	}
	p := r.Data.ImportPlane(id.Plane, id.AccountID.ValueString(), &resp.Diagnostics)
	if p == nil {
		return
	}
	m := model{
		Worker: id.Worker, Plane: id.Plane, ID: id.VersionID, AccountID: id.AccountID,
		Bundle: types.ObjectNull(bundleTypes), Prebuilt: types.ObjectNull(prebuiltTypes),
		CompatibilityFlags: types.SetNull(types.StringType),
		Vars:               types.MapNull(types.StringType), JSONVars: types.MapNull(types.StringType),
		Services: types.MapNull(types.ObjectType{AttrTypes: serviceTypes}), VPCServices: types.MapNull(types.StringType),
		Secrets: types.MapNull(types.ObjectType{AttrTypes: secretTypes}), SecretDigests: types.MapNull(types.StringType),
		RawBindings: types.MapNull(types.StringType),
		Placement:   types.ObjectNull(placementTypes), Limits: types.ObjectNull(limitsTypes),
		ModulesSHA256: types.MapNull(types.StringType),
		Adopt:         types.BoolValue(true), DeleteOnDestroy: types.BoolValue(false), KeepSecrets: types.BoolValue(false),
	}
	attempt := m.attempt("import", p)
	w, err := p.Client.Worker(ctx, id.Worker.ValueString())
	if err != nil {
		remedy := ""
		if cloudflare.IsNotFound(err) {
			remedy = "check the Worker's id or name, the account, and the plane"
		}
		resp.Diagnostics.Append(attempt.FailedBecause(err, remedy))
		return
	}
	exists, err := p.Client.VersionExists(ctx, w.ID, id.VersionID.ValueString())
	if err != nil {
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	}
	if !exists {
		resp.Diagnostics.AddError("Version does not exist", "Worker "+w.Name+" on "+p.String()+" has no version "+id.VersionID.ValueString()+
			". It may be a version of another Worker: the data source hybridge_worker_versions lists what there is.")
		return
	}
	v, err := p.Client.Version(ctx, w.ID, id.VersionID.ValueString())
	if err != nil {
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	}
	m.setVersion(v)
	m.WorkerID = types.StringValue(w.ID)
	m.Message, m.Tag = types.StringValue(v.Message()), types.StringValue(v.Tag())
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	resp.Diagnostics.Append(remember(ctx, resp.Private, markerKey, v.Marker())...)
	resp.Diagnostics.Append(rememberName(ctx, resp.Private, m.Worker, w.Name)...)
}

// importIdentity is what is to be imported, from an import id or an identity.
func importIdentity(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) (identityModel, bool) {
	var m identityModel
	if req.ID == "" {
		resp.Diagnostics.Append(req.Identity.Get(ctx, &m)...)
		m.Plane = tfkit.NullIfEmpty(m.Plane.ValueString()) // as the attribute has it
		return m, !resp.Diagnostics.HasError()
	}
	id, err := tfkit.ParseImportID(req.ID, "worker", "version_id")
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("id"), "Invalid import id", tfkit.Sentence(err.Error()))
		return m, false
	}
	return identityModel{
		AccountID: types.StringValue(id.AccountID), Worker: types.StringValue(id.Parts[0]),
		VersionID: types.StringValue(id.Parts[1]), Plane: tfkit.NullIfEmpty(id.Plane),
	}, true
}
