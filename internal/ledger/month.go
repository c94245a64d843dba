// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// errUnsynced: the kernel could not write, and forgets what it could not.
var errUnsynced = errors.New("the disk did not take what was written, so nothing more is appended until this process starts anew")

// errReplaced: what was acknowledged lies in files that nobody sees any more.
var errReplaced = errors.New("the ledger was replaced while this process appended to it, so nothing more is appended until it starts anew: see what `hybridge audit check-copy` says")

// monthLog is the log of a month, open for appending. Who uses it holds the lock.
type monthLog struct {
	dir, name string
	verifier  note.Verifier

	leaves, disclosures, hashes, checkpoints *os.File

	first     int64 // entry of the newest segment
	offset    int64 // behind its last leaf
	disclosed int64 // behind its last disclosures
	checked   int64 // behind the last checkpoint
	tree      frontier
	signed    Checkpoint // the last one; without Text if there is none
	behind    bool       // hashes could not be written: the log has to be opened anew
}

// openMonth opens the log of a month, makes it if there is none, and repairs its end.
func openMonth(ledger, name string, verifier note.Verifier) (*monthLog, error) {
	m := &monthLog{dir: filepath.Join(ledger, name), name: name, verifier: verifier}
	if err := m.open(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *monthLog) open() error {
	var err error
	if m.hashes, err = openFile(m.dir, hashesFile); err != nil {
		return err
	}
	if m.checkpoints, err = openFile(m.dir, checkpointsFile); err != nil {
		return err
	}
	firsts, err := segments(m.dir)
	if err != nil {
		return err
	}
	size, err := sizeOf(m.hashes)
	if err != nil {
		return err
	}
	first, n := int64(0), entriesIn(size)
	for _, f := range firsts { // the newest one that the tree reaches
		if f <= n {
			first = f
		}
	}
	if m.tree, err = frontierOf(first, hashReader{m.hashes}); err != nil {
		return err
	}
	if err := m.openSegment(first); err != nil {
		return err
	}
	return m.advance()
}

func (m *monthLog) close() {
	for _, f := range []*os.File{m.leaves, m.disclosures, m.hashes, m.checkpoints} {
		if f != nil {
			f.Close()
		}
	}
}

// openSegment opens the segment that begins with an entry, or makes it.
func (m *monthLog) openSegment(first int64) error {
	there, err := exists(filepath.Join(m.dir, leavesFile(first)))
	if err != nil {
		return err
	}
	disclosures, err := openFile(m.dir, disclosuresFile(first))
	if err != nil {
		return err
	}
	leaves, err := openFile(m.dir, leavesFile(first))
	if err != nil {
		disclosures.Close()
		return err
	}
	for _, f := range []*os.File{m.leaves, m.disclosures} {
		if f != nil {
			f.Close()
		}
	}
	m.leaves, m.disclosures = leaves, disclosures
	m.first, m.offset, m.disclosed = first, 0, 0
	if there {
		return nil
	}
	return syncDir(m.dir)
}

// append writes entries durably.
func (m *monthLog) append(entries []Entry, segmentBytes int64) error {
	if m.offset >= segmentBytes {
		if err := m.openSegment(m.tree.size); err != nil {
			return err
		}
	}
	var leaves, disclosures []byte
	var hashes []tlog.Hash
	tree := m.tree
	for _, e := range entries {
		if len(e.Disclosures) > 0 {
			disclosures = append(disclosures, disclosureLine{Seq: tree.size, Disclosures: e.Disclosures}.bytes()...)
		}
		leaves = append(append(leaves, e.Leaf...), '\n')
		hashes = tree.add(tlog.RecordHash(e.Leaf), hashes)
	}
	if err := writeSynced(m.disclosures, disclosures, m.disclosed); err != nil {
		return err
	}
	if err := writeSynced(m.leaves, leaves, m.offset); err != nil {
		return errors.Join(err, m.disclosures.Truncate(m.disclosed))
	}
	start := tlog.StoredHashCount(m.tree.size) * tlog.HashSize
	m.tree = tree
	m.offset += int64(len(leaves))
	m.disclosed += int64(len(disclosures))
	// The entries are durable, and openMonth makes the hashes again if this fails.
	if _, err := m.hashes.WriteAt(joined(hashes), start); err != nil {
		m.behind = true
	}
	return nil
}

// writeSynced writes to the end of a file, durably. What it could not write is not
// there afterwards.
func writeSynced(f *os.File, data []byte, at int64) error {
	if len(data) == 0 {
		return nil
	}
	if _, err := f.WriteAt(data, at); err != nil {
		return errors.Join(err, f.Truncate(at))
	}
	if err := datasync(f); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errUnsynced, err), f.Truncate(at))
	}
	return nil
}

func joined(hashes []tlog.Hash) []byte {
	data := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		data = append(data, h[:]...)
	}
	return data
}

// sign signs the head, if it has grown since the last checkpoint.
func (m *monthLog) sign(signer note.Signer) error {
	if m.tree.size == m.signed.Size {
		return nil
	}
	if m.behind {
		return errors.New("the hashes could not be written: make room on the disk")
	}
	if err := datasync(m.hashes); err != nil {
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	c, err := signCheckpoint(signer, m.name, m.tree.size, m.tree.root())
	if err != nil {
		return err
	}
	if _, err := ParseCheckpoint(c.Text, m.verifier); err != nil {
		return fmt.Errorf("the public key is not that of the private one: %w", err)
	}
	line := checkpointLine(c)
	if err := writeSynced(m.checkpoints, line, m.checked); err != nil {
		return err
	}
	m.checked += int64(len(line))
	m.signed = c
	return nil
}

// firstLeaf is the first entry of a month: it continues the month before.
func firstLeaf(cfg Config, month, previous string) ([]byte, error) {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	var leaf bytes.Buffer
	e := json.NewEncoder(&leaf)
	e.SetEscapeHTML(false)
	err := e.Encode(map[string]any{
		"specversion": "1.0", "id": hex.EncodeToString(id), "source": cfg.Source, "type": BegunType,
		"time": cfg.Now().UTC().Format(time.RFC3339Nano),
		"data": begun{Month: month, Previous: previous},
	})
	return bytes.TrimSuffix(leaf.Bytes(), []byte("\n")), err
}

// BegunType is the type of the first entry of a month.
const BegunType = "ledger.begun"

type begun struct {
	Month    string `json:"month"`
	Previous string `json:"previous,omitempty"` // the last checkpoint of the month before
}

// parseBegun reads the first entry of a month.
func parseBegun(leaf []byte) (begun, error) {
	var l struct {
		Type string `json:"type"`
		Data begun  `json:"data"`
	}
	if err := json.Unmarshal(leaf, &l); err != nil || l.Type != BegunType {
		return begun{}, fmt.Errorf("the first entry of a month has the type %s", BegunType)
	}
	return l.Data, nil
}
