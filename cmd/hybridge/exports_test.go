// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Where a file has the exports, what is shown reads it, whatever its name; where none has,
// they are shown themselves.
func TestTheExportsAreShownOnlyWhereNoFileHasThem(t *testing.T) {
	t.Parallel()
	vars := []variable{{"CLOUDFLARE_API_TOKEN", "it's a token"}}
	file := envFile{path: filepath.Join(t.TempDir(), "o'clock.env")}
	if err := file.write(vars); err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string][]byte{"with a file": file.shown(vars), "without": (&envFile{}).shown(vars)} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", string(shown)+"echo $CLOUDFLARE_API_TOKEN").Output()
		if diff := cmp.Diff("it's a token\n", string(out)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if diff := cmp.Diff(". '"+filepath.Dir(file.path)+"/o'\\''clock.env'\n", string(file.shown(vars))); diff != "" {
		t.Errorf("what is shown (-want +got):\n%s", diff)
	}
}
