// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

func TestAPlaneIsReachedByItsSocket(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	base := "unix://" + plane.OnSocket(t)
	block := map[string]any{"base_url": base, "api_token": plane.Token, "account_id": plane.AccountID}
	for name, tt := range map[string]struct {
		block tfproto.Object
		plane any
	}{
		"default plane": {tfproto.Object(block), nil},
		"named plane":   {tfproto.Object{"planes": map[string]any{"here": block}}, "here"},
	} {
		t.Run(name, func(t *testing.T) {
			p := acctest.Proto(t, acctest.NoEnv, tt.block)
			worker := p.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": strings.ReplaceAll(name, " ", "-"), "plane": tt.plane})
			if worker.Object["account_id"] != plane.AccountID {
				t.Errorf("the Worker is %v", worker.Object)
			}
			got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{"plane": tt.plane})
			if len(d) > 0 || got["base_url"] != base+":/client/v4/" || got["kind"] != "self-hosted" || got["healthy"] != true {
				t.Errorf("the plane says %v; %s", got, d)
			}
		})
	}
	t.Run("environment", func(t *testing.T) {
		p := acctest.Proto(t, func(name string) string {
			if name == "CLOUDFLARE_BASE_URL" {
				return base
			}
			return plane.Env(name)
		}, nil)
		if got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{}); len(d) > 0 || got["base_url"] != base+":/client/v4/" || got["healthy"] != true {
			t.Errorf("the plane says %v; %s", got, d)
		}
	})
}

// A socket that is not there yet is no error before something asks the plane: an
// agent may be started by the same machine's next boot. Then it is named.
func TestASocketThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	missing := filepath.Join(t.TempDir(), "api.sock")
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{
		"base_url": "unix://" + missing, "api_token": plane.Token, "account_id": plane.AccountID, "max_retries": 0,
	})
	got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{})
	details, _ := got["details"].(string)
	if len(d) > 0 || got["healthy"] != false || !strings.Contains(details, "there is no socket "+missing+": start the agent") {
		t.Errorf("healthy is %v, details are %q; %s", got["healthy"], details, d)
	}
}

func TestTerraformAppliesThroughASocket(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	socket := plane.OnSocket(t)
	config := fmt.Sprintf(`
variable "token" {
  type      = string
  ephemeral = true
  default   = %q
}

provider "hybridge" {
  base_url   = "unix://%s"
  account_id = %q
  api_token  = var.token
}

resource "hybridge_worker" "w" {
  name = "api"
}
`, plane.Token, socket, plane.AccountID)
	gone := strings.ReplaceAll(config, socket, filepath.Join(filepath.Dir(socket), "other.sock"))
	gone = strings.ReplaceAll(gone, "account_id =", "max_retries = 0\n  account_id =")
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{
		{Config: config, Check: resource.TestCheckResourceAttr("hybridge_worker.w", "account_id", plane.AccountID)},
		{Config: config, PlanOnly: true},
		{Config: gone, ExpectError: regexp.MustCompile(`there\s+is\s+no\s+socket`)},
		{Config: config, PreConfig: func() {
			if _, err := os.Stat(socket); err != nil {
				t.Error(err)
			}
		}},
	}})
	if n := plane.Faults.Count("DELETE", ""); n != 1 {
		t.Errorf("%d Workers were deleted through the socket, want 1", n)
	}
}

// An agent as a VPS runs it, with no port for its API: what Terraform puts there through
// the socket serves, and stays in the region that the agent names.
func TestAWorkerGoesLiveThroughTheSocketOfAnAgent(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "hb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "api.sock")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var id agent.Identity
	a, err := agent.Start(t.Context(), agent.Config{
		DataDir: filepath.Join(dir, "data"), APIListener: &agent.Listener{Listener: ln}, Ingress: "127.0.0.1:0", Region: "fr",
		Workerd: workerdtest.Path(t), Version: "test", Log: hclog.NewNullLogger(),
		Prepare: func(ctx context.Context, reg *registry.Registry) (err error) {
			id, err = agent.EnsureIdentity(ctx, reg)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), agent.DefaultStopWaitUntil)
		defer cancel()
		_ = a.Close(ctx)
	})
	config := fmt.Sprintf(`
provider "hybridge" {
  base_url   = "unix://%s"
  account_id = %q
  api_token  = %q
}

resource "hybridge_worker" "w" {
  name      = "api"
  residency = ["REGION"]
  subdomain = { enabled = true }
}

resource "hybridge_worker_version" "w" {
  worker             = hybridge_worker.w.id
  residency          = ["REGION"]
  compatibility_date = "2026-01-01"
  script             = "export default { fetch() { return new Response('through the socket') } }"
}

resource "hybridge_worker_deployment" "w" {
  worker     = hybridge_worker.w.name
  version_id = hybridge_worker_version.w.id
  residency  = ["REGION"]
}
`, socket, id.AccountID, id.Token)
	answers := func(s *terraform.State) error {
		at := s.RootModule().Resources["hybridge_worker.w"].Primary.Attributes["url"]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addresses().Ingress, nil)
		if err != nil {
			return err
		}
		u, err := url.Parse(at)
		if err != nil {
			return err
		}
		req.Host = u.Host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "through the socket" {
			return fmt.Errorf("%s answers %d %q, %v", at, res.StatusCode, body, err)
		}
		return nil
	}
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{
		{Config: strings.ReplaceAll(config, "REGION", "de"), ExpectError: regexp.MustCompile(`is in fr, as its\s+agent.yaml\s+says`)},
		{Config: strings.ReplaceAll(config, "REGION", "fr"), Check: answers},
	}})
}
