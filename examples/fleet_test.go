// SPDX-License-Identifier: MPL-2.0

package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fleet is a directory of customers whose configurations are as small as can be, and real.
type fleet struct {
	t   *testing.T
	dir string
}

func newFleet(t *testing.T, customers ...string) *fleet {
	t.Helper()
	f := &fleet{t, t.TempDir()}
	for _, name := range customers {
		f.release(name, "1", true)
	}
	if err := os.MkdirAll(filepath.Join(f.dir, "waves"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(f.dir, "waves", "1"), customers[0]+"\n")
	write(t, filepath.Join(f.dir, "waves", "2"), strings.Join(customers[1:6], "\n")+"\n")
	return f
}

// release gives a customer a new release, which its machine takes or refuses.
func (f *fleet) release(customer, number string, works bool) {
	f.t.Helper()
	dir := filepath.Join(f.dir, "customers", customer)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	write(f.t, filepath.Join(dir, "main.tf"), fmt.Sprintf(`
resource "terraform_data" "release" {
  input = %q
  lifecycle {
    postcondition {
      condition     = self.output == self.input && %v
      error_message = "the gate failed"
    }
  }
}
output "release" { value = terraform_data.release.output }
`, number, works))
}

func (f *fleet) waves() (string, error) {
	f.t.Helper()
	script, err := filepath.Abs("fleet/waves.sh")
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.CommandContext(f.t.Context(), "sh", script)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "TERRAFORM="+programs.CLI, "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// has returns the release that each customer has.
func (f *fleet) has(customers []string) map[string]string {
	f.t.Helper()
	out := map[string]string{}
	for _, name := range customers {
		cmd := exec.CommandContext(f.t.Context(), programs.CLI, "output", "-raw", "-no-color", "release")
		cmd.Dir = filepath.Join(f.dir, "customers", name)
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
		text, err := cmd.Output()
		if err != nil {
			f.t.Fatalf("%s: %v", name, err)
		}
		out[name] = string(text)
	}
	return out
}

func TestAWaveThatFailsStopsTheNext(t *testing.T) {
	t.Parallel()
	names := []string{"acme", "globex", "hooli", "initech", "umbrella", "wayne", "stark", "tyrell"}
	f := newFleet(t, names...)
	out, err := f.waves()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "wave: acme\nwave: globex hooli initech umbrella wayne\nwave: stark tyrell\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("the waves (-want +got):\n%s", diff)
	}

	// Of the second release, one of the second wave does not pass.
	for _, name := range names {
		f.release(name, "2", name != "hooli")
	}
	out, err = f.waves()
	if err == nil || !strings.Contains(out, "the wave failed for: hooli (see logs/); no later wave was begun") || strings.Contains(out, "stark") {
		t.Fatalf("%v\n%s", err, out)
	}
	got := f.has(names)
	for name, release := range map[string]string{"acme": "2", "globex": "2", "wayne": "2", "stark": "1", "tyrell": "1"} {
		if got[name] != release {
			t.Errorf("%s has release %s, want %s", name, got[name], release)
		}
	}
	log, err := os.ReadFile(filepath.Join(f.dir, "logs", "hooli"))
	if err != nil || !strings.Contains(string(log), "the gate failed") {
		t.Errorf("the log says %s %v", log, err)
	}

	// Once it is mended, the script goes on where it stopped.
	f.release("hooli", "2", true)
	if out, err := f.waves(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, release := range f.has(names) {
		if release != "2" {
			t.Errorf("%s has release %s", name, release)
		}
	}
}
