// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"context"
	"fmt"
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

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// programs are built once for the tests that need real processes.
var programs = sync.OnceValues(func() (stage.Programs, error) {
	dir, err := os.MkdirTemp("", "hybridge-programs-")
	if err != nil {
		return stage.Programs{}, err
	}
	p, err := stage.Build(context.Background(), "../../..", dir)
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
	before bool
	seen   atomic.Int64
	now    chan struct{}
	dead   chan struct{}
}

func (i *interceptor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/deployments") || i.at.Load() == 0 || i.seen.Add(1) != i.at.Load() {
		i.plane.ServeHTTP(w, r)
		return
	}
	if !i.before {
		i.plane.ServeHTTP(httptest.NewRecorder(), r)
	}
	close(i.now)
	<-i.dead // there is no answer any more, and nobody who waits for one
}

// Terraform and the provider are killed outright before and after each deployment of a
// rollout: nothing but the two versions is live, no version is made twice, and the next
// run ends where the first one would have.
func TestARunThatIsKilledIsTakenUpByTheNext(t *testing.T) {
	t.Parallel()
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(1); at <= 3; at++ {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("deployment %d, before %t", at, before), func(t *testing.T) {
				t.Parallel()
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
					if err := plane.Stop(); err != nil {
						t.Error(err)
					}
				})
				env := plane.Env()
				direct, err := url.Parse(env["CLOUDFLARE_BASE_URL"])
				if err != nil {
					t.Fatal(err)
				}
				i := &interceptor{plane: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: direct.Host}), now: make(chan struct{}), dead: make(chan struct{}), before: before}
				server := httptest.NewServer(i)
				t.Cleanup(server.Close)
				client, err := cloudflare.New(cloudflare.Config{BaseURL: direct.String(), AccountID: env["CLOUDFLARE_ACCOUNT_ID"], Token: env["CLOUDFLARE_API_TOKEN"]})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(client.Close)
				env["CLOUDFLARE_BASE_URL"] = server.URL + "/client/v4"
				work := filepath.Join(dir, "work")
				if err := os.Mkdir(work, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(work, "main.tf"), []byte(killedConfig), 0o644); err != nil {
					t.Fatal(err)
				}
				tf := st.Terraform(work, env)
				for _, args := range [][]string{{"init", "-no-color"}, {"apply", "-no-color", "-auto-approve", "-var=text=one"}} {
					if _, err := tf.Must(t.Context(), args...); err != nil {
						t.Fatal(err)
					}
				}
				first, err := client.LiveDeployment(t.Context(), "api")
				if err != nil {
					t.Fatal(err)
				}
				i.at.Store(at)
				out, killed, err := tf.Kill(t.Context(), i.now, "apply", "-no-color", "-auto-approve", "-lock=false", "-var=text=two")
				close(i.dead)
				if err != nil || !killed {
					t.Fatalf("the run was not killed (%v):\n%s", err, out)
				}
				i.at.Store(0)
				all, err := client.FreshDeployments(t.Context(), "api")
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range all[0].Versions {
					if s.VersionID != first.Only() && s.Percentage > 10 && at < 3 {
						t.Errorf("version %s serves %v %%, and its rollout was killed at deployment %d", s.VersionID, s.Percentage, at)
					}
				}
				if _, err := tf.Must(t.Context(), "apply", "-no-color", "-auto-approve", "-lock=false", "-var=text=two"); err != nil {
					t.Fatal(err)
				}
				if empty, plan, err := tf.PlanIsEmpty(t.Context(), "-lock=false", "-var=text=two"); err != nil || !empty {
					t.Errorf("after the next run there is more to do (%v):\n%s", err, plan)
				}
				versions, err := client.DeployableVersions(t.Context(), "api")
				if err != nil {
					t.Fatal(err)
				}
				if len(versions) != 2 {
					t.Errorf("there are %d versions, want 2", len(versions))
				}
				if all, err = client.FreshDeployments(t.Context(), "api"); err != nil {
					t.Fatal(err)
				}
				var active map[string]float64
				if err := tf.Output(t.Context(), "active_versions", &active); err != nil {
					t.Fatal(err)
				}
				if only := all[0].Only(); only != versions[0].ID || active[only] != 100 || len(active) != 1 {
					t.Errorf("live is %v and the state says %v, want %s alone", all[0].Versions, active, versions[0].ID)
				}
			})
		}
	}
}
