// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

func (p *Plane) listRollouts(r *request) (*reply, error) {
	query := r.URL.Query()
	limit := shownRollouts
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		limit = min(n, shownRollouts)
	}
	list, err := p.reg.Rollouts(r.Context(), r.account.ID, query.Get("worker"), query.Get("state"), limit)
	if err != nil {
		return nil, err
	}
	out := make([]rolloutJSON, len(list))
	for i, ro := range list {
		if out[i], err = p.showRollout(ro, nil); err != nil {
			return nil, err
		}
	}
	return &reply{bare: true, result: map[string]any{"rollouts": out}}, nil
}

// seenRollout is a rollout of the caller's account, with its events after a number.
func (p *Plane) seenRollout(r *request, after int64) (registry.Rollout, []registry.RolloutEvent, error) {
	id := r.param("rollout")
	ro, events, err := p.reg.Rollout(r.Context(), id, after)
	if err != nil {
		return ro, nil, orElse(err, rolloutNotFound(id))
	}
	if ro.AccountID != r.account.ID {
		return ro, nil, rolloutNotFound(id)
	}
	return ro, events, nil
}

func (p *Plane) getRollout(r *request) (*reply, error) {
	ro, events, err := p.seenRollout(r, 0)
	if err != nil {
		return nil, err
	}
	out, err := p.showRollout(ro, events)
	return &reply{bare: true, result: out}, err
}

func (p *Plane) getRolloutEvents(r *request) (*reply, error) {
	var after int64
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return nil, fail(http.StatusBadRequest, codeBadParameter, "The query parameter after must be the number of an event.")
		}
	}
	ro, events, err := p.seenRollout(r, after)
	if err != nil {
		return nil, err
	}
	if wantsStream(r.Request) {
		return p.streamRollout(r, ro, after)
	}
	list, err := decodeEvents(events)
	return &reply{bare: true, result: map[string]any{"events": list, "sequence": ro.Sequence, "state": ro.State}}, err
}

func decodeEvents(events []registry.RolloutEvent) ([]numberedEventJSON, error) {
	list := make([]numberedEventJSON, len(events))
	for i, e := range events {
		list[i].Sequence, list[i].At = e.Sequence, stamp(e.At)
		if err := json.Unmarshal(e.Event, &list[i].rolloutEventJSON); err != nil {
			return nil, fmt.Errorf("event %d: %w", e.Sequence, err)
		}
	}
	return list, nil
}

func planOf(ro registry.Rollout) (plan rolloutPlan, err error) {
	if err := json.Unmarshal(ro.Plan, &plan); err != nil {
		return plan, fmt.Errorf("the plan of the rollout %s: %w", ro.ID, err)
	}
	return plan, nil
}

func (p *Plane) showRollout(ro registry.Rollout, events []registry.RolloutEvent) (rolloutJSON, error) {
	out, err := snapshot(ro)
	if err != nil {
		return out, err
	}
	if ro.EndedOn == nil {
		out.LeaseSeconds = p.leases.left(ro.ID, p.now()).Seconds()
	}
	out.Events, err = decodeEvents(events)
	return out, err
}

// snapshot is a rollout without events and lease.
func snapshot(ro registry.Rollout) (out rolloutJSON, err error) {
	if out.rolloutPlan, err = planOf(ro); err != nil {
		return out, err
	}
	out.WorkerID, out.Worker, out.State, out.Sequence = ro.WorkerID, ro.Worker, ro.State, ro.Sequence
	out.StartedOn, out.UpdatedOn, out.EndedOn = stamp(ro.CreatedOn), stamp(ro.UpdatedOn), nullStamp(ro.EndedOn)
	out.Live = make([]shareJSON, len(ro.Live))
	for i, s := range ro.Live {
		out.Live[i] = shareJSON(s)
	}
	return out, nil
}
