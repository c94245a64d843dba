// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"slices"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// prune deletes versions of older releases, after a success. It asks for nothing while
// the Worker cannot have too many: only a version that this run has uploaded makes one
// more. A release is a version, however many steps it took.
func (r *release) prune(ctx context.Context) {
	keep := int64(defaultKeepVersions)
	if !r.plan.KeepVersions.IsNull() {
		keep = r.plan.KeepVersions.ValueInt64()
	}
	worker := r.plan.Worker.ValueString()
	if keep == 0 || r.plane.Client.Uploaded(ctx, worker, r.plan.target().ValueString()) <= keep {
		return
	}
	h, err := r.history(ctx)
	if err != nil {
		r.notPruned(err)
		return
	}
	for _, id := range surplus(h, keep, r.plan.RollbackID.ValueString()) {
		if r.resource.Data.Kept(id) {
			continue
		}
		if err := r.plane.Client.DeleteVersion(ctx, worker, id); err != nil {
			r.notPruned(err)
			return
		}
	}
}

func (r *release) notPruned(err error) {
	failure := r.plan.attempt("delete old versions beside the", r.plane).Failed(err)
	r.diags.AddWarning("Old versions were not deleted", failure.Detail()+"\n\nThe release itself has succeeded. The next one deletes them; keep_versions = 0 keeps all.")
}

// surplus are the versions that may go, newest first: released by Hybridge, older than the
// newest keep of these, neither live nor what rollback_to names. What was made and never
// released, a preview or the next release of somebody else, is none of this resource's
// business; neither is a release that the history does not show any more.
func surplus(h cloudflare.History, keep int64, rollback string) []string {
	var out []string
	ours := int64(0)
	for _, v := range h.Versions {
		if v.Marker() == "" || !released(h, v.ID) {
			continue
		}
		ours++
		if live := h.Live(); ours > keep && v.ID != rollback && (live == nil || !live.Serves(v.ID)) {
			out = append(out, v.ID)
		}
	}
	return out
}

// released reports whether a deployment of Hybridge's has served the version.
func released(h cloudflare.History, version string) bool {
	return slices.ContainsFunc(h.Deployments, func(d cloudflare.Deployment) bool { return d.Marking().Marker != "" && d.Serves(version) })
}
