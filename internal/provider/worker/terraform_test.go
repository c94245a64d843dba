// SPDX-License-Identifier: MPL-2.0

package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
)

const address = "hybridge_worker.w"

func workerOf(lines ...string) string {
	return fmt.Sprintf("resource \"hybridge_worker\" \"w\" {\n  %s\n}\n", strings.Join(lines, "\n  "))
}

// empty fails unless nothing is left on the plane.
func empty(plane *acctest.Plane) resource.TestCheckFunc {
	return func(*terraform.State) error {
		workers, err := plane.Registry.Workers(context.Background(), plane.AccountID)
		if err == nil && len(workers) > 0 {
			err = fmt.Errorf("%d Workers are left on the plane", len(workers))
		}
		return err
	}
}

func TestTerraformKeepsAWorker(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	same := statecheck.CompareValue(compare.ValuesSame())
	action := func(a plancheck.ResourceActionType) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, a)}}
	}
	acctest.Terraform(t, plane.Env, resource.TestCase{
		CheckDestroy: empty(plane),
		Steps: []resource.TestStep{
			{
				Config: workerOf(`name = "api"`, `subdomain = { enabled = true }`, `tags = ["b", "a"]`),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectKnownValue(address, tfjsonpath.New("account_id"), knownvalue.StringExact(plane.AccountID)),
					plancheck.ExpectUnknownValue(address, tfjsonpath.New("url")),
				}},
				ConfigStateChecks: []statecheck.StateCheck{
					same.AddStateValue(address, tfjsonpath.New("id")),
					statecheck.ExpectKnownValue(address, tfjsonpath.New("url"), knownvalue.StringExact("http://api.acme.localhost:8787")),
				},
			},
			{
				Config:            workerOf(`name = "shop"`, `subdomain = { enabled = true }`, `observability = { enabled = true, traces = { enabled = true } }`),
				ConfigPlanChecks:  action(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, tfjsonpath.New("id"))},
			},
			{
				ResourceName: address, ImportState: true, ImportStateVerify: true,
				// The plane answers with the rest of traces as well, and an import takes it all.
				ImportStateVerifyIgnore: []string{"observability"},
				ImportStateIdFunc:       func(*terraform.State) (string, error) { return plane.AccountID + "/shop", nil },
			},
			{
				Config:            workerOf(`name = "shop"`),
				ConfigPlanChecks:  action(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, tfjsonpath.New("id"))},
			},
		},
	})
}

// TestTerraformNoticesAWorkerThatIsGone is the trap of identity on Terraform
// before 1.12, which stores none
// (https://github.com/hashicorp/terraform-provider-aws/issues/46964).
func TestTerraformNoticesAWorkerThatIsGone(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	var id string
	acctest.Terraform(t, plane.Env, resource.TestCase{
		CheckDestroy: empty(plane),
		Steps: []resource.TestStep{
			{Config: workerOf(`name = "api"`), Check: func(s *terraform.State) error {
				id = s.RootModule().Resources[address].Primary.ID
				return nil
			}},
			{
				PreConfig: func() {
					if err := plane.Registry.DeleteWorker(context.Background(), id); err != nil {
						t.Fatal(err)
					}
				},
				Config: workerOf(`name = "api"`),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address, plancheck.ResourceActionCreate),
				}},
			},
		},
	})
}

func TestTerraformPointsAtTheUnknownPlane(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	acctest.Terraform(t, plane.Env, resource.TestCase{Steps: []resource.TestStep{{
		Config: `
provider "hybridge" {
  planes = {
    paris = { base_url = "` + plane.URL + `", account_id = "` + plane.AccountID + `", api_token = "` + plane.Token + `" }
  }
}
` + workerOf(`name = "api"`, `plane = "rome"`),
		PlanOnly: true,
		// Terraform prints the source line because the diagnostic has the path.
		ExpectError: regexp.MustCompile(`(?s)Unknown plane.*plane = "rome".*"rome".*Configured\s+planes:\s+paris`),
	}}})
}

func TestTerraformNeverSeesTheTokenAgain(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	cli := acctest.CLI(t)
	dir := t.TempDir()
	provider := acctest.BuildProvider(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cli.tfrc", fmt.Sprintf("provider_installation {\n  dev_overrides { \"registry.terraform.io/hybridge/hybridge\" = %q }\n  direct {}\n}\n", filepath.Dir(provider)))
	write("main.tf", `
terraform {
  required_providers {
    hybridge = { source = "registry.terraform.io/hybridge/hybridge" }
  }
}
`+workerOf(`name = "api"`))
	var all bytes.Buffer
	run := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), cli, append([]string{"-chdir=" + dir}, args...)...)
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "cli.tfrc"), "TF_LOG=TRACE", "TF_LOG_PATH="+filepath.Join(dir, "trace.log"),
			"TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1",
			"CLOUDFLARE_API_TOKEN="+plane.Token, "CLOUDFLARE_ACCOUNT_ID="+plane.AccountID, "CLOUDFLARE_BASE_URL="+plane.URL)
		cmd.Stdout, cmd.Stderr = &all, &all
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s %v: %v\n%s", cli, args, err, all.String())
		}
	}
	run("plan", "-out=saved.tfplan", "-no-color")
	run("show", "-json", "saved.tfplan")
	run("apply", "-no-color", "saved.tfplan")
	run("show", "-json")
	run("destroy", "-auto-approve", "-no-color")
	if found := canary.In(all.Bytes(), plane.Token); len(found) > 0 {
		t.Errorf("the token is in the output, as %v", found)
	}
	found, err := canary.InFiles(dir, []string{plane.Token})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		t.Errorf("the token is in files: %v", found)
	}
	if trace, err := os.ReadFile(filepath.Join(dir, "trace.log")); err != nil || !bytes.Contains(trace, []byte("/workers/workers")) {
		t.Errorf("the log does not show the requests, so it proves nothing: %v", err)
	}
}
