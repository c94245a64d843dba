// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	rolloutsPath = hybridgePrefix + "/accounts/{account}/workers/{worker}/rollouts"
	rolloutPath  = rolloutsPath + "/{rollout}"
	// allRolloutsPath is what people look at: it needs no Worker.
	allRolloutsPath = hybridgePrefix + "/accounts/{account}/rollouts"

	// rolloutHeader names, with a deployment, the rollout that it is a step of.
	rolloutHeader = "Hybridge-Rollout"

	// DefaultRolloutLease is how long a rollout's driver may be silent. Three renewals of
	// five seconds each may get lost.
	DefaultRolloutLease = 15 * time.Second

	// shownRollouts is how many a list has at most, and by default.
	shownRollouts = 100
)

// rolloutEnds are the states that end a rollout.
var rolloutEnds = []string{"succeeded", "rolled_back", "held", "overtaken", "unknown"}

// rolloutStates are all of them, as a driver reports them.
var rolloutStates = append([]string{"deploying", "baking", "judged", "rolling_back"}, rolloutEnds...)

func (p *Plane) rolloutsRoutes() []route {
	return []route{
		{method: http.MethodPost, pattern: rolloutsPath, permission: scriptsWrite, handle: p.postRollout},
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
	Run              rolloutRunJSON    `json:"run"`
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
	WorkerID     string             `json:"worker_id"`
	Worker       string             `json:"worker"`
	State        string             `json:"state"`
	Sequence     int64              `json:"sequence"`
	StartedOn    stamp              `json:"started_on"`
	UpdatedOn    stamp              `json:"updated_on"`
	EndedOn      *stamp             `json:"ended_on"`
	LeaseSeconds float64            `json:"lease_seconds_left"`
	Live         []shareJSON        `json:"live"`
	Events       []rolloutEventJSON `json:"events,omitempty"`
}

// rolloutEventJSON is a change of a rollout's state.
type rolloutEventJSON struct {
	Sequence     int64               `json:"sequence"`
	At           stamp               `json:"at"`
	State        string              `json:"state"`
	Step         int                 `json:"step"`
	Percentage   float64             `json:"percentage"`
	DeploymentID string              `json:"deployment_id,omitempty"`
	Reason       string              `json:"reason,omitempty"`
	Verdict      *rolloutVerdictJSON `json:"verdict,omitempty"`
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
	return nil
}

func badRollout(text string) *Error {
	return fail(http.StatusBadRequest, codeBadBody, "The rollout is malformed: %s", text)
}

func (p *Plane) postRollout(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	var body rolloutPlan
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	for _, id := range []string{body.Target, body.Previous} {
		if id == "" {
			continue
		}
		if _, err := p.reg.Version(r.Context(), w.ID, id); err != nil {
			return nil, orElse(err, versionNotFound(id))
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	made, err := p.reg.CreateRollout(r.Context(), registry.Rollout{ID: body.ID, WorkerID: w.ID, LeaseUntil: p.now().Add(p.rolloutLease), Plan: text, State: "deploying"})
	if errors.Is(err, registry.ErrRolloutActive) {
		var other rolloutPlan
		_ = json.Unmarshal(made.Plan, &other) // it was written by this plane
		return nil, fail(http.StatusConflict, codeConcurrent,
			"The Worker %q is going through the rollout %s of version %s already, since %s (run %q). It ends by itself %s after its driver was last heard of.",
			w.Name, made.ID, other.Target, made.CreatedOn.Format(time.RFC3339), other.Run.ID, p.rolloutLease)
	}
	if err != nil {
		return nil, err
	}
	out, err := p.showRollout(r, made, nil)
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusCreated, bare: true, result: out}, nil
}

// rolloutOf is the rollout of a path, of the Worker in it.
func (p *Plane) rolloutOf(r *request) (registry.Rollout, error) {
	w, err := p.worker(r)
	if err != nil {
		return registry.Rollout{}, err
	}
	ro, _, err := p.reg.Rollout(r.Context(), r.param("rollout"), 0)
	if err != nil || ro.WorkerID != w.ID {
		return ro, orElse(cmpNotFound(err), rolloutNotFound(r.param("rollout")))
	}
	return ro, nil
}

// cmpNotFound takes no error for one of another Worker.
func cmpNotFound(err error) error {
	if err == nil {
		return registry.ErrNotFound
	}
	return err
}

func rolloutNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeDeploymentNotFound, "The rollout %q was not found.", id)
}

func rolloutEnded(ro registry.Rollout) *Error {
	return fail(http.StatusConflict, codeConcurrent, "The rollout %s has ended: it is %s. Look at it with `hybridge rollout show %s`.", ro.ID, ro.State, ro.ID)
}

func (p *Plane) postTransition(r *request) (*reply, error) {
	ro, err := p.rolloutOf(r)
	if err != nil {
		return nil, err
	}
	var body rolloutEventJSON
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if !slices.Contains(rolloutStates, body.State) {
		return nil, badRollout("state is none of a rollout.")
	}
	ro, err = p.note(r.Context(), ro.ID, registry.Note{State: body.State, LeaseUntil: p.now().Add(p.rolloutLease), Ended: slices.Contains(rolloutEnds, body.State)}, &body)
	if errors.Is(err, registry.ErrRolloutEnded) {
		return nil, rolloutEnded(ro)
	}
	if err != nil {
		return nil, err
	}
	return &reply{bare: true, result: map[string]any{"sequence": ro.Sequence, "lease_seconds": p.rolloutLease.Seconds()}}, nil
}

func (p *Plane) putLease(r *request) (*reply, error) {
	ro, err := p.rolloutOf(r)
	if err != nil {
		return nil, err
	}
	if ro, err = p.note(r.Context(), ro.ID, registry.Note{LeaseUntil: p.now().Add(p.rolloutLease)}, nil); errors.Is(err, registry.ErrRolloutEnded) {
		return nil, rolloutEnded(ro)
	}
	if err != nil {
		return nil, err
	}
	return &reply{bare: true, result: map[string]any{"lease_seconds": p.rolloutLease.Seconds()}}, nil
}

func (p *Plane) listRollouts(r *request) (*reply, error) {
	query := r.URL.Query()
	limit := shownRollouts
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		limit = min(n, shownRollouts)
	}
	worker := ""
	if name := query.Get("worker"); name != "" {
		w, err := p.reg.Worker(r.Context(), r.account.ID, name)
		if err != nil {
			return nil, orElse(err, workerNotFound(name))
		}
		worker = w.ID
	}
	list, err := p.reg.Rollouts(r.Context(), r.account.ID, worker, query.Get("state"), limit)
	if err != nil {
		return nil, err
	}
	out := make([]rolloutJSON, 0, len(list))
	for _, ro := range list {
		shown, err := p.showRollout(r, ro, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	return &reply{bare: true, result: map[string]any{"rollouts": out}}, nil
}

// seenRollout is a rollout of the caller's account, with its events after a number.
func (p *Plane) seenRollout(r *request, after int64) (registry.Rollout, []registry.RolloutEvent, error) {
	id := r.param("rollout")
	ro, events, err := p.reg.Rollout(r.Context(), id, after)
	if err != nil {
		return ro, nil, orElse(err, rolloutNotFound(id))
	}
	w, err := p.reg.WorkerByID(r.Context(), ro.WorkerID)
	if err != nil || w.AccountID != r.account.ID {
		return ro, nil, orElse(cmpNotFound(err), rolloutNotFound(id))
	}
	return ro, events, nil
}

func (p *Plane) getRollout(r *request) (*reply, error) {
	ro, events, err := p.seenRollout(r, 0)
	if err != nil {
		return nil, err
	}
	out, err := p.showRollout(r, ro, events)
	return &reply{bare: true, result: out}, err
}

func (p *Plane) getRolloutEvents(r *request) (*reply, error) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	ro, events, err := p.seenRollout(r, after)
	if err != nil {
		return nil, err
	}
	if wantsStream(r.Request) {
		return p.streamRollout(r, ro, after)
	}
	list, err := decodeEvents(events)
	return &reply{bare: true, result: map[string]any{"events": list, "sequence": ro.Sequence, "state": ro.State}}, err
}

func decodeEvents(events []registry.RolloutEvent) ([]rolloutEventJSON, error) {
	list := make([]rolloutEventJSON, len(events))
	for i, e := range events {
		var raw struct {
			rolloutEventJSON
			At time.Time `json:"at"`
		}
		if err := json.Unmarshal(e.Event, &raw); err != nil {
			return nil, err
		}
		list[i] = raw.rolloutEventJSON
		list[i].At = stamp(e.At)
	}
	return list, nil
}

func (p *Plane) showRollout(r *request, ro registry.Rollout, events []registry.RolloutEvent) (out rolloutJSON, err error) {
	if err := json.Unmarshal(ro.Plan, &out.rolloutPlan); err != nil {
		return out, err
	}
	w, err := p.reg.WorkerByID(r.Context(), ro.WorkerID)
	if err != nil {
		return out, err
	}
	live, _, err := p.reg.LiveDeployment(r.Context(), w.ID)
	if err != nil {
		return out, err
	}
	out.WorkerID, out.Worker, out.State, out.Sequence = w.ID, w.Name, ro.State, ro.Sequence
	out.StartedOn, out.UpdatedOn, out.EndedOn = stamp(ro.CreatedOn), stamp(ro.UpdatedOn), nullStamp(ro.EndedOn)
	if ro.EndedOn == nil {
		out.LeaseSeconds = max(0, ro.LeaseUntil.Sub(p.now()).Seconds())
	}
	out.Live = []shareJSON{}
	for _, s := range live.Shares {
		out.Live = append(out.Live, shareJSON(s))
	}
	out.Events, err = decodeEvents(events)
	return out, err
}
