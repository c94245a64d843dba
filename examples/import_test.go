// SPDX-License-Identifier: MPL-2.0

package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// The examples of imports name objects that exist nowhere. This test makes the
// objects, forgets one, and imports it with the example's text, the ids in it
// replaced by the real ones.
func TestImportExamples(t *testing.T) {
	t.Parallel()
	for kind, name := range map[string]string{
		"hybridge_worker": "api", "hybridge_worker_version": "api", "hybridge_worker_deployment": "api",
		"hybridge_tunnel": "vps", "hybridge_tunnel_connected": "vps", "hybridge_tunnel_hostname": "app", "hybridge_tunnel_route": "lan",
		"hybridge_tunnel_virtual_network": "customer", "hybridge_vpc_service": "api",
	} {
		address := kind + "." + name
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			site := newSite(t)
			dir := filepath.Join("resources", kind)
			tf := site.configuration(t, dir, nil)
			site.apply(t, tf)
			ids := realIDs(t, tf, site, address)

			t.Run("command", func(t *testing.T) {
				command := ids.Replace(read(t, filepath.Join(dir, "import.sh")))
				args := regexp.MustCompile(`(?m)^terraform (import .*)$`).FindStringSubmatch(command)
				if args == nil {
					t.Fatalf("import.sh has no line `terraform import ...`:\n%s", command)
				}
				run(t, tf, "state", "rm", address)
				run(t, tf, strings.Fields(args[1])...)
				onlyStateChanges(t, run(t, tf, "apply", "-no-color", "-auto-approve"))
				site.apply(t, tf)
			})
			t.Run("block with a string id", func(t *testing.T) {
				importBlock(t, site, tf, address, ids.Replace(read(t, filepath.Join(dir, "import-by-string-id.tf"))))
			})
			t.Run("block with an identity", func(t *testing.T) {
				if older(t, tf, 1, 12) {
					t.Log("this CLI knows no identities (they came with 1.12), and refuses the block as a syntax error")
					return
				}
				importBlock(t, site, tf, address, ids.Replace(read(t, filepath.Join(dir, "import-by-identity.tf"))))
			})
			site.destroy(t, tf)
		})
	}
}

// importBlock forgets the resource and lets an import block bring it back.
func importBlock(t *testing.T, site *site, tf *stage.Terraform, address, block string) {
	t.Helper()
	file := filepath.Join(tf.Dir, "import.tf")
	write(t, file, block)
	run(t, tf, "state", "rm", address)
	out := run(t, tf, "apply", "-no-color", "-auto-approve")
	if !strings.Contains(out, "1 imported") {
		t.Errorf("the apply imported nothing:\n%s", out)
	}
	onlyStateChanges(t, out)
	site.apply(t, tf)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// onlyStateChanges makes sure that an apply added and destroyed nothing.
func onlyStateChanges(t *testing.T, out string) {
	t.Helper()
	if !strings.Contains(out, "0 added") || !strings.Contains(out, "0 destroyed") {
		t.Errorf("the apply after an import made or destroyed something:\n%s", out)
	}
}

// realIDs replaces the ids of the examples by those of the resource at address.
func realIDs(t *testing.T, tf *stage.Terraform, site *site, address string) *strings.Replacer {
	t.Helper()
	var state struct {
		Values struct {
			RootModule struct {
				Resources []struct {
					Address string
					Values  struct {
						ID     string
						ZoneID string `json:"zone_id"`
					}
				}
			} `json:"root_module"`
		}
	}
	if err := json.Unmarshal([]byte(run(t, tf, "show", "-json")), &state); err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Values.RootModule.Resources {
		if r.Address == address {
			return strings.NewReplacer(
				"0123456789abcdef0123456789abcdef", site.plane.Env()["CLOUDFLARE_ACCOUNT_ID"],
				"8e4f0a1c-7b52-4d3e-9f60-1a2b3c4d5e6f", r.Values.ID,
				"00112233445566778899aabbccddeeff", r.Values.ID,
				"fedcba9876543210fedcba9876543210", r.Values.ZoneID,
			)
		}
	}
	t.Fatalf("%s is not in the state", address)
	return nil
}

// older says whether the CLI, Terraform or OpenTofu, is older than major.minor.
func older(t *testing.T, tf *stage.Terraform, major, minor int) bool {
	t.Helper()
	var version struct {
		Terraform string `json:"terraform_version"`
	}
	if err := json.Unmarshal([]byte(run(t, tf, "version", "-json")), &version); err != nil {
		t.Fatal(err)
	}
	var gotMajor, gotMinor int
	if _, err := fmt.Sscanf(version.Terraform, "%d.%d", &gotMajor, &gotMinor); err != nil {
		t.Fatalf("version %q: %v", version.Terraform, err)
	}
	return gotMajor < major || gotMajor == major && gotMinor < minor
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
