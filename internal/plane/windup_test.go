// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

func TestThePlaneActsForADriverThatIsSilent(t *testing.T) {
	t.Parallel()
	hold := map[string]any{"on_interrupt": "hold"}
	for name, tt := range map[string]struct {
		before       func(d *driver) // before the rollout begins
		plan         map[string]any
		act          func(d *driver)
		states, live string
		reason       string // what it ends with, after "the driver was silent for 15s"
	}{
		"it goes back": {
			act:    func(d *driver) { d.mustStep(10) },
			states: "rolling_back rolled_back", live: "old 100; the driver is gone",
		},
		"nothing was left to do": {
			act:    func(d *driver) { d.mustStep(10); d.mustStep(100) },
			states: "succeeded", live: "target 100; ", reason: ", and nothing was left to do",
		},
		"it goes back from the last step": {
			plan:   map[string]any{"steps": []map[string]any{{"percentage": 100, "bake_seconds": 0, "gates": []string{"health"}}}},
			act:    func(d *driver) { d.mustStep(10); d.mustStep(100) },
			states: "rolling_back rolled_back", live: "old 100; the driver is gone",
		},
		"it holds": {
			plan: hold, act: func(d *driver) { d.mustStep(10) },
			states: "held", live: "target 10, old 90; ",
		},
		"nothing was deployed": {
			act:    func(*driver) {},
			states: "rolled_back", live: "old 100; ",
		},
		"it had gone back by itself": {
			act: func(d *driver) {
				d.mustStep(10)
				if a := try(d.t, d.p, http.MethodPost, "/workers/scripts/api/deployments", deployBody(d.old, 100), "Hybridge-Rollout", d.id); a.status != http.StatusOK {
					d.t.Fatal(a)
				}
			},
			states: "rolled_back", live: "old 100; ",
		},
		"the first deployment of a Worker": {
			plan: map[string]any{"previous": ""}, act: func(d *driver) { d.mustStep(100) },
			states: "held", live: "target 100; ",
		},
		"somebody has deployed": {
			act:    func(d *driver) { d.mustStep(10); d.deploy(33) },
			states: "overtaken", live: "target 33, old 67; ", reason: ", and somebody else has deployed",
		},
		"somebody has deployed, where it was to hold": {
			plan: hold, act: func(d *driver) { d.mustStep(10); d.deploy(33) },
			states: "overtaken", live: "target 33, old 67; ", reason: ", and somebody else has deployed",
		},
		"somebody has deployed before its first step": {
			act:    func(d *driver) { d.deploy(33) },
			states: "overtaken", live: "target 33, old 67; ", reason: ", and somebody else has deployed",
		},
		"somebody has deployed the same": {
			act:    func(d *driver) { d.mustStep(10); d.deploy(10) },
			states: "overtaken", live: "target 10, old 90; ", reason: ", and somebody else has deployed",
		},
		"it takes up the step of another": {
			before: func(d *driver) { d.deploy(10) }, act: func(*driver) {},
			states: "rolling_back rolled_back", live: "old 100; the driver is gone",
		},
		"a secret was rotated with the release": {
			before: func(d *driver) {
				d.old, d.target = newVersion(d.t, d.p, "api", `,"bindings":[{"type":"secret_text","name":"S","text":"1"}]`), newVersion(d.t, d.p, "api", `,"bindings":[{"type":"secret_text","name":"S","text":"2"}]`)
				newDeployment(d.t, d.p, "api", d.old, 100)
			},
			act:    func(d *driver) { d.mustStep(10) },
			states: "rolling_back rolled_back", live: "old 100; the driver is gone",
		},
		"the Worker was renamed": {
			act: func(d *driver) {
				d.mustStep(10)
				call(d.t, d.p, http.MethodPatch, "/workers/workers/"+d.worker, `{"name":"renamed"}`)
				d.name = "renamed"
			},
			states: "rolling_back rolled_back", live: "old 100; the driver is gone",
		},
		"the previous version was deleted": {
			plan: map[string]any{"steps": []map[string]any{{"percentage": 100, "bake_seconds": 0, "gates": []string{"health"}}}},
			act: func(d *driver) {
				d.mustStep(100)
				call(d.t, d.p, http.MethodDelete, "/workers/workers/api/versions/"+d.old, "")
			},
			states: "rolling_back unknown", live: "target 100; ",
			reason: ", and the previous version cannot be deployed any more: The requested Worker version could not be found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, planetest.Options{})
			if tt.before != nil {
				tt.before(d)
			}
			if a := d.announce(tt.plan); a.status != http.StatusCreated {
				t.Fatal(a)
			}
			tt.act(d)
			if s := d.show(); s.EndedOn != nil || s.LeaseSeconds == 0 {
				t.Fatalf("before the driver is silent: %+v", s)
			}
			d.silence()
			s := d.awaitEnd()
			if s.states() != tt.states || !strings.HasPrefix(s.reason(), "the driver was silent for 15s"+tt.reason) || tt.reason == "" && s.reason() != "the driver was silent for 15s" {
				t.Errorf("it ended as %+v, want %s", s, tt.states)
			}
			if diff := cmp.Diff(tt.live, d.live()); diff != "" {
				t.Errorf("live (-want +got):\n%s", diff)
			}
			d.refusedAll("after the plane has ended it")
			d.id = uuid.NewString()
			if a := d.announce(map[string]any{"previous": ""}); a.status != http.StatusCreated {
				t.Errorf("the next rollout: %s", a)
			}
		})
	}
}

func TestADriverThatSpeaksKeepsItsLease(t *testing.T) {
	t.Parallel()
	for name, speak := range map[string]func(d *driver) answer{
		"renewal":              (*driver).renew,
		"announcement":         func(d *driver) answer { return d.announce(nil) },
		"transition":           func(d *driver) answer { return d.report(`{"state": "baking"}`) },
		"deployment":           func(d *driver) answer { return d.step(10) },
		"refused deployment":   func(d *driver) answer { return d.deploy(1000, "Hybridge-Rollout", d.id) },
		"malformed, but heard": func(d *driver) answer { return d.step(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, planetest.Options{})
			d.begin()
			for range 4 {
				d.clock.forward(10 * time.Second)
				speak(d)
				time.Sleep(20 * time.Millisecond)
			}
			if s := d.show(); s.EndedOn != nil || s.LeaseSeconds < 14 {
				t.Errorf("it is %+v", s)
			}
		})
	}
}

// Reading is no sign of a driver.
func TestWhoOnlyLooksKeepsNoLease(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	d.mustStep(10)
	for range 4 {
		d.clock.forward(4 * time.Second)
		d.show()
		d.deploy(-1) // without the rollout's id
	}
	if s := d.awaitEnd(); s.State != "rolled_back" {
		t.Errorf("it is %+v", s)
	}
}

func TestASwitchThatTakesLongerThanTheLeaseIsNoSilence(t *testing.T) {
	t.Parallel()
	var h hook
	d := newDriver(t, planetest.Options{OnApply: h.apply})
	d.begin()
	reached, release := make(chan struct{}), make(chan struct{})
	h.set(func(w workerd.Worker) error {
		if all(w) == "" {
			close(reached)
			<-release
		}
		return nil
	})
	answered := make(chan answer, 1)
	go func() { answered <- d.step(10) }()
	<-reached
	d.clock.forward(50 * time.Second)
	time.Sleep(300 * time.Millisecond) // the plane looks at its clock
	close(release)
	if a := <-answered; a.status != http.StatusOK {
		t.Fatalf("the deployment: %s", a)
	}
	if s := d.show(); s.EndedOn != nil || s.LeaseSeconds < 14 {
		t.Errorf("it is %+v", s)
	}
}

func TestSomebodyElsesSlowSwitchKeepsNoDriverFromSpeaking(t *testing.T) {
	t.Parallel()
	var h hook
	d := newDriver(t, planetest.Options{OnApply: h.apply})
	d.begin()
	reached, release := make(chan struct{}), make(chan struct{})
	h.set(func(workerd.Worker) error {
		close(reached)
		<-release
		return nil
	})
	answered := make(chan answer, 1)
	go func() { answered <- d.deploy(33) }()
	<-reached
	for range 3 {
		d.clock.forward(10 * time.Second)
		if a := d.renew(); a.status != http.StatusOK {
			t.Error(a)
		}
		d.note(fmt.Sprintf(`{"state": "baking", "percentage": %d}`, rand.IntN(100)))
	}
	close(release)
	if a := <-answered; a.status != http.StatusOK {
		t.Fatal(a)
	}
	if s := d.show(); s.EndedOn != nil {
		t.Errorf("it is %+v", s)
	}
}

func TestADriverThatComesBackWhileThePlaneGoesBackIsRefused(t *testing.T) {
	t.Parallel()
	var h hook
	d := newDriver(t, planetest.Options{OnApply: h.apply})
	d.begin()
	d.mustStep(10)
	reached, release := make(chan struct{}), make(chan struct{})
	h.set(func(w workerd.Worker) error {
		if all(w) == d.old {
			close(reached)
			<-release
		}
		return nil
	})
	d.silence()
	<-reached
	d.refusedAll("while the plane goes back")
	if a := d.announce(nil); a.status != http.StatusConflict {
		t.Errorf("announced again: %s", a)
	}
	if a := d.announce(map[string]any{"id": uuid.NewString()}); a.status != http.StatusConflict || !strings.Contains(string(a.body), "the plane is ending it") {
		t.Errorf("another one: %s", a)
	}
	if s := d.show(); s.State != "rolling_back" || s.EndedOn != nil || s.LeaseSeconds != 0 {
		t.Errorf("meanwhile it is %+v", s)
	}
	close(release)
	if s := d.awaitEnd(); s.states() != "rolling_back rolled_back" {
		t.Errorf("it ended as %+v", s)
	}
}

func TestAPlaneThatCannotGoBackTriesAgainAndSaysSo(t *testing.T) {
	t.Parallel()
	var h hook
	d := newDriver(t, planetest.Options{OnApply: h.apply})
	d.begin()
	d.mustStep(10)
	web := d.another("web")
	web.begin()
	web.mustStep(10)
	fails := func(w workerd.Worker) error {
		if all(w) == d.old {
			return errors.New("open /secret/path: no memory")
		}
		return nil
	}
	h.set(fails)
	d.silence()
	if s := web.awaitEnd(); s.State != "rolled_back" {
		t.Errorf("one Worker's trouble keeps another's rollout %+v", s)
	}
	awaitHealth(t, d.p, http.StatusServiceUnavailable)
	a := d.contract.get(t, d.p, d.p.Token, "/hybridge/v1/plane")
	if !strings.Contains(string(a.body), "The driver of the rollout "+d.id+" is silent") || strings.Contains(string(a.body), "/secret/path") {
		t.Errorf("the plane says %s", a)
	}
	if live := d.live(); live != "target 10, old 90; " {
		t.Errorf("live is %s", live)
	}
	d.refusedAll("while the plane tries")

	// The plane is killed in the middle: the next one goes on at once, and knows that the
	// driver has lost it.
	d.restart(planetest.Options{OnApply: h.apply})
	d.refusedAll("after the restart")
	awaitHealth(t, d.p, http.StatusServiceUnavailable)
	h.set(func(workerd.Worker) error { return nil })
	if s := d.awaitEnd(); s.states() != "rolling_back rolled_back" {
		t.Errorf("it ended as %+v", s)
	}
	awaitHealth(t, d.p, http.StatusOK)
	if live := d.live(); live != "old 100; the driver is gone" {
		t.Errorf("live is %s", live)
	}
}

func TestADeploymentOrADeletionEndsThePlanesTrying(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end    func(d *driver)
		reason string
	}{
		"deployment": {func(d *driver) { d.deploy(40) }, "somebody else has deployed"},
		"deletion":   {func(d *driver) { call(d.t, d.p, http.MethodDelete, "/workers/workers/api", "") }, "the Worker was deleted"},
	} {
		var h hook
		d := newDriver(t, planetest.Options{OnApply: h.apply})
		d.begin()
		d.mustStep(10)
		h.set(func(w workerd.Worker) error {
			if all(w) == d.old {
				return errors.New("no memory")
			}
			return nil
		})
		d.silence()
		awaitHealth(t, d.p, http.StatusServiceUnavailable)
		tt.end(d)
		if s := d.awaitEnd(); s.State != "overtaken" || !strings.Contains(s.reason(), tt.reason) {
			t.Errorf("%s: it ended as %+v", name, s)
		}
		awaitHealth(t, d.p, http.StatusOK)
	}
}

func TestARolloutOutlivesItsWorker(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	d.mustStep(10)
	call(t, d.p, http.MethodDelete, "/workers/workers/api", "")
	s := d.show()
	if s.State != "overtaken" || s.reason() != "the Worker was deleted" || s.Worker != "api" || len(s.Live) != 0 {
		t.Errorf("it is %+v", s)
	}
	if a := d.renew(); a.status != http.StatusConflict {
		t.Errorf("its driver is told %s", a)
	}
	// Another Worker of that name has nothing to do with it.
	d.another("api").begin()
	d.silence()
	time.Sleep(50 * time.Millisecond)
	if again := d.show(); again.Sequence != s.Sequence {
		t.Errorf("it goes on as %+v", again)
	}
}

func TestARestartGivesADriverItsLeaseAnew(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	d.begin()
	d.mustStep(10)
	// Bringing the Workers up may take longer than a lease lasts.
	d.restart(planetest.Options{OnApply: func(workerd.Worker, []workerd.Version) error { d.silence(); return nil }})
	if s := d.show(); s.LeaseSeconds < 10 {
		t.Errorf("after the restart it is %+v", s)
	}
	d.mustStep(50)
	d.restart(planetest.Options{})
	d.silence() // this driver did not survive
	if s := d.awaitEnd(); s.states() != "rolling_back rolled_back" {
		t.Errorf("it ended as %+v", s)
	}
	if live := d.live(); live != "old 100; the driver is gone" {
		t.Errorf("live is %s", live)
	}
	d.restart(planetest.Options{})
	d.silence()
	if s := d.show(); s.Sequence != 2 {
		t.Errorf("what has ended goes on after a restart: %+v", s)
	}
}

func TestClosingAPlaneEndsItsGoingBack(t *testing.T) {
	t.Parallel()
	var h hook
	d := newDriver(t, planetest.Options{OnApply: h.apply, MendDelay: time.Hour})
	d.begin()
	d.mustStep(10)
	h.set(func(w workerd.Worker) error {
		if all(w) == d.old {
			return errors.New("no memory")
		}
		return nil
	})
	d.silence()
	awaitHealth(t, d.p, http.StatusServiceUnavailable)
	d.p.Plane.Close() // returns, although the next try is in an hour
}

// A driver and silence, over and over: whoever comes first, what is live, what the rollout
// says and what the driver was told agree.
func TestWhoComesFirstIsNeverInDoubt(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	for round := range 30 {
		d.id = uuid.NewString()
		newDeployment(t, d.p, "api", d.old, 100)
		d.begin()
		d.mustStep(1)
		var told sync.Map // by percentage: the status
		var racers sync.WaitGroup
		for i := range 3 {
			percentage := 10 * (i + 1)
			racers.Go(func() {
				time.Sleep(time.Duration(rand.IntN(6)) * time.Millisecond)
				told.Store(percentage, d.step(float64(percentage)).status)
			})
			racers.Go(func() { d.renew() })
		}
		racers.Go(func() {
			time.Sleep(time.Duration(rand.IntN(6)) * time.Millisecond)
			d.silence()
		})
		racers.Wait()
		d.silence()
		s := d.awaitEnd()
		live := d.live()
		if s.states() != "rolling_back rolled_back" || live != "old 100; the driver is gone" {
			t.Fatalf("round %d: it ended as %+v, and live is %s", round, s, live)
		}
		// Everything that was accepted is in the history, below the plane's own deployment,
		// and nothing else.
		var out struct {
			Deployments []struct {
				Versions []struct{ Percentage int }
			}
		}
		call(t, d.p, http.MethodGet, "/workers/scripts/api/deployments", "").into(t, &out)
		accepted := map[int]bool{}
		for _, made := range out.Deployments[1:] {
			if len(made.Versions) == 1 || made.Versions[0].Percentage == 1 {
				break
			}
			accepted[made.Versions[0].Percentage] = true
		}
		told.Range(func(percentage, status any) bool {
			if accepted[percentage.(int)] != (status == http.StatusOK) {
				t.Errorf("round %d: %d %% was answered with %d, and the history has %v", round, percentage, status, accepted)
			}
			return true
		})
	}
}
