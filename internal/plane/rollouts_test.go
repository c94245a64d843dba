// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

func TestARolloutIsFollowedFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	d.mustStep(10)
	d.note(`{"state": "baking", "step": 0, "percentage": 10}`)
	d.note(`{"state": "judged", "step": 0, "percentage": 10, "verdict": {"gate": "health", "pass": false, "reason": "status 500", "detail": "the body"}}`)
	if s := d.show(); s.State != "judged" || s.EndedOn != nil || s.LeaseSeconds < 10 || s.LeaseSeconds > 15 || len(s.Live) != 2 || s.Live[0].Percentage != 10 {
		t.Errorf("on its way it is shown as %+v", s)
	}
	d.note(`{"state": "rolled_back", "step": 0, "reason": "gate health"}`)
	s := d.show()
	if s.State != "rolled_back" || s.EndedOn == nil || s.Sequence != 3 || s.states() != "baking judged rolled_back" || s.Events[1].Verdict.Detail != "the body" || s.LeaseSeconds != 0 {
		t.Errorf("it is shown as %+v", s)
	}
	var page struct {
		Events []struct{ Sequence int64 }
	}
	events := "/hybridge/v1/accounts/" + d.p.AccountID + "/rollouts/" + d.id + "/events"
	a := d.contract.get(t, d.p, d.p.Token, events+"?after=1")
	if err := json.Unmarshal(a.body, &page); err != nil || len(page.Events) != 2 || page.Events[0].Sequence != 2 {
		t.Errorf("events after the first: %s", a)
	}
	if a := try(t, d.p, http.MethodGet, events+"?after=first", ""); a.status != http.StatusBadRequest {
		t.Errorf("events after none: %s", a)
	}
	d.refusedAll("after its end")
	if a := d.deploy(50); a.status != http.StatusOK {
		t.Errorf("who is no driver cannot deploy: %s", a)
	}

	// The next one may begin, and then no other.
	first := d.id
	d.id = uuid.NewString()
	d.begin()
	d.mustStep(10)
	if a := d.announce(map[string]any{"id": uuid.NewString()}); a.status != http.StatusConflict || !strings.Contains(string(a.body), `run \"4711\", its driver may be silent for 15 s more`) {
		t.Errorf("a second one beside it: %s", a)
	}
	for query, want := range map[string][]string{
		"?worker=api": {d.id, first}, "?worker=" + d.worker: {d.id, first}, "?limit=1": {d.id}, "?state=rolled_back": {first}, "?worker=web": {}, "?state=held": {},
	} {
		var list struct{ Rollouts []seen }
		a = d.contract.get(t, d.p, d.p.Token, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts"+query)
		if err := json.Unmarshal(a.body, &list); err != nil || len(list.Rollouts) != len(want) {
			t.Errorf("the list %s: %s", query, a)
			continue
		}
		for i, id := range want {
			if got := list.Rollouts[i]; got.ID != id || got.Events != nil {
				t.Errorf("the list %s: %s", query, a)
			}
		}
	}
}

// A driver looks, and announces a moment later. In between the plane may have ended another
// rollout.
func TestARolloutBeginsFromWhatItsDriverHasSeen(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	seen := d.deploy(50)
	base := seen.id(t)
	d.deploy(60)
	if a := d.announce(map[string]any{"base": base}); a.status != http.StatusConflict || !strings.Contains(string(a.body), "look again") {
		t.Errorf("from what is live no more: %s", a)
	}
	again := d.deploy(50)
	if a := d.announce(map[string]any{"base": again.id(t)}); a.status != http.StatusCreated {
		t.Errorf("from what is live: %s", a)
	}
}

func TestACallWhoseAnswerGotLostMayBeRepeated(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	d.begin()
	judged := `{"state": "judged", "percentage": 10, "verdict": {"gate": "health", "pass": false, "reason": "status 500"}}`
	d.note(judged)
	d.note(judged)
	end := `{"state": "rolled_back", "reason": "gate health"}`
	d.note(end)
	d.note(end) // the end of a run is when answers get lost
	if s := d.show(); s.states() != "judged rolled_back" || s.Sequence != 2 {
		t.Errorf("it is %+v", s)
	}
	if a := d.announce(nil); a.status != http.StatusCreated || !strings.Contains(string(a.body), `"state":"rolled_back"`) {
		t.Errorf("announced once more after its end: %s", a)
	}
	d.refusedAll("after its end")
	if a := d.announce(map[string]any{"on_failure": "hold"}); a.status != http.StatusConflict {
		t.Errorf("its id with another plan: %s", a)
	}
}

func TestRolloutsBelongToTheirAccount(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	account, token := d.p.NewAccount(t, "Other")
	theirs := "/hybridge/v1/accounts/" + account
	foreign := func(method, path, body string) answer {
		return try(t, d.p, method, path, body, "Authorization", "Bearer "+token)
	}
	for path, a := range map[string]answer{
		"show":       foreign(http.MethodGet, theirs+"/rollouts/"+d.id, ""),
		"events":     foreign(http.MethodGet, theirs+"/rollouts/"+d.id+"/events", ""),
		"transition": foreign(http.MethodPost, theirs+"/workers/api/rollouts/"+d.id+"/transitions", `{"state":"held"}`),
		"lease":      foreign(http.MethodPut, theirs+"/workers/api/rollouts/"+d.id+"/lease", ``),
	} {
		if a.status != http.StatusNotFound {
			t.Errorf("%s of another account's: %s", path, a)
		}
	}
	if a := foreign(http.MethodGet, theirs+"/rollouts", ""); strings.TrimSpace(string(a.body)) != `{"rollouts":[]}` {
		t.Errorf("list: %s", a)
	}
	if a := try(t, d.p, http.MethodPut, "/hybridge/v1/accounts/"+d.p.AccountID+"/workers/other/rollouts/"+d.id+"/lease", ""); a.status != http.StatusNotFound {
		t.Errorf("through another Worker: %s", a)
	}
	reader := d.p.NewToken(t, "read")
	if a := try(t, d.p, http.MethodPut, d.path("/"+d.id+"/lease"), "", "Authorization", "Bearer "+reader); a.status != http.StatusForbidden {
		t.Errorf("who may only read renews a lease: %s", a)
	}
}

func TestARolloutThatIsMalformedIsRefused(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	for name, change := range map[string]map[string]any{
		"id": {"id": "mine"}, "target": {"target": d.old}, "policy": {"on_interrupt": "never"}, "message": {"interrupt_message": strings.Repeat("x", 1001)},
		"steps": {"steps": []any{}}, "percentage": {"steps": []any{map[string]any{"percentage": 101, "bake_seconds": 0, "gates": []string{}}}},
	} {
		if a := d.announce(change); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
	if a := d.announce(map[string]any{"steps": []any{map[string]any{"percentage": 1, "bake_seconds": 0, "gates": []string{strings.Repeat("x", 65<<10)}}}}); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("an endless plan: %d", a.status)
	}
	if a := d.announce(map[string]any{"target": uuid.NewString()}); a.status != http.StatusNotFound {
		t.Errorf("a version that is none: %s", a)
	}
	if a := try(t, d.p, http.MethodGet, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts/"+uuid.NewString(), ""); a.status != http.StatusNotFound {
		t.Errorf("a rollout that is none: %s", a)
	}
	if a := d.step(10); a.status != http.StatusNotFound || !strings.Contains(string(a.body), d.id) {
		t.Errorf("a deployment for a rollout that is none: %s", a)
	}
	d.begin()
	for _, body := range []string{`{}`, `{"state": "fine"}`, `{"state": "baking", "percentage": -1}`, `{"state": "baking", "step": -1}`, `{"state": "baking", "deployment_id": "` + strings.Repeat("x", 65) + `"}`} {
		if a := d.report(body); a.status != http.StatusBadRequest {
			t.Errorf("%.40s: %s", body, a)
		}
	}
	// What is only long is cut: an event with half a body is better than none.
	d.note(`{"state": "judged", "verdict": {"gate": "g", "pass": false, "reason": "r", "detail": "` + strings.Repeat("ä", 100_000) + `"}}`)
	if s := d.show(); len(s.Events[0].Verdict.Detail) != 16<<10 {
		t.Errorf("%d bytes of detail are kept", len(s.Events[0].Verdict.Detail))
	}
}

func TestOfManyRolloutsOfAWorkerOneBegins(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	var begun, refused atomic.Int32
	var racers sync.WaitGroup
	for range 8 {
		racers.Go(func() {
			switch a := d.announce(map[string]any{"id": uuid.NewString()}); a.status {
			case http.StatusCreated:
				begun.Add(1)
			case http.StatusConflict:
				refused.Add(1)
			default:
				t.Error(a)
			}
		})
	}
	racers.Wait()
	if begun.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d have begun and %d were refused", begun.Load(), refused.Load())
	}
	if web := d.another("web"); web.announce(nil).status != http.StatusCreated {
		t.Error("one Worker's rollout hinders another's")
	}
}

// The plane and the state machine share no types. They must share the words.
func TestStatesAreThoseOfTheStateMachine(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	for _, state := range []rollout.State{
		rollout.Deploying, rollout.Baking, rollout.Judged, rollout.RollingBack, rollout.Succeeded, rollout.RolledBack, rollout.Held, rollout.Overtaken, rollout.Unknown,
	} {
		d.id = uuid.NewString()
		d.begin()
		d.note(`{"state": "` + string(state) + `"}`)
		if ended := d.show().EndedOn != nil; ended != state.Ended() {
			t.Errorf("after %s it has ended: %v", state, ended)
		}
		if !state.Ended() {
			d.note(`{"state": "held"}`)
		}
	}
}
