// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallFiles is set in the process whose files may not grow.
const smallFiles = "HYBRIDGE_TEST_SMALL_FILES"

// A full disk is simulated with a limit on the size of files, which holds for a
// whole process: the test runs itself again.
func TestAFullDiskLosesNothingAndPasses(t *testing.T) {
	t.Parallel()
	if os.Getenv(smallFiles) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), smallFiles+"=1", "TMPDIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	before := version(t, r, w)

	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	full := limit
	full.Cur = 512 << 10
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &full))
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 1<<20)
	_, _ = random.Read(noise)
	if _, _, err := r.Put(strings.NewReader(string(noise))); !errors.Is(err, unix.EFBIG) {
		t.Errorf("a blob on a full disk: %v", err)
	}
	stored := 0
	var failure error
	for range 200 {
		_, failure = r.CreateVersion(t.Context(), Version{WorkerID: w.ID, Source: "api", VersionContent: VersionContent{
			MainModule: "index.js", Modules: before.Modules, CompatibilityDate: "2025-09-01",
			Bindings: []Binding{{Name: "V", Type: "plain_text", Fields: map[string]json.RawMessage{"text": raw(`"` + strings.Repeat("x", 64<<10) + `"`)}}},
		}})
		if failure != nil {
			break
		}
		stored++
	}
	if failure == nil {
		t.Fatal("the disk never was full")
	}
	t.Logf("after %d versions: %v", stored, failure)
	count := func() int {
		_, total, err := r.Versions(t.Context(), w.ID, false, 1, 0)
		must(t, err)
		return total
	}
	if got := count(); got != stored+1 {
		t.Errorf("%d versions are there, want %d", got, stored+1)
	}
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	version(t, r, w)
	r = reopen(t, r)
	if got := count(); got != stored+2 {
		t.Errorf("%d versions are there with space again, want %d", got, stored+2)
	}
	must(t, filepath.WalkDir(r.Dir(), func(path string, e fs.DirEntry, err error) error {
		if strings.HasPrefix(e.Name(), ".tmp-") {
			t.Errorf("%s is left", path)
		}
		return err
	}))
}
