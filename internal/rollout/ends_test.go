// SPDX-License-Identifier: MPL-2.0

package rollout_test

import (
	"context"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

func TestSecondTryOfGoingBackStillSaysWhatItRejects(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	p := planFor(w, func(p *rollout.Plan) { p.Gates["health"] = gate{clock: w, fails: at(10)} })
	w.fault = nth(2, refused)
	if o := rollout.Run(t.Context(), p, w, w, w); o.State != rollout.RolledBack {
		t.Fatalf("it ended %s", o.State)
	}
	if why := w.why[len(w.why)-1]; why.Verdict == nil || why.Verdict.Gate != "health" {
		t.Errorf("the deployment that went back was made for %+v", why)
	}
}

func TestCanaryIsNotTakenPastItsHold(t *testing.T) {
	t.Parallel()
	for _, live := range []float64{20, 90} {
		w := newWorld(split(live)...)
		ten := 10.0
		o := rollout.Run(t.Context(), planFor(w, func(p *rollout.Plan) { p.HoldAt = &ten }), w, w, w)
		if o.State != rollout.Held || w.deploys != 0 {
			t.Errorf("live at %g %%: it ended %s after %d deployments, at %v", live, o.State, w.deploys, w.live.Shares)
		}
	}
}

func TestHoldSeesThatSomebodyHasDeployed(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	p := planFor(w, func(p *rollout.Plan) {
		p.OnFailure = rollout.Hold
		p.Gates["health"] = gate{clock: w, fails: at(10), after: 20 * time.Second}
	})
	w.at = []happening{{10 * time.Second, func() { w.somebody(sole("x")) }}}
	if o := rollout.Run(t.Context(), p, w, w, w); o.State != rollout.Overtaken {
		t.Errorf("it ended %s, and says that %v is live", o.State, o.Live.Shares)
	}
}

func TestSuccessIsNotClaimedUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	w.blind = func() bool { return w.deploys >= 4 }
	if o := rollout.Run(t.Context(), planFor(w, nil), w, w, w); o.State != rollout.Unknown || o.Err == nil {
		t.Errorf("it ended %s (%v)", o.State, o.Err)
	}
}

func TestOneBadAnswerDoesNotKeepAnInterruptedRolloutFromGoingBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(sole("old"))
	asked := 0
	w.at = []happening{{20 * time.Second, cancel}}
	w.blind = func() bool {
		if ctx.Err() == nil {
			return false
		}
		asked++
		return asked == 1
	}
	if o := rollout.Run(ctx, planFor(w, nil), w, w, w); o.State != rollout.RolledBack {
		t.Errorf("it ended %s (%v), at %v", o.State, o.Err, w.live.Shares)
	}
}

// teller cancels the run as soon as a failure was told.
type teller struct {
	*world
	cancel context.CancelFunc
}

func (t teller) Report(ctx context.Context, tr rollout.Transition) {
	t.world.Report(ctx, tr)
	if tr.Verdict != nil && tr.State == rollout.Judged && !tr.Verdict.Pass {
		t.cancel()
	}
}

func TestInterruptionAfterAFailureDoesNotMakeItForgotten(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(sole("old"))
	p := planFor(w, func(p *rollout.Plan) {
		p.OnInterrupt = rollout.Hold
		p.Gates["health"] = gate{clock: w, fails: at(10)}
	})
	o := rollout.Run(ctx, p, w, w, teller{w, cancel})
	if o.State != rollout.RolledBack || o.Failed == nil {
		t.Errorf("it ended %s, failed: %+v, live %v", o.State, o.Failed, w.live.Shares)
	}
}

func TestSameSplitBySomebodyElseIsSomebodyElses(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(sole("old"))
	w.at = []happening{{20 * time.Second, func() { w.somebody(split(10)...) }}, {25 * time.Second, cancel}}
	if o := rollout.Run(ctx, planFor(w, nil), w, w, w); o.State != rollout.Overtaken || w.deploys != 2 {
		t.Errorf("it ended %s after %d deployments", o.State, w.deploys)
	}
}

func TestGoingBackLooksBeforeItTriesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	p := planFor(w, func(p *rollout.Plan) { p.Gates["health"] = gate{clock: w, fails: at(10)} })
	unanswered := 0
	w.fault = nth(2, lost)
	w.blind = func() bool {
		if w.deploys < 3 {
			return false
		}
		unanswered++
		return unanswered <= 3 // all that follow the lost answer
	}
	if o := rollout.Run(t.Context(), p, w, w, w); o.State != rollout.RolledBack || w.deploys != 3 {
		t.Errorf("it ended %s (%v) after %d deployments", o.State, o.Err, w.deploys)
	}
	told := 0
	for _, tr := range w.told {
		if tr.State == rollout.RollingBack {
			told++
		}
	}
	if told != 1 {
		t.Errorf("it told %d times that it goes back", told)
	}
}

// mute is a gate that cannot even say whether it asks.
type mute struct{}

func (mute) Asks() bool                                               { panic("a secret") }
func (mute) Judge(context.Context, rollout.Candidate) rollout.Verdict { panic("a secret") }

func TestGateThatPanicsAnywhereHasFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	p := planFor(w, func(p *rollout.Plan) { p.Gates["health"] = mute{} })
	if o := rollout.Run(t.Context(), p, w, w, w); o.State != rollout.RolledBack || o.Failed == nil || o.Failed.Gate != "health" {
		t.Errorf("it ended %s, failed: %+v", o.State, o.Failed)
	}
}
