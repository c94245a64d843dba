// SPDX-License-Identifier: MPL-2.0

package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// Whatever gates say, whatever fails and whoever deploys or interrupts: what is live is
// what was wanted, what there was before, a hold that says so, or somebody else's.
func TestARolloutAlwaysEndsWhereItMay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var (
			live     = rapid.SampledFrom([][]rollout.Share{nil, {sole("old")}, {sole("new")}, split(0), split(10), split(33), split(99)}).Draw(rt, "live")
			w        = newWorld(live...)
			ctx, go1 = context.WithCancel(t.Context())
			policy   = rapid.SampledFrom([]rollout.Policy{rollout.Rollback, rollout.Hold})
			names    = []string{"a", "b", "c"}
			some     = func(label string) []string {
				return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID[string]).Draw(rt, label)
			}
			seconds = func(label string) time.Duration {
				return time.Duration(rapid.IntRange(0, 60).Draw(rt, label)) * time.Second
			}
		)
		defer go1()
		p := rollout.Plan{
			Target: "new", Previous: "old", Live: w.live, Gates: map[string]rollout.Gate{},
			OnFailure: policy.Draw(rt, "on_failure"), OnInterrupt: policy.Draw(rt, "on_interrupt"),
			FinalBake: seconds("final bake"), FinalGates: some("final gates"),
		}
		if len(live) == 0 || live[0] == sole("new") {
			p.Previous = ""
		}
		percentages := rapid.SliceOfNDistinct(rapid.Float64Range(0, 99.9), 0, 5, rapid.ID[float64]).Draw(rt, "steps")
		slices.Sort(percentages)
		for _, percentage := range percentages {
			p.Steps = append(p.Steps, rollout.Step{Percentage: percentage, Bake: seconds("bake"), Gates: some("gates")})
		}
		if len(p.Steps) > 0 && rapid.Bool().Draw(rt, "hold") {
			at := rapid.SampledFrom(percentages).Draw(rt, "hold_at")
			p.HoldAt = &at
		}
		for _, name := range names {
			threshold := rapid.Float64Range(0, 300).Draw(rt, "it fails from")
			p.Gates[name] = gate{
				clock: w, asks: rapid.Bool().Draw(rt, "it asks"), after: seconds("it fails after"),
				panics: rapid.IntRange(0, 20).Draw(rt, "it panics") == 0,
				fails:  func(percentage float64) bool { return percentage >= threshold },
			}
		}
		faults := rapid.SliceOfN(rapid.SampledFrom([]fault{works, works, works, works, refused, lost, foreign, unreachable}), 8, 8).Draw(rt, "faults")
		w.fault = func(n int) fault { return faults[n%len(faults)] }
		if rapid.IntRange(0, 2).Draw(rt, "it is interrupted") == 0 {
			w.at = append(w.at, happening{seconds("interrupt"), go1})
		}
		if rapid.IntRange(0, 2).Draw(rt, "somebody deploys") == 0 {
			w.at = append(w.at, happening{seconds("somebody"), func() { w.somebody(sole("x")) }})
		}
		unanswered := rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 8, 8).Draw(rt, "unanswered")
		looks := 0
		w.blind = func() bool { looks++; return unanswered[looks%len(unanswered)] }
		if err := p.Check(); err != nil {
			rt.Fatalf("the plan is wrong: %v", err)
		}

		o := rollout.Run(ctx, p, w, w, w)

		highest := -1.0
		if len(live) > 0 && live[0].VersionID == "new" {
			highest = live[0].Percentage
		}
		if left := w.judging.Load(); left != 0 {
			rt.Fatalf("%d gates are still judging", left)
		}
		for i, d := range w.past {
			sum := 0.0
			for _, s := range d.Shares {
				sum += s.Percentage
			}
			goesBack := len(d.Shares) == 1 && d.Shares[0].VersionID == "old"
			switch {
			case len(d.Shares) < 1 || len(d.Shares) > 2 || sum != 100:
				rt.Fatalf("a deployment of %v", d.Shares)
			case goesBack && i != len(w.past)-1:
				rt.Fatalf("it went on after it had gone back: %v", w.past)
			case goesBack && w.why[i].Verdict != o.Failed:
				rt.Fatalf("it went back for %v, and %v failed", w.why[i].Verdict, o.Failed)
			case goesBack:
			case p.HoldAt != nil && p.Previous != "" && d.Shares[0].Percentage > *p.HoldAt:
				rt.Fatalf("it went to %v, past its hold", d.Shares)
			case d.Shares[0].VersionID != "new":
				rt.Fatalf("the order changed: %v", d.Shares)
			case d.Shares[0].Percentage <= highest:
				rt.Fatalf("it went from %v %% to %v %%", highest, d.Shares[0].Percentage)
			default:
				highest = d.Shares[0].Percentage
			}
		}
		if limit := len(p.Steps) + 1 + 4; w.deploys > limit {
			rt.Fatalf("%d deployments for %d steps", w.deploys, len(p.Steps))
		}
		is := w.live
		foreigner := strings.HasPrefix(is.ID, "theirs")
		serves := func(id string) bool { return slices.Equal(is.Shares, []rollout.Share{sole(id)}) }
		switch o.State {
		case rollout.Succeeded:
			if !serves("new") {
				rt.Fatalf("it succeeded, and live is %v", is.Shares)
			}
			if o.Failed != nil || o.Interrupted {
				rt.Fatalf("it succeeded with %+v", o)
			}
		case rollout.RolledBack:
			if !serves("old") {
				rt.Fatalf("it was rolled back, and live is %v", is.Shares)
			}
			if o.Failed == nil && !o.Interrupted && o.Err == nil {
				rt.Fatalf("it was rolled back for no reason")
			}
		case rollout.Held:
			if o.Failed == nil && !o.Interrupted && o.Err == nil && p.HoldAt == nil {
				rt.Fatalf("it holds for no reason")
			}
		case rollout.Overtaken:
			if !foreigner || !errors.Is(o.Err, rollout.ErrMoved) {
				rt.Fatalf("it was overtaken (%v), and live is %s %v", o.Err, is.ID, is.Shares)
			}
		case rollout.Unknown:
			if o.Err == nil {
				rt.Fatalf("unknown for no reason")
			}
		default:
			rt.Fatalf("it ended as %q", o.State)
		}
		unseen := o.State == rollout.Overtaken && o.Live.ID == ""
		if o.State != rollout.Unknown && !unseen && o.Live.ID != is.ID {
			rt.Fatalf("it ended %s and says that %s is live; %s is", o.State, o.Live.ID, is.ID)
		}
		if last := w.told[len(w.told)-1]; last.State != o.State {
			rt.Fatalf("it told %s and ended %s", last.State, o.State)
		}
	})
}
