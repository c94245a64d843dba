// SPDX-License-Identifier: MPL-2.0

// Package outbox tells receivers, by signed webhooks, what the registry has queued for
// them: changes of rollouts, and alerts. What is queued is told until a receiver has
// taken it, over restarts, for a day.
package outbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// giveUp is how long something is tried to be told.
	giveUp = 24 * time.Hour
	// DefaultPause is the first pause between attempts. They double, up to maxPause.
	DefaultPause = time.Second
	maxPause     = 5 * time.Minute
	// lookEvery is how often the clock is looked at while something is queued.
	lookEvery = time.Second
)

// Receiver is a URL that is told of events, as Standard Webhooks say
// (https://www.standardwebhooks.com).
type Receiver struct {
	URL    string // it may be a secret by itself
	Secret []byte // the key of the signature
}

// Config is what an Outbox is made of.
type Config struct {
	Registry  *registry.Registry
	Receivers []Receiver
	Log       hclog.Logger
	Pause     time.Duration    // the first one between attempts; 0 is DefaultPause
	Now       func() time.Time // nil means time.Now
}

// Outbox delivers. It is safe for concurrent use.
type Outbox struct {
	reg       *registry.Registry
	log       hclog.Logger
	pause     time.Duration
	now       func() time.Time
	receivers []*receiver
}

// receiver is a Receiver in use.
type receiver struct {
	url string
	// key names it in the registry, which keeps no URL; host names it in the log.
	key, host string
	signer    *standardwebhooks.Webhook
	wake      chan struct{} // holds one value after something was queued
}

// New makes an Outbox. It sends nothing before Run.
func New(c Config) (*Outbox, error) {
	o := &Outbox{reg: c.Registry, log: c.Log, pause: cmp.Or(c.Pause, DefaultPause), now: c.Now}
	if o.now == nil {
		o.now = time.Now
	}
	for _, r := range c.Receivers {
		made, err := newReceiver(r)
		if err != nil {
			return nil, err
		}
		o.receivers = append(o.receivers, made)
	}
	return o, nil
}

func newReceiver(c Receiver) (*receiver, error) {
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

// Receivers are the names that the registry queues for.
func (o *Outbox) Receivers() (keys []string) {
	for _, r := range o.receivers {
		keys = append(keys, r.key)
	}
	return keys
}

// Wake has it look for what was queued.
func (o *Outbox) Wake() {
	for _, r := range o.receivers {
		select {
		case r.wake <- struct{}{}:
		default: // it looks anyhow
		}
	}
}

// Forget drops what nobody tells any more, e.g. because its receiver is not configured now.
func (o *Outbox) Forget(ctx context.Context) error {
	if err := o.reg.ForgetMessages(ctx, o.now().Add(-2*giveUp)); err != nil {
		return fmt.Errorf("looking through the outbox: %w", err)
	}
	return nil
}

// Run tells what is queued and what will be, until ctx ends. Each receiver has an order of
// its own for each topic, so one topic's trouble holds up no other, and one receiver's no other.
func (o *Outbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, r := range o.receivers {
		running.Go(func() { o.tell(ctx, r) })
	}
	running.Wait()
}

func (o *Outbox) tell(ctx context.Context, r *receiver) {
	client := newClient()
	defer client.CloseIdleConnections()
	for {
		due, next, err := o.reg.Messages(ctx, r.key, o.now())
		for _, m := range due {
			if err == nil {
				err = o.tellOne(ctx, client, r, m)
			}
		}
		if ctx.Err() != nil {
			return
		}
		var again <-chan time.Time
		switch {
		case err != nil: // of the registry
			o.log.Error("could not work through the outbox; trying again", "host", r.host, "error", err)
			again = time.After(lookEvery)
		case len(due) > 0:
			continue
		case !next.IsZero():
			again = time.After(min(next.Sub(o.now()), lookEvery))
		}
		select {
		case <-again:
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}

// tellOne makes one attempt, and notes what has come of it. Its error is the registry's.
func (o *Outbox) tellOne(ctx context.Context, client *client, r *receiver, m registry.Message) error {
	err := client.post(ctx, r, m, o.now())
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the next Outbox on this registry tells it
	}
	// What was told must be forgotten also if all stops at this moment.
	ctx = context.WithoutCancel(ctx)
	switch {
	case err == nil:
		return o.reg.DoneMessage(ctx, m.Seq)
	case o.now().Sub(m.CreatedOn) > giveUp:
		o.log.Error("gave up a callback", "host", r.host, "topic", m.Topic, "attempts", m.Attempts+1, "error", err)
		return o.reg.DoneMessage(ctx, m.Seq)
	}
	pause := o.pauseAfter(m.Attempts)
	o.log.Warn("a callback failed; trying again", "host", r.host, "topic", m.Topic, "in", pause, "error", err)
	return o.reg.RetryMessage(ctx, m.Seq, o.now().Add(pause))
}

// TellOnce makes one attempt with every receiver, for what the registry cannot keep. m.ID
// MUST be the one that it gets if it is queued later, so that receivers know it again.
func (o *Outbox) TellOnce(ctx context.Context, m registry.Message) {
	client := newClient()
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	for _, r := range o.receivers {
		running.Go(func() {
			if err := client.post(ctx, r, m, o.now()); err != nil {
				o.log.Error("a callback that cannot be kept failed", "host", r.host, "topic", m.Topic, "error", err)
			}
		})
	}
	running.Wait()
}

// pauseAfter is how long is waited after so many attempts that failed before this one. The
// jitter keeps receivers from being called by everybody at once when they come back.
func (o *Outbox) pauseAfter(attempts int) time.Duration {
	pause := min(maxPause, o.pause<<min(attempts, 20))
	return pause - time.Duration(rand.Int64N(int64(pause)/4+1))
}
