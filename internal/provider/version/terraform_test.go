// SPDX-License-Identifier: MPL-2.0

package version_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
)

const address = "hybridge_worker_version.v"

func factories(p *acctest.Plane) map[string]func() (tfprotov6.ProviderServer, error) {
	server := provider.Server("test", p.Env)
	return map[string]func() (tfprotov6.ProviderServer, error){
		"hybridge": func() (tfprotov6.ProviderServer, error) { return server(), nil },
	}
}

// versionOf is a Worker and a version of it, with these lines in the version.
func versionOf(lines ...string) string {
	return fmt.Sprintf(`
resource "hybridge_worker" "w" {
  name = "api"
}

resource "hybridge_worker_version" "v" {
  worker             = hybridge_worker.w.id
  compatibility_date = "2026-01-01"
  %s

  lifecycle {
    create_before_destroy = true
  }
}
`, strings.Join(lines, "\n  "))
}

func bundleOf(dir string) string {
	return fmt.Sprintf("bundle = { entrypoint = %q }", filepath.ToSlash(filepath.Join(dir, "src/index.ts")))
}

func TestTerraformReplacesByContentAndTakesVersionsBack(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	dir := project(t)
	source := func(x string) func() {
		return func() { write(t, dir, map[string]string{"src/lib.ts": "export const x: string = '" + x + "'"}) }
	}
	same := statecheck.CompareValue(compare.ValuesSame())
	var first string
	uploaded := func(want int) resource.TestCheckFunc {
		return func(*terraform.State) error {
			if got := plane.Faults.Count("POST", uploads); got != want {
				return fmt.Errorf("%d versions were uploaded so far, want %d", got, want)
			}
			return nil
		}
	}
	id := tfjsonpath.New("id")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(plane),
		Steps: []resource.TestStep{
			{
				Config: versionOf(bundleOf(dir), `message = "one"`, `vars = { A = "x" }`),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectKnownValue(address, tfjsonpath.New("digest"), knownvalue.StringRegexp(regexp.MustCompile(`^[0-9a-f]{64}$`))),
					plancheck.ExpectUnknownValue(address, id),
				}},
				ConfigStateChecks: []statecheck.StateCheck{
					same.AddStateValue(address, id),
					statecheck.ExpectKnownValue(address, tfjsonpath.New("modules_sha256"), knownvalue.MapSizeExact(2)),
					statecheck.ExpectKnownValue(address, tfjsonpath.New("number"), knownvalue.Int64Exact(1)),
				},
			},
			{
				// A commit hash in the message and another way to write the same plan nothing.
				Config:           versionOf(bundleOf(dir), `message = "two"`, `vars = { "A" = "${"x"}" }`),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
			{
				PreConfig: source("two"),
				Config:    versionOf(bundleOf(dir), `message = "two"`, `vars = { A = "x" }`),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address, plancheck.ResourceActionCreateBeforeDestroy),
				}},
				Check: resource.ComposeTestCheckFunc(uploaded(2), resource.TestCheckResourceAttr(address, "number", "2")),
			},
			{
				PreConfig:         source("one"),
				Config:            versionOf(bundleOf(dir), `message = "reverted"`, `vars = { A = "x" }`),
				ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, id)},
			},
			{
				Config: versionOf(bundleOf(dir), `message = "reverted"`, `vars = { A = "x" }`),
				Check: func(s *terraform.State) error {
					first = s.RootModule().Resources[address].Primary.ID
					return uploaded(2)(s)
				},
			},
			{
				ResourceName: address, ImportState: true, ImportStateKind: resource.ImportCommandWithID, ImportStateVerify: true,
				ImportStateIdFunc: func(*terraform.State) (string, error) { return plane.AccountID + "/api/" + first, nil },
				// What a version was made from is not on the plane; the worker is as the import names it; the
				// message is that of the upload.
				ImportStateVerifyIgnore: []string{"bundle", "code_sha256", "compatibility_date", "digest", "message", "modules_sha256", "size", "vars", "worker"},
			},
		},
	})
}

func TestTerraformUploadsNothingIfTheSourceChangesAfterThePlan(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	dir := project(t)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(plane),
		Steps: []resource.TestStep{{
			Config: versionOf(bundleOf(dir)),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{planned(func() {
				write(t, dir, map[string]string{"src/lib.ts": "export const x: string = 'later'"})
			})}},
			ExpectError: regexp.MustCompile(`src/lib\.ts`),
		}},
	})
	if n := plane.Faults.Count("POST", uploads); n != 0 {
		t.Errorf("%d versions were uploaded", n)
	}
}

// planned runs between plan and apply.
type planned func()

func (f planned) CheckPlan(context.Context, plancheck.CheckPlanRequest, *plancheck.CheckPlanResponse) {
	f()
}

func TestTerraformDefersWhatIsNotKnownYet(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(plane),
		Steps: []resource.TestStep{{
			Config: `resource "terraform_data" "x" {
  input = "export default {}"
}
` + versionOf(`script = terraform_data.x.output`, `vars = { A = terraform_data.x.id }`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectUnknownValue(address, tfjsonpath.New("digest")),
				plancheck.ExpectUnknownValue(address, tfjsonpath.New("code_sha256")),
			}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(address, tfjsonpath.New("digest"), knownvalue.StringRegexp(regexp.MustCompile(`^[0-9a-f]{64}$`))),
			},
		}},
	})
}

func TestTerraformPutsARealFrameworkLive(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs("../../../examples/quickstart")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "hono")); err != nil {
		t.Fatalf("the example's packages are not installed: run make tools (%v)", err)
	}
	plane := planetest.New(t, planetest.Options{Workerd: true})
	env := map[string]string{"CLOUDFLARE_API_TOKEN": plane.Token, "CLOUDFLARE_ACCOUNT_ID": plane.AccountID, "CLOUDFLARE_BASE_URL": plane.BaseURL}
	server := provider.Server("test", func(name string) string { return env[name] })
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: map[string]func() (tfprotov6.ProviderServer, error){
			"hybridge": func() (tfprotov6.ProviderServer, error) { return server(), nil },
		},
		Steps: []resource.TestStep{{
			Config: strings.Replace(versionOf(bundleOf(dir), `vars = { STAGE = "test" }`, `version_metadata = "VERSION"`),
				`name = "api"`, "name = \"api\"\n  subdomain = { enabled = true }", 1) + `
resource "hybridge_worker_deployment" "d" {
  worker     = hybridge_worker.w.name
  version_id = hybridge_worker_version.v.id
}
`,
			Check: func(*terraform.State) error {
				if status, body := plane.Get(t, "api", "/hello/Terraform"); status != 200 || !strings.Contains(body, "Terraform") {
					return fmt.Errorf("the Worker answers %d %q", status, body)
				}
				return nil
			},
		}},
	})
}
