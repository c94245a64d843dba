// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"net/http"
	"slices"

	"github.com/google/uuid"
)

const (
	rolloutsPath = hybridgePrefix + "/accounts/{account}/workers/{worker}/rollouts"
	rolloutPath  = rolloutsPath + "/{rollout}"
	// allRolloutsPath is what people look at: it needs no Worker.
	allRolloutsPath = hybridgePrefix + "/accounts/{account}/rollouts"

	// rolloutHeader names, with a deployment, the rollout that it is a step of.
	rolloutHeader = "Hybridge-Rollout"

	// The bounds of what is stored of a driver's words. Gates keep theirs shorter.
	maxRolloutPlan, maxRolloutReason, maxRolloutDetail = 64 << 10, 2 << 10, 16 << 10

	// shownRollouts is how many a list has at most, and by default.
	shownRollouts = 100
)

// rolloutEnds are the states that end a rollout.
var rolloutEnds = []string{"succeeded", "rolled_back", "held", "overtaken", "unknown"}

// rolloutStates are all of them, as a driver reports them.
var rolloutStates = append([]string{"deploying", "baking", "judged", "rolling_back"}, rolloutEnds...)

func (p *Plane) rolloutsRoutes() []route {
	return []route{
		{method: http.MethodPost, pattern: rolloutsPath, permission: scriptsWrite, maxBody: maxRolloutPlan, handle: p.postRollout},
		{method: http.MethodPost, pattern: rolloutPath + "/transitions", permission: scriptsWrite, handle: p.postTransition},
		{method: http.MethodPut, pattern: rolloutPath + "/lease", permission: scriptsWrite, handle: p.putLease},
		{method: http.MethodGet, pattern: allRolloutsPath, permission: scriptsRead, handle: p.listRollouts},
		{method: http.MethodGet, pattern: allRolloutsPath + "/{rollout}", permission: scriptsRead, handle: p.getRollout},
		{method: http.MethodGet, pattern: allRolloutsPath + "/{rollout}/events", permission: scriptsRead, handle: p.getRolloutEvents},
	}
}

// rolloutPlan is a rollout as its driver announces it.
type rolloutPlan struct {
	ID               string            `json:"id"`
	Target           string            `json:"target"`
	Previous         string            `json:"previous"`
	Steps            []rolloutStepJSON `json:"steps"`
	OnFailure        string            `json:"on_failure"`
	OnInterrupt      string            `json:"on_interrupt"`
	InterruptMessage string            `json:"interrupt_message"`
	// Base is the id of the deployment that the driver takes for the live one; empty if it
	// does not say.
	Base string         `json:"base,omitempty"`
	Run  rolloutRunJSON `json:"run"`
}

type rolloutStepJSON struct {
	Percentage  float64  `json:"percentage"`
	BakeSeconds float64  `json:"bake_seconds"`
	Gates       []string `json:"gates"`
}

type rolloutRunJSON struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	Commit    string `json:"commit"`
}

// rolloutJSON is a rollout as it is shown.
type rolloutJSON struct {
	rolloutPlan
	WorkerID     string      `json:"worker_id"`
	Worker       string      `json:"worker"`
	State        string      `json:"state"`
	Sequence     int64       `json:"sequence"`
	StartedOn    stamp       `json:"started_on"`
	UpdatedOn    stamp       `json:"updated_on"`
	EndedOn      *stamp      `json:"ended_on"`
	LeaseSeconds float64     `json:"lease_seconds_left"`
	Live         []shareJSON `json:"live"`
	// Events is nil where they are not shown.
	Events []numberedEventJSON `json:"events,omitempty"`
}

// rolloutEventJSON is a change of a rollout's state, as it is reported and stored.
type rolloutEventJSON struct {
	State        string              `json:"state"`
	Step         int                 `json:"step"`
	Percentage   float64             `json:"percentage"`
	DeploymentID string              `json:"deployment_id,omitempty"`
	Reason       string              `json:"reason,omitempty"`
	Verdict      *rolloutVerdictJSON `json:"verdict,omitempty"`
}

// numberedEventJSON is one as it is shown.
type numberedEventJSON struct {
	Sequence int64 `json:"sequence"`
	At       stamp `json:"at"`
	rolloutEventJSON
}

type rolloutVerdictJSON struct {
	Gate   string `json:"gate"`
	Pass   bool   `json:"pass"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// check refuses a plan that the lease could not act on.
func (b rolloutPlan) check() error {
	_, err := uuid.Parse(b.ID)
	policies := []string{"rollback", "hold"}
	switch {
	case err != nil:
		return badRollout("id must be a UUID that the driver makes.")
	case b.Target == "" || b.Target == b.Previous:
		return badRollout("target must be a version, and another one than previous.")
	case !slices.Contains(policies, b.OnFailure), !slices.Contains(policies, b.OnInterrupt):
		return badRollout("on_failure and on_interrupt must be rollback or hold.")
	case len(b.InterruptMessage) > 1000:
		return badRollout("interrupt_message is longer than 1000 bytes.")
	case len(b.Steps) == 0 || len(b.Steps) > 100:
		return badRollout("steps must be 1 to 100, the last one at 100 percent among them.")
	}
	for _, step := range b.Steps {
		if !(step.Percentage >= 0 && step.Percentage <= 100) || step.BakeSeconds < 0 {
			return badRollout("the percentage of a step is 0 to 100, and it lasts 0 seconds or more.")
		}
	}
	return nil
}

func badRollout(text string) *Error {
	return fail(http.StatusBadRequest, codeBadBody, "The rollout is malformed: %s", text)
}

// check refuses an event that tells nothing, and cuts one that tells too much.
func (e *rolloutEventJSON) check() error {
	switch {
	case !slices.Contains(rolloutStates, e.State):
		return badRollout("state is none of a rollout.")
	case e.Step < 0, !(e.Percentage >= 0 && e.Percentage <= 100):
		return badRollout("step counts from 0, and percentage is 0 to 100.")
	case len(e.DeploymentID) > 64, e.Verdict != nil && len(e.Verdict.Gate) > 256:
		return badRollout("deployment_id or the name of the gate is too long.")
	}
	e.Reason = cut(e.Reason, maxRolloutReason)
	if v := e.Verdict; v != nil {
		v.Reason, v.Detail = cut(v.Reason, maxRolloutReason), cut(v.Detail, maxRolloutDetail)
	}
	return nil
}
