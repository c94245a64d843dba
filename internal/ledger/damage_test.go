// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// grown makes a ledger of two months and several segments, closed.
func grown(t testing.TB, dir string, k keys) {
	t.Helper()
	c := november()
	l := openLedger(t, dir, k, func(cfg *Config) { cfg.SegmentBytes, cfg.Now = 1500, c.Now })
	for i := range 4 {
		appendTo(t, l, numbered(fmt.Sprintf("a%d-", i), 8)...)
		if _, err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	c.set("2026-12")
	for i := range 3 {
		appendTo(t, l, numbered(fmt.Sprintf("b%d-", i), 7)...)
		if _, err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// proving are the files of a ledger that prove something.
func proving(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" && d.Name() != "turn" {
			if info, err := d.Info(); err == nil && info.Size() > 0 {
				files = append(files, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// changed calls f while a file has other content.
func changed(t testing.TB, path string, change func([]byte) []byte, f func()) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(bytes.Clone(before)), 0o600); err != nil {
		t.Fatal(err)
	}
	f()
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnyByteThatIsFlippedIsFound(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	grown(t, dir, k)
	files := proving(t, dir)
	tried := map[string]int{}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		positions := map[int64]bool{0: true, info.Size() - 1: true}
		for range 80 {
			positions[rand.Int64N(info.Size())] = true
		}
		for at := range positions {
			bit := byte(1) << rand.IntN(8)
			changed(t, path, func(data []byte) []byte { data[at] ^= bit; return data }, func() {
				if verify(t, dir, k).OK {
					t.Errorf("bit %#x of byte %d of %s was flipped, and nothing was found", bit, at, path)
				}
			})
			kind, _, _ := strings.Cut(filepath.Base(path), "-")
			tried[kind]++
		}
	}
	for _, kind := range []string{"leaves", "disclosures", hashesFile, checkpointsFile} {
		if tried[kind] < 100 {
			t.Errorf("only %d bytes of %s were flipped", tried[kind], kind)
		}
	}
	mustBeWhole(t, dir, k)
}

// FuzzAFlippedByteIsFound does the same wherever the fuzzer wants it.
func FuzzAFlippedByteIsFound(f *testing.F) {
	dir, k := f.TempDir(), newKeys(f)
	grown(f, dir, k)
	files := proving(f, dir)
	f.Add(uint(0), uint(0), byte(1))
	f.Fuzz(func(t *testing.T, file, at uint, mask byte) {
		path := files[file%uint(len(files))]
		if mask == 0 {
			return
		}
		changed(t, path, func(data []byte) []byte { data[at%uint(len(data))] ^= mask; return data }, func() {
			if verify(t, dir, k).OK {
				t.Errorf("byte %d of %s ^ %#x was not found", at, path, mask)
			}
		})
	})
}

func TestTheFirstBadEntryIsNamed(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	grown(t, dir, k)
	month := filepath.Join(dir, "2026-11")
	leaves := filepath.Join(month, leavesFile(0))
	lines := func(change func([][]byte) [][]byte) func([]byte) []byte {
		return func(data []byte) []byte { return bytes.Join(change(bytes.SplitAfter(data, []byte("\n"))), nil) }
	}
	swap := func(l [][]byte) [][]byte { l[3], l[4] = l[4], l[3]; return l }
	remove := func(l [][]byte) [][]byte { return slices.Delete(l, 5, 6) }
	first := func(want int64) func() {
		return func() {
			t.Helper()
			r := verify(t, dir, k)
			if r.OK || r.Findings[0].Month != "2026-11" || r.Findings[0].Entry != want {
				t.Errorf("the first bad entry is %d, and the findings are %v", want, r.Findings)
			}
		}
	}
	changed(t, leaves, func(d []byte) []byte { return bytes.Replace(d, []byte(`"id":"a0-2"`), []byte(`"id":"a0-7"`), 1) }, first(3))
	changed(t, leaves, lines(swap), first(3))
	changed(t, leaves, lines(remove), first(5))
	changed(t, leaves, lines(func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[1]) }), first(2))
	changed(t, leaves, func(d []byte) []byte { return d[:len(d)-10] }, first(segmentEnd(t, month, 0)-1))
	changed(t, filepath.Join(month, disclosuresFile(0)), lines(remove), first(6)) // entry 0 withholds nothing
	changed(t, filepath.Join(month, disclosuresFile(0)), lines(swap), first(4))
	changed(t, filepath.Join(month, hashesFile), func(d []byte) []byte { d[0] ^= 1; return d }, first(0))
	changed(t, filepath.Join(month, hashesFile), func(d []byte) []byte { return d[32:] }, first(0))
	changed(t, filepath.Join(month, checkpointsFile), func(d []byte) []byte { d[len(d)-20] ^= 1; return d }, first(25))
	changed(t, filepath.Join(month, checkpointsFile), func([]byte) []byte { return nil }, first(0))

	// Segments that are not there any more.
	firsts, err := segments(month)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range firsts {
		path := filepath.Join(month, leavesFile(f))
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		// It is no name of a segment any more, so out of the way entirely.
		away := filepath.Join(t.TempDir(), "away")
		if err := os.Rename(path+".away", away); err != nil {
			t.Fatal(err)
		}
		first(f)()
		if err := os.Rename(away, path); err != nil {
			t.Fatal(err)
		}
	}
	mustBeWhole(t, dir, k)
}

// segmentEnd is the entry after the last one of a segment.
func segmentEnd(t *testing.T, month string, number int) int64 {
	t.Helper()
	firsts, err := segments(month)
	if err != nil || len(firsts) < number+2 {
		t.Fatalf("segments %v, %v", firsts, err)
	}
	return firsts[number+1]
}

func TestOnlyACopyTellsThatALedgerWasRolledBack(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, numbered("a", 10)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	older := copyDir(t, dir)
	l = openLedger(t, dir, k)
	appendTo(t, l, numbered("b", 10)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := LastCheckpoint(dir, "2026-11", k.verifier)
	if err != nil {
		t.Fatal(err)
	}
	early, err := LastCheckpoint(older, "2026-11", k.verifier)
	if err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, dir, k, early, kept)

	mustBeWhole(t, older, k) // by itself it is as good as any
	r := verify(t, older, k, early, kept)
	if r.OK || r.Findings[0].Entry != 11 || !strings.Contains(r.Findings[0].What, "rolled back") {
		t.Errorf("the ledger was rolled back: %v", r.Findings)
	}

	// Rolled back and grown again beyond the size that the copy knows.
	l = openLedger(t, older, k)
	appendTo(t, l, numbered("c", 20)...)
	l.Close()
	mustBeWhole(t, older, k, early)
	r = verify(t, older, k, early, kept)
	if r.OK || r.Findings[0].Entry != 11 || !strings.Contains(r.Findings[0].What, "written anew") {
		t.Errorf("the ledger was written anew: %v", r.Findings)
	}

	// A whole month that only the copy knows.
	december := copyDir(t, dir)
	c := november()
	c.set("2026-12")
	l = openLedger(t, december, k, func(cfg *Config) { cfg.Now = c.Now })
	appendTo(t, l, "x")
	l.Close()
	kept, err = LastCheckpoint(december, "2026-12", k.verifier)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, k, kept); r.OK {
		t.Error("a month that only the copy knows was not missed")
	}
}

func TestATornEndIsRepairedAndKept(t *testing.T) {
	t.Parallel()
	for name, tear := range map[string]func(t *testing.T, month string){
		"half a leaf": func(t *testing.T, month string) {
			grow(t, filepath.Join(month, leavesFile(0)), []byte(`{"half":`))
		},
		"zeros": func(t *testing.T, month string) {
			grow(t, filepath.Join(month, leavesFile(0)), append(make([]byte, 100), '\n'))
		},
		"disclosures of nothing": func(t *testing.T, month string) {
			grow(t, filepath.Join(month, disclosuresFile(0)), disclosureLine{Seq: 4, Disclosures: []string{"x"}}.bytes())
			grow(t, filepath.Join(month, disclosuresFile(0)), []byte(`{"seq":5,`))
		},
		"half a checkpoint": func(t *testing.T, month string) {
			grow(t, filepath.Join(month, checkpointsFile), []byte(`"audit.exa`))
		},
		"part of a hash": func(t *testing.T, month string) {
			grow(t, filepath.Join(month, hashesFile), make([]byte, 17))
		},
		"no hashes of the newest entries": func(t *testing.T, month string) {
			e := entry(t, "unacknowledged")
			grow(t, filepath.Join(month, disclosuresFile(0)), disclosureLine{Seq: 4, Disclosures: e.Disclosures}.bytes())
			grow(t, filepath.Join(month, leavesFile(0)), append(e.Leaf, '\n'))
		},
		"hashes that became zeros": func(t *testing.T, month string) {
			e := entry(t, "unacknowledged")
			grow(t, filepath.Join(month, disclosuresFile(0)), disclosureLine{Seq: 4, Disclosures: e.Disclosures}.bytes())
			grow(t, filepath.Join(month, leavesFile(0)), append(e.Leaf, '\n'))
			grow(t, filepath.Join(month, hashesFile), make([]byte, 32))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, k := t.TempDir(), newKeys(t)
			l := openLedger(t, dir, k)
			appendTo(t, l, "a", "b", "c")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			tear(t, filepath.Join(dir, "2026-11"))
			mustBeWhole(t, dir, k) // what was not acknowledged is no finding
			l = openLedger(t, dir, k)
			appendTo(t, l, "d")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			mustBeWhole(t, dir, k)
			ids := slices.DeleteFunc(idsOf(t, dir), func(id string) bool { return id == "unacknowledged" })
			if fmt.Sprint(ids) != "[a b c d]" {
				t.Errorf("read %v", ids)
			}
			torn, err := filepath.Glob(filepath.Join(dir, "2026-11", "torn-*"))
			if err != nil {
				t.Fatal(err)
			}
			if kept := name == "half a leaf" || name == "zeros" || name == "half a checkpoint"; kept != (len(torn) == 1) {
				t.Errorf("kept %v", torn)
			}
		})
	}
}

func TestALiveLedgerRepairsWhatAnotherProcessLeft(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, "a")
	grow(t, filepath.Join(dir, "2026-11", leavesFile(0)), []byte(`{"half":`))
	appendTo(t, l, "b")
	l.Close()
	mustBeWhole(t, dir, k)
}

func TestALedgerThatIsReplacedUnderItsWriterTakesNothingMore(t *testing.T) {
	t.Parallel()
	dir, k := filepath.Join(t.TempDir(), "audit"), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, "a")
	older := copyDir(t, dir)
	appendTo(t, l, "b")
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if at, err := l.Append(t.Context(), entry(t, "c")); err == nil {
			t.Errorf("an entry was acknowledged at %v, in a ledger that was replaced", at)
		}
	}
}

func TestNothingIsAppendedToADamagedLedger(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(month string) error{
		"a leaf cut off": func(month string) error {
			return os.Truncate(filepath.Join(month, leavesFile(0)), 500)
		},
		"a leaf changed": func(month string) error {
			path := filepath.Join(month, leavesFile(0))
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(data, []byte(`"id":"b"`), []byte(`"id":"x"`), 1), 0o600)
		},
		"hashes cut off and a leaf changed": func(month string) error {
			path := filepath.Join(month, leavesFile(0))
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path, bytes.Replace(data, []byte(`"id":"b"`), []byte(`"id":"x"`), 1), 0o600); err != nil {
				return err
			}
			return os.Truncate(filepath.Join(month, hashesFile), 0)
		},
		"a checkpoint changed": func(month string) error {
			path := filepath.Join(month, checkpointsFile)
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)-30] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, k := t.TempDir(), newKeys(t)
			l := openLedger(t, dir, k)
			appendTo(t, l, "a", "b", "c")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(dir, "2026-11")); err != nil {
				t.Fatal(err)
			}
			if l, err := Open(Config{Dir: dir, Signer: k.signer, Verifier: k.verifier, Now: november().Now}); err == nil {
				l.Close()
				t.Error("it was opened")
			} else if !strings.Contains(err.Error(), "hybridge audit verify") {
				t.Errorf("no remedy: %v", err)
			}
		})
	}
}

func TestAnotherKeyDoesNotContinueALedger(t *testing.T) {
	t.Parallel()
	dir, k, other := t.TempDir(), newKeys(t), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, "a")
	l.Close()
	if l, err := Open(Config{Dir: dir, Signer: other.signer, Verifier: other.verifier, Now: november().Now}); err == nil {
		l.Close()
		t.Error("a ledger was opened with another key")
	}
	r, err := Verify(dir, VerifyOptions{Verifier: other.verifier})
	if err != nil || r.OK {
		t.Errorf("verified with another key: %v, %v", r, err)
	}
	if l, err := Open(Config{Dir: t.TempDir(), Signer: k.signer, Verifier: other.verifier, CheckpointEvery: time.Hour}); err == nil {
		l.Close()
		t.Error("a ledger was begun with a public key that is not the private one's")
	}
}

func grow(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
}
