// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// explain adds the diagnostic that an outcome deserves: none for the wanted version
// at 100 % or at hold_at.
func (r *release) explain(ctx context.Context, o rollout.Outcome, plan rollout.Plan, d *driver, timedOut bool) {
	if o.State == rollout.Succeeded || o.State == rollout.Held && o.Failed == nil && !o.Interrupted && o.Err == nil {
		return
	}
	var summary, text string
	// What the plane did in the driver's place is not somebody else's doing.
	inPlace := o.State == rollout.Overtaken && d.seen != nil && d.seen.Marking().Rollout.ID == shortID(d.id)
	switch {
	case o.State == rollout.RolledBack, inPlace:
		summary = "Rollout was rolled back"
		text = fmt.Sprintf("Version %s serves everything again.", plan.Previous)
	case o.State == rollout.Held:
		summary = "Rollout is held"
		text = "What is live stays: " + r.liveText(o)
	case o.State == rollout.Overtaken:
		summary = "Rollout was overtaken"
		text = "Somebody else has deployed meanwhile, so the rollout stopped and touched nothing. Run terraform plan: it shows what is live. " + r.liveText(o)
	default:
		summary = "Rollout ended in an unknown state"
		text = "What is live could not be found out or changed. Run terraform plan: it shows what is live, and the next apply goes on from there. Last seen: " + r.liveText(o)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Worker %q on %s, version %s", r.workerName(ctx), r.plane, plan.Target)
	if o.Step >= 0 {
		fmt.Fprintf(&b, ", step %d of %d (%s)", o.Step+1, len(plan.Steps)+1, percentageOf(plan, o.Step))
	}
	b.WriteString(": ")
	switch {
	case o.Failed != nil:
		fmt.Fprintf(&b, "the gate %q failed.\n\n  observed    %s\n", o.Failed.Gate, o.Failed.Reason)
		// On a plane with a region, what a Worker answered is for the region's eyes.
		if o.Failed.Detail != "" && r.plane.Region == "" {
			fmt.Fprintf(&b, "  answer      %s\n", strings.ReplaceAll(o.Failed.Detail, "\n", "\n              "))
		}
	case d.lost.Load() && (o.Interrupted || inPlace):
		b.WriteString("the plane had not heard of this run for too long, and has ended the rollout.\n")
	case o.Interrupted && timedOut:
		b.WriteString("the rollout took longer than timeouts allows.\n")
	case o.Interrupted:
		b.WriteString("the run was interrupted.\n")
	case o.Err != nil && !errors.Is(o.Err, rollout.ErrMoved):
		b.WriteString(r.plan.attempt("create", r.plane).Failed(o.Err).Detail() + "\n")
	case o.State == rollout.Overtaken:
		b.WriteString("another deployment came in between.\n")
	default:
		b.WriteString("it could not go on.\n")
	}
	fmt.Fprintf(&b, "\n%s\n", text)
	if o.Failed != nil && o.State == rollout.RolledBack {
		fmt.Fprintf(&b, "\nThe version is rejected: it is not tried again until its content changes, or retry_rejected = %q is set.\n", plan.Target)
	}
	if o.Failed != nil && o.State == rollout.Held {
		if r.first {
			b.WriteString("\nIt is the first version of this Worker: there is nothing to go back to, so it stays.\n")
		}
		fmt.Fprintf(&b, "\nThe version is rejected: plans warn of it and take it no further, until its content changes, or retry_rejected = %q has it judged again.\n", plan.Target)
	}
	if d.kept {
		fmt.Fprintf(&b, "\nWhat happened in which order: hybridge rollout show %s", d.id)
	}
	r.diags.AddError(summary, strings.TrimSpace(b.String()))
}

// workerName is the Worker's name, also where the configuration has its id.
func (r *release) workerName(ctx context.Context) string {
	if ref, err := r.plane.Client.WorkerRef(context.WithoutCancel(ctx), r.plan.Worker.ValueString()); err == nil {
		return ref.Name
	}
	return r.plan.Worker.ValueString()
}

func percentageOf(plan rollout.Plan, step int) string {
	if step < len(plan.Steps) {
		return fmt.Sprintf("%g %%", plan.Steps[step].Percentage)
	}
	return "100 %"
}

func (r *release) liveText(o rollout.Outcome) string {
	var parts []string
	for _, s := range o.Live.Shares {
		parts = append(parts, fmt.Sprintf("version %s at %g %%", s.VersionID, s.Percentage))
	}
	if len(parts) == 0 {
		return "nothing that is known."
	}
	return strings.Join(parts, ", ") + "."
}
