// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fsck builds Tessera's, which reads C2SP tlog-tiles and shares no code with us but
// the Go team's note.
func fsck(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "fsck")
	out, err := exec.Command("go", "build", "-C", "../../tools/tessera", "-o", binary, "github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput()
	if err != nil {
		t.Fatalf("building Tessera's fsck: %v\n%s\nits module is in tools/tessera: `go mod download` there", err, out)
	}
	return binary
}

// fill appends n entries, many at a time.
func fill(t testing.TB, l *Ledger, n int) {
	t.Helper()
	const callers = 64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				if _, err := l.Append(t.Context(), entry(t, fmt.Sprintf("f%d", i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTesseraFindsAnExportWellAndAChangedOneNot(t *testing.T) {
	t.Parallel()
	program := fsck(t)
	for _, size := range []int{1, 2, 255, 256, 257, 1000} {
		dir, k := t.TempDir(), newKeys(t)
		l := openLedger(t, dir, k, func(c *Config) { c.SegmentBytes = 50_000 })
		fill(t, l, size-1) // the first one is the ledger's own
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "tiles")
		c, err := Export(dir, "2026-11", to, k.verifier)
		if err != nil || c.Size != int64(size) {
			t.Fatalf("exporting %d entries: %d, %v", size, c.Size, err)
		}
		key := filepath.Join(t.TempDir(), "key.pub")
		if err := os.WriteFile(key, []byte(k.public), 0o600); err != nil {
			t.Fatal(err)
		}
		check := func() string {
			// A worker of fsck ends at the first thing it finds, and the others have
			// to suffice for the rest: with one only it waits for ever.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-ui=false", "-v=1", "-N=16", "-storage_url=file://"+to, "-origin="+c.Origin, "-public_key="+key)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Completed ranges") {
				t.Fatalf("fsck: %v\n%s", err, out)
			}
			return string(out)
		}
		if out := check(); strings.Contains(out, "fsck failed") {
			t.Errorf("%d entries: %s", size, out)
		}
		if size < 256 {
			continue // partial tiles need no negative control of their own
		}
		for _, name := range []string{"checkpoint", "tile/0/000", "tile/entries/000"} {
			path := filepath.Join(to, name)
			changed(t, path, func(d []byte) []byte { d[len(d)/2] ^= 1; return d }, func() {
				if out := check(); !strings.Contains(out, "fsck failed") {
					t.Errorf("%d entries, %s changed: %s", size, name, out)
				}
			})
		}
	}
}
