// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// burned is the digest of a leaked secret that the version declares; empty if it
// declares none. Secrets that it carries over from others are not known.
func (m model) burned(v *cloudflare.Version) string {
	if v == nil {
		return ""
	}
	return m.burnedIn(v.Marking())
}

func (m model) burnedIn(marking cloudflare.Marking) string {
	for _, element := range m.BurnedSecrets.Elements() {
		if digest, ok := element.(types.String); ok && marking.HasSecret(digest.ValueString()) {
			return digest.ValueString()
		}
	}
	return ""
}

// better reports whether a is better to go back to than b: it has no leaked secret, or
// else the larger share.
func (m model) better(a, b cloudflare.Share, h cloudflare.History) bool {
	leakedA, leakedB := m.burned(h.Version(a.VersionID)) != "", m.burned(h.Version(b.VersionID)) != ""
	if leakedA != leakedB {
		return leakedB
	}
	return a.Percentage > b.Percentage
}

// foreseeRenewal refuses at plan a rollback with today's secrets that the apply would
// refuse. Only the apply makes its version.
func (m model) foreseeRenewal(ctx context.Context, p *tfkit.Plane, diags *diag.Diagnostics) {
	if p == nil || m.Worker.IsUnknown() || !tfkit.IsSet(m.RollbackTo) || m.RollbackSecrets.ValueString() != currentSecrets {
		return
	}
	if _, err := p.Client.History(ctx, m.Worker.ValueString()); p.Name != tfkit.DefaultPlane && cloudflare.IsUnreachable(err) {
		return // one of many planes is down: the apply will say so, and the others go on
	}
	m.checkRenewal(ctx, p, diags)
}

// checkRenewal finds the versions that a rollback with today's secrets is made of, and
// adds an error where none can be made, or where it would carry a leaked secret: one that
// the live version has, or that only the older one has and so keeps.
func (m model) checkRenewal(ctx context.Context, p *tfkit.Plane, diags *diag.Diagnostics) (version, live string) {
	worker, at := m.Worker.ValueString(), path.Root("rollback_to")
	h, err := p.Client.History(ctx, worker)
	if err != nil {
		diags.Append(m.attempt("resolve rollback_to of the", p).Failed(err))
		return "", ""
	}
	version, _, problem := resolve(h, m.RollbackTo.ValueString())
	if problem == "" {
		if live = h.Live().Sole(); live == "" {
			problem = "two versions are live, and it is not clear whose secrets are meant. Set rollback_secrets = \"version\"."
		}
	}
	if problem != "" {
		diags.AddAttributeError(at, "Nothing to go back to", fmt.Sprintf("Worker %q on %s: %s", p.WorkerName(worker), p, problem))
	}
	if problem != "" || version == live {
		return version, live
	}
	r, err := p.Client.PlanRenewal(ctx, worker, version, live)
	if err != nil {
		diags.Append(m.attempt("plan a version for the rollback of the", p).Failed(err))
		return version, live
	}
	if digest := m.burnedIn(cloudflare.Marking{Secrets: r.Secrets}); digest != "" {
		kept := ""
		if len(r.Kept) > 0 {
			kept = fmt.Sprintf(" Version %s does not have %s, so the values would stay those of version %s.", live, strings.Join(r.Kept, ", "), version)
		}
		diags.AddAttributeError(at, "Version has a leaked secret", fmt.Sprintf(
			"Worker %q on %s: version %s with the secrets of version %s, which is live, could have the secret with the digest %s, which burned_secrets names.%s "+
				"Go back to another version, or upload the code of this one with a secret that is rotated.", worker, p, version, live, digest, kept))
	}
	return version, live
}

// refuseBurned adds an error if the target declares a leaked secret. It asks for the
// versions only where burned_secrets names one.
func (m model) refuseBurned(ctx context.Context, p *tfkit.Plane, diags *diag.Diagnostics) {
	if len(m.BurnedSecrets.Elements()) == 0 || m.target().IsUnknown() {
		return
	}
	all, err := p.Client.DeployableVersions(ctx, m.Worker.ValueString())
	if err != nil {
		diags.Append(m.attempt("look for leaked secrets in the", p).Failed(err))
		return
	}
	id, at := m.target().ValueString(), path.Root("version_id")
	if m.isRollback() {
		at = path.Root("rollback_to")
	}
	if digest := m.burned(cloudflare.History{Versions: all}.Version(id)); digest != "" {
		diags.AddAttributeError(at, "Version has a leaked secret", fmt.Sprintf(
			"Worker %q on %s: version %s declares the secret with the digest %s, which burned_secrets names. Rotate the secret, so that a new version is made, or go back to another version.",
			p.WorkerName(m.Worker.ValueString()), p, id, digest))
	}
}
