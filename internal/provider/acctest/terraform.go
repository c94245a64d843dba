// SPDX-License-Identifier: MPL-2.0

package acctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
)

// Variables by which terraform-plugin-testing picks the CLI.
const (
	envTerraformPath = "TF_ACC_TERRAFORM_PATH"
	envProviderHost  = "TF_ACC_PROVIDER_HOST"
)

// chooseCLI makes terraform-plugin-testing use the CLI on PATH. Left alone it
// would download one. It changes the environment of the process, once, because
// that is the only way in.
var chooseCLI = sync.OnceValue(func() error {
	if os.Getenv(envTerraformPath) != "" {
		return nil
	}
	if path, err := exec.LookPath("terraform"); err == nil {
		return os.Setenv(envTerraformPath, path)
	}
	path, err := exec.LookPath("tofu")
	if err != nil {
		return err
	}
	if err := os.Setenv(envProviderHost, "registry.opentofu.org"); err != nil {
		return err
	}
	return os.Setenv(envTerraformPath, path)
})

// CLI returns the path of Terraform or OpenTofu. Without one the test fails.
func CLI(t testing.TB) string {
	t.Helper()
	if err := chooseCLI(); err != nil {
		t.Fatalf("this test runs Terraform 1.11 or later, or OpenTofu 1.11 or later, and finds neither on PATH (%v): "+
			"install one, or set %s to its path", err, envTerraformPath)
	}
	return os.Getenv(envTerraformPath)
}

// Terraform runs a test case with a real CLI. The provider runs in this process,
// with getenv as its environment.
func Terraform(t *testing.T, getenv func(string) string, c resource.TestCase) {
	t.Helper()
	CLI(t)
	c.ProtoV6ProviderFactories = Factories(getenv)
	resource.UnitTest(t, c)
}

// BuildProvider builds the provider as it is released and returns its path, which
// has the name that dev_overrides want.
func BuildProvider(t testing.TB) string {
	t.Helper()
	name := "terraform-provider-hybridge"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w -X main.version=test", "-o", path,
		"github.com/hybridge/terraform-provider-hybridge")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the provider: %v\n%s", err, out)
	}
	return path
}

// Factories are the provider as terraform-plugin-testing takes it.
func Factories(getenv func(string) string) map[string]func() (tfprotov6.ProviderServer, error) {
	server := provider.Server("test", getenv)
	return map[string]func() (tfprotov6.ProviderServer, error){
		"hybridge": func() (tfprotov6.ProviderServer, error) { return server(), nil },
	}
}
