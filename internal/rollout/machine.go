// SPDX-License-Identifier: MPL-2.0

package rollout

import (
	"errors"
	"math"
	"slices"
)

// machine is where a rollout stands. It is a value: next returns the following one,
// and asks nobody anything.
type machine struct {
	plan Plan
	// step is the current one, from 0; -1 before the first.
	step int
	live Deployment
	// asked is what the last action deploy was to make live, nil once it is known whether
	// it is.
	asked []Share
	// ending says that it goes forward no more. An interruption changes nothing then: what
	// has been decided, by a gate that failed for example, is carried out.
	ending bool
	// then is what the look that is being taken is for.
	then  purpose
	back  bool       // it is on its way back
	why   Transition // what for
	tries int        // of going back
	lost  error      // what the first of them failed with
	out   Outcome
}

type purpose int

const (
	toGoOn purpose = iota // a step has passed
	toHold                // what is live is to stay
	toObey                // it was interrupted
)

// An event is what has happened to a rollout.
type event struct {
	kind eventKind
	// live is what is live now, nil if it is not known.
	live *Deployment
	// failed is the verdict of a step that did not pass, verdicts are all of it.
	failed   *Verdict
	verdicts []Verdict
	err      error
}

type eventKind int

const (
	begun       eventKind = iota
	deployed              // live is what was asked for
	notDeployed           // Deploy returned err; live is what was found afterwards
	judged                // a step's gates have spoken, or failed is set
	looked                // live is what was found, nil with err if nothing was
	interrupted           // the context has ended
)

// An action is what to do next.
type action struct {
	kind actionKind
	// over and shares are those of a deployment, why is what it is for.
	over   string
	shares []Share
	why    Transition
	// again says that it was tried before.
	again bool
	// end is the outcome.
	end Outcome
}

type actionKind int

const (
	deploy actionKind = iota
	judge
	look // whether what this rollout set is still live
	end
)

// maxTries is how often going back is tried: with pauses of 0.5, 1 and 2 seconds it
// fits into the time that is left after an interruption.
const maxTries = 4

func newMachine(p Plan) machine {
	return machine{plan: p, step: -1, live: p.Live, out: Outcome{Step: -1, Live: p.Live}}
}

// last is the index of the implied last step.
func (m machine) last() int { return len(m.plan.Steps) }

// percentage of the target in a step.
func (m machine) percentage(step int) float64 {
	if step < m.last() {
		return m.plan.Steps[step].Percentage
	}
	return 100
}

// shares of a step. The target stands first in all of them: the order is what keeps a
// Durable Object from moving back while the percentage rises.
func (m machine) shares(step int) []Share {
	p := m.percentage(step)
	if p == 100 || m.plan.Previous == "" {
		return []Share{{m.plan.Target, 100}}
	}
	return []Share{{m.plan.Target, p}, {m.plan.Previous, 100 - p}}
}

// next is the whole behaviour of a rollout.
func (m machine) next(e event) (machine, action) {
	m.out.Verdicts = append(m.out.Verdicts, e.verdicts...)
	if e.live != nil {
		m.live = *e.live
	}
	switch e.kind {
	case begun:
		return m.begin()
	case deployed:
		return m.reached()
	case notDeployed:
		return m.missed(e)
	case judged:
		if e.failed != nil {
			m.out.Failed = e.failed
			return m.fail(m.plan.OnFailure, Transition{Verdict: e.failed, Reason: "gate " + e.failed.Gate + ": " + e.failed.Reason})
		}
		return m.look(toGoOn)
	case looked:
		return m.looked(e)
	default:
		m.out.Interrupted, m.ending = true, true
		return m.look(toObey)
	}
}

// begin finds the step to begin with: one that an earlier rollout has left is judged
// again, without another deployment.
func (m machine) begin() (machine, action) {
	at := sharesOf(m.live, m.plan.Target)
	switch {
	case at == 100 && len(m.live.Shares) == 1:
		m.step = m.last()
		return m, action{kind: judge}
	case at < 0 || m.plan.Previous == "":
		m.step = 0
		if m.plan.Previous == "" {
			m.step = m.last()
		}
		return m.forward()
	}
	for i := range m.plan.Steps {
		if near(m.percentage(i), at) {
			m.step = i
			return m, action{kind: judge}
		}
	}
	if m.plan.HoldAt != nil && at >= *m.plan.HoldAt {
		return m.look(toHold) // somebody went further by hand, to no step that could be judged
	}
	m.step = slices.IndexFunc(m.plan.Steps, func(s Step) bool { return s.Percentage > at })
	if m.step < 0 {
		m.step = m.last()
	}
	return m.forward()
}

// sharesOf is the percentage of a version, -1 if it is not part of the deployment.
func sharesOf(d Deployment, version string) float64 {
	for _, s := range d.Shares {
		if s.VersionID == version {
			return s.Percentage
		}
	}
	return -1
}

// forward deploys the current step.
func (m machine) forward() (machine, action) {
	m.asked = m.shares(m.step)
	return m, action{kind: deploy, over: m.out.Live.ID, shares: m.asked, why: Transition{State: Deploying, Step: m.step, Percentage: m.percentage(m.step)}}
}

// reached follows a deployment that was made.
func (m machine) reached() (machine, action) {
	m.out.Live, m.asked = m.live, nil
	if m.back {
		return m.finish(RolledBack)
	}
	m.out.Step = m.step
	return m, action{kind: judge}
}

func (m machine) look(then purpose) (machine, action) {
	m.then = then
	return m, action{kind: look}
}

// looked follows a look. No end is told that was not seen just before.
func (m machine) looked(e event) (machine, action) {
	switch {
	case e.live == nil && m.then == toGoOn && !m.stops():
		return m.passed() // the next deployment is made only over this one
	case e.live == nil:
		m.out.Err = e.err
		return m.finish(Unknown)
	case e.live.ID == m.out.Live.ID:
	case m.asked != nil && sameShares(e.live.Shares, m.asked):
		m.out.Live, m.out.Step = *e.live, m.step // the deployment that was being made
	default:
		return m.overtaken(nil)
	}
	switch m.then {
	case toHold:
		return m.finish(Held)
	case toObey:
		return m.fail(m.plan.OnInterrupt, Transition{Reason: "the run was interrupted"})
	}
	return m.passed()
}

// stops reports whether nothing is deployed after the current step.
func (m machine) stops() bool {
	return m.step == m.last() || m.plan.HoldAt != nil && m.percentage(m.step) >= *m.plan.HoldAt
}

// passed follows a step whose gates have all passed.
func (m machine) passed() (machine, action) {
	m.out.Step = m.step
	switch {
	case m.step == m.last():
		return m.finish(Succeeded)
	case m.stops():
		return m.finish(Held)
	}
	m.step++
	return m.forward()
}

// missed follows a Deploy that returned an error.
func (m machine) missed(e event) (machine, action) {
	switch {
	case errors.Is(e.err, ErrMoved):
		if e.live == nil {
			m.live = Deployment{} // not what the rollout set, and no more is known
		}
		return m.overtaken(e.err)
	case e.live == nil && m.back:
		return m.again(e.err)
	case e.live == nil:
		m.out.Err = e.err
		return m.finish(Unknown)
	case e.live.ID != m.out.Live.ID && sameShares(e.live.Shares, m.asked):
		return m.reached() // the answer got lost, and no more
	case e.live.ID != m.out.Live.ID:
		return m.overtaken(e.err)
	case m.back:
		return m.again(e.err)
	}
	// Nothing has changed.
	m.out.Err, m.asked = e.err, nil
	return m.fail(m.plan.OnFailure, Transition{Reason: "the step could not be deployed"})
}

// again tries to go back once more, or gives up.
func (m machine) again(err error) (machine, action) {
	if m.lost == nil {
		m.lost = err // later ones may only say that time is up
	}
	if m.tries >= maxTries {
		m.out.Err = m.lost
		return m.finish(Unknown)
	}
	m, a := m.goBack(m.why)
	a.again = true
	return m, a
}

// fail holds or goes back.
func (m machine) fail(policy Policy, why Transition) (machine, action) {
	m.ending = true
	switch {
	case m.plan.Previous == "", policy == Hold:
		if m.then == toObey {
			return m.finish(Held) // it has just looked
		}
		return m.look(toHold)
	case sharesOf(m.out.Live, m.plan.Target) < 0:
		return m.finish(RolledBack) // nothing has been deployed
	}
	return m.goBack(why)
}

// goBack deploys the previous version. why is the same for every try: what is written
// into the deployment's message says which version is rejected.
func (m machine) goBack(why Transition) (machine, action) {
	m.back, m.why = true, why
	m.tries++
	m.asked = []Share{{m.plan.Previous, 100}}
	why.State, why.Step, why.Percentage = RollingBack, max(m.step, 0), 0
	return m, action{kind: deploy, over: m.out.Live.ID, shares: m.asked, why: why}
}

func (m machine) overtaken(err error) (machine, action) {
	switch {
	case err == nil:
		err = ErrMoved
	case !errors.Is(err, ErrMoved):
		err = errors.Join(ErrMoved, err) // a deployment failed, and somebody else's was found
	}
	m.out.Err = err
	m.out.Live = m.live
	return m.finish(Overtaken)
}

func (m machine) finish(s State) (machine, action) {
	m.out.State = s
	return m, action{kind: end, end: m.out}
}

// near allows for what planes make of fractions: wrangler's tolerance.
func near(a, b float64) bool { return math.Abs(a-b) < 0.001 }

// sameShares reports whether a and b are the same split, in whatever order a plane
// lists it.
func sameShares(a, b []Share) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x Share) bool {
		return !slices.ContainsFunc(b, func(y Share) bool { return x.VersionID == y.VersionID && near(x.Percentage, y.Percentage) })
	})
}
