// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

func TestAPlaneIsReachedByItsSocket(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	url := "unix://" + plane.OnSocket(t)
	block := map[string]any{"base_url": url, "api_token": plane.Token, "account_id": plane.AccountID}
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
			if len(d) > 0 || got["base_url"] != url+":/client/v4/" || got["kind"] != "self-hosted" || got["healthy"] != true {
				t.Errorf("the plane says %v; %s", got, d)
			}
		})
	}
	t.Run("environment", func(t *testing.T) {
		p := acctest.Proto(t, func(name string) string {
			if name == "CLOUDFLARE_BASE_URL" {
				return url
			}
			return plane.Env(name)
		}, nil)
		if got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{}); len(d) > 0 || got["base_url"] != url+":/client/v4/" || got["healthy"] != true {
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
