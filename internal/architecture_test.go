// SPDX-License-Identifier: MPL-2.0

// Package internal_test holds the import rules of DESIGN.md that concern what a
// program links, which a linter that looks at one file cannot see.
package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hybridge/terraform-provider-hybridge"

// imports lists packages with what each imports, without tests.
func imports(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}"}, args...)...)
	cmd.Dir = ".."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", args, err, stderr.String())
	}
	packages := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		packages[fields[0]] = fields[1:]
	}
	return packages
}

// below reports whether a package is one of these or lies below one.
func below(pkg string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	})
}

func TestTerraformTypesStopAtTheBorder(t *testing.T) {
	t.Parallel()
	for pkg, imported := range imports(t, "./...") {
		if below(pkg, module+"/internal/provider") || pkg == module {
			continue
		}
		for _, i := range imported {
			if strings.HasPrefix(i, "github.com/hashicorp/terraform-plugin") {
				t.Errorf("%s imports %s, but Terraform's types belong below internal/provider", pkg, i)
			}
		}
	}
}

func TestTheProviderIsLean(t *testing.T) {
	t.Parallel()
	linked := imports(t, "-deps", ".")
	if len(linked[module+"/internal/provider"]) == 0 {
		t.Fatal("the provider is not linked: this test looks at the wrong package")
	}
	for pkg, imported := range linked {
		if pkg == "database/sql" || below(pkg, "modernc.org/sqlite", module+"/internal/plane", module+"/internal/fleet", module+"/internal/agent",
			module+"/internal/supervise", module+"/internal/fault", module+"/internal/provider/acctest",
			"github.com/prometheus", "github.com/vektah/gqlparser",
			"github.com/cloudflare/cloudflare-go/v7/zones", "github.com/hashicorp/terraform-plugin-testing") {
			t.Errorf("the provider links %s", pkg)
		}
		if pkg == "github.com/cloudflare/cloudflare-go/v7" {
			t.Errorf("the provider links the root of cloudflare-go, and so every service: import service packages")
		}
		if below(pkg, module) && slices.Contains(imported, "os/exec") {
			t.Errorf("%s is part of the provider and imports os/exec: the provider never starts a process", pkg)
		}
	}
}

func TestPlaneAndClientShareNoTypes(t *testing.T) {
	t.Parallel()
	client, plane := imports(t, "-deps", "./internal/cloudflare"), imports(t, "-deps", "./internal/plane/...")
	for pkg := range client {
		if _, shared := plane[pkg]; shared && below(pkg, module) {
			t.Errorf("%s is linked by the client and by the plane: what they share is the API document", pkg)
		}
	}
}

func TestLookingAfterSecretsKnowsNoPlane(t *testing.T) {
	t.Parallel()
	for name, may := range map[string][]string{
		"doppler": {"sealed"}, "secretfile": {"sealed"}, "leak": {"sealed", "cloudflare"},
	} {
		for pkg := range imports(t, "-deps", "./internal/"+name) {
			own, ok := strings.CutPrefix(pkg, module+"/internal/")
			if ok && own != name && !slices.Contains(may, own) {
				t.Errorf("internal/%s links internal/%s", name, own)
			}
		}
	}
}

func TestGatesKnowRolloutsOnly(t *testing.T) {
	t.Parallel()
	for pkg := range imports(t, "-deps", "./internal/gate") {
		if below(pkg, module) && !below(pkg, module+"/internal/gate", module+"/internal/rollout") {
			t.Errorf("internal/gate links %s: what it needs of a plane it gets as an interface", pkg)
		}
	}
}

func TestTheAuditTrailIsLight(t *testing.T) {
	t.Parallel()
	for pkg := range imports(t, "-deps", "./internal/audit") {
		if below(pkg, module) && !below(pkg, module+"/internal/audit", module+"/internal/ledger") {
			t.Errorf("internal/audit links %s", pkg)
		}
		if pkg == "net/http" || pkg == "database/sql" || pkg == "os/exec" {
			t.Errorf("internal/audit links %s: the provider links it, and starts seven times for a plan and an apply", pkg)
		}
	}
}

func TestLeavesStandAlone(t *testing.T) {
	t.Parallel()
	for _, leaf := range []string{"bundle", "sealed", "supervise", "fault", "ledger"} {
		for pkg := range imports(t, "-deps", "./internal/"+leaf) {
			if below(pkg, module) && !below(pkg, module+"/internal/"+leaf) {
				t.Errorf("internal/%s links %s", leaf, pkg)
			}
		}
	}
}
