// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

const (
	// leaseRenewal is a third of the plane's 15 seconds, so that two calls may get lost.
	leaseRenewal = 5 * time.Second
	// reportPatience bounds one report: the rollout is more than what is told of it.
	reportPatience = 5 * time.Second
	// What decides whether the plane acts in our place, the beginning and the end, is
	// repeated some times, after pauses that double.
	reportPause, reportRepeats = 250 * time.Millisecond, 3
)

// driver connects a rollout with its plane: it is rollout.Live and rollout.Reporter, and
// keeps the lease on planes that have one. close MUST be called.
type driver struct {
	release *release
	plan    rollout.Plan
	// settled says that what the plan begins from is live.
	settled bool
	id      string
	kept    bool // the plane keeps this rollout
	// lost says that the plane has ended the rollout, because its driver was silent for too
	// long. Then nothing goes forward any more; a gate that fails still goes back.
	lost atomic.Bool
	// interrupt ends the rollout as the end of the run does.
	interrupt context.CancelFunc
	// unreported says that the plane does not know of the end.
	unreported bool
	// seen is what the plane has last said to be live.
	seen *cloudflare.Deployment

	stop    context.CancelFunc
	renewal sync.WaitGroup
}

// announce takes the lease, where the plane has one, and keeps it.
func (d *driver) announce(ctx context.Context) error {
	r := d.release
	keeps, err := r.plane.Client.KeepsRollouts(ctx)
	if err != nil || !keeps {
		return err
	}
	run := cloudflare.RunFromEnvironment(r.resource.getenv)
	announced := cloudflare.Rollout{
		ID: d.id, Target: d.plan.Target, Previous: d.plan.Previous, Steps: []cloudflare.RolloutStep{},
		OnFailure: string(d.plan.OnFailure), OnInterrupt: string(d.plan.OnInterrupt),
		InterruptMessage: cloudflare.Marking{
			Marker:  cloudflare.DeploymentMarker([]cloudflare.Share{{VersionID: d.plan.Previous, Percentage: 100}}),
			Rollout: cloudflare.RolloutMark{ID: shortID(d.id)}, Run: run, Message: "the plane went back: the run was not heard of any more",
		}.String(),
		// What was looked at may be over by now: the plane may have gone back for another run.
		Base: d.plan.Live.ID,
		Run:  cloudflare.RolloutRun(run),
	}
	for _, s := range d.plan.Steps {
		announced.Steps = append(announced.Steps, announcedStep(s.Percentage, s.Bake, s.Gates))
	}
	announced.Steps = append(announced.Steps, announcedStep(100, d.plan.FinalBake, d.plan.FinalGates))
	err = d.persist(ctx, func(ctx context.Context) error {
		return r.plane.Client.StartRollout(ctx, r.plan.Worker.ValueString(), announced)
	})
	if err != nil {
		if !cloudflare.IsConflict(err) {
			// It may have begun all the same: then nobody should wait for its end.
			d.kept = true
			d.Report(ctx, rollout.Transition{State: rollout.Unknown, Reason: "its driver could not begin"})
			d.kept = false
		}
		return err
	}
	d.kept = true
	// The lease is kept while an interrupted rollout goes back, too.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.renewal.Go(func() { d.renew(renewing) })
	return nil
}

// settle makes live what the rollout begins from. It comes after announce: while somebody
// else's rollout goes on, its two versions are nobody's to move.
func (d *driver) settle(ctx context.Context) error {
	if d.settled {
		return nil
	}
	r, live := d.release, d.plan.Live
	in := r.input([]cloudflare.Share{cloudflare.Share(live.Shares[0])})
	in.Check, in.Expect, in.Force = exactly(live.ID), live.ID, true
	in.Rollout.ID = shortID(d.id)
	if d.kept {
		in.RolloutID = d.id
	}
	made, err := r.plane.Client.CreateDeployment(ctx, r.plan.Worker.ValueString(), in)
	if err != nil {
		d.Report(ctx, rollout.Transition{State: rollout.Unknown, Reason: "its driver could not begin"})
		return err
	}
	d.seen, d.plan.Live, d.settled = made, deploymentOf(*made), true
	return nil
}

// persist makes a call that may be repeated, until its outcome is known or there is no hope.
func (d *driver) persist(ctx context.Context, call func(context.Context) error) error {
	for pause := reportPause; ; pause *= 2 {
		err := call(ctx)
		if err == nil || !cloudflare.IsUncertain(err) || pause > reportPause<<reportRepeats {
			return err
		}
		if (rollout.SystemClock{}).Sleep(ctx, pause) != nil {
			return err
		}
	}
}

func announcedStep(percentage float64, bake time.Duration, gates []string) cloudflare.RolloutStep {
	return cloudflare.RolloutStep{Percentage: percentage, BakeSeconds: bake.Seconds(), Gates: append([]string{}, gates...)}
}

func (d *driver) renew(ctx context.Context) {
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// A renewal that fails is followed by the next one.
			err := d.release.plane.Client.RenewRollout(ctx, d.release.plan.Worker.ValueString(), d.id)
			if err != nil && ctx.Err() == nil {
				tflog.Warn(ctx, "rollout: the lease was not renewed", map[string]any{"error": err.Error()})
			}
			if cloudflare.IsConflict(err) {
				d.lose()
				return
			}
		}
	}
}

// lose notes that the plane has ended the rollout. Where it goes back, nothing is left to
// be judged; where it holds, what is live still is.
func (d *driver) lose() {
	d.lost.Store(true)
	if d.plan.OnInterrupt == rollout.Rollback {
		d.interrupt()
	}
}

// close ends the lease's renewal and waits for it.
func (d *driver) close() {
	d.stop()
	d.renewal.Wait()
	d.interrupt()
}

// Deploy implements rollout.Live.
func (d *driver) Deploy(ctx context.Context, over string, shares []rollout.Share, why rollout.Transition) (rollout.Deployment, error) {
	r := d.release
	var wanted []cloudflare.Share
	for _, s := range shares {
		wanted = append(wanted, cloudflare.Share(s))
	}
	in := r.input(wanted)
	in.Check, in.Expect = exactly(over), over
	in.Rollout.ID = shortID(d.id)
	back := why.State == rollout.RollingBack
	switch {
	case d.lost.Load() && !back:
		d.interrupt()
		return rollout.Deployment{}, errors.New("the plane has ended the rollout")
	case d.kept && !d.lost.Load():
		in.RolloutID = d.id
	}
	if back {
		// What was live a moment ago is no risk, whatever happened to secrets since.
		in.Force = true
		in.Message = "rolled back: " + why.Reason
		if v := why.Verdict; v != nil {
			in.Rollout.Rejects, in.Rollout.Gate = d.plan.Target, v.Gate
		}
	} else {
		in.Rollout.Share = strconv.FormatFloat(why.Percentage, 'f', -1, 64)
	}
	made, err := r.plane.Client.CreateDeployment(ctx, r.plan.Worker.ValueString(), in)
	if in.RolloutID != "" && cloudflare.IsConflict(err) {
		d.lose()
		if !back {
			d.interrupt()
			return rollout.Deployment{}, err
		}
		// It goes back all the same, only over what this rollout has set.
		in.RolloutID = ""
		made, err = r.plane.Client.CreateDeployment(ctx, r.plan.Worker.ValueString(), in)
	}
	if err != nil {
		return rollout.Deployment{}, err
	}
	d.seen = made
	return deploymentOf(*made), nil
}

// reject writes that the target is rejected where no message does: where it stays live, and
// where the plane has gone back in the driver's place. Otherwise the message of the deployment
// that went back says so.
func (d *driver) reject(ctx context.Context, o rollout.Outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	r := d.release
	var shares []cloudflare.Share
	for _, s := range o.Live.Shares {
		shares = append(shares, cloudflare.Share(s))
	}
	in := r.input(shares)
	in.Check, in.Expect, in.Again, in.Force = exactly(o.Live.ID), o.Live.ID, true, true
	in.Message = map[rollout.State]string{rollout.Held: "held: ", rollout.RolledBack: "rolled back: "}[o.State] + o.Failed.Reason
	in.Rollout = cloudflare.RolloutMark{ID: shortID(d.id), Rejects: d.plan.Target, Gate: o.Failed.Gate}
	made, err := r.plane.Client.CreateDeployment(ctx, r.plan.Worker.ValueString(), in)
	if err == nil {
		d.seen = made
	}
	return err
}

// Current implements rollout.Live.
func (d *driver) Current(ctx context.Context) (rollout.Deployment, error) {
	all, err := d.release.plane.Client.FreshDeployments(ctx, d.release.plan.Worker.ValueString())
	if err != nil || len(all) == 0 {
		return rollout.Deployment{}, err
	}
	d.seen = &all[0]
	return deploymentOf(all[0]), nil
}

// Report implements rollout.Reporter.
func (d *driver) Report(ctx context.Context, t rollout.Transition) {
	fields := map[string]any{"worker": d.release.plan.Worker.ValueString(), "step": t.Step, "percentage": t.Percentage}
	reported := cloudflare.RolloutTransition{State: string(t.State), Step: t.Step, Percentage: t.Percentage, DeploymentID: t.Deployment, Reason: t.Reason}
	if v := t.Verdict; v != nil {
		fields["gate"], fields["pass"], fields["reason"] = v.Gate, v.Pass, v.Reason
		reported.Verdict = &cloudflare.RolloutVerdict{Gate: v.Gate, Pass: v.Pass, Reason: v.Reason, Detail: v.Detail}
	}
	tflog.Info(ctx, "rollout: "+string(t.State), fields)
	if !d.kept || d.lost.Load() && !t.State.Ended() {
		return
	}
	// The end is reported, too, if it is the end of the run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportPatience)
	defer cancel()
	report := func(ctx context.Context) error {
		return d.release.plane.Client.ReportRollout(ctx, d.release.plan.Worker.ValueString(), d.id, reported)
	}
	err := report(ctx)
	if cloudflare.IsConflict(err) {
		d.lose()
	} else if t.State.Ended() && err != nil {
		err = d.persist(ctx, report)
		d.unreported = err != nil && !cloudflare.IsConflict(err) && !cloudflare.IsNotFound(err)
	}
	if err != nil {
		tflog.Warn(ctx, "rollout: a transition could not be reported", map[string]any{"error": err.Error()})
	}
}
