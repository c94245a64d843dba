// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"encoding/json"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/outbox"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Outbox tells this plane's Callbacks what is queued for them.
func (p *Plane) Outbox() *outbox.Outbox { return p.outbox }

// noteOf is the change of a rollout that an event is, with what is to be told of it.
func (p *Plane) noteOf(event rolloutEventJSON) registry.Note {
	note := registry.Note{
		State:    event.State,
		Event:    func(registry.Rollout) (json.RawMessage, error) { return json.Marshal(event) },
		Callback: told,
	}
	note.Receivers = p.outbox.Receivers()
	return note
}

// note changes a rollout, has its end known to its lease, and what is told of it sent.
func (p *Plane) note(ctx context.Context, id string, note registry.Note) (registry.Rollout, error) {
	ro, err := p.reg.NoteRollout(ctx, id, note)
	if ro.EndedOn != nil {
		p.leases.end(id)
	}
	p.outbox.Wake()
	return ro, err
}

// toldJSON is the body of a callback.
type toldJSON struct {
	Type      string `json:"type"`
	Timestamp stamp  `json:"timestamp"`
	Data      struct {
		Event   numberedEventJSON `json:"event"`
		Rollout toldRolloutJSON   `json:"rollout"`
	} `json:"data"`
}

// toldRolloutJSON is a rollout as it was after the event: without a lease, which would be
// that of another moment.
type toldRolloutJSON struct {
	rolloutJSON
	LeaseSeconds *float64 `json:"lease_seconds_left,omitempty"`
}

// told is what is told of an event: without what a Worker or a webhook has answered, which
// stays on the plane.
func told(ro registry.Rollout, e registry.RolloutEvent) (json.RawMessage, error) {
	events, err := decodeEvents([]registry.RolloutEvent{e})
	if err != nil {
		return nil, err
	}
	var body toldJSON
	body.Data.Event = events[0]
	if v := body.Data.Event.Verdict; v != nil {
		v.Detail = ""
	}
	if body.Data.Rollout.rolloutJSON, err = snapshot(ro); err != nil {
		return nil, err
	}
	body.Type, body.Timestamp = "rollout."+events[0].State, stamp(e.At)
	return json.Marshal(body)
}
