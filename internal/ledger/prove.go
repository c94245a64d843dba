// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// proofFormat is the only one there is.
const proofFormat = 1

// Proof shows that an entry is in a ledger to somebody who has nothing but this and
// the public key.
type Proof struct {
	Format     int    `json:"format"`
	Month      string `json:"month"`
	Seq        int64  `json:"seq"`
	Leaf       string `json:"leaf"` // its exact bytes
	Checkpoint string `json:"checkpoint"`
	// Hashes are those beside the way from the leaf to the head (RFC 6962, 2.1.1).
	Hashes []tlog.Hash `json:"hashes"`
	// Disclosures reveal withheld values; each is one that the leaf commits to.
	Disclosures []string `json:"disclosures,omitempty"`
}

// LastCheckpoint reads the newest checkpoint of a month.
func LastCheckpoint(dir, month string, verifier note.Verifier) (Checkpoint, error) {
	f, err := os.Open(filepath.Join(dir, month, checkpointsFile))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("reading the checkpoints: %w", err)
	}
	defer f.Close()
	size, err := sizeOf(f)
	if err != nil {
		return Checkpoint{}, err
	}
	data, err := readRange(f, max(0, size-checkpointTail), size)
	if err != nil {
		return Checkpoint{}, err
	}
	end := bytes.LastIndexByte(data, '\n')
	if end < 0 {
		return Checkpoint{}, fmt.Errorf("the month %s has no checkpoint", month)
	}
	c, err := parseCheckpointLine(data[bytes.LastIndexByte(data[:end], '\n')+1:end], month, verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the last checkpoint of %s: %w", month, err)
	}
	return c, nil
}

// Prove makes the proof for an entry from the newest checkpoint, and checks it.
func Prove(dir string, record Record, verifier note.Verifier) (Proof, error) {
	c, err := LastCheckpoint(dir, record.Month, verifier)
	if err != nil {
		return Proof{}, err
	}
	if c.Size <= record.Seq {
		return Proof{}, fmt.Errorf("entry %s is under no checkpoint yet: try again in a second, or sign one with `hybridge audit checkpoint`", record.Position)
	}
	f, err := os.Open(filepath.Join(dir, record.Month, hashesFile))
	if err != nil {
		return Proof{}, err
	}
	defer f.Close()
	hashes, err := tlog.ProveRecord(c.Size, record.Seq, hashReader{f})
	if err != nil {
		return Proof{}, fmt.Errorf("proving entry %s: %w", record.Position, err)
	}
	if hashes == nil {
		hashes = tlog.RecordProof{}
	}
	p := Proof{Format: proofFormat, Month: record.Month, Seq: record.Seq, Leaf: string(record.Leaf), Checkpoint: c.Text, Hashes: hashes}
	if _, err := p.Verify(verifier); err != nil {
		return Proof{}, fmt.Errorf("proving entry %s: %w: see what `hybridge audit verify` says", record.Position, err)
	}
	return p, nil
}

// ParseProof reads a proof. Unknown fields are refused: they would look proved.
func ParseProof(data []byte) (Proof, error) {
	var p Proof
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Proof{}, fmt.Errorf("reading the proof: %w", err)
	}
	if d.More() {
		return Proof{}, errors.New("reading the proof: something follows it")
	}
	if p.Format != proofFormat {
		return Proof{}, fmt.Errorf("reading the proof: its format %d is unknown to this version", p.Format)
	}
	return p, nil
}

// Verify checks a proof with nothing but the public key, and gives the checkpoint
// that it rests on.
func (p Proof) Verify(verifier note.Verifier) (Checkpoint, error) {
	c, err := ParseCheckpoint(p.Checkpoint, verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint is not valid: %w", err)
	}
	if c.Month != p.Month {
		return Checkpoint{}, fmt.Errorf("the checkpoint is of %s, and the entry of %s", c.Month, p.Month)
	}
	if p.Seq < 0 || p.Seq >= c.Size {
		return Checkpoint{}, fmt.Errorf("the checkpoint has no entry %d", p.Seq)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Hash, p.Seq, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return Checkpoint{}, errors.New("the entry is not under this checkpoint")
	}
	digests, err := commitments([]byte(p.Leaf))
	if err != nil {
		return Checkpoint{}, err
	}
	committed := map[string]bool{}
	for _, d := range digests {
		committed[d] = true
	}
	for _, d := range p.Disclosures {
		if !committed[Digest(d)] {
			return Checkpoint{}, errors.New("a disclosure is not what the entry commits to")
		}
	}
	return c, nil
}

// ProveConsistency shows that the log of a month under its newest checkpoint begins
// with that of an older one (RFC 6962, 2.1.2).
func ProveConsistency(dir string, old Checkpoint, verifier note.Verifier) (Checkpoint, tlog.TreeProof, error) {
	c, err := LastCheckpoint(dir, old.Month, verifier)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if old.Size > c.Size {
		return Checkpoint{}, nil, fmt.Errorf("the older checkpoint has %d entries, and the ledger %d: it was rolled back", old.Size, c.Size)
	}
	f, err := os.Open(filepath.Join(dir, old.Month, hashesFile))
	if err != nil {
		return Checkpoint{}, nil, err
	}
	defer f.Close()
	proof, err := tlog.ProveTree(c.Size, old.Size, hashReader{f})
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if err := tlog.CheckTree(proof, c.Size, c.Hash, old.Size, old.Hash); err != nil {
		return Checkpoint{}, nil, errors.New("the ledger does not begin with what the older checkpoint has signed")
	}
	return c, proof, nil
}
