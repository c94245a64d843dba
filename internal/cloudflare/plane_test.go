// SPDX-License-Identifier: MPL-2.0

package cloudflare_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
)

// newClient gives a client of a new Terraform phase: it remembers nothing.
func newClient(t testing.TB, p *acctest.Plane, change ...func(*cloudflare.Config)) *cloudflare.Client {
	t.Helper()
	cfg := cloudflare.Config{
		BaseURL: p.URL, AccountID: p.AccountID, Token: p.Token,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := cloudflare.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// upload is a version that differs from others by text.
func upload(text string) cloudflare.VersionUpload { return uploadAs(markerOf(text), text) }

func markerOf(text string) string {
	return cloudflare.DeploymentMarker([]cloudflare.Share{{VersionID: text}})
}

func uploadAs(marker, text string) cloudflare.VersionUpload {
	body := fmt.Sprintf(`{"main_module":"index.js","compatibility_date":"2026-01-01","annotations":{"workers/message":%q},
		"modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":"ZXhwb3J0IGRlZmF1bHQge30="}]}`, marker+" "+text)
	return cloudflare.VersionUpload{Marker: marker, Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader(body)), int64(len(body)), nil
	}}
}

func accept(*cloudflare.Deployment) error { return nil }

func all(v *cloudflare.Version) []cloudflare.Share {
	return []cloudflare.Share{{VersionID: v.ID, Percentage: 100}}
}

// live makes a Worker with one version that is live.
func live(t testing.TB, c *cloudflare.Client, name string) (*cloudflare.Worker, *cloudflare.Version, *cloudflare.Deployment) {
	t.Helper()
	w, err := c.CreateWorker(t.Context(), cloudflare.WorkerInput{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.CreateVersion(t.Context(), w.ID, upload("first of "+name))
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.CreateDeployment(t.Context(), name, cloudflare.DeploymentInput{Versions: all(v), Check: accept})
	if err != nil {
		t.Fatal(err)
	}
	return w, v, d
}

func TestAFirstApplyNeedsThreeRequestsPerWorker(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	c := newClient(t, p)
	for i := range 5 {
		live(t, c, fmt.Sprintf("w%d", i))
	}
	if n := p.Faults.Count("", ""); n != 15 {
		t.Errorf("%d requests, want 15: %v", n, p.Faults.Requests())
	}
}

func TestANoOpPlanOfManyWorkersNeedsOneRequestEachAndFourMore(t *testing.T) {
	t.Parallel()
	const workers = 120 // more than a page of the list
	p := acctest.NewPlane(t)
	made := make([]*cloudflare.Worker, workers)
	versions := make([]*cloudflare.Version, workers)
	apply := newClient(t, p)
	for i := range workers {
		made[i], versions[i], _ = live(t, apply, fmt.Sprintf("w%03d", i))
	}
	p.Faults.Requests()

	plan := newClient(t, p)
	var wg sync.WaitGroup
	limit := make(chan struct{}, 10) // Terraform's parallelism
	for i := range workers {
		for _, read := range []func() error{
			func() error { _, err := plan.Worker(t.Context(), made[i].ID); return err },
			func() error {
				ok, err := plan.VersionExists(t.Context(), made[i].ID, versions[i].ID)
				if err == nil && !ok {
					err = fmt.Errorf("version %s does not exist", versions[i].ID)
				}
				return err
			},
			func() error {
				d, err := plan.LiveDeployment(t.Context(), made[i].Name)
				if err == nil && d == nil {
					err = fmt.Errorf("nothing is live of %s", made[i].Name)
				}
				return err
			},
		} {
			wg.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				if err := read(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	// Two Workers are asked for alone before the list of two pages.
	if n, want := p.Faults.Count("", ""), workers+4; n != want {
		t.Errorf("%d requests, want %d", n, want)
	}
}

func TestAPlanOfOneWorkerDoesNotListTheAccount(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	w, v, _ := live(t, newClient(t, p), "api")
	p.Faults.Requests()
	c := newClient(t, p)
	for range 3 {
		if _, err := c.Worker(t.Context(), w.ID); err != nil {
			t.Fatal(err)
		}
		if ok, err := c.VersionExists(t.Context(), w.ID, v.ID); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if _, err := c.Worker(t.Context(), "api"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Deployments(t.Context(), w.Name); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Faults.Requests(); len(got) != 2 || strings.HasSuffix(got[0].Path, "/workers/workers") {
		t.Errorf("requests %v, want one for the Worker and one for its deployments", got)
	}
}

func TestThatAWorkerIsGoneIsAlwaysAskedFor(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	apply := newClient(t, p)
	for i := range 4 {
		live(t, apply, fmt.Sprintf("w%d", i))
	}
	c := newClient(t, p)
	for i := range 4 {
		if _, err := c.Worker(t.Context(), fmt.Sprintf("w%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	// The list is here now. One Worker comes after it, by somebody else.
	live(t, apply, "late")
	p.Faults.Requests()
	if w, err := c.Worker(t.Context(), "late"); err != nil || w.Name != "late" {
		t.Errorf("a Worker that the list lacks: %v", err)
	}
	if _, err := c.Worker(t.Context(), "missing"); !cloudflare.IsNotFound(err) {
		t.Errorf("a Worker that does not exist: %v", err)
	}
	if n := p.Faults.Count("GET", "/client/v4/accounts/*/workers/workers/*"); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestAfterAWriteThePlaneIsAsked(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	apply := newClient(t, p)
	for i := range 4 {
		live(t, apply, fmt.Sprintf("w%d", i))
	}
	c := newClient(t, p)
	var w *cloudflare.Worker
	for i := range 4 {
		var err error
		if w, err = c.Worker(t.Context(), fmt.Sprintf("w%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	if _, err := c.UpdateWorker(t.Context(), w.ID, cloudflare.WorkerInput{Logpush: &yes}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{w.ID, w.Name} {
		if got, err := c.Worker(t.Context(), key); err != nil || !got.Logpush {
			t.Errorf("by %s: logpush is %v after the update, error %v", key, got.Logpush, err)
		}
	}
	if err := c.DeleteWorker(t.Context(), w.ID, false); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{w.ID, w.Name} {
		if _, err := c.Worker(t.Context(), key); !cloudflare.IsNotFound(err) {
			t.Errorf("by %s after the deletion: %v", key, err)
		}
	}
	if err := c.DeleteWorker(t.Context(), w.ID, false); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestWhatWasLiveOnceMayBeDeletedSince(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	maker := newClient(t, p)
	w, gone, _ := live(t, maker, "api")
	var made []*cloudflare.Version
	for _, text := range []string{"second", "third", "fourth"} {
		v, err := maker.CreateVersion(t.Context(), w.ID, upload(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := maker.CreateDeployment(t.Context(), "api", cloudflare.DeploymentInput{Versions: all(v), Check: accept}); err != nil {
			t.Fatal(err)
		}
		made = append(made, v)
	}
	if err := maker.DeleteVersion(t.Context(), w.ID, gone.ID); err != nil {
		t.Fatal(err)
	}
	p.Faults.Requests()
	c := newClient(t, p)
	if ok, err := c.VersionExists(t.Context(), w.ID, gone.ID); err != nil || ok {
		t.Errorf("the version that was deleted after another one went live: %v, %v", ok, err)
	}
	for _, v := range made {
		if ok, err := c.VersionExists(t.Context(), w.ID, v.ID); err != nil || !ok {
			t.Errorf("version %d: %v, %v", v.Number, ok, err)
		}
	}
	// The Worker's name, its deployments, its versions, and the one that is in neither.
	if got := p.Faults.Requests(); len(got) != 4 {
		t.Errorf("requests %v, want 4 however many versions are asked for", got)
	}
}

// What is remembered under a name goes when another Worker may get that name.
func TestANameThatChangesHandsIsForgotten(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	w, v, _ := live(t, newClient(t, p), "api")
	c := newClient(t, p)
	if d, err := c.LiveDeployment(t.Context(), w.ID); err != nil || d == nil {
		t.Fatalf("live: %v, %v", d, err)
	}
	if all, err := c.DeployableVersions(t.Context(), "api"); err != nil || len(all) != 1 {
		t.Fatalf("versions: %v, %v", all, err)
	}
	if _, err := c.UpdateWorker(t.Context(), w.ID, cloudflare.WorkerInput{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	other, err := c.CreateWorker(t.Context(), cloudflare.WorkerInput{Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"api", other.ID} {
		if all, err := c.DeployableVersions(t.Context(), key); err != nil || len(all) != 0 {
			t.Errorf("the new %s has versions of the old one: %v, %v", key, all, err)
		}
		if found, err := c.VersionExists(t.Context(), key, v.ID); err != nil || found {
			t.Errorf("the new %s has the old one's version: %v, %v", key, found, err)
		}
	}
	if d, err := c.LiveDeployment(t.Context(), w.ID); err != nil || d == nil {
		t.Errorf("under its new name: %v, %v", d, err)
	}
}

func TestAListThatFailsLeavesReadsWorking(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	apply := newClient(t, p)
	for i := range 6 {
		live(t, apply, fmt.Sprintf("w%d", i))
	}
	p.Faults.Add(fault.Rule{Path: "/client/v4/accounts/*/workers/workers", Kind: fault.Unauthorized, Times: -1})
	c := newClient(t, p)
	for i := range 6 {
		if _, err := c.Worker(t.Context(), fmt.Sprintf("w%d", i)); err != nil {
			t.Error(err)
		}
	}
}

func TestAReaderThatIsCancelledDoesNotFailTheOthers(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	live(t, newClient(t, p), "api")
	p.Faults.Add(fault.Rule{Method: "GET", Kind: fault.Slow, Delay: time.Hour})
	p.Faults.Requests()
	c := newClient(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := c.Deployments(ctx, "api"); first <- err }()
	for p.Faults.Count("GET", "") == 0 {
		time.Sleep(time.Millisecond)
	}
	second := make(chan error, 1)
	go func() { _, err := c.Deployments(t.Context(), "api"); second <- err }()
	cancel()
	if err := <-first; err == nil {
		t.Error("the cancelled reader got an answer")
	}
	if err := <-second; err != nil {
		t.Errorf("the other reader failed: %v", err)
	}
}

// TestNothingIsMadeTwice is the table of operations and faults: whatever happens
// to the first answer, there is one object in the end.
func TestNothingIsMadeTwice(t *testing.T) {
	t.Parallel()
	kinds := []fault.Kind{
		fault.TooMany, fault.ErrorBefore, fault.ErrorAfter, fault.ResetBefore, fault.ResetAfter, fault.Truncated, fault.HTMLAfter,
	}
	for name, op := range map[string]struct {
		method string
		run    func(ctx context.Context, c *cloudflare.Client) error
		made   func(ctx context.Context, reg *registry.Registry, w registry.Worker) (int, error)
		before int
	}{
		"create Worker": {"POST", func(ctx context.Context, c *cloudflare.Client) error {
			_, err := c.CreateWorker(ctx, cloudflare.WorkerInput{Name: "new"})
			return err
		}, func(ctx context.Context, reg *registry.Registry, w registry.Worker) (int, error) {
			all, err := reg.Workers(ctx, w.AccountID)
			return len(all), err
		}, 1},
		"update Worker": {"PATCH", func(ctx context.Context, c *cloudflare.Client) error {
			tags := []string{"x"}
			w, err := c.UpdateWorker(ctx, "api", cloudflare.WorkerInput{Tags: &tags})
			if err == nil && len(w.Tags) != 1 {
				err = fmt.Errorf("tags are %v", w.Tags)
			}
			return err
		}, func(_ context.Context, _ *registry.Registry, w registry.Worker) (int, error) { return len(w.Tags), nil }, 0},
		"create version": {"POST", func(ctx context.Context, c *cloudflare.Client) error {
			_, err := c.CreateVersion(ctx, "api", upload("second"))
			return err
		}, func(ctx context.Context, reg *registry.Registry, w registry.Worker) (int, error) {
			_, total, err := reg.Versions(ctx, w.ID, false, 100, 0)
			return total, err
		}, 2},
		"create disposable version": {"POST", func(ctx context.Context, c *cloudflare.Client) error {
			_, err := c.CreateVersion(ctx, "api", uploadAs(cloudflare.DisposableMarker(markerOf("other")), "other"))
			return err
		}, func(ctx context.Context, reg *registry.Registry, w registry.Worker) (int, error) {
			_, total, err := reg.Versions(ctx, w.ID, false, 100, 0)
			return total, err
		}, 2},
		"create deployment": {"POST", func(ctx context.Context, c *cloudflare.Client) error {
			v, err := c.DeployableVersions(ctx, "api")
			if err != nil {
				return err
			}
			_, err = c.CreateDeployment(ctx, "api", cloudflare.DeploymentInput{Versions: all(&v[0]), Check: accept})
			return err
		}, func(ctx context.Context, reg *registry.Registry, w registry.Worker) (int, error) {
			all, err := reg.Deployments(ctx, w.ID, 100)
			return len(all), err
		}, 1},
	} {
		for _, kind := range kinds {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				p := acctest.NewPlane(t)
				w, _, _ := live(t, newClient(t, p), "api")
				if _, err := newClient(t, p).CreateVersion(t.Context(), "api", upload("other")); err != nil {
					t.Fatal(err)
				}
				p.Faults.Add(fault.Rule{Method: op.method, Kind: kind})
				if err := op.run(t.Context(), newClient(t, p)); err != nil {
					t.Fatal(err)
				}
				stored, err := p.Registry.Worker(t.Context(), p.AccountID, w.ID)
				if err != nil {
					t.Fatal(err)
				}
				n, err := op.made(t.Context(), p.Registry, stored)
				if err != nil || n != op.before+1 {
					t.Errorf("there are %d, want %d (error %v)", n, op.before+1, err)
				}
			})
		}
	}
}

func TestAnEarlierVersionOfTheSameContentIsNotTakenForALostOne(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	w, first, _ := live(t, newClient(t, p), "api")
	p.Faults.Add(fault.Rule{Method: "POST", Kind: fault.ResetBefore})
	second, err := newClient(t, p).CreateVersion(t.Context(), w.ID, upload("first of api"))
	if err != nil {
		t.Fatal(err)
	}
	if second.ID == first.ID {
		t.Error("nothing was uploaded, although the caller asked for a version of its own")
	}
}

func TestADisposableVersionIsFoundOnlyByWhoAgreesToThat(t *testing.T) {
	t.Parallel()
	p := acctest.NewPlane(t)
	live(t, newClient(t, p), "api")
	plain := markerOf("shared")
	disposable := cloudflare.DisposableMarker(plain)
	found := func(marker string, want *cloudflare.Version, requests int) {
		t.Helper()
		p.Faults.Requests()
		v, err := newClient(t, p).FindVersion(t.Context(), "api", marker)
		if err != nil {
			t.Fatal(err)
		}
		if (v == nil) != (want == nil) || v != nil && (v.ID != want.ID || v.Marker() != want.Marker()) {
			t.Errorf("%s finds %+v, want %+v", marker, v, want)
		}
		if n := p.Faults.Count("", ""); n != requests {
			t.Errorf("%s needs %d requests, want %d", marker, n, requests)
		}
	}
	create := func(marker string) *cloudflare.Version {
		t.Helper()
		v, err := newClient(t, p).CreateVersion(t.Context(), "api", uploadAs(marker, "shared"))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}

	found(plain, nil, 1)
	found(disposable, nil, 1)
	throwaway := create(disposable)
	found(plain, nil, 1)
	found(disposable, throwaway, 2)
	kept := create(plain)
	create(disposable) // newer, but it may go any time
	found(plain, kept, 2)
	found(disposable, kept, 2)
}

func TestADeletionWhoseAnswerGotLostSucceeds(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.ErrorAfter, fault.ResetAfter, fault.Truncated} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := acctest.NewPlane(t)
			live(t, newClient(t, p), "api")
			p.Faults.Add(fault.Rule{Method: "DELETE", Kind: kind})
			c := newClient(t, p)
			if err := c.DeleteWorker(t.Context(), "api", false); err != nil {
				t.Error(err)
			}
			if _, err := c.Worker(t.Context(), "api"); !cloudflare.IsNotFound(err) {
				t.Errorf("after the deletion: %v", err)
			}
		})
	}
}
