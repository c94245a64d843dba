// SPDX-License-Identifier: MPL-2.0

package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

func sole(id string) rollout.Share { return rollout.Share{VersionID: id, Percentage: 100} }

func split(p float64) []rollout.Share {
	return []rollout.Share{{VersionID: "new", Percentage: p}, {VersionID: "old", Percentage: 100 - p}}
}

// planFor is a rollout of "new" over "old" at 0, 10 and 50 %.
func planFor(w *world, change func(*rollout.Plan)) rollout.Plan {
	p := rollout.Plan{
		Target: "new", Previous: "old", Live: w.live,
		Steps: []rollout.Step{
			{Percentage: 0, Bake: 5 * time.Second, Gates: []string{"health"}},
			{Percentage: 10, Bake: 30 * time.Second, Gates: []string{"health", "errors"}},
			{Percentage: 50, Bake: time.Minute, Gates: []string{"health", "release"}},
		},
		FinalBake: 10 * time.Second, FinalGates: []string{"health"},
		OnFailure: rollout.Rollback, OnInterrupt: rollout.Rollback,
		Gates: map[string]rollout.Gate{"health": gate{clock: w}, "errors": gate{clock: w}, "release": gate{clock: w, asks: true}},
	}
	if change != nil {
		change(&p)
	}
	return p
}

func TestEveryPathOfARollout(t *testing.T) {
	t.Parallel()
	ten := 10.0
	type want struct {
		state   rollout.State
		live    []rollout.Share
		told    string // states, joined
		failed  string
		err     error
		deploys int
	}
	whole := "deploying 0, baking 0, judged health=true, deploying 10, baking 10, judged=2, deploying 50, baking 50, judged health=true, judged release=true, deploying 100, baking 100, judged health=true, succeeded"
	for name, tt := range map[string]struct {
		live   []rollout.Share
		change func(w *world, p *rollout.Plan, cancel context.CancelFunc)
		want   want
	}{
		"it succeeds": {
			live: []rollout.Share{sole("old")},
			want: want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}, told: whole, deploys: 4},
		},
		"a gate fails in the smoke step": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["health"] = gate{clock: w, fails: at(0)}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, failed: "health", deploys: 2,
				told: "deploying 0, baking 0, judged health=false, rolling_back, rolled_back"},
		},
		"an asking gate fails": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["release"] = gate{clock: w, asks: true, fails: at(50)}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, failed: "release", deploys: 4},
		},
		"a gate fails at 100 %": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["health"] = gate{clock: w, fails: at(100)}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, failed: "health", deploys: 5},
		},
		"it holds after a failure": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.OnFailure = rollout.Hold
				p.Gates["health"] = gate{clock: w, fails: at(10)}
			},
			want: want{state: rollout.Held, live: split(10), failed: "health", deploys: 2},
		},
		"it holds where it is told to": {
			live:   []rollout.Share{sole("old")},
			change: func(_ *world, p *rollout.Plan, _ context.CancelFunc) { p.HoldAt = &ten },
			want:   want{state: rollout.Held, live: split(10), deploys: 2},
		},
		"a gate panics": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["health"] = gate{clock: w, panics: true}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, failed: "health", deploys: 2},
		},
		"the first deployment": {
			change: func(_ *world, p *rollout.Plan, _ context.CancelFunc) { p.Previous = "" },
			want: want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}, deploys: 1,
				told: "deploying 100, baking 100, judged=2, judged release=true, succeeded"},
		},
		"the first deployment fails": {
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Previous = ""
				p.Gates["errors"] = gate{clock: w, fails: at(100)}
			},
			want: want{state: rollout.Held, live: []rollout.Share{sole("new")}, failed: "errors", deploys: 1},
		},
		"it goes on from a split": {
			live: split(10),
			want: want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}, deploys: 2,
				told: "baking 10, judged=2, deploying 50, baking 50, judged health=true, judged release=true, deploying 100, baking 100, judged health=true, succeeded"},
		},
		"it goes on from a split between two steps": {
			live: split(20),
			want: want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}, deploys: 2},
		},
		"it goes on from a split above all steps": {
			live: split(90),
			want: want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}, deploys: 1, told: "deploying 100, baking 100, judged health=true, succeeded"},
		},
		"a gate refuses a split that was left": {
			live: split(10),
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["errors"] = gate{clock: w, fails: at(10)}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, failed: "errors", deploys: 1},
		},
		"it serves everything already": {
			live:   []rollout.Share{sole("new")},
			change: func(_ *world, p *rollout.Plan, _ context.CancelFunc) { p.Previous = "" },
			want:   want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}},
		},
		"somebody deploys before a step": {
			live:   []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, _ context.CancelFunc) { w.fault = nth(1, foreign) },
			want:   want{state: rollout.Overtaken, live: []rollout.Share{sole("x")}, err: rollout.ErrMoved, deploys: 2},
		},
		"somebody deploys during the last bake": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, _ context.CancelFunc) {
				w.at = []happening{{100 * time.Second, func() { w.somebody(sole("x")) }}}
			},
			want: want{state: rollout.Overtaken, live: []rollout.Share{sole("x")}, err: rollout.ErrMoved, deploys: 4},
		},
		"somebody deploys before it goes back": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["health"] = gate{clock: w, fails: at(10)}
				w.fault = nth(2, foreign)
			},
			want: want{state: rollout.Overtaken, live: []rollout.Share{sole("x")}, failed: "health", err: rollout.ErrMoved, deploys: 3},
		},
		"a step cannot be deployed": {
			live:   []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, _ context.CancelFunc) { w.fault = nth(1, refused) },
			want:   want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, err: errFault, deploys: 3},
		},
		"the first step cannot be deployed": {
			live:   []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, _ context.CancelFunc) { w.fault = nth(0, refused) },
			want:   want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, err: errFault, deploys: 1, told: "deploying 0, rolled_back"},
		},
		"an answer gets lost": {
			live:   []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, _ context.CancelFunc) { w.fault = nth(2, lost) },
			want:   want{state: rollout.Succeeded, live: []rollout.Share{sole("new")}, deploys: 4},
		},
		"going back needs more than one try": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["health"] = gate{clock: w, fails: at(10)}
				w.fault = func(n int) fault {
					if n == 2 || n == 3 {
						return refused
					}
					return works
				}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, failed: "health", deploys: 5},
		},
		"going back is impossible": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, _ context.CancelFunc) {
				p.Gates["health"] = gate{clock: w, fails: at(10)}
				w.fault = func(n int) fault {
					if n >= 2 {
						return refused
					}
					return works
				}
			},
			want: want{state: rollout.Unknown, live: split(10), failed: "health", err: errFault, deploys: 6},
		},
		"the plane is gone": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, _ context.CancelFunc) {
				w.fault = nth(1, unreachable)
				w.blind = func() bool { return w.deploys >= 2 }
			},
			want: want{state: rollout.Unknown, live: split(0), err: errFault, deploys: 2},
		},
		"it is interrupted": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, cancel context.CancelFunc) {
				w.at = []happening{{20 * time.Second, cancel}}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, deploys: 3},
		},
		"it is interrupted, and holds": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, p *rollout.Plan, cancel context.CancelFunc) {
				p.OnInterrupt = rollout.Hold
				w.at = []happening{{20 * time.Second, cancel}}
			},
			want: want{state: rollout.Held, live: split(10), deploys: 2},
		},
		"it is interrupted while it deploys": {
			live: []rollout.Share{sole("old")},
			change: func(w *world, _ *rollout.Plan, cancel context.CancelFunc) {
				w.fault = func(n int) fault {
					if n == 1 {
						cancel()
						return lost
					}
					return works
				}
			},
			want: want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, deploys: 3},
		},
		"it is interrupted before it begins": {
			live:   []rollout.Share{sole("old")},
			change: func(_ *world, _ *rollout.Plan, cancel context.CancelFunc) { cancel() },
			want:   want{state: rollout.RolledBack, live: []rollout.Share{sole("old")}, told: "rolled_back"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := newWorld(tt.live...)
			p := planFor(w, func(p *rollout.Plan) {
				if tt.change != nil {
					tt.change(w, p, cancel)
				}
			})
			if err := p.Check(); err != nil {
				t.Fatalf("the plan is wrong: %v", err)
			}
			o := rollout.Run(ctx, p, w, w, w)
			if o.State != tt.want.state || !errors.Is(o.Err, tt.want.err) {
				t.Errorf("it ended %s (%v), want %s (%v)", o.State, o.Err, tt.want.state, tt.want.err)
			}
			if diff := cmp.Diff(tt.want.live, w.live.Shares); diff != "" {
				t.Errorf("live (-want +got):\n%s", diff)
			}
			if o.State != rollout.Unknown && o.Live.ID != w.live.ID {
				t.Errorf("it says that %s is live, and %s is", o.Live.ID, w.live.ID)
			}
			if failed := o.Failed; (failed == nil) != (tt.want.failed == "") || failed != nil && failed.Gate != tt.want.failed {
				t.Errorf("failed: %+v, want %q", failed, tt.want.failed)
			}
			if failed := o.Failed; failed != nil && strings.Contains(failed.Reason+failed.Detail, "secret") {
				t.Errorf("it tells what a gate panicked with: %+v", failed)
			}
			if w.deploys != tt.want.deploys {
				t.Errorf("%d deployments were tried, want %d", w.deploys, tt.want.deploys)
			}
			// Two gates that watch together speak in any order.
			told := strings.Join(w.states(), ", ")
			for _, pair := range []string{"judged health=true, judged errors=true", "judged errors=true, judged health=true"} {
				told = strings.ReplaceAll(told, pair, "judged=2")
			}
			if tt.want.told != "" && told != tt.want.told {
				t.Errorf("it told\n  %s, want\n  %s", told, tt.want.told)
			}
			if last := w.told[len(w.told)-1]; last.State != o.State {
				t.Errorf("the last that it told is %s, and it ended %s", last.State, o.State)
			}
		})
	}
}

// nth lets something happen to one Deploy.
func nth(n int, what fault) func(int) fault {
	return func(i int) fault {
		if i == n {
			return what
		}
		return works
	}
}

func TestAPlanThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	forty := 40.0
	for want, change := range map[string]func(*rollout.Plan){
		"target":                func(p *rollout.Plan) { p.Target = "" },
		"previous":              func(p *rollout.Plan) { p.Previous, p.Live.Shares = "new", []rollout.Share{sole("new")} },
		"live: version other":   func(p *rollout.Plan) { p.Live.Shares = []rollout.Share{sole("other")} },
		"live: nothing":         func(p *rollout.Plan) { p.Live = rollout.Deployment{} },
		"live: it has versions": func(p *rollout.Plan) { p.Previous, p.Live.ID, p.Live.Shares = "", "", []rollout.Share{sole("new")} },
		"live: version old is in it twice": func(p *rollout.Plan) {
			p.Live.Shares = []rollout.Share{{VersionID: "old", Percentage: 50}, {VersionID: "old", Percentage: 50}}
		},
		"live: its percentages": func(p *rollout.Plan) { p.Live.Shares = []rollout.Share{{VersionID: "old", Percentage: 60}} },
		"steps[1].percentage":   func(p *rollout.Plan) { p.Steps[1].Percentage = 0 },
		"steps[2].percentage":   func(p *rollout.Plan) { p.Steps[2].Percentage = 100 },
		"steps[0].bake_time":    func(p *rollout.Plan) { p.Steps[0].Bake = -1 },
		"steps[0].gates[1]":     func(p *rollout.Plan) { p.Steps[0].Gates = []string{"health", "none"} },
		"final_bake_time":       func(p *rollout.Plan) { p.FinalBake = -1 },
		"steps[1].bake_time":    func(p *rollout.Plan) { p.Steps[1].Bake = 1000 * time.Hour },
		"steps[1].gates[2]":     func(p *rollout.Plan) { p.Steps[1].Gates = []string{"health", "errors", "health"} },
		"final_gates[0]":        func(p *rollout.Plan) { p.FinalGates = []string{"none"} },
		"hold_at":               func(p *rollout.Plan) { p.HoldAt = &forty },
		"on_failure":            func(p *rollout.Plan) { p.OnFailure = "" },
		"on_interrupt":          func(p *rollout.Plan) { p.OnInterrupt = "never" },
	} {
		if err := planFor(w, change).Check(); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestEverythingWrongWithAPlanIsListedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(sole("old"))
	nan := math.NaN()
	err := planFor(w, func(p *rollout.Plan) {
		p.Target, p.OnFailure, p.OnInterrupt, p.HoldAt = "", "", "", &nan
		p.Steps[0].Percentage, p.Steps[2].Gates = nan, []string{"none"}
	}).Check()
	want := `target: there is no version
steps[0].percentage: NaN is not from 0 to below 100
steps[1].percentage: 10 is not above the step before
steps[2].gates[0]: there is no gate "none"
hold_at: NaN is no step
on_failure: "" is neither rollback nor hold
on_interrupt: "" is neither rollback nor hold`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
