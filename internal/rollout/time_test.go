// SPDX-License-Identifier: MPL-2.0

package rollout_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// hanging is a plane whose deployments hang until their context ends, from the n-th on.
type hanging struct {
	*world
	from int
}

func (h hanging) Deploy(ctx context.Context, over string, shares []rollout.Share, why rollout.Transition) (rollout.Deployment, error) {
	if h.deploys >= h.from {
		<-ctx.Done()
		return rollout.Deployment{}, ctx.Err()
	}
	return h.world.Deploy(ctx, over, shares, why)
}

func TestItEndsTenSecondsAfterAnInterruptionWhateverHangs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fail bool // a gate has failed before the interruption
	}{{"while a step is deployed", false}, {"while it goes back from a failure", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				w := newWorld(sole("old"))
				h := hanging{world: w, from: 2}
				clock := rollout.SystemClock{}
				p := planFor(w, func(p *rollout.Plan) {
					p.Gates = map[string]rollout.Gate{"health": gate{clock: clock}, "errors": gate{clock: clock}, "release": gate{clock: clock, asks: true}}
					if tt.fail {
						p.Gates["errors"] = gate{clock: clock, fails: at(10)}
					}
				})
				var ended time.Time
				go func() {
					time.Sleep(40 * time.Second)
					ended = time.Now()
					cancel()
				}()
				o := rollout.Run(ctx, p, h, clock, w)
				if took := time.Since(ended); took > 10*time.Second {
					t.Errorf("it ended %s %v after the interruption", o.State, took)
				}
				synctest.Wait()
			})
		})
	}
}

// slow is a plane that carries a deployment out two seconds after it was asked, whether
// or not anybody still waits for the answer.
type slow struct{ *world }

func (s slow) Deploy(ctx context.Context, over string, shares []rollout.Share, why rollout.Transition) (rollout.Deployment, error) {
	type answer struct {
		d   rollout.Deployment
		err error
	}
	done := make(chan answer, 1)
	go func() {
		time.Sleep(2 * time.Second)
		d, err := s.world.Deploy(context.WithoutCancel(ctx), over, shares, why)
		done <- answer{d, err}
	}()
	select {
	case a := <-done:
		return a.d, a.err
	case <-ctx.Done():
		return rollout.Deployment{}, ctx.Err()
	}
}

func TestDeploymentThatAnInterruptionMeetsIsNotLeftToLandAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w, clock := newWorld(sole("old")), rollout.SystemClock{}
		p := planFor(w, func(p *rollout.Plan) {
			p.Gates = map[string]rollout.Gate{"health": gate{clock: clock}, "errors": gate{clock: clock}, "release": gate{clock: clock, asks: true}}
		})
		o := rollout.Run(ctx, p, slow{w}, clock, w)
		time.Sleep(time.Minute)
		if o.State != rollout.RolledBack || o.Live.ID != w.live.ID || len(w.live.Shares) != 1 {
			t.Errorf("it ended %s and says that %s is live; %s %v is", o.State, o.Live.ID, w.live.ID, w.live.Shares)
		}
	})
}
