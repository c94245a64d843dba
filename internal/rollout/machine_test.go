// SPDX-License-Identifier: MPL-2.0

package rollout

import (
	"errors"
	"fmt"
	"testing"
)

// walk takes a machine through every sequence of events that can happen to it.
type walk struct {
	t     *testing.T
	plan  Plan
	paths int
	ends  map[State]int
}

// path is one sequence, with what it has done.
type path struct {
	told    []string
	made    int // deployments that were asked for
	back    int // of them, those that go back, without repetitions
	highest float64
	ours    string // the id of what the rollout has set
	shares  []Share
}

var errLost = errors.New("lost")

func (w *walk) fatalf(p path, format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter %v", fmt.Sprintf(format, args...), p.told)
}

// step checks an action and goes on with everything that can follow it.
func (w *walk) step(m machine, a action, p path) {
	const theirs = "theirs"
	go1 := func(what string, e event, change func(*path)) {
		next := p
		next.told = append(append([]string{}, p.told...), what)
		if change != nil {
			change(&next)
		}
		m, a := m.next(e)
		w.step(m, a, next)
	}
	foreign := &Deployment{ID: theirs, Shares: []Share{{"x", 100}}}
	mine := func() *Deployment { return &Deployment{ID: p.ours, Shares: p.shares} }
	if a.kind != end && !m.ending {
		go1("interrupted", event{kind: interrupted}, nil)
	}
	switch a.kind {
	case end:
		w.end(a.end, p)
	case judge:
		if m.ending {
			w.fatalf(p, "it judges after its end")
		}
		go1("passed", event{kind: judged, verdicts: []Verdict{{Pass: true}}}, nil)
		bad := Verdict{Gate: "g"}
		go1("failed", event{kind: judged, failed: &bad, verdicts: []Verdict{bad}}, nil)
	case look:
		go1("looked", event{kind: looked, live: mine()}, nil)
		go1("blind", event{kind: looked, err: errLost}, nil)
		go1("foreign", event{kind: looked, live: foreign}, func(p *path) { p.ours, p.shares = theirs, foreign.Shares })
		if m.asked != nil {
			made := &Deployment{ID: fmt.Sprint("made", p.made), Shares: m.asked}
			go1("made all the same", event{kind: looked, live: made}, func(p *path) { p.ours, p.shares = made.ID, made.Shares })
		}
	case deploy:
		w.deployment(m, a, &p)
		made := &Deployment{ID: fmt.Sprint("made", p.made), Shares: a.shares}
		adopt := func(p *path) { p.ours, p.shares = made.ID, made.Shares }
		go1("deployed", event{kind: deployed, live: made}, adopt)
		go1("answer lost", event{kind: notDeployed, err: errLost, live: made}, adopt)
		go1("refused", event{kind: notDeployed, err: errLost, live: mine()}, nil)
		go1("unknown", event{kind: notDeployed, err: errLost}, nil)
		go1("failed over theirs", event{kind: notDeployed, err: errLost, live: foreign}, func(p *path) { p.ours, p.shares = theirs, foreign.Shares })
		go1("moved, unseen", event{kind: notDeployed, err: ErrMoved}, func(p *path) { p.ours, p.shares = theirs, foreign.Shares })
		go1("moved", event{kind: notDeployed, err: fmt.Errorf("x: %w", ErrMoved), live: foreign}, func(p *path) { p.ours, p.shares = theirs, foreign.Shares })
	}
}

// deployment checks what is to be deployed.
func (w *walk) deployment(m machine, a action, p *path) {
	p.made++
	if p.made > len(w.plan.Steps)+1+maxTries {
		w.fatalf(*p, "%d deployments", p.made)
	}
	if a.over != p.ours {
		w.fatalf(*p, "it deploys over %q, and has set %q", a.over, p.ours)
	}
	sum := 0.0
	for _, s := range a.shares {
		sum += s.Percentage
	}
	if len(a.shares) > 2 || sum != 100 {
		w.fatalf(*p, "it deploys %v", a.shares)
	}
	if a.why.State == RollingBack {
		if !a.again {
			p.back++
		}
		if p.back != 1 || len(a.shares) != 1 || a.shares[0] != (Share{w.plan.Previous, 100}) {
			w.fatalf(*p, "it goes back to %v, for the %d. time", a.shares, p.back)
		}
		if v := a.why.Verdict; v != m.out.Failed {
			w.fatalf(*p, "it goes back for %v, and %v failed", v, m.out.Failed)
		}
		return
	}
	first := a.shares[0]
	switch {
	case m.ending:
		w.fatalf(*p, "it goes forward after its end")
	case first.VersionID != w.plan.Target:
		w.fatalf(*p, "the order is wrong: %v", a.shares)
	case first.Percentage <= p.highest:
		w.fatalf(*p, "it goes from %v to %v %%", p.highest, first.Percentage)
	case w.plan.HoldAt != nil && first.Percentage > *w.plan.HoldAt && w.plan.Previous != "":
		w.fatalf(*p, "it goes to %v %%, past its hold", first.Percentage)
	}
	p.highest = first.Percentage
}

// end checks what a rollout says of itself.
func (w *walk) end(o Outcome, p path) {
	w.paths++
	w.ends[o.State]++
	if unseen := o.State == Overtaken && o.Live.ID == ""; o.State != Unknown && !unseen && o.Live.ID != p.ours {
		w.fatalf(p, "it ended %s and says that %q is live; %q is", o.State, o.Live.ID, p.ours)
	}
	serves := func(version string) bool { return len(p.shares) == 1 && p.shares[0] == Share{version, 100} }
	ok := false
	switch o.State {
	case Succeeded:
		ok = serves(w.plan.Target) && o.Failed == nil && !o.Interrupted && o.Err == nil
	case RolledBack:
		ok = serves(w.plan.Previous) && (o.Failed != nil || o.Interrupted || o.Err != nil)
	case Held:
		ok = o.Failed != nil || o.Interrupted || o.Err != nil || w.plan.HoldAt != nil
	case Overtaken:
		ok = p.ours == "theirs" && errors.Is(o.Err, ErrMoved)
	case Unknown:
		ok = o.Err != nil
	}
	if !ok {
		w.fatalf(p, "it ended as %+v", o)
	}
}

func TestEverySequenceOfEventsEndsWhereItMay(t *testing.T) {
	t.Parallel()
	split := func(p float64) []Share { return []Share{{"new", p}, {"old", 100 - p}} }
	ten := 10.0
	total, ends := 0, map[State]int{}
	for _, live := range [][]Share{nil, {{"old", 100}}, {{"new", 100}}, {{"new", 100}, {"old", 0}}, split(0), split(5), split(10), split(20), split(90)} {
		for _, hold := range []*float64{nil, &ten} {
			for i := range 4 {
				policies := []Policy{Rollback, Hold}
				p := Plan{
					Target: "new", Previous: "old", Steps: []Step{{}, {Percentage: 10}, {Percentage: 50}},
					HoldAt: hold, OnFailure: policies[i%2], OnInterrupt: policies[i/2],
				}
				if live != nil {
					p.Live = Deployment{ID: "d0", Shares: live}
				} else {
					p.Previous = ""
				}
				if err := p.Check(); err != nil {
					t.Fatal(err)
				}
				w := &walk{t: t, plan: p, ends: ends}
				begin := path{ours: p.Live.ID, shares: live, highest: -1}
				if highest := sharesOf(p.Live, "new"); highest >= 0 && len(live) == 2 && highest < 100 {
					begin.highest = highest
				}
				m, a := newMachine(p).next(event{kind: begun})
				w.step(m, a, begin)
				total += w.paths
			}
		}
	}
	for _, s := range []State{Succeeded, RolledBack, Held, Overtaken, Unknown} {
		if ends[s] == 0 {
			t.Errorf("no sequence ends %s", s)
		}
	}
	t.Logf("%d sequences: %v", total, ends)
}
