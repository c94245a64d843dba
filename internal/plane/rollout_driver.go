// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

func (p *Plane) postRollout(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	var body rolloutPlan
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	for _, id := range []string{body.Target, body.Previous} {
		if id == "" {
			continue
		}
		if _, err := p.reg.Version(r.Context(), w.ID, id); err != nil {
			return nil, orElse(err, versionNotFound(id))
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ro, err := p.reg.CreateRollout(r.Context(), registry.Rollout{ID: body.ID, WorkerID: w.ID, Plan: text, State: "deploying", Base: body.Base})
	switch {
	case errors.Is(err, registry.ErrLiveChanged):
		return nil, fail(http.StatusConflict, codeConcurrent, "The Worker %q was deployed since the driver has looked: look again, and announce the rollout anew.", w.Name)
	case errors.Is(err, registry.ErrRolloutActive):
		return nil, p.rolloutActive(ro)
	case errors.Is(err, registry.ErrRolloutExists):
		return nil, fail(http.StatusConflict, codeConcurrent, "There is another rollout with the id %s: make a new id for each.", body.ID)
	case err != nil:
		return nil, orElse(err, workerNotFound(w.Name))
	}
	if ro.EndedOn == nil {
		p.beginLease(ro)
		answered, err := p.driverCalls(ro.ID)
		if err != nil {
			return nil, err
		}
		answered()
	}
	out, err := p.showRollout(ro, nil)
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusCreated, bare: true, result: out}, nil
}

func (p *Plane) rolloutActive(ro registry.Rollout) error {
	plan, err := planOf(ro)
	if err != nil {
		return err
	}
	left := "the plane is ending it"
	if d := p.leases.left(ro.ID, p.now()); d > 0 {
		left = fmt.Sprintf("its driver may be silent for %.0f s more", d.Seconds())
	}
	return fail(http.StatusConflict, codeConcurrent, "The Worker %q is going through the rollout %s of version %s already, since %s (run %q, %s): wait for its end, or look at it with `hybridge rollout show %s`.",
		ro.Worker, ro.ID, plan.Target, ro.CreatedOn.Format(time.RFC3339), plan.Run.ID, left, ro.ID)
}

// rolloutOf is the rollout of a path, of the Worker in it, which may be gone.
func (p *Plane) rolloutOf(r *request) (registry.Rollout, error) {
	ro, _, err := p.seenRollout(r, 0)
	if err != nil {
		return ro, err
	}
	if name := r.param("worker"); ro.WorkerID != name && ro.Worker != name {
		return ro, rolloutNotFound(ro.ID)
	}
	return ro, nil
}

func (p *Plane) postTransition(r *request) (*reply, error) {
	var body rolloutEventJSON
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	ro, err := p.rolloutOf(r)
	if err != nil {
		return nil, err
	}
	answered, err := p.driverCalls(ro.ID)
	if err != nil {
		return nil, err
	}
	defer answered()
	note := p.noteOf(body)
	note.Driver, note.Ended = true, slices.Contains(rolloutEnds, body.State)
	ro, err = p.note(r.Context(), ro.ID, note)
	switch {
	case errors.Is(err, registry.ErrRolloutEnded):
		return nil, rolloutEnded(ro)
	case errors.Is(err, registry.ErrRolloutTaken):
		return nil, rolloutTaken(ro.ID)
	case errors.Is(err, registry.ErrRolloutFull):
		return nil, badRollout("it has more events than any rollout has.")
	case err != nil:
		return nil, orElse(err, rolloutNotFound(r.param("rollout")))
	}
	return &reply{bare: true, result: map[string]any{"sequence": ro.Sequence, "lease_seconds": p.rolloutLease.Seconds()}}, nil
}

func (p *Plane) putLease(r *request) (*reply, error) {
	ro, err := p.rolloutOf(r)
	switch {
	case err != nil:
		return nil, err
	case ro.EndedOn != nil:
		return nil, rolloutEnded(ro)
	case ro.TakenOn != nil:
		return nil, rolloutTaken(ro.ID)
	}
	answered, err := p.driverCalls(ro.ID)
	if err != nil {
		return nil, err
	}
	answered()
	return &reply{bare: true, result: map[string]any{"lease_seconds": p.rolloutLease.Seconds()}}, nil
}

func rolloutNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeDeploymentNotFound, "The rollout %q was not found.", id)
}

func rolloutEnded(ro registry.Rollout) *Error {
	return fail(http.StatusConflict, codeConcurrent, "The rollout %s has ended: it is %s. Look at it with `hybridge rollout show %s`.", ro.ID, ro.State, ro.ID)
}

func rolloutTaken(id string) *Error {
	return fail(http.StatusConflict, codeConcurrent, "The driver of the rollout %s was silent for too long, and the plane is ending it. Look at it with `hybridge rollout show %s`.", id, id)
}

// refusedNote is what a driver is told about a change that comes too late, nil where err
// is something else.
func refusedNote(id string, err error) *Error {
	switch {
	case errors.Is(err, registry.ErrRolloutEnded):
		return fail(http.StatusConflict, codeConcurrent, "The rollout %s has ended. Look at it with `hybridge rollout show %s`.", id, id)
	case errors.Is(err, registry.ErrRolloutTaken):
		return rolloutTaken(id)
	}
	return nil
}

// checkRollout refuses a deployment in the name of a rollout that is not its driver's any
// more, before anything moves. The Worker's lock is held.
func (p *Plane) checkRollout(ctx context.Context, w registry.Worker, id string) error {
	ro, _, err := p.reg.Rollout(ctx, id, 0)
	switch {
	case err != nil:
		return orElse(err, rolloutNotFound(id))
	case ro.WorkerID != w.ID:
		return rolloutNotFound(id)
	case ro.EndedOn != nil:
		return rolloutEnded(ro)
	case ro.TakenOn != nil:
		return rolloutTaken(id)
	}
	return nil
}
