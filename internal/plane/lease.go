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

// leaseCheck is how often the plane looks for rollouts whose driver is silent. A lease is
// many times longer.
const leaseCheck = time.Second

// rolloutWindUp is the state of a rollout that the plane takes over. A deployment of its
// driver that comes late is refused from then on.
const rolloutWindUp = "rolling_back"

// watchLeases ends rollouts whose driver is silent, until the plane is closed.
func (p *Plane) watchLeases() {
	ticker := time.NewTicker(min(leaseCheck, max(p.rolloutLease/4, time.Millisecond)))
	defer ticker.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
		expired, err := p.reg.ExpiredRollouts(p.ctx, p.now())
		if err != nil {
			if p.ctx.Err() == nil {
				p.log.Error("could not look for rollouts without a driver", "error", err)
			}
			continue
		}
		for _, ro := range expired {
			if err := p.windUp(p.ctx, ro); err != nil && p.ctx.Err() == nil {
				p.log.Error("could not end a rollout whose driver is silent; trying again", "rollout", ro.ID, "error", err)
			}
		}
	}
}

// windUp does what a rollout's plan says about an interruption. Somebody else's
// deployment is left alone. After an error it is tried again.
func (p *Plane) windUp(ctx context.Context, ro registry.Rollout) error {
	var plan rolloutPlan
	if err := json.Unmarshal(ro.Plan, &plan); err != nil {
		return err
	}
	reason := fmt.Sprintf("the driver was silent for %s", p.rolloutLease)
	w, err := p.reg.WorkerByID(ctx, ro.WorkerID)
	if err != nil {
		return err
	}
	live, _, err := p.reg.LiveDeployment(ctx, w.ID)
	if err != nil {
		return err
	}
	switch {
	case plan.finished(live, ro.Deployment):
		return p.endRollout(ctx, ro, "succeeded", "nothing was left to do when "+reason)
	case plan.Previous == "", plan.OnInterrupt == "hold":
		return p.endRollout(ctx, ro, "held", reason)
	case !slices.ContainsFunc(live.Shares, func(s registry.Share) bool { return s.VersionID == plan.Target }):
		if ro.Deployment == "" || live.ID == ro.Deployment || len(live.Shares) == 1 && live.Shares[0].VersionID == plan.Previous {
			return p.endRollout(ctx, ro, "rolled_back", reason) // nothing of it is live
		}
		return p.endRollout(ctx, ro, "overtaken", reason)
	case ro.Deployment != "" && live.ID != ro.Deployment:
		return p.endRollout(ctx, ro, "overtaken", reason)
	}
	// The state says that the driver has lost it, and the lease is kept for us meanwhile.
	if ro.State != rolloutWindUp {
		if ro, err = p.note(ctx, ro.ID, registry.Note{State: rolloutWindUp, LeaseUntil: p.now()}, &rolloutEventJSON{State: rolloutWindUp, DeploymentID: live.ID, Reason: reason}); err != nil {
			return endedMeanwhile(err)
		}
	}
	_, err = p.deploy(ctx, w, []registry.Share{{VersionID: plan.Previous, Percentage: 100}}, deployOptions{
		actor: actor{source: "hybridge", authorEmail: "plane@" + tokenDomain}, annotations: map[string]string{annotationMessage: plan.InterruptMessage},
		triggeredBy: "rollback", force: true, precondition: func(is string) bool { return is == live.ID }, rollout: ro.ID, lost: true,
	})
	if refused := (*Error)(nil); errors.As(err, &refused) && refused.Code == codeETagMismatch {
		return p.endRollout(ctx, ro, "overtaken", reason)
	}
	if err != nil {
		return err
	}
	p.log.Warn("went back to the version before a rollout whose driver is silent", "worker", w.Name, "rollout", ro.ID, "version", plan.Previous)
	return p.endRollout(ctx, ro, "rolled_back", reason)
}

// finished reports whether the rollout's last deployment was all that its last step has.
func (b rolloutPlan) finished(live registry.Deployment, made string) bool {
	last := b.Steps[len(b.Steps)-1] // check has seen that there is one
	return made != "" && live.ID == made && len(live.Shares) == 1 && live.Shares[0].VersionID == b.Target && last.BakeSeconds == 0 && len(last.Gates) == 0
}

func (p *Plane) endRollout(ctx context.Context, ro registry.Rollout, state, reason string) error {
	live, _, err := p.reg.LiveDeployment(ctx, ro.WorkerID)
	if err != nil {
		return err
	}
	_, err = p.note(ctx, ro.ID, registry.Note{State: state, LeaseUntil: p.now(), Ended: true}, &rolloutEventJSON{State: state, DeploymentID: live.ID, Reason: reason})
	return endedMeanwhile(err)
}

// endedMeanwhile takes a rollout that its driver has ended after all for done.
func endedMeanwhile(err error) error {
	if errors.Is(err, registry.ErrRolloutEnded) {
		return nil
	}
	return err
}

// checkRollout refuses a deployment in the name of a rollout that is not its driver's any
// more. The Worker's lock is held.
func (p *Plane) checkRollout(ctx context.Context, w registry.Worker, id string) error {
	ro, _, err := p.reg.Rollout(ctx, id, 0)
	switch {
	case err != nil:
		return orElse(err, rolloutNotFound(id))
	case ro.WorkerID != w.ID:
		return rolloutNotFound(id)
	case ro.EndedOn != nil:
		return rolloutEnded(ro)
	case ro.LeaseUntil.Before(p.now()):
		return rolloutEnded(ro)
	}
	_, err = p.note(ctx, id, registry.Note{LeaseUntil: p.now().Add(p.rolloutLease)}, nil)
	return err
}
