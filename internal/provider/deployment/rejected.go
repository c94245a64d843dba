// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// A version that a gate has refused may be live all the same: the first one of a Worker
// stays, because there is nothing to go back to, and any one stays with on_failure = "hold".

// retries reports whether this apply brings the name of version_id in retry_rejected:
// then it is tried once more.
func (m model) retries(state *model) bool {
	return m.VersionID.Equal(m.RetryRejected) && (state == nil || !state.RetryRejected.Equal(m.RetryRejected))
}

// judgeAgain reports whether the wanted version, which is live, has been refused and is to
// be judged once more. Without that it warns of a refused one, as long as it is live. It costs no
// request: the refresh has just looked at what is live.
func (m model) judgeAgain(ctx context.Context, p *tfkit.Plane, state model, diags *diag.Diagnostics) bool {
	if p == nil || m.Rollout.IsNull() || m.isRollback() || m.Worker.IsUnknown() {
		return false
	}
	live, err := p.Client.LiveDeployment(ctx, m.Worker.ValueString())
	if err != nil || live == nil {
		return false
	}
	mark, version := live.Marking().Rollout, m.VersionID.ValueString()
	if mark.Rejects != version || !live.Serves(version) {
		return false
	}
	if m.retries(&state) {
		return true
	}
	m.warnRejected(ctx, &cloudflare.Rejection{VersionID: version, By: *live, Gate: mark.Gate}, p, diags)
	return false
}

// warnRejected says that what is live is kept: as an error where on_rejected wants one.
func (m model) warnRejected(ctx context.Context, r *cloudflare.Rejection, p *tfkit.Plane, diags *diag.Diagnostics) {
	why := "somebody went back from it"
	if r.Gate != "" {
		why = fmt.Sprintf("the gate %q failed", r.Gate)
	}
	live := &r.By
	if now, err := p.Client.LiveDeployment(ctx, m.Worker.ValueString()); err == nil && now != nil {
		live = now
	}
	worker := fmt.Sprintf("Worker %q on %s", p.WorkerName(m.Worker.ValueString()), p)
	text := fmt.Sprintf("%s: version %s is not deployed, because %s. What is live stays:\n\n%s\n\n"+
		"Change the code, and the new version is rolled out. To try this one again, set retry_rejected = %q.", worker, r.VersionID, why, describe(*live), r.VersionID)
	if live.Serves(r.VersionID) {
		text = fmt.Sprintf("%s: version %s was rejected, because %s, and is live all the same: the first version of a Worker has nothing to go back to, and on_failure = \"hold\" leaves what is live. It stays as it is:\n\n%s\n\n"+
			"Change the code, and the new version is rolled out. To have this one judged again, set retry_rejected = %q.", worker, r.VersionID, why, describe(*live), r.VersionID)
	}
	if m.OnRejected.ValueString() == "fail" {
		diags.AddAttributeError(path.Root("version_id"), "Version is rejected", text+" Or set rollback_to, if what is live is meant. This is an error because of on_rejected = \"fail\".")
		return
	}
	diags.AddAttributeWarning(path.Root("version_id"), "Version is rejected", text)
}

// accept takes back that the target is rejected, where it has passed this time without
// another deployment.
func (d *driver) accept(ctx context.Context, o rollout.Outcome) error {
	good := o.State == rollout.Succeeded || o.State == rollout.Held && o.Failed == nil && !o.Interrupted && o.Err == nil
	if !good || d.seen == nil || d.seen.Marking().Rollout.Rejects != d.plan.Target {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	in := d.release.input(d.seen.Versions)
	in.Check, in.Expect, in.Again, in.Force = exactly(d.seen.ID), d.seen.ID, true, true
	in.Rollout.ID = shortID(d.id)
	made, err := d.release.plane.Client.CreateDeployment(ctx, d.release.plan.Worker.ValueString(), in)
	if err == nil {
		d.seen = made
	}
	return err
}

// isFirst reports whether the target is the first version that the Worker serves.
func isFirst(h cloudflare.History, target string) bool {
	for _, d := range h.Deployments {
		for _, s := range d.Versions {
			if s.VersionID != target {
				return false
			}
		}
	}
	return true
}

// warnUntold names the metrics gates that the first version has passed untold: it had
// no traffic, and nothing to go back to either.
func (r *release) warnUntold(o rollout.Outcome) {
	var lines []string
	for _, v := range o.Verdicts {
		if v.Pass && r.lenient[v.Gate] && strings.HasPrefix(v.Reason, "inconclusive") {
			lines = append(lines, fmt.Sprintf("  %s: %s", v.Gate, v.Reason))
		}
	}
	if len(lines) > 0 {
		r.diags.AddAttributeWarning(rolloutPath.AtName("gates"), "Metrics could not judge the first version", fmt.Sprintf(
			"Worker %q on %s: version %s is its first one, so there was no traffic that these gates need, and nothing to go back to:\n\n%s\n\n"+
				"They let it pass, and judge the versions that follow. To let the first one fail as well, set on_inconclusive = \"fail\".",
			r.plane.WorkerName(r.plan.Worker.ValueString()), r.plane, r.plan.target().ValueString(), strings.Join(lines, "\n")))
	}
}
