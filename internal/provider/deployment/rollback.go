// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// warnRollback says what a rollback will do: the plan itself shows ids only. from is the
// deployment in which the version served everything. It refuses one over a migration of
// Durable Objects, which no deployment can undo.
func (m model) warnRollback(ctx context.Context, p *tfkit.Plane, from cloudflare.Deployment, diags *diag.Diagnostics) {
	worker, target := m.Worker.ValueString(), m.RollbackID.ValueString()
	var b strings.Builder
	fmt.Fprintf(&b, "Worker %q on %s goes back to version %s, which served everything from this deployment on:\n\n%s\n\n", p.WorkerName(worker), p, target, describe(m.since(ctx, p, from)))
	live, err := p.Client.LiveDeployment(ctx, worker)
	if err == nil && live != nil && live.Sole() != "" && live.Sole() != target {
		// Best effort: the rollback is as good without the comparison.
		is, err1 := p.Client.Version(ctx, worker, live.Sole())
		will, err2 := p.Client.Version(ctx, worker, target)
		if err1 == nil && err2 == nil {
			if is.MigrationTag != will.MigrationTag {
				diags.AddAttributeError(path.Root("rollback_to"), "Rollback over a migration", fmt.Sprintf(
					"Worker %q on %s: between version %s, which is live, and version %s lies a migration of Durable Objects (%s -> %s). "+
						"A deployment cannot undo one, and the plane would refuse it. Go forward: upload a version that has the old code and the present classes.",
					p.WorkerName(worker), p, is.ID, will.ID, orNone(will.MigrationTag), orNone(is.MigrationTag)))
				return
			}
			fmt.Fprintf(&b, "What differs from version %s, which is live:\n\n%s\n\n", is.ID, differences(*is, *will))
		}
	}
	b.WriteString("Nothing is uploaded. To go forward to version_id again, remove rollback_to.")
	diags.AddAttributeWarning(path.Root("rollback_to"), "Rollback", b.String())
}

// since is the deployment from which on a version served everything until, and with, from:
// a rollout goes on from what is live with a step of 0 %, which changes nothing of that.
func (m model) since(ctx context.Context, p *tfkit.Plane, from cloudflare.Deployment) cloudflare.Deployment {
	all, err := p.Client.Deployments(ctx, m.Worker.ValueString()) // the pin has just asked for them
	i := slices.IndexFunc(all, func(d cloudflare.Deployment) bool { return d.ID == from.ID })
	if err != nil || i < 0 {
		return from
	}
	for i+1 < len(all) && all[i+1].Sole() == from.Sole() {
		i++
	}
	return all[i]
}

// differences lists what changes from one version to another, in words.
func differences(is, will cloudflare.Version) string {
	var lines []string
	add := func(name, was, now string) {
		if was != now {
			lines = append(lines, fmt.Sprintf("  %-10s  %s -> %s", name, orNone(was), orNone(now)))
		}
	}
	add("made on", timestamp(is.CreatedOn), timestamp(will.CreatedOn))
	add("tag", is.Tag(), will.Tag())
	add("message", is.Message(), will.Message())
	if is.Marker() != will.Marker() {
		lines = append(lines, "  code or configuration differs")
	}
	add("main", is.MainModule, will.MainModule)
	add("date", is.CompatibilityDate, will.CompatibilityDate)
	add("flags", strings.Join(is.CompatibilityFlags, ", "), strings.Join(will.CompatibilityFlags, ", "))
	before, after := is.BindingKinds(), will.BindingKinds()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == "" {
			lines = append(lines, fmt.Sprintf("  - %s (%s) is gone", name, before[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		switch was := before[name]; {
		case was == "":
			lines = append(lines, fmt.Sprintf("  + %s (%s) comes back", name, after[name]))
		case was != after[name]:
			lines = append(lines, fmt.Sprintf("  ~ %s: %s -> %s", name, was, after[name]))
		}
	}
	if len(lines) == 0 {
		return "  nothing that the plane tells"
	}
	return strings.Join(lines, "\n")
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// bothWays says how to go back over a change of secrets.
const bothWays = "set rollback_secrets = \"current\": the plane then makes a new version of the old code with the secrets that are live. If the old values are " +
	"still valid, or were only encrypted anew (sops rotate), set allow_changed_secrets = true instead: the version then has the secrets of its time"

// refuseOtherSecrets adds an error if the target declares other secrets than the newer
// version that is live: the plane would refuse it, when other Workers of the release
// have gone back already. It costs no request, because pinRollback has just looked at the
// same history. What versions do not tell is for the plane to refuse.
func (m model) refuseOtherSecrets(ctx context.Context, p *tfkit.Plane, diags *diag.Diagnostics) {
	if m.AllowChanged.ValueBool() || m.AllowChanged.IsUnknown() {
		return
	}
	h, err := p.Client.History(ctx, m.Worker.ValueString())
	if err != nil || h.Live() == nil {
		return
	}
	is, will := h.Version(h.Live().Sole()), h.Version(m.RollbackID.ValueString())
	if is == nil || will == nil || is.Number < will.Number || is.Marker() == "" || will.Marker() == "" || slices.Equal(is.Marking().Secrets, will.Marking().Secrets) {
		return
	}
	diags.AddAttributeError(path.Root("rollback_to"), "Rollback over a change of secrets", fmt.Sprintf(
		"Worker %q on %s: version %s, which rollback_to leads to, declares other secrets than version %s, which is live: their digests differ. "+
			"Planes refuse to go back to secrets that have changed since (code 10220), because they may have been revoked. %s",
		p.WorkerName(m.Worker.ValueString()), p, will.ID, is.ID, tfkit.Sentence(bothWays)))
}
