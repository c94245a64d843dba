// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// driver is somebody who takes a Worker from one version to another.
type driver struct {
	t           *testing.T
	p           *planetest.Plane
	worker      string
	old, target string
	id          string
	contract    func(p *planetest.Plane, token, path string) answer // gets, and checks the answer against the document
}

const lease = 400 * time.Millisecond

func newDriver(t *testing.T, p *planetest.Plane) *driver {
	t.Helper()
	d := &driver{t: t, p: p, worker: newWorker(t, p, "api"), id: uuid.NewString(), contract: hybridgeContract(t)}
	d.old, d.target = newVersion(t, p, d.worker, ""), newVersion(t, p, d.worker, "")
	newDeployment(t, p, "api", d.old, 100)
	return d
}

func (d *driver) path(more string) string {
	return "/hybridge/v1/accounts/" + d.p.AccountID + "/workers/api/rollouts" + more
}

func (d *driver) plan(change map[string]any) string {
	plan := map[string]any{
		"id": d.id, "target": d.target, "previous": d.old, "on_failure": "rollback", "on_interrupt": "rollback", "interrupt_message": "the driver is gone",
		"steps": []map[string]any{{"percentage": 10, "bake_seconds": 30, "gates": []string{"health"}}, {"percentage": 100, "bake_seconds": 0, "gates": []string{}}},
		"run":   map[string]string{"id": "4711", "workspace": "w", "commit": "c"},
	}
	for k, v := range change {
		plan[k] = v
	}
	text, err := json.Marshal(plan)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// seen is a rollout as it is shown.
type seen struct {
	ID, Worker, State, Target string
	Sequence                  int64
	EndedOn                   *time.Time `json:"ended_on"`
	LeaseSeconds              float64    `json:"lease_seconds_left"`
	Live                      []struct {
		VersionID  string `json:"version_id"`
		Percentage float64
	}
	Events []struct {
		Sequence int64
		State    string
		Reason   string
		Verdict  *struct{ Gate, Detail string }
	}
}

func (d *driver) show() (s seen) {
	d.t.Helper()
	a := d.contract(d.p, d.p.Token, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts/"+d.id)
	if err := json.Unmarshal(a.body, &s); err != nil || a.status != http.StatusOK {
		d.t.Fatalf("%s (%v)", a, err)
	}
	return s
}

// await waits until the rollout has ended.
func (d *driver) await() seen {
	d.t.Helper()
	for range 200 {
		if s := d.show(); s.EndedOn != nil {
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.t.Fatal("the rollout does not end")
	return seen{}
}

func (d *driver) begin() {
	d.t.Helper()
	if a := try(d.t, d.p, http.MethodPost, d.path(""), d.plan(nil)); a.status != http.StatusCreated {
		d.t.Fatal(a)
	}
}

func (d *driver) deploy(percentage float64, headers ...string) answer {
	d.t.Helper()
	return try(d.t, d.p, http.MethodPost, "/workers/scripts/api/deployments", deployBody(d.target, percentage, d.old, 100-percentage), headers...)
}

func (d *driver) live() string {
	d.t.Helper()
	var out struct {
		Deployments []struct {
			Annotations map[string]string
			Versions    []struct {
				VersionID  string `json:"version_id"`
				Percentage float64
			}
		}
	}
	call(d.t, d.p, http.MethodGet, "/workers/scripts/api/deployments", "").into(d.t, &out)
	var parts []string
	for _, v := range out.Deployments[0].Versions {
		parts = append(parts, fmt.Sprintf("%s %g", map[string]string{d.old: "old", d.target: "target"}[v.VersionID], v.Percentage))
	}
	return strings.Join(parts, ", ") + "; " + out.Deployments[0].Annotations["workers/message"]
}

func TestARolloutIsFollowedFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.New(t, planetest.Options{}))
	d.begin()
	d.begin() // an answer that got lost
	if a := d.deploy(10, "Hybridge-Rollout", d.id); a.status != http.StatusOK {
		t.Fatal(a)
	}
	for _, body := range []string{
		`{"state": "baking", "step": 0, "percentage": 10}`,
		`{"state": "judged", "step": 0, "percentage": 10, "verdict": {"gate": "health", "pass": false, "reason": "status 500", "detail": "the body"}}`,
		`{"state": "rolled_back", "step": 0, "reason": "gate health"}`,
	} {
		if a := try(t, d.p, http.MethodPost, d.path("/"+d.id+"/transitions"), body); a.status != http.StatusOK {
			t.Fatal(a)
		}
	}
	s := d.show()
	if s.State != "rolled_back" || s.EndedOn == nil || s.Sequence != 3 || len(s.Events) != 3 || s.Events[1].Verdict == nil || s.Events[1].Verdict.Detail != "the body" || s.LeaseSeconds != 0 {
		t.Errorf("it is shown as %+v", s)
	}
	var page struct {
		Events []struct{ Sequence int64 }
	}
	a := d.contract(d.p, d.p.Token, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts/"+d.id+"/events?after=1")
	if err := json.Unmarshal(a.body, &page); err != nil || len(page.Events) != 2 || page.Events[0].Sequence != 2 {
		t.Errorf("events after the first: %s", a)
	}
	// Its driver can do nothing more in its name.
	for _, a := range []answer{
		d.deploy(50, "Hybridge-Rollout", d.id),
		try(t, d.p, http.MethodPost, d.path("/"+d.id+"/transitions"), `{"state": "baking"}`),
		try(t, d.p, http.MethodPut, d.path("/"+d.id+"/lease"), `{}`),
	} {
		if a.status != http.StatusConflict {
			t.Errorf("after its end: %s", a)
		}
	}
	// The next one may begin, and then no other.
	first := d.id
	d.id = uuid.NewString()
	d.begin()
	if a := try(t, d.p, http.MethodPost, d.path(""), d.plan(map[string]any{"id": uuid.NewString()})); a.status != http.StatusConflict || !strings.Contains(string(a.body), "4711") {
		t.Errorf("a second one beside it: %s", a)
	}
	var list struct{ Rollouts []seen }
	a = d.contract(d.p, d.p.Token, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts?worker=api")
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Rollouts) != 2 || list.Rollouts[0].ID != d.id || list.Rollouts[1].ID != first {
		t.Errorf("the list: %s", a)
	}
}

func TestThePlaneActsForADriverThatIsSilent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		plan   map[string]any
		act    func(d *driver)
		state  string
		live   string
		reason string
	}{
		"it goes back": {nil, func(d *driver) { d.deploy(10, "Hybridge-Rollout", d.id) }, "rolled_back", "old 100; the driver is gone", "silent"},
		"it holds":     {map[string]any{"on_interrupt": "hold"}, func(d *driver) { d.deploy(10, "Hybridge-Rollout", d.id) }, "held", "target 10, old 90; ", "silent"},
		"nothing was left to do": {nil, func(d *driver) {
			try(d.t, d.p, http.MethodPost, "/workers/scripts/api/deployments", deployBody(d.target, 100), "Hybridge-Rollout", d.id)
		}, "succeeded", "target 100; ", "silent"},
		"nothing was deployed":  {nil, func(*driver) {}, "rolled_back", "old 100; ", "silent"},
		"somebody has deployed": {nil, func(d *driver) { d.deploy(10, "Hybridge-Rollout", d.id); d.deploy(33) }, "overtaken", "target 33, old 67; ", "silent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, planetest.New(t, planetest.Options{RolloutLease: lease}))
			if a := try(t, d.p, http.MethodPost, d.path(""), d.plan(tt.plan)); a.status != http.StatusCreated {
				t.Fatal(a)
			}
			tt.act(d)
			s := d.await()
			if last := s.Events[len(s.Events)-1]; s.State != tt.state || last.State != tt.state || !strings.Contains(last.Reason, tt.reason) {
				t.Errorf("it ended as %+v, want %s", s, tt.state)
			}
			if diff := cmp.Diff(tt.live, d.live()); diff != "" {
				t.Errorf("live (-want +got):\n%s", diff)
			}
			if a := d.deploy(50, "Hybridge-Rollout", d.id); a.status != http.StatusConflict {
				t.Errorf("its driver comes back and deploys: %s", a)
			}
		})
	}
}

func TestADriverThatSpeaksKeepsItsLease(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.New(t, planetest.Options{RolloutLease: lease}))
	d.begin()
	for range 10 {
		time.Sleep(lease / 4)
		if a := try(t, d.p, http.MethodPut, d.path("/"+d.id+"/lease"), `{}`); a.status != http.StatusOK {
			t.Fatal(a)
		}
	}
	if s := d.show(); s.EndedOn != nil || s.LeaseSeconds <= 0 {
		t.Errorf("it is %+v", s)
	}
}

func TestARestartGivesADriverItsLeaseAnew(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.New(t, planetest.Options{RolloutLease: lease}))
	d.begin()
	d.deploy(10, "Hybridge-Rollout", d.id)
	token, dir := d.p.Token, d.p.Dir
	d.p.Close()
	time.Sleep(lease + lease/2)
	d.p = planetest.New(t, planetest.Options{RolloutLease: lease, Dir: dir, Token: token})
	if a := try(t, d.p, http.MethodPut, d.path("/"+d.id+"/lease"), `{}`); a.status != http.StatusOK {
		t.Fatalf("after the restart: %s", a)
	}
	if s := d.await(); s.State != "rolled_back" {
		t.Errorf("it ended as %+v", s)
	}
	if live := d.live(); !strings.HasPrefix(live, "old 100") {
		t.Errorf("live is %s", live)
	}
}

func TestARolloutThatIsMalformedIsRefused(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.New(t, planetest.Options{}))
	for name, change := range map[string]map[string]any{
		"id": {"id": "mine"}, "target": {"target": d.old}, "policy": {"on_interrupt": "never"}, "message": {"interrupt_message": strings.Repeat("x", 1001)}, "steps": {"steps": []any{}},
	} {
		if a := try(t, d.p, http.MethodPost, d.path(""), d.plan(change)); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
	if a := try(t, d.p, http.MethodPost, d.path(""), d.plan(map[string]any{"target": uuid.NewString()})); a.status != http.StatusNotFound {
		t.Errorf("a version that is none: %s", a)
	}
	if a := try(t, d.p, http.MethodGet, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts/"+uuid.NewString(), ""); a.status != http.StatusNotFound {
		t.Errorf("a rollout that is none: %s", a)
	}
}

func TestAStreamTellsEverythingOnceAndEnds(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.New(t, planetest.Options{}))
	d.begin()
	note := func(body string) {
		t.Helper()
		if a := try(t, d.p, http.MethodPost, d.path("/"+d.id+"/transitions"), body); a.status != http.StatusOK {
			t.Fatal(a)
		}
	}
	open := func(after int) *websocket.Conn {
		t.Helper()
		url := strings.Replace(d.p.URL, "http:", "ws:", 1) + "/hybridge/v1/accounts/" + d.p.AccountID + "/rollouts/" + d.id + "/events?after=" + strconv.Itoa(after)
		c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + d.p.Token}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	read := func(c *websocket.Conn) (message struct {
		Snapshot *seen
		Sequence int
		State    string
	}) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, text, err := c.Read(ctx)
		if err == nil {
			err = json.Unmarshal(text, &message)
		}
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
	note(`{"state": "baking", "percentage": 10}`)
	c := open(0)
	if m := read(c); m.Snapshot == nil || m.Snapshot.ID != d.id || m.Snapshot.Sequence != 1 {
		t.Fatalf("it begins with %+v", m)
	}
	if m := read(c); m.Sequence != 1 || m.State != "baking" {
		t.Errorf("then comes %+v", m)
	}
	note(`{"state": "deploying", "percentage": 50}`)
	if m := read(c); m.Sequence != 2 {
		t.Errorf("then comes %+v", m)
	}
	_ = c.CloseNow() // the connection breaks, and the reader comes back
	note(`{"state": "baking", "percentage": 50}`)
	note(`{"state": "succeeded"}`)
	c = open(2)
	read(c)
	for want := 3; want <= 4; want++ {
		if m := read(c); m.Sequence != want {
			t.Errorf("after the second comes %+v, want %d", m, want)
		}
	}
	_, _, err := c.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("after the end: %v", err)
	}
	// A plane that stops says so.
	d.id = uuid.NewString()
	d.begin()
	c = open(0)
	read(c)
	closed := make(chan struct{})
	go func() { defer close(closed); d.p.Plane.Close() }()
	if _, _, err = c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("when the plane stops: %v", err)
	}
	<-closed
}
