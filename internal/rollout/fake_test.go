// SPDX-License-Identifier: MPL-2.0

package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

const start = "d0"

// world is a plane, a clock and a reporter. Time passes only while somebody sleeps, and
// then at once.
type world struct {
	mu   sync.Mutex
	now  time.Time
	live rollout.Deployment
	past []rollout.Deployment // every deployment of the rollout, oldest first
	told []rollout.Transition
	why  []rollout.Transition // what each deployment was for

	deploys int
	// fault is asked before each Deploy: what to do with it.
	fault func(n int) fault
	// blind makes Current fail.
	blind   func() bool
	judging atomic.Int32 // gates that are judging now
	// at lets something happen at a time; each happens once.
	at []happening
}

type fault int

const (
	works       fault = iota
	refused           // an error, and nothing has changed
	lost              // the answer got lost after it was done
	foreign           // somebody else deploys just before
	unreachable       // an error, and nothing can be asked afterwards either
)

type happening struct {
	after time.Duration
	do    func()
}

var errFault = errors.New("the plane failed")

func newWorld(live ...rollout.Share) *world {
	w := &world{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if len(live) > 0 {
		w.live = rollout.Deployment{ID: start, Shares: live}
	}
	return w
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Sleep passes at once, stopping at everything that is to happen on the way.
func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	until := w.now.Add(d)
	w.mu.Unlock()
	for {
		w.mu.Lock()
		next := -1
		for i, h := range w.at {
			when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(h.after)
			if !when.After(until) && (next < 0 || h.after < w.at[next].after) {
				next = i
			}
		}
		if next < 0 {
			if until.After(w.now) {
				w.now = until
			}
			w.mu.Unlock()
			return ctx.Err()
		}
		h := w.at[next]
		w.at = slices.Delete(w.at, next, next+1)
		if when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(h.after); when.After(w.now) {
			w.now = when
		}
		w.mu.Unlock()
		h.do()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// somebody deploys beside the rollout.
func (w *world) somebody(shares ...rollout.Share) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live = rollout.Deployment{ID: fmt.Sprint("theirs", w.deploys, len(w.told)), Shares: shares}
}

func (w *world) Deploy(ctx context.Context, over string, shares []rollout.Share, why rollout.Transition) (rollout.Deployment, error) {
	if err := ctx.Err(); err != nil {
		return rollout.Deployment{}, err
	}
	w.mu.Lock()
	n := w.deploys
	w.deploys++
	w.mu.Unlock()
	what := works
	if w.fault != nil {
		what = w.fault(n)
	}
	if what == foreign {
		w.somebody(rollout.Share{VersionID: "x", Percentage: 100})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.past) > 0 && w.live.ID == w.past[len(w.past)-1].ID && slices.Equal(w.live.Shares, shares) {
		return w.live, nil // made by an earlier call, whose answer got lost
	}
	if w.live.ID != over {
		return rollout.Deployment{}, fmt.Errorf("deploying: %w", rollout.ErrMoved)
	}
	if what == refused || what == unreachable {
		return rollout.Deployment{}, errFault
	}
	w.live = rollout.Deployment{ID: fmt.Sprint("d", n+1), Shares: shares}
	w.past, w.why = append(w.past, w.live), append(w.why, why)
	if what == lost {
		return rollout.Deployment{}, errFault
	}
	return w.live, nil
}

func (w *world) Current(ctx context.Context) (rollout.Deployment, error) {
	if err := ctx.Err(); err != nil {
		return rollout.Deployment{}, err
	}
	if w.blind != nil && w.blind() {
		return rollout.Deployment{}, errFault
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live, nil
}

func (w *world) Report(_ context.Context, t rollout.Transition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, t)
}

// states are what was told, in order.
func (w *world) states() []string {
	var out []string
	for _, t := range w.told {
		text := string(t.State)
		switch {
		case t.Verdict != nil && t.State == rollout.Judged:
			text += fmt.Sprintf(" %s=%v", t.Verdict.Gate, t.Verdict.Pass)
		case !t.State.Ended() && t.State != rollout.RollingBack:
			text += fmt.Sprintf(" %g", t.Percentage)
		}
		out = append(out, text)
	}
	return out
}

// gate is one whose verdict depends on the step's percentage.
type gate struct {
	clock  rollout.Clock
	asks   bool
	fails  func(percentage float64) bool
	after  time.Duration // when it fails; at the end of the bake time if it is longer
	panics bool
}

func (g gate) Asks() bool { return g.asks }

func (g gate) Judge(ctx context.Context, c rollout.Candidate) rollout.Verdict {
	if w, ok := g.clock.(*world); ok {
		w.judging.Add(1)
		defer w.judging.Add(-1)
	}
	if g.panics {
		panic("a secret")
	}
	fails := g.fails != nil && g.fails(c.Percentage)
	wait := c.Bake
	if fails {
		wait = min(wait, g.after)
	}
	if !g.asks {
		_ = g.clock.Sleep(ctx, wait-g.clock.Now().Sub(c.Since))
	}
	return rollout.Verdict{Pass: !fails, Reason: "seen"}
}

func at(percentages ...float64) func(float64) bool {
	return func(p float64) bool { return slices.Contains(percentages, p) }
}
