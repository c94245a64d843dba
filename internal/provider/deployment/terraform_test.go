// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
)

const address = "hybridge_worker_deployment.api"

// wholeWorker is a Worker that serves text, or the version that live names (an
// HCL expression).
func wholeWorker(text, live string) string {
	return fmt.Sprintf(`
resource "hybridge_worker" "api" {
  name = "api"
}

resource "hybridge_worker_version" "api" {
  worker             = hybridge_worker.api.id
  compatibility_date = "2026-01-01"
  script             = %q

  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "api" {
  worker     = hybridge_worker.api.name
  version_id = coalesce(%s, hybridge_worker_version.api.id)
}

data "hybridge_worker_deployments" "api" {
  worker     = hybridge_worker.api.name
  depends_on = [hybridge_worker_deployment.api]
}
`, "export default { fetch() { return new Response('"+text+"') } }", live)
}

func TestTerraformDeploysRollsBackAndForgets(t *testing.T) {
	t.Parallel()
	s := newPlaneOnly(t)
	var first string
	remember := func(state *terraform.State) error {
		first = state.RootModule().Resources[address].Primary.Attributes["version_id"]
		return nil
	}
	liveIs := func(which string) resource.TestCheckFunc {
		return func(*terraform.State) error {
			got := s.live().Versions
			if isFirst := got[0].VersionID == first; len(got) != 1 || isFirst != (which == "first") {
				return fmt.Errorf("%v is live, want the %s version", got, which)
			}
			return nil
		}
	}
	deployments := func(n int) resource.TestCheckFunc {
		return resource.TestCheckResourceAttr("data.hybridge_worker_deployments.api", "deployments.#", fmt.Sprint(n))
	}
	acctest.Terraform(t, s.Env, resource.TestCase{
		Steps: []resource.TestStep{
			{Config: wholeWorker("one", "null"), Check: resource.ComposeTestCheckFunc(remember, deployments(1))},
			{
				Config: wholeWorker("two", "null"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate),
					plancheck.ExpectUnknownValue(address, tfjsonpath.New("active_versions")),
				}},
				Check: resource.ComposeTestCheckFunc(liveIs("second"), deployments(2)),
			},
			{
				// One variable puts the first version back.
				Config: wholeWorker("two", "data.hybridge_worker_versions.all.versions[1].id") + allVersions,
				Check:  resource.ComposeTestCheckFunc(liveIs("first"), deployments(3)),
			},
			{
				// Somebody else's deployment is drift, and put back.
				PreConfig: func() {
					for _, v := range s.versions() {
						if v != first {
							s.foreign("by hand", cloudflare.Share{VersionID: v, Percentage: 100})
						}
					}
				},
				Config: wholeWorker("two", "data.hybridge_worker_versions.all.versions[1].id") + allVersions,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate),
				}},
				Check: resource.ComposeTestCheckFunc(liveIs("first"), deployments(5)),
			},
			{
				Config:      wholeWorker("two", `"00000000-0000-0000-0000-000000000001"`),
				ExpectError: regexp.MustCompile(`Version does not exist`),
			},
			{
				ResourceName: address, ImportState: true, ImportStateKind: resource.ImportCommandWithID, ImportStateVerify: true,
				ImportStateIdFunc:       func(*terraform.State) (string, error) { return s.AccountID + "/api", nil },
				ImportStateVerifyIgnore: []string{"version_id"}, // it is what is wanted, which no plane knows
			},
		},
	})
}

const allVersions = `
data "hybridge_worker_versions" "all" {
  worker = "api"
}
`
