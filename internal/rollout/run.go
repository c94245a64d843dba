// SPDX-License-Identifier: MPL-2.0

package rollout

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	// wayBack bounds everything that follows an interruption: Terraform and HCP kill a
	// provider that does not end, and the previous deployment has to be live by then.
	wayBack = 10 * time.Second
	// finishing is how much of that a deployment gets that an interruption has met. Cut
	// off, it may still be carried out after it was looked for, and nobody would know.
	finishing = 4 * time.Second
	// goingBack bounds going back from a failed gate, where nobody waits with a knife.
	goingBack = time.Minute
	// looks is how often is asked what is live, with pauses of 250 and 500 ms: one bad
	// answer must not decide how a rollout ends.
	looks = 3
)

// Run takes a plan that Check accepts through its steps. It returns when the rollout
// has ended, within ten seconds after the end of ctx if gates, Live and report return
// soon when theirs ends. A deployment that is being made when ctx ends is not cut off at
// once. report may be nil.
func Run(ctx context.Context, p Plan, live Live, clock Clock, report Reporter) Outcome {
	d := run{plan: p, live: live, clock: clock, report: report}
	back, stop := outlive(ctx, wayBack)
	defer stop()
	made, stop := outlive(ctx, finishing)
	defer stop()
	m, a := newMachine(p).next(event{kind: begun})
	for a.kind != end && !m.ending {
		if ctx.Err() != nil {
			m, a = m.next(event{kind: interrupted})
			break
		}
		m, a = m.next(d.do(ctx, made, m, a))
	}
	back, cancel := context.WithTimeout(back, goingBack)
	defer cancel()
	for a.kind != end {
		m, a = m.next(d.do(back, back, m, a))
	}
	d.tell(context.WithoutCancel(ctx), Transition{
		State: a.end.State, Step: max(a.end.Step, 0), Percentage: max(sharesOf(a.end.Live, p.Target), 0), Deployment: a.end.Live.ID, Reason: reasonOf(a.end),
	})
	return a.end
}

// outlive is a context that ends some time after ctx, measured from that. stop MUST be
// called; it waits for what has watched.
func outlive(ctx context.Context, by time.Duration) (longer context.Context, stop func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(watched)
		_ = SystemClock{}.Sleep(longer, by)
		cancel()
	})
	return longer, func() {
		cancel()
		if !unwatch() {
			<-watched
		}
	}
}

// reasonOf says why a rollout has ended as it has; empty where that needs no reason.
func reasonOf(o Outcome) string {
	switch {
	case o.Failed != nil:
		return "gate " + o.Failed.Gate + ": " + o.Failed.Reason
	case o.Interrupted:
		return "the run was interrupted"
	case o.State == Overtaken:
		return ErrMoved.Error()
	case o.Err != nil:
		return "a deployment failed"
	}
	return ""
}

// run carries the actions of one rollout out.
type run struct {
	plan   Plan
	live   Live
	clock  Clock
	report Reporter
}

func (d run) tell(ctx context.Context, t Transition) {
	if d.report != nil {
		t.At = d.clock.Now()
		d.report.Report(ctx, t)
	}
}

// do carries one action out, a deployment on made. What ctx has cut off is an
// interruption, unless the outcome is known all the same.
func (d run) do(ctx, made context.Context, m machine, a action) (e event) {
	switch a.kind {
	case judge:
		e = d.judge(ctx, m)
		if ctx.Err() != nil && e.failed == nil {
			e.kind = interrupted
		}
	case look:
		e.kind = looked
		e.live, e.err = d.current(ctx)
		if ctx.Err() != nil && e.live == nil && !m.ending {
			e = event{kind: interrupted}
		}
	default:
		e = d.deploy(made, a, m.tries)
		if ctx.Err() != nil && e.kind == notDeployed && !errors.Is(e.err, ErrMoved) && !m.ending {
			e = event{kind: interrupted}
		}
	}
	return e
}

// current is what is live, nil if that cannot be found out.
func (d run) current(ctx context.Context) (*Deployment, error) {
	for try := 1; ; try++ {
		live, err := d.live.Current(ctx)
		if err == nil {
			return &live, nil
		}
		if try == looks || d.clock.Sleep(ctx, 125*time.Millisecond<<try) != nil {
			return nil, err
		}
	}
}

func (d run) deploy(ctx context.Context, a action, tries int) event {
	if a.again {
		if err := d.clock.Sleep(ctx, 125*time.Millisecond<<tries); err != nil {
			return event{kind: notDeployed, err: err}
		}
		// The try before may have been carried out since.
		if live, err := d.live.Current(ctx); err == nil && live.ID != a.over {
			if sameShares(live.Shares, a.shares) {
				return event{kind: deployed, live: &live}
			}
			return event{kind: notDeployed, live: &live, err: ErrMoved}
		}
	} else {
		d.tell(ctx, a.why)
	}
	made, err := d.live.Deploy(ctx, a.over, a.shares, a.why)
	if err == nil {
		return event{kind: deployed, live: &made}
	}
	live, _ := d.current(ctx) // that it cannot be found out is part of the event
	return event{kind: notDeployed, err: err, live: live}
}

// judge bakes a step and hears its gates.
func (d run) judge(ctx context.Context, m machine) event {
	bake, names := d.plan.FinalBake, d.plan.FinalGates
	if m.step < m.last() {
		bake, names = d.plan.Steps[m.step].Bake, d.plan.Steps[m.step].Gates
	} else if d.plan.Previous == "" {
		names = d.allGates() // the first deployment has only this step
	}
	c := Candidate{
		VersionID: d.plan.Target, Previous: d.plan.Previous, Deployment: m.out.Live.ID, Step: m.step, Steps: m.last() + 1, Percentage: m.percentage(m.step),
		Since: d.clock.Now(), Bake: bake, Verdicts: slices.Clone(m.out.Verdicts),
	}
	d.tell(ctx, Transition{State: Baking, Step: m.step, Percentage: c.Percentage, Deployment: m.out.Live.ID})
	e := event{kind: judged}
	hear := func(v Verdict) bool {
		e.verdicts = append(e.verdicts, v)
		if !v.Pass && e.failed == nil {
			e.failed = &v
		}
		d.tell(ctx, Transition{State: Judged, Step: m.step, Percentage: c.Percentage, Deployment: m.out.Live.ID, Verdict: &v})
		return v.Pass
	}
	var watching, asking []string
	for _, name := range names {
		if d.asks(name) {
			asking = append(asking, name)
		} else {
			watching = append(watching, name)
		}
	}
	if !d.watch(ctx, c, watching, hear) {
		return e
	}
	for _, name := range asking {
		c.Verdicts = slices.Concat(m.out.Verdicts, e.verdicts)
		if v := d.ask(ctx, name, c); ctx.Err() != nil || !hear(v) {
			return e
		}
	}
	return e
}

// allGates are those of every step, each once.
func (d run) allGates() []string {
	var names []string
	for _, s := range append(slices.Clone(d.plan.Steps), Step{Gates: d.plan.FinalGates}) {
		for _, name := range s.Gates {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// watch lets gates watch over the bake time, and reports whether all passed. The first
// failure ends it.
func (d run) watch(ctx context.Context, c Candidate, names []string, hear func(Verdict) bool) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	verdicts := make(chan Verdict)
	for _, name := range names {
		go func() { verdicts <- d.ask(ctx, name, c) }()
	}
	baked := make(chan error, 1)
	go func() { baked <- d.clock.Sleep(ctx, c.Bake-d.clock.Now().Sub(c.Since)) }()
	passed := true
	for range names { // each is waited for, also those that were cancelled
		v := <-verdicts
		if passed && ctx.Err() == nil && !hear(v) {
			passed = false
			cancel()
		}
	}
	return <-baked == nil && passed
}

// asks reports whether a gate asks; one that panics is left to ask, which says so.
func (d run) asks(name string) (asks bool) {
	defer func() { _ = recover() }()
	return d.plan.Gates[name].Asks()
}

// ask hears one gate. One that panics has failed: what it says then may hold anything,
// so it is not shown.
func (d run) ask(ctx context.Context, name string, c Candidate) (v Verdict) {
	defer func() {
		if recover() != nil {
			v = Verdict{Reason: "the gate itself failed: this is a bug, please report it"}
		}
		v.Gate, v.Step = name, c.Step
	}()
	return d.plan.Gates[name].Judge(ctx, c)
}

// SystemClock is the time of this machine.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
