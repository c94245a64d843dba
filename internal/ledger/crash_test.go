// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A process of this test binary with these variables appends until it is killed.
const (
	writerDir  = "LEDGER_TEST_DIR"
	writerKeys = "LEDGER_TEST_KEYS"
	writerName = "LEDGER_TEST_NAME"
	writerMax  = "LEDGER_TEST_MAX"
)

func TestMain(m *testing.M) {
	if os.Getenv(writerDir) != "" {
		if err := writeUntilKilled(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeUntilKilled prints what was acknowledged: id, position, hash of the leaf.
func writeUntilKilled() error {
	secret, public, _ := strings.Cut(os.Getenv(writerKeys), "\n")
	t := &testing.T{}
	k := keysOf(t, secret, public)
	l, err := Open(Config{
		Dir: os.Getenv(writerDir), Signer: k.signer, Verifier: k.verifier,
		CheckpointEvery: 5 * time.Millisecond, SegmentBytes: 30_000, LockWait: time.Minute, Now: november().Now,
	})
	if err != nil {
		return err
	}
	limit, _ := strconv.Atoi(os.Getenv(writerMax))
	failed := make(chan error)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; limit == 0 || i < limit; i++ {
				id := fmt.Sprintf("%s-%d-%d", os.Getenv(writerName), w, i)
				e := entry(t, id)
				at, err := l.Append(context.Background(), e)
				if err != nil {
					failed <- err
					return
				}
				fmt.Fprintf(os.Stdout, "%s %d %s\n", id, at.Seq, tlog.RecordHash(e.Leaf))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case err := <-failed:
		return err
	case <-done:
		return l.Close()
	}
}

type acknowledged struct {
	id   string
	seq  int64
	hash string
}

// writer is such a process.
type writer struct {
	cmd    *exec.Cmd
	read   chan []acknowledged
	stderr *strings.Builder
}

func startWriter(t *testing.T, dir string, k keys, name string, most int) *writer {
	t.Helper()
	w := &writer{cmd: exec.Command(os.Args[0]), read: make(chan []acknowledged, 1), stderr: &strings.Builder{}}
	w.cmd.Env = append(os.Environ(), writerDir+"="+dir, writerKeys+"="+k.secret+"\n"+k.public, writerName+"="+name, writerMax+"="+strconv.Itoa(most))
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.cmd.Stderr = w.stderr
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var acks []acknowledged
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if err != nil { // a torn one was not told
				break
			}
			var a acknowledged
			if _, err := fmt.Sscanf(line, "%s %d %s", &a.id, &a.seq, &a.hash); err == nil {
				acks = append(acks, a)
			}
		}
		w.read <- acks
	}()
	return w
}

// end waits for the process, and gives what it acknowledged.
func (w *writer) end(t *testing.T, killed bool) []acknowledged {
	t.Helper()
	acks := <-w.read
	if err := w.cmd.Wait(); err != nil && !killed {
		t.Fatalf("a writer ended: %v\n%s", err, w.stderr)
	}
	if w.stderr.Len() > 0 {
		t.Errorf("a writer said: %s", w.stderr)
	}
	return acks
}

// holds checks that every acknowledged entry is in its place, as it was.
func holds(t *testing.T, dir string, acks []acknowledged) {
	t.Helper()
	hashes := map[int64]string{}
	r := NewReader(dir, Position{})
	defer r.Close()
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		hashes[record.Seq] = tlog.RecordHash(record.Leaf).String()
	}
	lost, different := 0, 0
	for _, a := range acks {
		switch hash, ok := hashes[a.seq]; {
		case !ok:
			lost++
		case hash != a.hash:
			different++
		}
	}
	if lost > 0 || different > 0 {
		t.Errorf("of %d acknowledged entries %d are lost and %d different", len(acks), lost, different)
	}
	t.Logf("%d acknowledged, %d read, %d lost, %d different", len(acks), len(hashes), lost, different)
}

func TestKilledWritersLoseNothingThatTheyAcknowledged(t *testing.T) {
	t.Parallel()
	const kills, writers = 20, 3
	dir, k := t.TempDir(), newKeys(t)
	var acks []acknowledged
	running := make([]*writer, writers)
	for i := range running {
		running[i] = startWriter(t, dir, k, fmt.Sprintf("first%d", i), 0)
	}
	for kill := range kills {
		time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
		i := kill % writers
		if err := running[i].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		acks = append(acks, running[i].end(t, true)...)
		running[i] = startWriter(t, dir, k, fmt.Sprintf("kill%d", kill), 0)
	}
	time.Sleep(100 * time.Millisecond)
	for _, w := range running {
		if err := w.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		acks = append(acks, w.end(t, true)...)
	}
	l := openLedger(t, dir, k)
	appendTo(t, l, "after")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := mustBeWhole(t, dir, k)
	if len(acks) < 100 {
		t.Errorf("only %d entries were acknowledged: this test has seen nothing", len(acks))
	}
	if r.Months[0].Signed != r.Entries {
		t.Errorf("%d of %d are signed", r.Months[0].Signed, r.Entries)
	}
	holds(t, dir, acks)
}

func TestProcessesTakeTurnsAndNoneStarves(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 25
	dir, k := t.TempDir(), newKeys(t)
	var running []*writer
	for i := range writers {
		running = append(running, startWriter(t, dir, k, fmt.Sprintf("p%d", i), each))
	}
	var acks []acknowledged
	for _, w := range running {
		acks = append(acks, w.end(t, false)...)
	}
	if len(acks) != writers*each*4 {
		t.Errorf("%d entries of %d", len(acks), writers*each*4)
	}
	mustBeWhole(t, dir, k)
	holds(t, dir, acks)
}

func FuzzCheckpoint(f *testing.F) {
	k := newKeys(f)
	c, err := signCheckpoint(k.signer, "2026-11", 7, tlog.Hash{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Text)
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := ParseCheckpoint(text, k.verifier); err == nil && (got != c || text != c.Text) {
			t.Errorf("%q was believed", text)
		}
		_, _ = parseCheckpointLine([]byte(text), "2026-11", k.verifier)
	})
}

func FuzzProof(f *testing.F) {
	k := newKeys(f)
	dir := f.TempDir()
	l := openLedger(f, dir, k)
	appendTo(f, l, "a", "b", "c")
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	record, err := Find(dir, "b")
	if err != nil {
		f.Fatal(err)
	}
	p, err := Prove(dir, record, k.verifier)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Leaf, p.Checkpoint, p.Seq, p.Hashes[0][:])
	f.Fuzz(func(t *testing.T, leaf, checkpoint string, seq int64, hash []byte) {
		q := p
		q.Leaf, q.Checkpoint, q.Seq = leaf, checkpoint, seq
		q.Hashes = append([]tlog.Hash(nil), p.Hashes...)
		copy(q.Hashes[0][:], hash)
		if _, err := q.Verify(k.verifier); err == nil && (q.Leaf != p.Leaf || q.Seq != p.Seq || q.Checkpoint != p.Checkpoint) {
			t.Errorf("%+v was believed", q)
		}
		_, _ = ParseProof([]byte(leaf))
		_, _ = ParseDisclosure(base64.RawURLEncoding.EncodeToString([]byte(leaf)))
		_, _ = ParseDisclosure(leaf)
	})
}

// FuzzReader opens, reads and verifies whatever lies there: it never panics, and what
// it opens is whole afterwards.
func FuzzReader(f *testing.F) {
	k := newKeys(f)
	f.Add([]byte("{}\n"), []byte(`{"seq":0}`), make([]byte, 32), []byte(`"x"`))
	f.Add([]byte("{}\n{\"_sd\":[\"a\"]}\n"), []byte(`{"seq":1,"erased":true}`+"\n"), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, leaves, disclosures, hashes, checkpoints []byte) {
		dir := t.TempDir()
		month := dir + "/2026-11"
		if err := os.Mkdir(month, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{leavesFile(0): leaves, disclosuresFile(0): disclosures, hashesFile: hashes, checkpointsFile: checkpoints} {
			if err := os.WriteFile(month+"/"+name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Verify(dir, VerifyOptions{Verifier: k.verifier}); err != nil {
			t.Fatal(err)
		}
		r := NewReader(dir, Position{})
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		r.Close()
		_, _ = Find(dir, "x")
		_, _ = Disclosures(dir, Position{"2026-11", 1})
		l, err := Open(Config{Dir: dir, Signer: k.signer, Verifier: k.verifier, CheckpointEvery: time.Hour, Now: november().Now})
		if err == nil {
			l.Close()
		}
	})
}
