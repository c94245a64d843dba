// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// stopped is the directory of a plane on which the Workers are live.
func stopped(t *testing.T, names ...string) *planetest.Plane {
	t.Helper()
	p := planetest.New(t, planetest.Options{})
	for _, name := range names {
		newWorker(t, p, name)
		newDeployment(t, p, name, newVersion(t, p, name, ""), 100)
	}
	p.Close()
	return p
}

func health(t *testing.T, p *planetest.Plane) int {
	t.Helper()
	return try(t, p, "GET", "/hybridge/v1/health", "").status
}

func awaitHealth(t *testing.T, p *planetest.Plane, status int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); health(t, p) != status; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the health never became %d:\n%s", status, p.Log())
		}
	}
}

func TestAWorkerThatCouldNotBeRestoredIsTriedAgain(t *testing.T) {
	t.Parallel()
	before := stopped(t, "api", "web")
	var mended atomic.Bool
	var tries atomic.Int32
	p := planetest.New(t, planetest.Options{Dir: before.Dir, Token: before.Token, MendDelay: time.Millisecond,
		OnApply: func(w workerd.Worker, _ []workerd.Version) error {
			if w.Name != "api" {
				return nil
			}
			tries.Add(1)
			if !mended.Load() {
				return errors.New("out of memory")
			}
			return nil
		}})
	if got := health(t, p); got != http.StatusServiceUnavailable {
		t.Errorf("health of a plane without one of its Workers: %d", got)
	}
	if _, ok := p.Runtime.Running("web"); !ok {
		t.Error("one broken Worker held up another")
	}
	for deadline := time.Now().Add(20 * time.Second); tries.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not tried again and again")
		}
	}
	mended.Store(true)
	awaitHealth(t, p, http.StatusOK)
	if _, ok := p.Runtime.Running("api"); !ok {
		t.Error("the Worker does not run")
	}
	at := tries.Load()
	time.Sleep(50 * time.Millisecond)
	if now := tries.Load(); now != at {
		t.Errorf("tried %d more times after it was up", now-at)
	}
}

func TestADeploymentOrADeletionEndsTheTrying(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *planetest.Plane, mended *atomic.Bool){
		"deployment": func(p *planetest.Plane, mended *atomic.Bool) {
			id := newVersion(t, p, "api", "")
			mended.Store(true)
			newDeployment(t, p, "api", id, 100)
		},
		"deletion": func(p *planetest.Plane, _ *atomic.Bool) {
			w, err := p.Registry.Worker(t.Context(), p.AccountID, "api")
			if err == nil {
				err = p.Registry.DeleteWorker(t.Context(), w.ID) // behind the plane's back
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		before := stopped(t, "api")
		var mended atomic.Bool
		var tries atomic.Int32
		p := planetest.New(t, planetest.Options{Dir: before.Dir, Token: before.Token, MendDelay: 100 * time.Millisecond,
			OnApply: func(workerd.Worker, []workerd.Version) error {
				tries.Add(1)
				if !mended.Load() {
					return errors.New("out of memory")
				}
				return nil
			}})
		end(p, &mended)
		at := tries.Load()
		awaitHealth(t, p, http.StatusOK)
		time.Sleep(500 * time.Millisecond)
		// One may have been under way.
		if now := tries.Load(); now > at+1 {
			t.Errorf("%s: tried %d more times", name, now-at)
		}
	}
}

func TestOneWorkerThatHangsDoesNotKeepThePlaneFromServing(t *testing.T) {
	t.Parallel()
	before := stopped(t, "api", "web")
	hang := make(chan struct{})
	p := planetest.New(t, planetest.Options{Dir: before.Dir, Token: before.Token, RestorePatience: 50 * time.Millisecond,
		OnApply: func(w workerd.Worker, _ []workerd.Version) error {
			if w.Name == "api" {
				<-hang
			}
			return nil
		}})
	if got := health(t, p); got != http.StatusServiceUnavailable {
		t.Errorf("health while a Worker is being brought up: %d", got)
	}
	a := try(t, p, "GET", "/hybridge/v1/plane", "", "Authorization", "Bearer "+p.Token)
	if !strings.Contains(string(a.body), "is being brought up") || strings.Contains(string(a.body), "could not") {
		t.Errorf("plane: %s", a.body)
	}
	close(hang)
	awaitHealth(t, p, http.StatusOK)
}

func TestClosingAPlaneEndsTheTrying(t *testing.T) {
	t.Parallel()
	before := stopped(t, "api")
	var tries atomic.Int32
	p := planetest.New(t, planetest.Options{Dir: before.Dir, Token: before.Token, MendDelay: time.Millisecond,
		OnApply: func(workerd.Worker, []workerd.Version) error {
			tries.Add(1)
			return errors.New("out of memory")
		}})
	p.Plane.Close()
	at := tries.Load()
	time.Sleep(50 * time.Millisecond)
	if now := tries.Load(); now != at {
		t.Errorf("tried %d times after Close", now-at)
	}
}
