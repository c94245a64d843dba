// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Callback is a URL that is told of every change of a rollout, as Standard Webhooks say
// (https://www.standardwebhooks.com).
type Callback struct {
	URL    string
	Secret []byte // the key of the signature
}

const (
	// callbackLook is how often the queue is looked at.
	callbackLook = 500 * time.Millisecond
	// callbackTimeout is for one attempt.
	callbackTimeout = 15 * time.Second
	// callbackGiveUp is how long something is tried to be told.
	callbackGiveUp = 24 * time.Hour
	// The pauses between attempts double, from the first to the longest.
	callbackFirstPause, callbackLongestPause = time.Second, 5 * time.Minute
	// callbackAnswer is how much of an answer is read, so that its connection can be used again.
	callbackAnswer = 16 << 10
)

// note changes a rollout, and queues what is to be told of it.
func (p *Plane) note(ctx context.Context, id string, n registry.Note, event *rolloutEventJSON) (registry.Rollout, error) {
	if event != nil {
		numbered := func(ro registry.Rollout, at time.Time) rolloutEventJSON {
			e := *event
			e.Sequence, e.At = ro.Sequence, stamp(at)
			return e
		}
		n.Event = func(ro registry.Rollout, at time.Time) (json.RawMessage, error) {
			return json.Marshal(numbered(ro, at))
		}
		n.Callback = func(ro registry.Rollout, at time.Time) (json.RawMessage, error) { return told(ro, numbered(ro, at)) }
		for _, c := range p.callbacks {
			n.URLs = append(n.URLs, c.URL)
		}
	}
	return p.reg.NoteRollout(ctx, id, n)
}

// told is the body of a callback: the event and the rollout, without what a Worker or a
// webhook has answered, which stays on the plane.
func told(ro registry.Rollout, e rolloutEventJSON) (json.RawMessage, error) {
	if e.Verdict != nil {
		verdict := *e.Verdict
		verdict.Detail = ""
		e.Verdict = &verdict
	}
	return json.Marshal(map[string]any{
		"type": "rollout." + e.State, "timestamp": e.At,
		"data": map[string]any{"event": e, "rollout": ro.Plan, "worker_id": ro.WorkerID, "state": ro.State, "ended": ro.EndedOn != nil},
	})
}

// sendCallbacks tells one URL what is queued for it, until the plane is closed.
func (p *Plane) sendCallbacks(c Callback) {
	signer, err := standardwebhooks.NewWebhookRaw(c.Secret)
	if err != nil {
		p.log.Error("a callback cannot be signed", "url", c.URL)
		return
	}
	client := &http.Client{
		Timeout:       callbackTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(callbackLook)
	defer ticker.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
		for {
			due, err := p.reg.DueCallbacks(p.ctx, c.URL, p.now())
			if err != nil || len(due) == 0 {
				break // the next look tries again
			}
			for _, each := range due {
				p.sendCallback(client, signer, each)
			}
			if p.ctx.Err() != nil {
				return
			}
		}
	}
}

// sendCallback makes one attempt, and notes what has come of it.
func (p *Plane) sendCallback(client *http.Client, signer *standardwebhooks.Webhook, c registry.Callback) {
	err := post(p.ctx, client, signer, c, p.now())
	if p.ctx.Err() != nil {
		return // the next plane on this registry tells it
	}
	// What was told must be forgotten also if the plane stops at this moment.
	ctx := context.WithoutCancel(p.ctx)
	switch {
	case err == nil:
		err = p.reg.DoneCallback(ctx, c.Seq)
	case p.now().Sub(c.CreatedOn) > callbackGiveUp:
		p.log.Error("gave up a callback", "url", c.URL, "rollout", c.RolloutID, "error", err)
		err = p.reg.DoneCallback(ctx, c.Seq)
	default:
		pause := min(callbackLongestPause, callbackFirstPause<<min(c.Attempts, 20))
		pause += time.Duration(rand.Int64N(int64(pause)/4 + 1))
		p.log.Debug("a callback failed; trying again", "url", c.URL, "in", pause, "error", err)
		err = p.reg.RetryCallback(ctx, c.Seq, p.now().Add(pause))
	}
	if err != nil {
		p.log.Error("could not note a callback", "url", c.URL, "error", err)
	}
}

func post(ctx context.Context, client *http.Client, signer *standardwebhooks.Webhook, c registry.Callback, now time.Time) error {
	signature, err := signer.Sign(c.MessageID, now, c.Body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(c.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hybridge")
	req.Header.Set(standardwebhooks.HeaderWebhookID, c.MessageID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, callbackAnswer))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered with status %d", res.StatusCode)
	}
	return nil
}
