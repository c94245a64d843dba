// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// keys are those of one ledger.
type keys struct {
	secret, public string
	signer         note.Signer
	verifier       note.Verifier
}

func newKeys(t testing.TB) keys {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, "audit.example/paris")
	if err != nil {
		t.Fatal(err)
	}
	return keysOf(t, secret, public)
}

func keysOf(t testing.TB, secret, public string) keys {
	t.Helper()
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return keys{secret, public, signer, verifier}
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(month string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, _ = time.Parse(monthForm, month)
}

func november() *clock {
	c := &clock{}
	c.set("2026-11")
	return c
}

func openLedger(t testing.TB, dir string, k keys, change ...func(*Config)) *Ledger {
	t.Helper()
	cfg := Config{Dir: dir, Signer: k.signer, Verifier: k.verifier, CheckpointEvery: time.Hour, Now: november().Now}
	for _, f := range change {
		f(&cfg)
	}
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// entry is an entry that withholds one value.
func entry(t testing.TB, id string) Entry {
	t.Helper()
	disclosure, digest, err := Commit("actor.email", id+"@example.com")
	if err != nil {
		t.Fatal(err)
	}
	leaf := fmt.Sprintf(`{"_sd":[%q],"data":{"n":1},"id":%q,"specversion":"1.0","type":"test.entry"}`, digest, id)
	return Entry{Leaf: []byte(leaf), Disclosures: []string{disclosure}}
}

func appendTo(t testing.TB, l *Ledger, ids ...string) Position {
	t.Helper()
	var at Position
	for _, id := range ids {
		var err error
		if at, err = l.Append(context.Background(), entry(t, id)); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return ids
}

// verify is Verify of a ledger that can be looked at.
func verify(t testing.TB, dir string, k keys, known ...Checkpoint) *Report {
	t.Helper()
	r, err := Verify(dir, VerifyOptions{Verifier: k.verifier, Known: known})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustBeWhole(t testing.TB, dir string, k keys, known ...Checkpoint) *Report {
	t.Helper()
	r := verify(t, dir, k, known...)
	if !r.OK {
		t.Fatalf("a ledger that nobody touched has findings: %v", r.Findings)
	}
	return r
}

// idsOf reads the ids of all entries but the ledger's own.
func idsOf(t testing.TB, dir string) []string {
	t.Helper()
	r := NewReader(dir, Position{})
	defer r.Close()
	var ids []string
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		var leaf struct{ ID, Type string }
		if err := json.Unmarshal(record.Leaf, &leaf); err != nil {
			t.Fatal(err)
		}
		if leaf.Type != BegunType {
			ids = append(ids, leaf.ID)
		}
	}
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestTheFrontierIsTheTreeOfTlog(t *testing.T) {
	t.Parallel()
	var f frontier
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, i := range indexes {
			hashes = append(hashes, stored[i])
		}
		return hashes, nil
	})
	for n := range int64(600) {
		want, err := tlog.StoredHashes(n, fmt.Append(nil, n), reader)
		if err != nil {
			t.Fatal(err)
		}
		got := f.add(tlog.RecordHash(fmt.Append(nil, n)), nil)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("entry %d: %v, want %v", n, got, want)
		}
		stored = append(stored, got...)
		root, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if f.root() != root {
			t.Fatalf("%d entries have another head than tlog's", n+1)
		}
		again, err := frontierOf(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if again.root() != root {
			t.Fatalf("%d entries have another head when read again", n+1)
		}
		for _, extra := range []int64{0, 1} {
			if n := n + 1; entriesIn((tlog.StoredHashCount(n)+extra)*tlog.HashSize) != n && tlog.StoredHashCount(n+1) > tlog.StoredHashCount(n)+extra {
				t.Fatalf("%d hashes are not %d entries", tlog.StoredHashCount(n)+extra, n)
			}
		}
	}
}

func TestWhatWasAcknowledgedIsReadBackAndProved(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	l := openLedger(t, dir, k)
	at := appendTo(t, l, numbered("e", 20)...)
	if at != (Position{"2026-11", 20}) {
		t.Errorf("the twentieth entry is at %v", at)
	}
	record, err := Find(dir, "e7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prove(dir, record, k.verifier); err == nil {
		t.Error("an entry was proved that no checkpoint covers")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), entry(t, "late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	r := mustBeWhole(t, dir, k)
	if r.Entries != 21 || r.Months[0].Signed != 21 || r.Months[0].Withheld != 20 {
		t.Errorf("the report is %+v", r)
	}
	proof, err := Prove(dir, record, k.verifier)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Disclosures, err = Disclosures(dir, record.Position); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(proof)
	if err != nil {
		t.Fatal(err)
	}
	carried, err := ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := carried.Verify(k.verifier); err != nil {
		t.Error(err)
	}
	if d, err := ParseDisclosure(carried.Disclosures[0]); err != nil || d.Path != "actor.email" || d.Value != "e7@example.com" {
		t.Errorf("disclosed %v, %v", d, err)
	}
	for name, change := range map[string]func(*Proof){
		"leaf":       func(p *Proof) { p.Leaf = strings.Replace(p.Leaf, "e7", "e8", 1) },
		"seq":        func(p *Proof) { p.Seq++ },
		"month":      func(p *Proof) { p.Month = "2026-12" },
		"hash":       func(p *Proof) { p.Hashes = append([]tlog.Hash{{1}}, p.Hashes[1:]...) },
		"too few":    func(p *Proof) { p.Hashes = p.Hashes[1:] },
		"disclosure": func(p *Proof) { p.Disclosures = []string{p.Disclosures[0] + "x"} },
		"checkpoint": func(p *Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n21\n", "\n22\n", 1) },
	} {
		bad, _ := ParseProof(text)
		change(&bad)
		if _, err := bad.Verify(k.verifier); err == nil {
			t.Errorf("a proof with another %s was believed", name)
		}
	}
	if _, err := carried.Verify(newKeys(t).verifier); err == nil {
		t.Error("a proof was believed that another key has signed")
	}
}

func TestNobodyElseMayLook(t *testing.T) {
	t.Parallel()
	dir, k := filepath.Join(t.TempDir(), "audit"), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, "a")
	l.Close()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSegmentsAreRotatedAndMonthsChained(t *testing.T) {
	t.Parallel()
	dir, k, c := t.TempDir(), newKeys(t), november()
	small := func(cfg *Config) { cfg.SegmentBytes, cfg.Now = 1000, c.Now }
	l := openLedger(t, dir, k, small)
	appendTo(t, l, numbered("nov", 30)...)
	c.set("2026-12")
	appendTo(t, l, numbered("dec", 30)...)
	c.set("2026-11") // a clock that goes back
	if at := appendTo(t, l, "back"); at.Month != "2026-12" {
		t.Errorf("an entry came to %v, which had ended", at)
	}
	l.Close()
	again := openLedger(t, dir, k, small)
	appendTo(t, again, "again")
	again.Close()

	want := append(append(numbered("nov", 30), numbered("dec", 30)...), "back", "again")
	if got := idsOf(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %v", got)
	}
	firsts, err := segments(filepath.Join(dir, "2026-11"))
	if err != nil || len(firsts) < 4 {
		t.Errorf("segments begin at %v, %v", firsts, err)
	}
	r := mustBeWhole(t, dir, k)
	if len(r.Months) != 2 || r.Months[1].begun.Previous != r.Months[0].last.Text {
		t.Errorf("the months are no chain: %+v", r.Months)
	}

	// Taking the older month away is found, and allowed only if it is said.
	if err := os.RemoveAll(filepath.Join(dir, "2026-11")); err != nil {
		t.Fatal(err)
	}
	if verify(t, dir, k).OK {
		t.Error("a month that is missing was not found")
	}
	if r, err := Verify(dir, VerifyOptions{Verifier: k.verifier, Since: "2026-12"}); err != nil || !r.OK {
		t.Errorf("verify since December: %v %v", r, err)
	}
}

func TestWhatIsNoEntryIsRefused(t *testing.T) {
	t.Parallel()
	l := openLedger(t, t.TempDir(), newKeys(t))
	good := entry(t, "x")
	for name, e := range map[string]Entry{
		"empty":                    {},
		"no object":                {Leaf: []byte(`[]`)},
		"no JSON":                  {Leaf: []byte(`{`)},
		"two lines":                {Leaf: []byte("{\n}")},
		"too large":                {Leaf: fmt.Appendf(nil, `{"a":%q}`, strings.Repeat("a", MaxLeafBytes))},
		"a disclosure of another":  {Leaf: good.Leaf, Disclosures: entry(t, "y").Disclosures},
		"a digest without a value": {Leaf: good.Leaf},
	} {
		if _, err := l.Append(t.Context(), e); err == nil {
			t.Errorf("%s: it was accepted", name)
		}
	}
}

func TestTwoLedgersOfOneDirectoryTakeTurns(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	a := openLedger(t, dir, k, func(c *Config) { c.CheckpointEvery, c.SegmentBytes = time.Millisecond, 4000 })
	b := openLedger(t, dir, k, func(c *Config) { c.CheckpointEvery, c.SegmentBytes = -1, 4000 })
	var wg sync.WaitGroup
	for i, l := range []*Ledger{a, b, a, b} {
		wg.Go(func() { appendTo(t, l, numbered(fmt.Sprintf("w%d-", i), 50)...) })
	}
	wg.Wait()
	a.Close()
	b.Close()
	if got := len(idsOf(t, dir)); got != 200 {
		t.Errorf("%d entries of 200", got)
	}
	if r := mustBeWhole(t, dir, k); r.Months[0].Signed != 201 {
		t.Errorf("%d of 201 are signed", r.Months[0].Signed)
	}
}

func TestALedgerIsVerifiedAndReadWhileItGrows(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	l := openLedger(t, dir, k, func(c *Config) { c.CheckpointEvery, c.SegmentBytes = 2*time.Millisecond, 20_000 })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := l.Append(context.Background(), entry(t, fmt.Sprintf("w%d-%d", w, i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 30 {
		mustBeWhole(t, dir, k)
		idsOf(t, dir)
	}
	cancel()
	wg.Wait()
}

func TestAnErasedValueLeavesTheProofsWhole(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, "a", "b")
	l.Close()
	path := filepath.Join(dir, "2026-11", disclosuresFile(0))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[1] = string(disclosureLine{Seq: 2, Erased: true}.bytes())
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := mustBeWhole(t, dir, k); r.Months[0].Erased != 1 || r.Months[0].Withheld != 1 {
		t.Errorf("the report is %+v", r.Months)
	}
}

func TestConsistencyIsProvedToWhoHoldsAnOlderCheckpoint(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKeys(t)
	l := openLedger(t, dir, k)
	appendTo(t, l, numbered("a", 5)...)
	old, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, numbered("b", 9)...)
	l.Close()
	c, proof, err := ProveConsistency(dir, old, k.verifier)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckTree(proof, c.Size, c.Hash, old.Size, old.Hash); err != nil {
		t.Error(err)
	}
}

func TestACursorSaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	dir, k, c := t.TempDir(), newKeys(t), november()
	l := openLedger(t, dir, k, func(cfg *Config) { cfg.Now, cfg.SegmentBytes = c.Now, 600 })
	appendTo(t, l, "a", "b", "c")
	c.set("2026-12")
	appendTo(t, l, "d")
	var seen []string
	for { // one entry for each life of the reader
		at, err := LoadCursor(dir, "siem")
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(dir, at)
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := SaveCursor(dir, "siem", r.At()); err != nil {
			t.Fatal(err)
		}
		r.Close()
		seen = append(seen, record.String())
	}
	if want := "[2026-11/0 2026-11/1 2026-11/2 2026-11/3 2026-12/0 2026-12/1]"; fmt.Sprint(seen) != want {
		t.Errorf("seen %v, want %s", seen, want)
	}
	for _, name := range []string{"", "..", "a/b", "x.new"} {
		if SaveCursor(dir, name, Position{}) == nil {
			t.Errorf("a cursor %q was saved", name)
		}
	}
	mustBeWhole(t, dir, k)
}

// refusing is a signer whose key service is away after the first checkpoint.
type refusing struct {
	note.Signer
	mu     sync.Mutex
	signed int
}

func (s *refusing) Sign(msg []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signed++; s.signed > 1 {
		return nil, errors.New("the key is away")
	}
	return s.Signer.Sign(msg)
}

func TestAnEntryIsDurableAlsoIfItsCheckpointCannotBeSigned(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"with each batch": -1, "now and then": time.Millisecond} {
		dir, k := t.TempDir(), newKeys(t)
		told := make(chan error, 1)
		l := openLedger(t, dir, k, func(c *Config) {
			c.Signer, c.CheckpointEvery = &refusing{Signer: k.signer}, every
			c.Failed = func(err error) {
				select {
				case told <- err:
				default:
				}
			}
		})
		appendTo(t, l, "a", "b")
		if err := <-told; !strings.Contains(err.Error(), "the key is away") {
			t.Errorf("%s: told %v", name, err)
		}
		if err := l.Close(); err == nil {
			t.Errorf("%s: Close said nothing of entries without a checkpoint", name)
		}
		if r := mustBeWhole(t, dir, k); r.Entries != 3 || r.Months[0].Signed != 1 {
			t.Errorf("%s: %+v", name, r.Months)
		}
	}
}
