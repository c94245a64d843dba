// SPDX-License-Identifier: MPL-2.0

// Package rollout is the way from the live deployment of a Worker to a wanted
// version: steps, each with a percentage, a bake time and gates, and the way back.
// It knows no API and no clock: both are interfaces that it is given.
package rollout

import (
	"context"
	"errors"
	"time"
)

// Share is one version's part of a deployment, in percent.
type Share struct {
	VersionID  string
	Percentage float64
}

// Deployment is what is live.
type Deployment struct {
	ID     string
	Shares []Share
}

// Step is one stage of a rollout.
type Step struct {
	// Percentage of the requests that the new version gets: 0 to 100. 0 is reached by
	// marked requests only.
	Percentage float64
	// Bake is how long the step lasts at least, with its gates watching.
	Bake time.Duration
	// Gates are names in Plan.Gates.
	Gates []string
}

// Policy says what becomes of a rollout that cannot go on.
type Policy string

// The policies.
const (
	Rollback Policy = "rollback" // the previous deployment is put back
	Hold     Policy = "hold"     // what is live stays
)

// Plan is a rollout before it begins. Check reports what is wrong with one.
type Plan struct {
	// Target is the version that is to serve everything in the end.
	Target string
	// Previous is the version that serves everything before, and after a rollback;
	// empty for the first deployment of a Worker.
	Previous string
	// Live is the deployment that the rollout begins from, as the plan has seen it.
	// Its id is empty where nothing is live. It may be a split of Target and Previous
	// that an earlier rollout left.
	Live Deployment
	// Steps have rising percentages below 100. The last one, at 100, is implied.
	Steps []Step
	// FinalBake and FinalGates are those of the implied last step.
	FinalBake  time.Duration
	FinalGates []string
	// HoldAt, if not nil, ends the rollout after the step with this percentage has
	// passed: a canary that somebody goes on with later.
	HoldAt *float64
	// OnFailure says what follows a gate that failed, OnInterrupt what follows the
	// end of the context.
	OnFailure, OnInterrupt Policy
	// Gates are the gates by name.
	Gates map[string]Gate
}

// Gate judges one step of a rollout.
type Gate interface {
	// Judge watches the candidate. It returns early with a failure, and with a pass
	// not before it is sure: a watching gate at the end of c.Bake (it counts from
	// c.Since) or later, an asking one when it was answered. When ctx ends, its
	// verdict does not count. It MUST NOT panic, and MUST return soon after ctx ends.
	Judge(ctx context.Context, c Candidate) Verdict
	// Asks reports whether the gate is asked after the bake time, with the verdicts of
	// those that watched (a webhook); otherwise it watches during the bake time.
	Asks() bool
}

// Candidate is what a gate judges.
type Candidate struct {
	VersionID string // the new version
	Previous  string // the version that it takes over from; may be empty
	// Deployment is the id of the step's deployment. Who takes the step up after another run
	// has left it judges the same one.
	Deployment string
	Step       int // from 0
	Steps      int // how many there are, with the last one
	// Percentage of the requests that the new version gets now.
	Percentage float64
	// Since is when the step's deployment was made, Bake how long it bakes.
	Since time.Time
	Bake  time.Duration
	// Verdicts are those of this rollout so far, oldest first.
	Verdicts []Verdict
}

// Verdict is what a gate says.
type Verdict struct {
	Gate string // its name; set by the rollout
	Step int    // set by the rollout
	Pass bool
	// Reason says in one line what was observed. It holds nothing that a Worker or a
	// stranger wrote, but numbers, and may go anywhere.
	Reason string
	// Detail may quote what a Worker or a stranger answered, bounded. It is not for
	// places that may not see a customer's data.
	Detail string
}

// Live is the deployment of one Worker.
type Live interface {
	// Deploy makes shares live, provided the live deployment is still the one with the
	// id over ("": nothing is live). It returns an error that is ErrMoved if it is not; then
	// nothing has changed. After any other error either may be live: the caller
	// looks. Where exactly shares are live already, by an earlier call whose answer got
	// lost, it returns that deployment.
	Deploy(ctx context.Context, over string, shares []Share, why Transition) (Deployment, error)
	// Current returns what is live. The id is empty where nothing is.
	Current(ctx context.Context) (Deployment, error)
}

// ErrMoved says that somebody else has deployed.
var ErrMoved = errors.New("somebody else has deployed")

// Clock is the time. Sleep returns early with ctx's error.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Transition is a change of a rollout's state.
type Transition struct {
	At    time.Time
	State State
	// Step, from 0, and its percentage, where the state is about one.
	Step       int
	Percentage float64
	// Deployment is the id of what is live after the transition, as far as known.
	Deployment string
	// Verdict is what caused the transition, or is reported by it.
	Verdict *Verdict
	// Reason says why, for states that end a rollout.
	Reason string
}

// State is what a rollout is doing.
type State string

// The states. Those from Succeeded on are ends.
const (
	Deploying   State = "deploying"    // a step's deployment is being made
	Baking      State = "baking"       // a step is live and its gates watch
	Judged      State = "judged"       // a gate has said something
	RollingBack State = "rolling_back" // the previous deployment is being put back
	Succeeded   State = "succeeded"    // the target serves everything
	RolledBack  State = "rolled_back"  // the previous version serves everything again
	Held        State = "held"         // what is live stays, by HoldAt or by policy
	Overtaken   State = "overtaken"    // somebody else has deployed; it is left alone
	Unknown     State = "unknown"      // what is live could not be found out or changed
)

// Ended reports whether nothing follows the state.
func (s State) Ended() bool {
	switch s {
	case Succeeded, RolledBack, Held, Overtaken, Unknown:
		return true
	}
	return false
}

// Reporter is told of every transition, in order and one at a time. It MUST NOT
// block for long. An error ends nothing.
type Reporter interface {
	Report(ctx context.Context, t Transition)
}

// Outcome is how a rollout has ended.
type Outcome struct {
	State State
	// Live is what is live, as last seen; empty if all that is known is that somebody
	// else has deployed.
	Live Deployment
	// Failed is the verdict that ended it, nil if none did.
	Failed *Verdict
	// Step is the last one that was reached, from 0; -1 if none was.
	Step int
	// Interrupted says that the context ended it.
	Interrupted bool
	// Err is what went wrong beside gates: ErrMoved, an error of Live, or both.
	Err error
	// Verdicts are all of them, oldest first.
	Verdicts []Verdict
}
