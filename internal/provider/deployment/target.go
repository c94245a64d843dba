// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// previousKeyword is the value of rollback_to that names no version.
const previousKeyword = "previous"

// target is the version that is to serve, null for none and unknown where only the
// apply can tell.
func (m model) target() types.String {
	if !m.RollbackTo.IsNull() {
		return m.RollbackID
	}
	return m.VersionID
}

// isRollback reports whether rollback_to decides.
func (m model) isRollback() bool { return !m.RollbackTo.IsNull() }

// pinRollback sets rollback_version_id: what the state has for the same rollback_to,
// else what it is resolved to now. Where the plane cannot be asked yet, the apply
// resolves it. fresh is the deployment that a new pin goes back to.
func (m *model) pinRollback(ctx context.Context, p *tfkit.Plane, state *model, diags *diag.Diagnostics) (fresh *cloudflare.Deployment) {
	switch {
	case m.RollbackTo.IsNull():
		m.RollbackID = types.StringNull()
		return nil
	case m.RollbackTo.IsUnknown(), p == nil, m.Worker.IsUnknown():
		m.RollbackID = types.StringUnknown()
		return nil
	case state != nil && m.RollbackTo.Equal(state.RollbackTo) && !state.RollbackID.IsNull():
		m.RollbackID = state.RollbackID
		return nil
	}
	m.RollbackID = types.StringUnknown()
	h, err := p.Client.History(ctx, m.Worker.ValueString())
	if err != nil {
		if p.Name == tfkit.DefaultPlane || !cloudflare.IsUnreachable(err) {
			diags.Append(m.attempt("resolve rollback_to of the", p).Failed(err))
		}
		return nil
	}
	version, from, problem := resolve(h, m.RollbackTo.ValueString())
	if problem != "" {
		diags.AddAttributeError(path.Root("rollback_to"), "Nothing to go back to", fmt.Sprintf(
			"Worker %q on %s: %s", p.WorkerName(m.Worker.ValueString()), p, problem))
		return nil
	}
	m.RollbackID = types.StringValue(version)
	if m.RollbackSecrets.ValueString() == currentSecrets && h.Live().Sole() != version {
		m.RollbackID = types.StringUnknown() // the apply makes a version
	}
	return from
}

// currentSecrets is the value of rollback_secrets that makes a version of the old code.
const currentSecrets = "current"

// renew makes the version that a rollback with today's secrets goes to, and pins it.
func (m *model) renew(ctx context.Context, p *tfkit.Plane, run cloudflare.Run, diags *diag.Diagnostics) {
	worker := m.Worker.ValueString()
	h, err := p.Client.History(ctx, worker)
	if err != nil {
		diags.Append(m.attempt("resolve rollback_to of the", p).Failed(err))
		return
	}
	version, _, problem := resolve(h, m.RollbackTo.ValueString())
	live := h.Live()
	if problem == "" && live.Sole() == "" {
		problem = "two versions are live, and it is not clear whose secrets are meant. Set rollback_secrets = \"version\"."
	}
	if problem != "" {
		diags.AddAttributeError(path.Root("rollback_to"), "Nothing to go back to", fmt.Sprintf("Worker %q on %s: %s", worker, p, problem))
		return
	}
	if version == live.Sole() {
		m.RollbackID = types.StringValue(version)
		return
	}
	made, err := p.Client.RenewSecrets(ctx, worker, version, live.Sole(), "version "+version+" with today's secrets", run)
	if err != nil {
		diags.Append(m.attempt("make a version for the rollback of the", p).Failed(err))
		return
	}
	m.RollbackID = types.StringValue(made.ID)
}

var (
	commitOrRun = regexp.MustCompile(`^([0-9a-f]{7,40}|[0-9]{4,20}|run-[0-9A-Za-z]+)$`)
	uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// resolve finds the version that a value of rollback_to means, and the deployment in
// which it served everything, if the history still has one. problem says why there is none.
func resolve(h cloudflare.History, to string) (version string, from *cloudflare.Deployment, problem string) {
	live := h.Live()
	switch {
	case live == nil:
		return "", nil, "it has no deployment yet. Remove rollback_to."
	case to == previousKeyword:
		d := h.PreviousHealthy()
		if d == nil {
			return "", nil, "no version before the live one was healthy at 100 % and can still be deployed. Name a version's id, or remove rollback_to."
		}
		return d.Sole(), d, ""
	case uuidPattern.MatchString(to):
		if h.Version(to) == nil {
			return "", nil, fmt.Sprintf("version %s is not among its versions that can be deployed (the newest 100). Name one that the data source hybridge_worker_versions lists, or upload the code again.", to)
		}
		return to, h.LastSole(to), ""
	}
	for i := range h.Deployments {
		d := &h.Deployments[i]
		run, sole := d.Marking().Run, d.Sole()
		if sole == "" || run.ID != to && (len(to) < 7 || !strings.HasPrefix(run.Commit, to)) {
			continue
		}
		if h.Version(sole) == nil {
			return "", nil, fmt.Sprintf("the release %q deployed version %s, which is not among the newest 100 any more and cannot be deployed. Upload the code again.", to, sole)
		}
		return sole, d, ""
	}
	for _, v := range h.Versions {
		if v.Tag() == to {
			return v.ID, h.LastSole(v.ID), ""
		}
	}
	if sole := live.Sole(); sole != "" && commitOrRun.MatchString(to) {
		// One value goes to every Worker of a configuration, and not every Worker is part of each release.
		return sole, nil, ""
	}
	return "", nil, fmt.Sprintf("%q is neither \"previous\", nor a version's id or tag, nor the commit or run of a deployment in its history. "+
		"The data source hybridge_worker_deployments lists the history.", to)
}

// wanted is what active_versions will be once the target serves; unknown if that
// cannot be told. before is what is live, null if nothing is.
func (m model) wanted(holdAt types.Float64, before types.Map) types.Map {
	target := m.target()
	if target.IsUnknown() || holdAt.IsUnknown() || before.IsUnknown() {
		return types.MapUnknown(types.Float64Type)
	}
	id := target.ValueString()
	if !holdAt.IsNull() && !m.isRollback() {
		if other := otherVersion(before, id); other != "" {
			at := holdAt.ValueFloat64()
			if now, ok := before.Elements()[id].(types.Float64); ok {
				at = max(at, now.ValueFloat64()) // a rollout never goes a step back
			}
			return activeVersions([]cloudflare.Share{{VersionID: id, Percentage: at}, {VersionID: other, Percentage: 100 - at}})
		}
	}
	return activeVersions([]cloudflare.Share{{VersionID: id, Percentage: 100}})
}

// otherVersion is the one that a version takes over from: the only other one that is
// live. Empty if there is none, or more than one.
func otherVersion(live types.Map, version string) string {
	other := ""
	for id := range live.Elements() {
		if id == version {
			continue
		}
		if other != "" {
			return ""
		}
		other = id
	}
	return other
}

// holdAt is rollout.hold_at.
func (m model) holdAt(ctx context.Context, diags *diag.Diagnostics) types.Float64 {
	if m.Rollout.IsUnknown() {
		return types.Float64Unknown()
	}
	if r := m.rollout(ctx, diags); r != nil {
		return r.HoldAt
	}
	return types.Float64Null()
}

// rejection says why the target is not to be deployed; nil if it may be. A version
// that retry_rejected names is tried once, with the apply that brings the name.
func (m model) rejection(ctx context.Context, p *tfkit.Plane, state *model) (*cloudflare.Rejection, error) {
	if m.isRollback() || m.retries(state) {
		return nil, nil
	}
	if p.Client.Uploaded(ctx, m.Worker.ValueString(), m.VersionID.ValueString()) > 0 {
		return nil, nil // it is new
	}
	return p.Client.Rejected(ctx, m.Worker.ValueString(), m.VersionID.ValueString())
}
