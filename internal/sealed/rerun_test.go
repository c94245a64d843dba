// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"os"
	"os/exec"
	"testing"
)

// rerun runs one test of this program in a process of its own, whose environment
// holds nothing but these variables: what SOPS looks at is the process's.
func rerun(t *testing.T, test string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	home := t.TempDir()
	cmd.Env = append([]string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), envSOPS + "=" + os.Getenv(envSOPS),
		// No client of a cloud may look for credentials on the network.
		"AWS_EC2_METADATA_DISABLED=true",
	}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s in a process of its own: %v\n%s", test, err, out)
	}
	return string(out)
}
