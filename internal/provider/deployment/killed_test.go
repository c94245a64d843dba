// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// programsDir holds what programs has built; TestMain removes it.
var programsDir string

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(programsDir)
	os.Exit(code)
}

// programs are built once for the tests that need real processes.
var programs = sync.OnceValues(func() (p stage.Programs, err error) {
	if programsDir, err = os.MkdirTemp("", "hybridge-programs-"); err != nil {
		return p, err
	}
	p, err = stage.Build(context.Background(), "../../..", programsDir)
	if err != nil {
		return p, err
	}
	p.CLI = os.Getenv("HYBRIDGE_TERRAFORM")
	return p.Locate(context.Background(), "../../..")
})

const killedConfig = `
terraform {
  required_providers {
    hybridge = { source = "hybridge/hybridge" }
  }
}
variable "text" {}
resource "hybridge_worker" "api" {
  name      = "api"
  subdomain = { enabled = true, previews_enabled = true }
}
resource "hybridge_worker_version" "api" {
  worker             = hybridge_worker.api.id
  compatibility_date = "2026-01-01"
  script             = "export default { fetch() { return new Response('${var.text}') } }"
  lifecycle {
    create_before_destroy = true
  }
}
resource "hybridge_worker_deployment" "api" {
  worker     = hybridge_worker.api.name
  version_id = hybridge_worker_version.api.id
  rollout = {
    steps = [
      { percentage = 0, gates = ["health"] },
      { percentage = 10, gates = ["health"] },
    ]
    gates = { health = { http = { path = "/", every = "100ms" } } }
  }
}
output "active_versions" {
  value = hybridge_worker_deployment.api.active_versions
}
`

// interceptor stands between Terraform and a plane, and calls it off at one deployment.
type interceptor struct {
	plane http.Handler
	// at is the deployment, from 1, before or after which the run dies; 0: none.
	at     atomic.Int64
	before atomic.Bool
	seen   atomic.Int64
	now    chan struct{}
	dead   chan struct{}
}

func (i *interceptor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/deployments") || i.at.Load() == 0 || i.seen.Add(1) != i.at.Load() {
		i.plane.ServeHTTP(w, r)
		return
	}
	if !i.before.Load() {
		i.plane.ServeHTTP(httptest.NewRecorder(), r)
	}
	close(i.now)
	<-i.dead // there is no answer any more, and nobody who waits for one
}

// operator is a machine with a plane, Terraform, and a client that looks on.
type operator struct {
	t      *testing.T
	calls  *interceptor
	tf     *stage.Terraform
	client *cloudflare.Client
	config cloudflare.Config // of client
}

func newOperator(t *testing.T, config string) *operator {
	t.Helper()
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "hbk") // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	st, err := stage.Open(dir, built)
	if err != nil {
		t.Fatal(err)
	}
	plane, err := st.StartPlane(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the plane's log ends:\n%s", plane.LogTail(40))
		}
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	env := plane.Env()
	direct, err := url.Parse(env["CLOUDFLARE_BASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{t: t, calls: &interceptor{
		plane: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: direct.Host}), now: make(chan struct{}), dead: make(chan struct{}),
	}}
	server := httptest.NewServer(o.calls)
	t.Cleanup(server.Close)
	o.config = cloudflare.Config{BaseURL: direct.String(), AccountID: env["CLOUDFLARE_ACCOUNT_ID"], Token: env["CLOUDFLARE_API_TOKEN"]}
	o.client = o.newClient()
	env["CLOUDFLARE_BASE_URL"] = server.URL + "/client/v4"
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "main.tf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	o.tf = st.Terraform(work, env)
	if _, err := o.tf.Must(t.Context(), "init", "-no-color"); err != nil {
		t.Fatal(err)
	}
	return o
}

// newClient is one that remembers nothing.
func (o *operator) newClient() *cloudflare.Client {
	o.t.Helper()
	c, err := cloudflare.New(o.config)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(c.Close)
	return c
}

func apply(text string) []string {
	return []string{"apply", "-no-color", "-auto-approve", "-lock=false", "-var=text=" + text}
}

// apply runs Terraform for a text, and returns what is live then.
func (o *operator) apply(text string) cloudflare.Deployment {
	o.t.Helper()
	if _, err := o.tf.Must(o.t.Context(), apply(text)...); err != nil {
		o.t.Fatal(err)
	}
	return o.live()
}

func (o *operator) live() cloudflare.Deployment {
	o.t.Helper()
	all, err := o.client.FreshDeployments(o.t.Context(), "api")
	if err != nil || len(all) == 0 {
		o.t.Fatalf("nothing is live: %v", err)
	}
	return all[0]
}

func (o *operator) versions() []cloudflare.Version {
	o.t.Helper()
	versions, err := o.newClient().DeployableVersions(o.t.Context(), "api")
	if err != nil {
		o.t.Fatal(err)
	}
	return versions
}

// Terraform and the provider are killed outright before and after each deployment of a
// rollout: nothing but the two versions is live, no version is made twice, and the next
// run ends where the first one would have.
func TestARunThatIsKilledIsTakenUpByTheNext(t *testing.T) {
	t.Parallel()
	for at := int64(1); at <= 3; at++ {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("deployment %d, before %t", at, before), func(t *testing.T) {
				t.Parallel()
				o := newOperator(t, killedConfig)
				first := o.apply("one").Only()
				o.calls.before.Store(before)
				o.calls.at.Store(at)
				out, killed, err := o.tf.Kill(t.Context(), o.calls.now, apply("two")...)
				close(o.calls.dead)
				if err != nil || !killed {
					t.Fatalf("the run was not killed (%v):\n%s", err, out)
				}
				o.calls.at.Store(0)
				for _, s := range o.live().Versions {
					if s.VersionID != first && s.Percentage > 10 && at < 3 {
						t.Errorf("version %s serves %v %%, and its rollout was killed at deployment %d", s.VersionID, s.Percentage, at)
					}
				}
				live := o.apply("two")
				if empty, plan, err := o.tf.PlanIsEmpty(t.Context(), "-lock=false", "-var=text=two"); err != nil || !empty {
					t.Errorf("after the next run there is more to do (%v):\n%s", err, plan)
				}
				versions := o.versions()
				if len(versions) != 2 {
					t.Errorf("there are %d versions, want 2", len(versions))
				}
				var active map[string]float64
				if err := o.tf.Output(t.Context(), "active_versions", &active); err != nil {
					t.Fatal(err)
				}
				if only := live.Only(); only != versions[0].ID || active[only] != 100 || len(active) != 1 {
					t.Errorf("live is %v and the state says %v, want %s alone", live.Versions, active, versions[0].ID)
				}
			})
		}
	}
}

// A run that dies leaves its rollout to the plane, which goes back by itself; and nobody
// takes that for a rejection.
func TestThePlaneGoesBackForARunThatIsKilled(t *testing.T) {
	t.Parallel()
	o := newOperator(t, killedConfig)
	first := o.apply("one").Only()
	o.calls.at.Store(3) // the version has 10 %
	o.calls.before.Store(true)
	if out, killed, err := o.tf.Kill(t.Context(), o.calls.now, apply("two")...); err != nil || !killed {
		t.Fatalf("the run was not killed (%v):\n%s", err, out)
	}
	close(o.calls.dead)
	o.calls.at.Store(0)
	died := time.Now()
	for time.Since(died) < 30*time.Second && o.live().Only() != first {
		time.Sleep(100 * time.Millisecond)
	}
	if live := o.live(); live.Only() != first || !strings.Contains(live.Marking().Message, "the plane went back") {
		t.Fatalf("after %s, live is %v (%q)", time.Since(died), live.Versions, live.Marking().Message)
	}
	if live := o.apply("two"); live.Only() == first {
		t.Error("the next run does not try it again")
	}
}

// Ctrl-C in the midst of a rollout: the version before is live again within ten seconds.
func TestAnInterruptOfTerraformGoesBack(t *testing.T) {
	t.Parallel()
	o := newOperator(t, strings.Replace(killedConfig, `{ percentage = 10, `, `{ percentage = 10, bake_time = "5m", `, 1))
	first := o.apply("one").Only()
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for {
			all, err := o.client.FreshDeployments(t.Context(), "api")
			if err != nil || t.Context().Err() != nil || all[0].Marking().Rollout.Share == "10" {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		interrupt()
	}()
	out, _, _ := o.tf.Run(ctx, apply("two")...)
	ended := time.Now()
	out = strings.Join(strings.Fields(out), " ") // Terraform breaks lines where it likes
	if !strings.Contains(out, "the run was interrupted") || !strings.Contains(out, "Rollout was rolled back") {
		t.Errorf("the run says:\n%s", out)
	}
	live := o.live()
	if live.Only() != first || ended.Sub(live.CreatedOn) > 10*time.Second {
		t.Errorf("live is %v", live.Versions)
	}
	// It was no rejection.
	if empty, plan, err := o.tf.PlanIsEmpty(t.Context(), "-lock=false", "-var=text=two"); err != nil || empty || strings.Contains(plan, "rejected") {
		t.Errorf("the next plan (%v):\n%s", err, plan)
	}
}

func TestOldReleasesAreDeletedAndNothingElse(t *testing.T) {
	t.Parallel()
	o := newOperator(t, strings.Replace(killedConfig, "  rollout = {", "  keep_versions = 2\n  rollout = {", 1))
	o.apply("one")
	foreign := `{"main_module":"index.js","compatibility_date":"2026-01-01","modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":"ZXhwb3J0IGRlZmF1bHQgeyBmZXRjaCgpIHsgcmV0dXJuIG5ldyBSZXNwb25zZSgidGhlaXJzIikgfSB9"}]}`
	theirs, err := o.client.CreateVersion(t.Context(), "api", cloudflare.VersionUpload{Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader(foreign)), int64(len(foreign)), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"two", "three", "four"} {
		o.apply(text)
	}
	var left []string
	for _, v := range o.versions() {
		left = append(left, fmt.Sprintf("%d %t", v.Number, v.ID == theirs.ID))
	}
	if diff := cmp.Diff([]string{"5 false", "4 false", "2 true"}, left); diff != "" {
		t.Errorf("versions, newest first (-want +got):\n%s", diff)
	}
	// One that is gone is uploaded again where it is wanted.
	o.apply("one")
	if v := o.versions(); v[0].Number != 6 {
		t.Errorf("the newest version is number %d, want 6", v[0].Number)
	}
}
