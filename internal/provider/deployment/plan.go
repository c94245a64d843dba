// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// ModifyPlan derives the wanted active_versions from version_id, rollback_to and
// hold_at. If they are what is live, or if the version is rejected, nothing will be
// deployed and every computed value stays.
//
// It asks the plane only about a version that is neither live nor made by this
// run, to refuse at plan what would fail at apply.
func (r *deploymentResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if r.Data == nil || req.Plan.Raw.IsNull() {
		return
	}
	p := tfkit.PlanPlane(ctx, r.Data, req, resp)
	if !tfkit.PlanResidency(ctx, p, req, resp) {
		return
	}
	var plan model
	resp.Diagnostics.Append(resp.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	var state *model
	if !req.State.Raw.IsNull() {
		state = new(model)
		resp.Diagnostics.Append(req.State.Get(ctx, state)...)
		if resp.Diagnostics.HasError() {
			return
		}
		if !plan.Worker.Equal(state.Worker) && !sameWorker(ctx, p, plan, *state) {
			resp.RequiresReplace = append(resp.RequiresReplace, path.Root("worker"))
			state = nil
		} else if !plan.Plane.Equal(state.Plane) {
			state = nil // the schema replaces it
		}
	}
	plan.checkRollout(ctx, r.Data, p, &resp.Diagnostics)
	plan.decide(ctx, p, state, &resp.Diagnostics)
	if plan.ID.IsUnknown() && !plan.isRollback() {
		plan.checkPreviews(ctx, r.Data, p, &resp.Diagnostics)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, plan)...)
}

// decide plans what will be live. state is nil where nothing is known to be.
func (m *model) decide(ctx context.Context, p *tfkit.Plane, state *model, diags *diag.Diagnostics) {
	from := m.pinRollback(ctx, p, state, diags)
	holdAt := m.holdAt(ctx, diags)
	if diags.HasError() {
		return
	}
	before := types.MapNull(types.Float64Type)
	if state != nil {
		before = state.ActiveVersions
	}
	if tfkit.IsSet(m.RollbackTo) && state != nil && !m.VersionID.Equal(state.VersionID) {
		diags.AddAttributeWarning(path.Root("version_id"), "Version is not deployed", fmt.Sprintf(
			"Worker %q is held at an earlier version by rollback_to = %q. The new version is uploaded, and goes live once rollback_to is removed.",
			p.WorkerName(m.Worker.ValueString()), m.RollbackTo.ValueString()))
	}
	m.setUnknown()
	m.ActiveVersions = m.wanted(holdAt, before)
	if state != nil && m.ActiveVersions.Equal(state.ActiveVersions) {
		if !m.judgeAgain(ctx, p, *state, diags) {
			m.keepLive(*state)
		}
		return
	}
	if p == nil || m.Worker.IsUnknown() || m.target().IsUnknown() {
		m.foreseeRenewal(ctx, p, diags)
		return
	}
	rejection, err := m.rejection(ctx, p, state)
	switch {
	case p.Name != tfkit.DefaultPlane && cloudflare.IsUnreachable(err):
		return // one of many planes is down: the apply will say so, and the others go on
	case err != nil:
		diags.Append(m.attempt("plan", p).Failed(err))
		return
	case rejection != nil && state != nil:
		m.keepLive(*state)
		m.warnRejected(ctx, rejection, p, diags)
		return
	case rejection != nil:
		m.ActiveVersions = types.MapUnknown(types.Float64Type)
		m.warnRejected(ctx, rejection, p, diags)
		return
	}
	m.checkVersion(ctx, p, diags)
	m.refuseBurned(ctx, p, diags)
	if m.isRollback() && (state == nil || !m.RollbackID.Equal(state.RollbackID)) {
		m.refuseOtherSecrets(ctx, p, diags)
	}
	if from != nil && !diags.HasError() {
		m.warnRollback(ctx, p, *from, diags)
	}
}

// sameWorker reports whether the Worker was just named in another way. Where that
// cannot be found out, it is taken for another Worker: replacing this resource
// forgets one deployment and adopts the same one.
func sameWorker(ctx context.Context, p *tfkit.Plane, plan, state model) bool {
	if p == nil || plan.Worker.IsUnknown() || !plan.Plane.Equal(state.Plane) {
		return false
	}
	was, err := p.Client.WorkerRef(ctx, state.Worker.ValueString())
	if err != nil {
		return false
	}
	is, err := p.Client.WorkerRef(ctx, plan.Worker.ValueString())
	return err == nil && was.ID == is.ID
}

// checkVersion refuses a version that the Worker does not have. A Worker that does
// not exist may be made, or get this name, by the same apply.
func (m model) checkVersion(ctx context.Context, p *tfkit.Plane, diags *diag.Diagnostics) {
	exists, err := p.Client.VersionExists(ctx, m.Worker.ValueString(), m.target().ValueString())
	switch {
	case p.Name != tfkit.DefaultPlane && cloudflare.IsUnreachable(err):
		// One of many planes is down: the apply will say so, and the others go on.
	case err != nil && !cloudflare.IsNotFound(err):
		diags.Append(m.attempt("plan", p).Failed(err))
	case !exists && m.workerExists(ctx, p):
		m.noSuchVersion(p, diags)
	}
}

// workerExists is true, too, where it cannot be found out.
func (m model) workerExists(ctx context.Context, p *tfkit.Plane) bool {
	_, err := p.Client.Worker(ctx, m.Worker.ValueString())
	return !cloudflare.IsNotFound(err)
}

func (m model) noSuchVersion(p *tfkit.Plane, diags *diag.Diagnostics) {
	diags.AddAttributeError(path.Root("version_id"), "Version does not exist", fmt.Sprintf(
		"Worker %q on %s has no version %s: it was never uploaded there, was deleted, or belongs to another Worker. Use the id of a "+
			"hybridge_worker_version of this Worker, or one that the data source hybridge_worker_versions lists.",
		p.WorkerName(m.Worker.ValueString()), p, m.target().ValueString()))
}
