// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// openLeases gives every rollout that goes on its time, when nobody could use it before:
// at the start of the plane. One that the plane had taken over is its own at once.
func (p *Plane) openLeases(ctx context.Context) error {
	open, err := p.reg.OpenRollouts(ctx)
	if err != nil {
		return err
	}
	for _, ro := range open {
		p.beginLease(ro)
	}
	return nil
}

// beginLease opens the lease of a rollout and has it watched until the rollout has ended.
func (p *Plane) beginLease(ro registry.Rollout) {
	l := p.leases.begin(ro.ID, ro.WorkerID, p.leaseEnd(), ro.TakenOn != nil)
	if l == nil {
		return
	}
	p.inBackground(func() { p.watchLease(ro.ID, l) })
}

func (p *Plane) leaseEnd() time.Time { return p.now().Add(p.rolloutLease) }

// driverCalls notes a call of a rollout's driver. done is called once it is answered.
func (p *Plane) driverCalls(id string) (done func(), err error) {
	done, ok := p.leases.call(id, p.leaseEnd)
	if !ok {
		return nil, rolloutTaken(id)
	}
	return done, nil
}

// watchLease waits for the end of a rollout or of its driver's time, and then does what
// the rollout's plan says, again and again until that has worked.
func (p *Plane) watchLease(id string, l *lease) {
	delay := p.mendDelay
	for wait := time.Duration(0); ; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.ended:
			timer.Stop()
			return
		case <-p.ctx.Done():
			timer.Stop()
			return
		}
		if left := p.leases.left(id, p.now()); left > 0 {
			wait = min(left, leaseLook)
			continue
		}
		err := p.windUp(id)
		if err == nil {
			wait = 0 // it has ended, or its driver has spoken
			continue
		}
		if p.ctx.Err() == nil {
			p.leases.markStuck(id)
			p.log.Error("could not end a rollout whose driver is silent; trying again", "rollout", id, "in", delay, "error", err)
		}
		wait, delay = delay, min(2*delay, maxMendDelay)
	}
}

// windUp ends a rollout whose driver is silent. It returns nil also where there is nothing
// to do, because the driver has spoken or ended it meanwhile.
func (p *Plane) windUp(id string) error {
	ro, _, err := p.reg.Rollout(p.ctx, id, 0)
	if errors.Is(err, registry.ErrNotFound) || err == nil && ro.EndedOn != nil {
		p.leases.end(id)
		return nil
	}
	if err != nil {
		return err
	}
	w, ctx, done, err := p.beginSwitch(p.ctx, registry.Worker{ID: ro.WorkerID, Name: ro.Worker})
	if gone := (*Error)(nil); errors.As(err, &gone) && gone.Code == codeWorkerNotFound {
		return p.endRollout(p.ctx, ro, "overtaken", "the Worker was deleted")
	}
	if err != nil {
		return err
	}
	defer done()
	// beginSwitch lets a change outlive its request, but this one ends with the plane.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	if !p.leases.take(id, p.now()) {
		return nil
	}
	if ro, _, err = p.reg.Rollout(ctx, id, 0); err != nil {
		return err
	}
	return p.actForDriver(ctx, w, ro)
}

// actForDriver does what a rollout's plan says about an interruption. Somebody else's
// deployment is left alone. The Worker's lock is held.
func (p *Plane) actForDriver(ctx context.Context, w registry.Worker, ro registry.Rollout) error {
	plan, err := planOf(ro)
	if err != nil {
		return err
	}
	live, _, err := p.reg.LiveDeployment(ctx, w.ID)
	if err != nil {
		return err
	}
	ours := ro.Deployment
	if ours == "" {
		ours = ro.Base // perhaps a step of a rollout that this one takes up
	}
	reason := fmt.Sprintf("the driver was silent for %s", p.rolloutLease)
	switch {
	case ro.EndedOn != nil:
		p.leases.end(ro.ID)
		return nil
	case live.ID != ours:
		return p.endRollout(ctx, ro, "overtaken", reason+", and somebody else has deployed")
	case plan.finished(live, ro.Deployment):
		return p.endRollout(ctx, ro, "succeeded", reason+", and nothing was left to do")
	case plan.Previous == "" || plan.OnInterrupt == "hold":
		return p.endRollout(ctx, ro, "held", reason)
	case !slices.ContainsFunc(live.Shares, func(s registry.Share) bool { return s.VersionID == plan.Target }):
		return p.endRollout(ctx, ro, "rolled_back", reason) // nothing of it is live
	}
	if ro.TakenOn == nil {
		// Noted first, so that it is the plane's also after a crash.
		note := p.noteOf(rolloutEventJSON{State: "rolling_back", DeploymentID: live.ID, Reason: reason})
		note.Taken = true
		if ro, err = p.note(ctx, ro.ID, note); err != nil {
			return err
		}
	}
	ended := p.noteOf(rolloutEventJSON{State: "rolled_back", Reason: reason})
	ended.Ended = true
	ended.Event = func(ro registry.Rollout) (json.RawMessage, error) {
		return json.Marshal(rolloutEventJSON{State: "rolled_back", DeploymentID: ro.Deployment, Reason: reason})
	}
	_, err = p.switchTo(ctx, w, []registry.Share{{VersionID: plan.Previous, Percentage: 100}}, deployOptions{
		actor: actor{source: "hybridge", authorEmail: "plane@" + tokenDomain}, annotations: map[string]string{annotationMessage: plan.InterruptMessage},
		triggeredBy: "rollback", force: true, rollout: ro.ID, note: &ended,
	})
	// It was deleted, or is too old: no other try will do better.
	if refused := (*Error)(nil); errors.As(err, &refused) && (refused.Code == codeVersionNotFound || refused.Code == codeBadDeployment) {
		return p.endRollout(ctx, ro, "unknown", reason+", and the previous version cannot be deployed any more: "+refused.Message)
	}
	if err != nil {
		return err
	}
	p.leases.end(ro.ID)
	p.log.Warn("went back to the version before a rollout whose driver is silent", "worker", w.Name, "rollout", ro.ID, "version", plan.Previous)
	return nil
}

// finished reports whether the rollout's last deployment was all that its last step has. A
// Worker's first deployment has all gates after it.
func (b rolloutPlan) finished(live registry.Deployment, made string) bool {
	last := b.Steps[len(b.Steps)-1] // check has seen that there is one
	return b.Previous != "" && made != "" && live.ID == made && len(live.Shares) == 1 && live.Shares[0].VersionID == b.Target && last.BakeSeconds == 0 && len(last.Gates) == 0
}

// endRollout ends a rollout in the place of its driver.
func (p *Plane) endRollout(ctx context.Context, ro registry.Rollout, state, reason string) error {
	event := rolloutEventJSON{State: state, Reason: reason}
	live, _, err := p.reg.LiveDeployment(ctx, ro.WorkerID)
	if err == nil {
		event.DeploymentID = live.ID
	} else if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	note := p.noteOf(event)
	note.Ended = true
	_, err = p.note(ctx, ro.ID, note)
	if errors.Is(err, registry.ErrRolloutEnded) {
		err = nil // by its driver, after all
	}
	return err
}

// endRolloutsOf ends the rollout of a Worker that is about to be deleted. The Worker's
// lock is held.
func (p *Plane) endRolloutsOf(ctx context.Context, w registry.Worker) error {
	open, err := p.reg.OpenRollouts(ctx)
	if err != nil {
		return err
	}
	for _, ro := range open {
		if ro.WorkerID == w.ID {
			return p.endRollout(ctx, ro, "overtaken", "the Worker was deleted")
		}
	}
	return nil
}
