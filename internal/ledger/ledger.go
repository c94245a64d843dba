// SPDX-License-Identifier: MPL-2.0

// Package ledger is an append-only log on this machine's disk that proves itself:
// entries in JSON lines, over them a tree as in RFC 6962, and its head in signed
// checkpoints (C2SP tlog-checkpoint). It knows nothing of what an entry means.
//
// A ledger is a directory with one log for each month:
//
//	2026-11/leaves-000000000000.jsonl       entries, one in a line, from that number on
//	2026-11/disclosures-000000000000.jsonl  what entries withhold, beside them
//	2026-11/hashes                          the tree, as package tlog numbers its hashes
//	2026-11/checkpoints                     signed heads, a JSON string in each line
//	2026-11/torn-…                          what a killed process left of a batch
//	cursors/NAME                            how far a reader has got
//	lock, turn
//
// The first entry of a month holds the last checkpoint of the month before, so the
// months are a chain. Directories have mode 0700 and files 0600.
//
// A batch is on disk in this order: disclosures (synced), leaves (synced), hashes.
// So an entry that has a hash is durable, and readers without the lock take no other.
// Hashes are synced before a checkpoint over them is signed.
//
// Several processes may append. They take turns by the lock, batch by batch.
package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/sumdb/note"
)

// Limits of one entry, in bytes. C2SP tlog-tiles bounds an entry by 64 KiB.
const (
	MaxLeafBytes       = 60 << 10
	MaxDisclosureBytes = 256 << 10
	// maxBatch bounds the memory of one write.
	maxBatch = 1024
)

// Defaults of Config.
const (
	// DefaultSegmentBytes bounds what Open has to read: the newest segment.
	DefaultSegmentBytes    = 4 << 20
	DefaultCheckpointEvery = time.Second
	DefaultLockWait        = 10 * time.Second
)

// lockPoll is how often a process that waits looks for its turn.
const lockPoll = 200 * time.Microsecond

// ErrClosed is the answer to an Append after Close.
var ErrClosed = errors.New("the ledger is closed")

// Config says where a ledger is and how it is kept.
type Config struct {
	// Dir is the directory, which is made if it does not exist.
	Dir string
	// Signer signs checkpoints. Its name and the month are the origin of a month's
	// log: audit.example/paris/2026-11.
	Signer note.Signer
	// Verifier is that of Signer. Open does not go on after what it does not verify.
	Verifier note.Verifier
	// SegmentBytes is the size from which on a new segment is begun. 0 is the default.
	SegmentBytes int64
	// CheckpointEvery is the longest time for which an entry has no signed
	// checkpoint while a process runs. 0 is the default; a negative one signs with
	// each batch.
	CheckpointEvery time.Duration
	// LockWait bounds how long a batch waits for other processes. 0 is the default.
	LockWait time.Duration
	// Failed is told of checkpoints that could not be signed while entries were
	// written: those are durable, and the next checkpoint covers them. It MUST return
	// soon and MUST NOT call the Ledger.
	Failed func(error)
	// Now is the clock. nil is time.Now.
	Now func() time.Time
	// Source is CloudEvents' source of entries of the ledger itself. "" is Signer's name.
	Source string
}

// Entry is what is appended.
type Entry struct {
	// Leaf is a JSON object in one line, without a line feed at its end.
	Leaf []byte
	// Disclosures are what the leaf withholds, as Commit makes them. The digest of
	// each MUST be in the leaf's "_sd".
	Disclosures []string
}

// Position is the place of an entry.
type Position struct {
	Month string `json:"month"` // 2006-01, UTC
	Seq   int64  `json:"seq"`   // in the month, from 0
}

func (p Position) String() string { return fmt.Sprintf("%s/%d", p.Month, p.Seq) }

// Ledger is an open ledger. Its methods may be called at the same time.
type Ledger struct {
	cfg        Config
	lock, turn *flock.Flock

	requests chan *request
	stop     chan struct{}
	done     chan struct{}
	closing  sync.Once

	mu     sync.Mutex // guards what follows, and comes before the lock between processes
	log    *monthLog  // of the newest month; nil before the first use, and after a failure
	broken error      // nothing more is appended: see errUnsynced and errReplaced
}

type request struct {
	entry Entry
	done  chan answer
}

type answer struct {
	at  Position
	err error
}

// Open opens a ledger, makes it if there is none, and repairs a torn end that a
// killed process left. It verifies the newest segment and the last checkpoint, and
// nothing before them: see Verify.
func Open(cfg Config) (*Ledger, error) {
	if cfg.Signer == nil || cfg.Verifier == nil || cfg.Dir == "" {
		return nil, errors.New("opening the ledger: a directory and a key are needed")
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = DefaultSegmentBytes
	}
	if cfg.CheckpointEvery == 0 {
		cfg.CheckpointEvery = DefaultCheckpointEvery
	}
	if cfg.LockWait == 0 {
		cfg.LockWait = DefaultLockWait
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Source == "" {
		cfg.Source = cfg.Signer.Name()
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	l := &Ledger{
		cfg:      cfg,
		lock:     flock.New(filepath.Join(cfg.Dir, "lock"), flock.SetPermissions(0o600)),
		turn:     flock.New(filepath.Join(cfg.Dir, "turn"), flock.SetPermissions(0o600)),
		requests: make(chan *request, maxBatch),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	if err := l.exclusively(l.refresh); err != nil {
		return nil, fmt.Errorf("opening the ledger %s: %w", cfg.Dir, err)
	}
	go l.run()
	return l, nil
}

// Append returns when the entry is on disk. An error says that the entry may be
// there or not, and that nothing else was lost. After a cancelled ctx the entry may
// still be written.
func (l *Ledger) Append(ctx context.Context, e Entry) (Position, error) {
	if err := e.check(); err != nil {
		return Position{}, err
	}
	r := &request{entry: e, done: make(chan answer, 1)}
	select {
	case <-l.stop:
		return Position{}, ErrClosed
	default:
	}
	select {
	case l.requests <- r:
	case <-l.stop:
		return Position{}, ErrClosed
	case <-ctx.Done():
		return Position{}, context.Cause(ctx)
	}
	select {
	case a := <-r.done:
		return a.at, a.err
	case <-ctx.Done():
		return Position{}, context.Cause(ctx)
	case <-l.done: // it was sent while the ledger was closed
		select {
		case a := <-r.done:
			return a.at, a.err
		default:
			return Position{}, ErrClosed
		}
	}
}

// Checkpoint signs the present head, if it has grown, and returns the newest one.
func (l *Ledger) Checkpoint() (Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var c Checkpoint
	err := l.exclusively(func() error {
		if err := l.refresh(); err != nil {
			return err
		}
		if err := l.log.sign(l.cfg.Signer); err != nil {
			return err
		}
		c = l.log.signed
		return nil
	})
	if err != nil {
		err = fmt.Errorf("signing a checkpoint of the ledger %s: %w", l.cfg.Dir, err)
	}
	return c, err
}

// Close signs a last checkpoint and ends the ledger. Appends that were accepted are
// written before.
func (l *Ledger) Close() error {
	var err error
	l.closing.Do(func() {
		close(l.stop)
		<-l.done
		_, err = l.Checkpoint()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.log != nil {
			l.log.close()
			l.log = nil
		}
	})
	return err
}

// run writes batches until Close.
func (l *Ledger) run() {
	defer close(l.done)
	var tick <-chan time.Time
	if l.cfg.CheckpointEvery > 0 {
		t := time.NewTicker(l.cfg.CheckpointEvery)
		defer t.Stop()
		tick = t.C
	}
	grown := true // perhaps by a process that was killed
	batch := make([]*request, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case <-tick: // a busy ledger has both ready, and neither starves
			if grown {
				_, err := l.Checkpoint()
				grown = err != nil // the next one covers it
				if err != nil && l.cfg.Failed != nil {
					l.cfg.Failed(err)
				}
			}
			continue
		case r := <-l.requests:
			batch = append(batch, r)
		case <-l.stop:
			select {
			case r := <-l.requests:
				batch = append(batch, r)
			default:
				return
			}
		}
	more:
		for len(batch) < maxBatch {
			select {
			case r := <-l.requests:
				batch = append(batch, r)
			default:
				break more
			}
		}
		l.write(batch)
		grown = true
	}
}

// write answers every request of a batch.
func (l *Ledger) write(batch []*request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := make([]Entry, len(batch))
	for i, r := range batch {
		entries[i] = r.entry
	}
	var first Position
	err := l.exclusively(func() error {
		if err := l.refresh(); err != nil {
			return err
		}
		first = Position{l.log.name, l.log.tree.size}
		if err := l.log.append(entries, l.cfg.SegmentBytes); err != nil {
			return err
		}
		if l.cfg.CheckpointEvery < 0 {
			// The entries are durable whether or not this succeeds.
			if err := l.log.sign(l.cfg.Signer); err != nil {
				l.failed(err)
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("appending to the ledger %s: %w", l.cfg.Dir, err)
	}
	for i, r := range batch {
		r.done <- answer{Position{first.Month, first.Seq + int64(i)}, err}
	}
}

// exclusively calls f while no other process appends. A process that waits holds
// the turn, so that one which has just written comes after it: polling for one lock
// alone would starve whoever does not hold it.
func (l *Ledger) exclusively(f func() error) (err error) {
	if l.broken != nil {
		return l.broken
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.LockWait)
	defer cancel()
	if err := l.take(ctx, l.turn); err != nil {
		return err
	}
	err = l.take(ctx, l.lock)
	if released := l.turn.Unlock(); err == nil && released != nil {
		err = errors.Join(fmt.Errorf("unlocking: %w", released), l.lock.Unlock())
	}
	if err != nil {
		return err
	}
	err = f()
	if err != nil && l.log != nil { // what is in memory may not be what is on disk
		l.log.close()
		l.log = nil
	}
	if errors.Is(err, errUnsynced) || errors.Is(err, errReplaced) {
		l.broken = err
	}
	return errors.Join(err, l.lock.Unlock())
}

// failed takes a checkpoint that could not be signed after its entries were written.
func (l *Ledger) failed(err error) {
	if errors.Is(err, errUnsynced) {
		l.broken = err
	}
	if l.cfg.Failed != nil {
		l.cfg.Failed(err)
	}
}

func (l *Ledger) take(ctx context.Context, lock *flock.Flock) error {
	ok, err := lock.TryLock()
	if err == nil && !ok {
		_, err = lock.TryLockContext(ctx, lockPoll)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("other processes have held the lock for %s: see which ones append to this ledger", l.cfg.LockWait)
	}
	if err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	return nil
}

// refresh brings l.log to what is on disk, and begins the month if it is new. The
// lock is held.
func (l *Ledger) refresh() error {
	months, err := Months(l.cfg.Dir)
	if err != nil {
		return err
	}
	target := l.cfg.Now().UTC().Format(monthForm)
	if n := len(months); n > 0 && months[n-1] > target {
		target = months[n-1] // a clock that goes back does not begin an old month again
	}
	if l.log != nil && l.log.name == target && !l.log.behind {
		err = l.log.advance()
	} else {
		if l.log != nil {
			l.log.close()
			l.log = nil
		}
		if err = makeDir(filepath.Join(l.cfg.Dir, target)); err == nil {
			l.log, err = openMonth(l.cfg.Dir, target, l.cfg.Verifier)
		}
	}
	if err != nil || l.log.tree.size > 0 {
		return err
	}
	return l.begin(previousOf(months, target))
}

// previousOf is the last of these months before one, or nothing.
func previousOf(months []string, month string) string {
	before := ""
	for _, m := range months {
		if m < month {
			before = m
		}
	}
	return before
}

// begin writes the first entry of a month, and signs it, so that no month is without
// a checkpoint.
func (l *Ledger) begin(before string) error {
	var previous string
	if before != "" {
		m, err := openMonth(l.cfg.Dir, before, l.cfg.Verifier)
		if err != nil {
			return err
		}
		err = m.sign(l.cfg.Signer)
		previous = m.signed.Text
		m.close()
		if err != nil {
			return err
		}
	}
	leaf, err := firstLeaf(l.cfg, l.log.name, previous)
	if err != nil {
		return err
	}
	if err := l.log.append([]Entry{{Leaf: leaf}}, l.cfg.SegmentBytes); err != nil {
		return err
	}
	return l.log.sign(l.cfg.Signer)
}

func (e Entry) check() error {
	if len(e.Leaf) == 0 || e.Leaf[0] != '{' || !json.Valid(e.Leaf) || bytes.ContainsAny(e.Leaf, "\n\r") {
		return errors.New("an entry of the ledger MUST be a JSON object in one line")
	}
	if len(e.Leaf) > MaxLeafBytes {
		return fmt.Errorf("an entry of %d bytes is too large for the ledger, which takes %d", len(e.Leaf), MaxLeafBytes)
	}
	size := 0
	for _, d := range e.Disclosures {
		size += len(d)
	}
	if size > MaxDisclosureBytes {
		return fmt.Errorf("the disclosures of an entry have %d bytes, and the ledger takes %d", size, MaxDisclosureBytes)
	}
	return checkDisclosures(e.Leaf, e.Disclosures)
}

// makeDir makes a directory that is the owner's alone, durably.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}
