// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// clock is the plane's, which a test can put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// patience bounds every wait of these tests; it is never reached when they pass.
const patience = 30 * time.Second

// driver is somebody who takes a Worker from one version to another.
type driver struct {
	t           *testing.T
	p           *planetest.Plane
	clock       *clock
	contract    contract
	worker      string // id
	name        string
	old, target string
	id          string
}

// newDriver has a plane on which a Worker has two versions, of which the first is live.
func newDriver(t *testing.T, o planetest.Options) *driver {
	t.Helper()
	d := &driver{t: t, clock: &clock{}, contract: hybridgeContract(t)}
	o.Now = d.clock.now
	if o.MendDelay == 0 {
		o.MendDelay = time.Millisecond
	}
	d.p = planetest.New(t, o)
	d.adopt("api")
	return d
}

// another drives another Worker of the same plane.
func (d *driver) another(name string) *driver {
	d.t.Helper()
	o := *d
	o.adopt(name)
	return &o
}

func (d *driver) adopt(name string) {
	d.t.Helper()
	d.name, d.worker, d.id = name, newWorker(d.t, d.p, name), uuid.NewString()
	d.old, d.target = newVersion(d.t, d.p, d.worker, ""), newVersion(d.t, d.p, d.worker, "")
	newDeployment(d.t, d.p, name, d.old, 100)
}

// restart ends the plane and starts another on its directory.
func (d *driver) restart(o planetest.Options) {
	d.t.Helper()
	d.p.Close()
	o.Dir, o.Token, o.Now = d.p.Dir, d.p.Token, d.clock.now
	if o.MendDelay == 0 {
		o.MendDelay = time.Millisecond
	}
	d.p = planetest.New(d.t, o)
}

// silence is longer than the lease.
func (d *driver) silence() { d.clock.forward(plane.DefaultRolloutLease + time.Second) }

func (d *driver) path(more string) string {
	return "/hybridge/v1/accounts/" + d.p.AccountID + "/workers/" + d.name + "/rollouts" + more
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

// announce begins the rollout, whatever is answered.
func (d *driver) announce(change map[string]any) answer {
	d.t.Helper()
	return d.contract.call(d.t, d.p, http.MethodPost, d.path(""), d.plan(change))
}

func (d *driver) begin() {
	d.t.Helper()
	if a := d.announce(nil); a.status != http.StatusCreated {
		d.t.Fatal(a)
	}
}

func (d *driver) report(body string) answer {
	d.t.Helper()
	return d.contract.call(d.t, d.p, http.MethodPost, d.path("/"+d.id+"/transitions"), body)
}

// note reports a transition that must be accepted.
func (d *driver) note(body string) {
	d.t.Helper()
	if a := d.report(body); a.status != http.StatusOK {
		d.t.Fatal(a)
	}
}

func (d *driver) renew() answer {
	d.t.Helper()
	return d.contract.call(d.t, d.p, http.MethodPut, d.path("/"+d.id+"/lease"), `{}`)
}

// deploy gives the target a percentage, as somebody who is no driver.
func (d *driver) deploy(percentage float64, headers ...string) answer {
	d.t.Helper()
	body := deployBody(d.target, percentage, d.old, 100-percentage)
	if percentage == 100 {
		body = deployBody(d.target, 100)
	}
	return try(d.t, d.p, http.MethodPost, "/workers/scripts/"+d.name+"/deployments?force=true", body, headers...)
}

// step deploys as the driver.
func (d *driver) step(percentage float64) answer {
	d.t.Helper()
	return d.deploy(percentage, "Hybridge-Rollout", d.id)
}

func (d *driver) mustStep(percentage float64) {
	d.t.Helper()
	if a := d.step(percentage); a.status != http.StatusOK {
		d.t.Fatal(a)
	}
}

// live is what is live and the message of its deployment.
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
	call(d.t, d.p, http.MethodGet, "/workers/scripts/"+d.name+"/deployments", "").into(d.t, &out)
	if len(out.Deployments) == 0 {
		return "nothing"
	}
	var parts []string
	for _, v := range out.Deployments[0].Versions {
		parts = append(parts, fmt.Sprintf("%s %g", map[string]string{d.old: "old", d.target: "target"}[v.VersionID], v.Percentage))
	}
	return strings.Join(parts, ", ") + "; " + out.Deployments[0].Annotations["workers/message"]
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
		Sequence     int64
		State        string
		Reason       string
		DeploymentID string `json:"deployment_id"`
		Verdict      *struct{ Gate, Detail string }
	}
}

// states are those of the events, in their order.
func (s seen) states() string {
	var list []string
	for _, e := range s.Events {
		list = append(list, e.State)
	}
	return strings.Join(list, " ")
}

func (s seen) reason() string {
	if len(s.Events) == 0 {
		return ""
	}
	return s.Events[len(s.Events)-1].Reason
}

func (d *driver) show() (s seen) {
	d.t.Helper()
	a := d.contract.get(d.t, d.p, d.p.Token, "/hybridge/v1/accounts/"+d.p.AccountID+"/rollouts/"+d.id)
	if err := json.Unmarshal(a.body, &s); err != nil || a.status != http.StatusOK {
		d.t.Fatalf("%s (%v)", a, err)
	}
	return s
}

// await waits until the rollout is as it should be.
func (d *driver) await(what string, is func(seen) bool) seen {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s := d.show()
		if is(s) {
			return s
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the rollout never is %s: %+v\n%s", what, s, d.p.Log())
		}
	}
}

func (d *driver) awaitEnd() seen {
	d.t.Helper()
	return d.await("at its end", func(s seen) bool { return s.EndedOn != nil })
}

// refusedAll checks that a driver can do nothing more in its rollout's name.
func (d *driver) refusedAll(why string) {
	d.t.Helper()
	for what, a := range map[string]answer{
		"a deployment": d.step(50), "a transition": d.report(`{"state": "baking", "percentage": 77}`), "its end": d.report(`{"state": "succeeded"}`), "a renewal": d.renew(),
	} {
		if a.status != http.StatusConflict {
			d.t.Errorf("%s: %s is answered with %s", why, what, a)
		}
	}
}

// hook is a runtime's OnApply that a test can change while the plane runs.
type hook struct {
	f atomic.Pointer[func(w workerd.Worker) error]
}

func (h *hook) set(f func(w workerd.Worker) error) { h.f.Store(&f) }

func (h *hook) apply(w workerd.Worker, _ []workerd.Version) error {
	if f := h.f.Load(); f != nil {
		return (*f)(w)
	}
	return nil
}

// all is the version that gets everything, "" if two share it.
func all(w workerd.Worker) string {
	if len(w.Shares) != 1 {
		return ""
	}
	return w.Shares[0].VersionID
}
