// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Callback is a URL that is told of every change of a rollout, as Standard Webhooks say
// (https://www.standardwebhooks.com).
type Callback struct {
	URL    string // it may be a secret by itself
	Secret []byte // the key of the signature
}

// receiver is a Callback in use.
type receiver struct {
	url string
	// key names it in the registry, which keeps no URL; host names it in the log.
	key, host string
	signer    *standardwebhooks.Webhook
	wake      chan struct{} // holds one value after something was queued
}

func newReceiver(c Callback) (*receiver, error) {
	// Neither error may quote what it is about.
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the URL of a callback cannot be parsed")
	}
	signer, err := standardwebhooks.NewWebhookRaw(c.Secret)
	if err != nil {
		return nil, errors.New("a callback cannot be signed: its secret is no key")
	}
	sum := sha256.Sum256([]byte(c.URL))
	return &receiver{url: c.URL, key: hex.EncodeToString(sum[:]), host: u.Host, signer: signer, wake: make(chan struct{}, 1)}, nil
}

// noteOf is the change of a rollout that an event is, with what is to be told of it.
func (p *Plane) noteOf(event rolloutEventJSON) registry.Note {
	note := registry.Note{
		State:    event.State,
		Event:    func(registry.Rollout) (json.RawMessage, error) { return json.Marshal(event) },
		Callback: told,
	}
	for _, r := range p.receivers {
		note.Receivers = append(note.Receivers, r.key)
	}
	return note
}

// note changes a rollout, has its end known to its lease, and what is told of it sent.
func (p *Plane) note(ctx context.Context, id string, note registry.Note) (registry.Rollout, error) {
	ro, err := p.reg.NoteRollout(ctx, id, note)
	if ro.EndedOn != nil {
		p.leases.end(id)
	}
	p.wakeCallbacks()
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

func (p *Plane) wakeCallbacks() {
	for _, r := range p.receivers {
		select {
		case r.wake <- struct{}{}:
		default: // it looks anyhow
		}
	}
}

// tell tells one receiver what is queued for it, until the plane is closed. It has an
// order of its own for each rollout, so one rollout's trouble holds up no other, and one
// receiver's no other.
func (p *Plane) tell(r *receiver) {
	client := newCallbackClient()
	defer client.CloseIdleConnections()
	for {
		due, next, err := p.reg.Callbacks(p.ctx, r.key, p.now())
		for _, c := range due {
			if err == nil {
				err = p.tellOne(client, r, c)
			}
		}
		if p.ctx.Err() != nil {
			return
		}
		var again <-chan time.Time
		switch {
		case err != nil: // of the registry
			p.log.Error("could not work through the callbacks; trying again", "host", r.host, "error", err)
			again = time.After(callbackLook)
		case len(due) > 0:
			continue
		case !next.IsZero():
			again = time.After(min(next.Sub(p.now()), callbackLook))
		}
		select {
		case <-again:
		case <-r.wake:
		case <-p.ctx.Done():
			return
		}
	}
}

// tellOne makes one attempt, and notes what has come of it. Its error is the registry's.
func (p *Plane) tellOne(client *callbackClient, r *receiver, c registry.Callback) error {
	err := client.post(p.ctx, r, c, p.now())
	if p.ctx.Err() != nil {
		return nil //nolint:nilerr // the next plane on this registry tells it
	}
	// What was told must be forgotten also if the plane stops at this moment.
	ctx := context.WithoutCancel(p.ctx)
	switch {
	case err == nil:
		return p.reg.DoneCallback(ctx, c.Seq)
	case p.now().Sub(c.CreatedOn) > callbackGiveUp:
		p.log.Error("gave up a callback", "host", r.host, "rollout", c.RolloutID, "attempts", c.Attempts+1, "error", err)
		return p.reg.DoneCallback(ctx, c.Seq)
	}
	pause := p.pauseAfter(c.Attempts)
	p.log.Warn("a callback failed; trying again", "host", r.host, "rollout", c.RolloutID, "in", pause, "error", err)
	return p.reg.RetryCallback(ctx, c.Seq, p.now().Add(pause))
}
