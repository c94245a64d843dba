// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// release is one apply of a deployment.
type release struct {
	resource *deploymentResource
	plane    *tfkit.Plane
	plan     *model
	config   model  // only here are write-only values
	state    *model // what the plan has seen; nil for a Create
	diags    *diag.Diagnostics
	first    bool            // the target is the first version that the Worker serves
	lenient  map[string]bool // metrics gates that the first version may pass untold
}

// run makes the target live, or keeps what is, and writes what is live into the plan's
// model. It reports whether the model may be saved: it may also after an error, when
// what is live is known. A Create that failed saves nothing, or Terraform would take
// the deployment for tainted and forget it.
func (r *release) run(ctx context.Context) (known bool) {
	m := r.plan
	unplanned := m.ActiveVersions.IsUnknown()
	if m.RollbackID.IsUnknown() {
		if m.pinRollback(ctx, r.plane, r.state, r.diags); m.RollbackID.IsUnknown() && !r.diags.HasError() {
			m.renew(ctx, r.plane, cloudflare.RunFromEnvironment(r.resource.getenv), r.diags)
		}
		if r.diags.HasError() {
			return false
		}
	}
	if m.target().IsNull() || m.target().IsUnknown() {
		r.diags.AddError("Nothing to deploy", "The version is still not known. This is a bug in the provider: please report it.")
		return false
	}
	// A plan that has said what will be live has looked for a rejection itself.
	if unplanned {
		rejection, err := m.rejection(ctx, r.plane, r.state)
		if err != nil {
			r.diags.Append(m.attempt("create", r.plane).Failed(err))
			return false
		}
		if rejection != nil {
			m.warnRejected(ctx, rejection, r.plane, r.diags)
			return r.saveLive(ctx, nil, false) && (r.state != nil || !r.diags.HasError())
		}
		if m.refuseBurned(ctx, r.plane, r.diags); r.diags.HasError() {
			return false
		}
	}
	steps := m.rollout(ctx, r.diags)
	if r.diags.HasError() {
		return false
	}
	if steps == nil || m.isRollback() {
		return r.atOnce(ctx)
	}
	return r.inSteps(ctx, *steps)
}

// check is the rule about what is live before.
func (r *release) check() func(*cloudflare.Deployment) error {
	switch {
	case r.plan.OverwriteUnseen.ValueBool():
		return anything
	case r.state == nil:
		return onlyOurs
	default:
		return onlySeen(*r.state)
	}
}

// input is a deployment of these shares.
func (r *release) input(shares []cloudflare.Share) cloudflare.DeploymentInput {
	return cloudflare.DeploymentInput{
		Versions: shares, Message: r.plan.Message.ValueString(), Run: cloudflare.RunFromEnvironment(r.resource.getenv), Force: r.plan.AllowChanged.ValueBool(),
	}
}

// atOnce deploys the target without steps.
func (r *release) atOnce(ctx context.Context) bool {
	m := r.plan
	in := r.input(m.shares())
	in.Check = r.check()
	if m.RollbackTo.ValueString() == previousKeyword {
		in.Rollout.Back = previousKeyword
	}
	if r.state != nil && !m.OverwriteUnseen.ValueBool() {
		in.Expect = r.state.ID.ValueString()
	}
	d, err := r.plane.Client.CreateDeployment(ctx, m.Worker.ValueString(), in)
	if err != nil {
		r.failed(ctx, err)
		return false
	}
	if !cloudflare.SameShares(d.Versions, in.Versions) {
		r.deployedOtherwise(*d)
		return false
	}
	m.setLive(d, r.plane.AccountID)
	r.prune(ctx)
	return true
}

// failed says what is wrong with the first deployment of a release.
func (r *release) failed(ctx context.Context, err error) {
	if r.plan.unknownVersion(ctx, err, r.plane) {
		r.plan.noSuchVersion(r.plane, r.diags)
	} else {
		r.diags.Append(r.plan.failed(ctx, err, r.plane))
	}
}

func (r *release) deployedOtherwise(d cloudflare.Deployment) {
	r.diags.AddError("Plane deployed something else", fmt.Sprintf(
		"Worker %q on %s was to serve version %s alone, but the plane answered with this deployment:\n\n%s",
		r.plane.WorkerName(r.plan.Worker.ValueString()), r.plane, r.plan.target().ValueString(), describe(d)))
}

// saveLive writes what is live: what was seen last, unless that is not known or in
// doubt. It asks even if the run was interrupted.
func (r *release) saveLive(ctx context.Context, seen *cloudflare.Deployment, doubt bool) bool {
	if seen == nil || doubt {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
		defer cancel()
		if all, err := r.plane.Client.FreshDeployments(ctx, r.plan.Worker.ValueString()); err == nil && len(all) > 0 {
			seen = &all[0]
		}
	}
	if seen == nil {
		return false
	}
	r.plan.setLive(seen, r.plane.AccountID)
	return true
}

// lastLook bounds what a release does after it was interrupted, beside going back:
// Terraform, and HCP still less, does not wait for ever.
const lastLook = 5 * time.Second

// inSteps takes the target through the steps of a rollout. Another run that has died
// may still hold the Worker's lease: then it waits for the end of that.
func (r *release) inSteps(ctx context.Context, steps rolloutModel) bool {
	for waited := time.Duration(0); ; waited += leaseRetry {
		driver, done := r.prepare(ctx, steps)
		if driver == nil {
			return done
		}
		running, interrupt := context.WithCancel(ctx)
		driver.interrupt = interrupt
		err := driver.announce(ctx)
		if err == nil {
			defer driver.close()
			if err := driver.settle(ctx); err != nil {
				r.failed(ctx, err)
				return false
			}
			return r.drive(ctx, running, driver, steps)
		}
		driver.close()
		if !cloudflare.IsConflict(err) || waited >= leaseWait {
			r.diags.Append(r.plan.attempt("begin the rollout of the", r.plane).FailedBecause(err, remedyForRollout(err)))
			return false
		}
		tflog.Info(ctx, "rollout: waiting for the end of another one", map[string]any{"worker": r.plan.Worker.ValueString()})
		if (rollout.SystemClock{}).Sleep(ctx, leaseRetry) != nil {
			r.diags.Append(r.plan.attempt("begin the rollout of the", r.plane).Failed(ctx.Err()))
			return false
		}
	}
}

const (
	// leaseWait is a little more than the plane's 15 seconds.
	leaseWait  = 20 * time.Second
	leaseRetry = time.Second
)

// prepare looks at what is live and makes the rollout. Without one, done reports whether
// what was wanted is live already; if not, it has added an error.
func (r *release) prepare(ctx context.Context, steps rolloutModel) (d *driver, done bool) {
	m := r.plan
	history, err := r.history(ctx)
	if err != nil {
		r.diags.Append(m.attempt("create", r.plane).Failed(err))
		return nil, false
	}
	r.first, r.lenient = isFirst(history, m.target().ValueString()), map[string]bool{}
	live := history.Live()
	// What the plan has said has to come out, also where check would accept what is live.
	if live != nil && r.state != nil && !m.ActiveVersions.IsUnknown() && !m.ActiveVersions.Equal(m.wanted(steps.HoldAt, activeVersions(live.Versions))) {
		r.failed(ctx, &unseenError{live: *live, seen: r.state.liveVersions()})
		return nil, false
	}
	if live != nil && live.Only() == m.target().ValueString() && r.state != nil && !m.retries(r.state) {
		m.setLive(live, r.plane.AccountID)
		return nil, true
	}
	if err := r.check()(live); err != nil && !r.continues(history) {
		r.failed(ctx, err)
		return nil, false
	}
	base, settled := r.base(history)
	d = &driver{release: r, plan: r.rolloutPlan(ctx, steps, history, base), settled: settled, id: uuid.NewString(), stop: func() {}}
	if r.diags.HasError() {
		return nil, false
	}
	if d.plan.Gates = r.gates(ctx, steps, d, history); r.diags.HasError() {
		return nil, false
	}
	if err := d.plan.Check(); err != nil {
		r.diags.AddError("Rollout cannot begin", tfkit.Sentence(err.Error()))
		return nil, false
	}
	return d, false
}

// continues reports whether what is live is of the same rollout that the plan has seen in its
// midst: its run has ended it meanwhile, or the plane has gone back for a run that had died.
func (r *release) continues(h cloudflare.History) bool {
	live := h.Live()
	if r.state == nil || live == nil || live.Marking().Rollout.ID == "" {
		return false
	}
	for _, d := range h.Deployments {
		if d.ID == r.state.ID.ValueString() {
			return d.Marking().Rollout.ID == live.Marking().Rollout.ID
		}
	}
	return false
}

// drive runs the rollout until running ends, and writes what has come out.
func (r *release) drive(ctx, running context.Context, d *driver, steps rolloutModel) bool {
	limit := r.limit(ctx, patience(d.plan, steps.gates(ctx, r.diags)))
	if r.diags.HasError() {
		return false
	}
	running, stop := context.WithTimeout(running, limit)
	defer stop()
	outcome := rollout.Run(running, d.plan, d, rollout.SystemClock{}, d)
	if outcome.Failed != nil && (outcome.State == rollout.Held || outcome.State == rollout.RolledBack && d.seen != nil && d.seen.Marking().Rollout.Rejects == "") {
		if err := d.reject(ctx, outcome); err != nil {
			failure := r.plan.attempt("mark the rejected version of the", r.plane).Failed(err)
			r.diags.AddWarning(failure.Summary(), failure.Detail()+"\n\nThe next apply will try the version again.")
		}
	}
	if err := d.accept(ctx, outcome); err != nil {
		failure := r.plan.attempt("mark the accepted version of the", r.plane).Failed(err)
		r.diags.AddWarning(failure.Summary(), failure.Detail()+"\n\nThe version has passed its gates, but the next plan takes it for rejected still.")
	}
	r.warnUntold(outcome)
	known := r.saveLive(ctx, d.seen, outcome.State == rollout.Unknown || outcome.State == rollout.Overtaken)
	r.explain(ctx, outcome, d.plan, d, errors.Is(running.Err(), context.DeadlineExceeded))
	if d.unreported {
		r.diags.AddWarning("End of the rollout could not be reported", fmt.Sprintf(
			"Worker %q on %s: the plane does not know that the rollout %s has ended. It takes it for abandoned, and may do what on_interrupt says within 15 seconds. "+
				"Run terraform plan afterwards: it shows what is live.", r.plane.WorkerName(r.plan.Worker.ValueString()), r.plane, d.id))
	}
	if outcome.State == rollout.Succeeded && !r.diags.HasError() {
		r.prune(ctx)
	}
	return known && (r.state != nil || !r.diags.HasError())
}

// history is the history of the Worker, asked anew.
func (r *release) history(ctx context.Context) (h cloudflare.History, err error) {
	worker := r.plan.Worker.ValueString()
	if h.Deployments, err = r.plane.Client.FreshDeployments(ctx, worker); err != nil || len(h.Deployments) == 0 {
		return h, err
	}
	h.Versions, err = r.plane.Client.DeployableVersions(ctx, worker)
	return h, err
}

// base is what the rollout begins from. A rollout of two versions cannot begin from two others:
// where these are live, it is the better of them alone, which is not settled yet.
func (r *release) base(h cloudflare.History) (from rollout.Deployment, settled bool) {
	live := h.Live()
	if live == nil {
		return rollout.Deployment{}, true
	}
	target := r.plan.target().ValueString()
	if len(live.Versions) < 2 || live.Serves(target) {
		return deploymentOf(*live), true
	}
	base := live.Versions[0]
	for _, s := range live.Versions {
		if r.plan.better(s, base, h) {
			base = s
		}
	}
	if d := h.PreviousHealthy(); d != nil && live.Serves(d.Sole()) && r.plan.burned(h.Version(d.Sole())) == "" {
		base.VersionID = d.Sole()
	}
	return rollout.Deployment{ID: live.ID, Shares: []rollout.Share{{VersionID: base.VersionID, Percentage: 100}}}, false
}

func deploymentOf(d cloudflare.Deployment) rollout.Deployment {
	out := rollout.Deployment{ID: d.ID}
	for _, s := range d.Versions {
		out.Shares = append(out.Shares, rollout.Share(s))
	}
	return out
}

// rolloutPlan is the rollout as configured, from what is live.
func (r *release) rolloutPlan(ctx context.Context, c rolloutModel, h cloudflare.History, live rollout.Deployment) rollout.Plan {
	target := r.plan.target().ValueString()
	p := rollout.Plan{
		Target: target, Live: live,
		FinalBake: durationOf(c.FinalBake), FinalGates: texts(ctx, c.FinalGates, r.diags),
		OnFailure: policyOf(c.OnFailure.ValueString()), OnInterrupt: policyOf(c.OnInterrupt.ValueString()),
	}
	for _, s := range live.Shares {
		if s.VersionID != target {
			p.Previous = s.VersionID
		}
	}
	if digest := r.plan.burned(h.Version(p.Previous)); digest != "" {
		p.OnFailure, p.OnInterrupt = rollout.Hold, rollout.Hold
		r.diags.AddWarning("Rollout cannot go back", fmt.Sprintf(
			"Version %s, which was live before, declares the secret with the digest %s, which burned_secrets names. If a gate fails, the rollout holds instead of going back.", p.Previous, digest))
	}
	for _, s := range c.steps(ctx, r.diags) {
		p.Steps = append(p.Steps, rollout.Step{Percentage: s.Percentage.ValueFloat64(), Bake: durationOf(s.Bake), Gates: texts(ctx, s.Gates, r.diags)})
	}
	if !c.HoldAt.IsNull() {
		at := c.HoldAt.ValueFloat64()
		p.HoldAt = &at
	} else if c.OnReturn.ValueString() != "full" && p.Previous != "" && h.WasHealthy(target) {
		p.Steps, p.FinalBake, p.FinalGates = smoke(p.Steps), 0, nil
	}
	return p
}

// smoke is what is left of the steps for a version that was healthy before: the gates
// of a first one that only probes reach.
func smoke(steps []rollout.Step) []rollout.Step {
	if len(steps) == 0 || steps[0].Percentage != 0 {
		return nil
	}
	first := steps[0]
	first.Bake = 0
	return []rollout.Step{first}
}

func policyOf(text string) rollout.Policy {
	if text == string(rollout.Hold) {
		return rollout.Hold
	}
	return rollout.Rollback
}

// exactly is the rule that only this deployment may be replaced.
func exactly(id string) func(*cloudflare.Deployment) error {
	return func(live *cloudflare.Deployment) error {
		if live == nil && id == "" || live != nil && live.ID == id {
			return nil
		}
		return rollout.ErrMoved
	}
}

func remedyForRollout(err error) string {
	if cloudflare.IsConflict(err) {
		return "another run takes this Worker through a rollout: wait for its end, or follow it with `hybridge rollout list`. If that run is dead, the plane ends its rollout 15 seconds after it was last heard of"
	}
	return ""
}

// shortID is how a deployment's message names a rollout.
func shortID(id string) string { return strings.ReplaceAll(id, "-", "")[:8] }
