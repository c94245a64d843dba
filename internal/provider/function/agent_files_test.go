// SPDX-License-Identifier: MPL-2.0

package function_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/agentfiles"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// machine is an argument of agent_files.
func machine() map[string]any {
	sum := strings.Repeat("0", 64)
	return map[string]any{
		"format": 1, "region": "fr", "plane": map[string]any{"allow_egress": []any{"10.0.0.0/8"}},
		"connectors": map[string]any{"paris-1": map[string]any{"tunnel_id": "5f1b0c3a-0000-4000-8000-000000000001", "metrics": nil}},
		"ingress":    map[string]any{"listen": []any{map[string]any{"address": "127.0.0.1:8787", "tls": false}}},
		"programs": map[string]any{
			"hybridge":    map[string]any{"version": "1.0.0", "sha256": map[string]any{"amd64": sum}},
			"workerd":     map[string]any{"version": "1.20251101.0", "sha256": map[string]any{"amd64": sum}},
			"cloudflared": map[string]any{"path": "/usr/bin/cloudflared"},
		},
	}
}

func TestTheFilesOfAMachineAreWhatAgentfilesRenders(t *testing.T) {
	t.Parallel()
	want := map[string]any{}
	in := machine()
	in["format"] = 1.0
	files, err := agentfiles.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		want[name] = text
	}
	for _, version := range []string{"1.0.0", "99.9.9-rc1"} { // an upgrade changes no byte
		got, failure := tfproto.Call(t.Context(), t, provider.Server(version, acctest.NoEnv)(), "agent_files", machine())
		if failure != nil {
			t.Fatal(failure.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %s of the provider: %s", version, diff)
		}
	}
}

func TestErrorsOfAgentFilesNameTheAttribute(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(map[string]any)
		want   string
	}{
		"no tunnel":   {func(m map[string]any) { m["connectors"].(map[string]any)["paris-1"] = map[string]any{"tunnel_id": "x"} }, `connectors["paris-1"].tunnel_id: "x"`},
		"a secret":    {func(m map[string]any) { m["tunnel_token"] = canary }, "tunnel_token: no secret is accepted"},
		"other types": {func(m map[string]any) { m["region"] = []any{true} }, "region: it has to be a text, not a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := machine()
			tt.change(m)
			_, failure := tfproto.Call(t.Context(), t, provider.Server("test", acctest.NoEnv)(), "agent_files", m)
			if failure == nil || failure.FunctionArgument == nil || *failure.FunctionArgument != 0 || !strings.Contains(failure.Text, tt.want) {
				t.Fatalf("got %+v, want %s", failure, tt.want)
			}
			if strings.Contains(failure.Text, canary) {
				t.Errorf("the error repeats a value: %s", failure.Text)
			}
		})
	}
}

// A tunnel that is yet to be made has no id at plan: the files are known after apply, and it is no error.
func TestTerraformRendersTheFilesOfATunnelThatIsYetToBeMade(t *testing.T) {
	t.Parallel()
	const format = `
terraform {
  required_providers {
    hybridge = { source = "hashicorp/hybridge" } # where terraform-plugin-testing puts it
  }
}
resource "terraform_data" "tunnel" { input = %q }
locals {
  files = provider::hybridge::agent_files({
    format     = 1
    connectors = { paris-1 = { tunnel_id = terraform_data.tunnel.output } }
    programs   = { for name in ["hybridge", "cloudflared"] : name => { path = "/usr/bin/${name}" } }
  })
}
output "names" { value = join(" ", keys(local.files)) }
output "configuration" { value = local.files["agent.yaml"] }
`
	config := fmt.Sprintf(format, "5f1b0c3a-0000-4000-8000-000000000001")
	golden, err := os.ReadFile(filepath.Join("testdata", "connector.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{
		{
			Config:      strings.Replace(config, "terraform_data.tunnel.output", `"5f1b"`, 1),
			ExpectError: regexp.MustCompile(`connectors\["paris-1"\]\.tunnel_id:\s+"5f1b"\s+is\s+no\s+tunnel's\s+id`),
		},
		{
			Config: config,
			Check: resource.ComposeTestCheckFunc(
				resource.TestCheckOutput("names", "agent.yaml cloud-init.yaml hybridge-agent.service install.sh"),
				resource.TestCheckOutput("configuration", string(golden)),
			),
		},
	}})
}
