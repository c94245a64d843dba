// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// checkpointTail is what openMonth reads of the checkpoints: more than two of them.
const checkpointTail = 3 * maxCheckpointBytes

func (m *monthLog) damaged(entry int64, format string, args ...any) error {
	return &DamageError{Month: m.name, Entry: entry, What: fmt.Sprintf(format, args...)}
}

// advance takes what is on disk beyond what is in memory: what other processes have
// appended, and what a killed one has left. Nobody writes meanwhile, so whatever is
// not whole is torn. It is cut off only where no hash and no checkpoint covers it.
func (m *monthLog) advance() error {
	if err := m.inPlace(); err != nil {
		return err
	}
	fresh, err := m.readCheckpoints()
	if err != nil {
		return err
	}
	size, err := sizeOf(m.hashes)
	if err != nil {
		return err
	}
	hashed := entriesIn(size)
	for {
		if hashed, err = m.readLeaves(hashed); err != nil {
			return err
		}
		if m.tree.size == m.first {
			break
		}
		more, err := exists(filepath.Join(m.dir, leavesFile(m.tree.size)))
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := m.openSegment(m.tree.size); err != nil {
			return err
		}
	}
	if m.tree.size < max(hashed, m.signed.Size) {
		return m.damaged(m.tree.size, "it and all up to %d are missing", max(hashed, m.signed.Size)-1)
	}
	if want := tlog.StoredHashCount(m.tree.size) * tlog.HashSize; size > want { // part of one that was not written whole
		if err := m.hashes.Truncate(want); err != nil {
			return err
		}
	}
	if err := m.cutDisclosures(); err != nil || !fresh {
		return err
	}
	root, err := tlog.TreeHash(m.signed.Size, hashReader{m.hashes})
	if err != nil {
		return err
	}
	if root != m.signed.Hash {
		return m.damaged(m.signed.Size-1, "it, or one before it, is not what the checkpoint of %d entries has signed", m.signed.Size)
	}
	return nil
}

// inPlace reports files that are not the ones that their names lead to.
func (m *monthLog) inPlace() error {
	for _, f := range []*os.File{m.leaves, m.disclosures, m.hashes, m.checkpoints} {
		named, err := os.Stat(f.Name())
		if err != nil {
			return errors.Join(errReplaced, err)
		}
		open, err := f.Stat()
		if err != nil {
			return err
		}
		if !os.SameFile(named, open) {
			return errReplaced
		}
	}
	return nil
}

// readCheckpoints takes new checkpoints, and reports whether there were any.
func (m *monthLog) readCheckpoints() (bool, error) {
	size, err := sizeOf(m.checkpoints)
	if err != nil || size == m.checked {
		return false, err
	}
	if size < m.checked {
		return false, m.damaged(m.tree.size, "checkpoints have been cut off")
	}
	from := max(m.checked, size-checkpointTail)
	data, err := readRange(m.checkpoints, from, size)
	if err != nil {
		return false, err
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	if torn := data[end:]; len(torn) > 0 {
		if from > m.checked && end == 0 {
			return false, m.damaged(m.tree.size, "the end of the checkpoints is none")
		}
		if err := m.saveTorn(checkpointsFile, torn); err != nil {
			return false, err
		}
		if err := m.checkpoints.Truncate(from + int64(end)); err != nil {
			return false, err
		}
	}
	m.checked = from + int64(end)
	if end == 0 {
		return false, nil
	}
	last := data[bytes.LastIndexByte(data[:end-1], '\n')+1 : end-1]
	c, err := parseCheckpointLine(last, m.name, m.verifier)
	if err != nil {
		return false, m.damaged(m.tree.size, "the last checkpoint is not valid: %v", err)
	}
	if c.Size < m.signed.Size {
		return false, m.damaged(m.tree.size, "the last checkpoint is older than one before")
	}
	m.signed = c
	return true, nil
}

// readLeaves takes what is new in the open segment. hashed is how many entries have
// hashes; it returns how many of them are believed.
func (m *monthLog) readLeaves(hashed int64) (int64, error) {
	size, err := sizeOf(m.leaves)
	if err != nil || size == m.offset {
		return hashed, err
	}
	if size < m.offset {
		return hashed, m.damaged(m.tree.size-1, "leaves have been cut off")
	}
	data, err := readRange(m.leaves, m.offset, size)
	if err != nil {
		return hashed, err
	}
	known, err := readRange(m.hashes, tlog.StoredHashCount(m.tree.size)*tlog.HashSize, tlog.StoredHashCount(max(hashed, m.tree.size))*tlog.HashSize)
	if err != nil {
		return hashed, err
	}
	var made []byte
	madeFrom := max(m.tree.size, hashed)
	for len(data) > 0 {
		seq := m.tree.size
		line, _, whole := bytes.Cut(data, []byte("\n"))
		if !whole || seq >= hashed && !json.Valid(line) {
			if seq < max(hashed, m.signed.Size) {
				return hashed, m.damaged(seq, "it is cut in two")
			}
			if err := m.saveTorn(leavesFile(m.first), data); err != nil {
				return hashed, err
			}
			if err := errors.Join(m.leaves.Truncate(m.offset), datasync(m.leaves)); err != nil {
				return hashed, err
			}
			break
		}
		hashes := joined(m.tree.add(tlog.RecordHash(line), nil))
		if seq < hashed && !bytes.Equal(known[:len(hashes)], hashes) {
			// A power cut leaves zeros where hashes had not been written yet.
			if seq < m.signed.Size || len(bytes.Trim(known, "\x00")) > 0 {
				return hashed, m.damaged(seq, "it does not have its hash")
			}
			hashed, madeFrom = seq, seq
		}
		if seq < hashed {
			known = known[len(hashes):]
		} else {
			made = append(made, hashes...)
		}
		m.offset += int64(len(line)) + 1
		data = data[len(line)+1:]
	}
	if len(made) > 0 {
		// They are not synced yet: the process that wrote them may have been killed.
		if err := datasync(m.leaves); err != nil {
			return hashed, fmt.Errorf("%w: %w", errUnsynced, err)
		}
		if _, err := m.hashes.WriteAt(made, tlog.StoredHashCount(madeFrom)*tlog.HashSize); err != nil {
			return hashed, err
		}
	}
	return hashed, nil
}

// cutDisclosures takes new disclosures, and cuts off those of entries that were not
// written: a process was killed in between, and acknowledged none of them.
func (m *monthLog) cutDisclosures() error {
	size, err := sizeOf(m.disclosures)
	if err != nil || size == m.disclosed {
		return err
	}
	if size < m.disclosed {
		return m.damaged(m.first, "disclosures have been cut off")
	}
	data, err := readRange(m.disclosures, m.disclosed, size)
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	for end > 0 {
		start := bytes.LastIndexByte(data[:end-1], '\n') + 1
		d, err := parseDisclosureLine(data[start : end-1])
		if err == nil && d.Seq < m.tree.size {
			break
		}
		end = start
	}
	m.disclosed += int64(end)
	if m.disclosed == size {
		return nil
	}
	return errors.Join(m.disclosures.Truncate(m.disclosed), datasync(m.disclosures))
}

// saveTorn keeps what is about to be cut off, for whoever wants to know.
func (m *monthLog) saveTorn(name string, data []byte) error {
	path := filepath.Join(m.dir, fmt.Sprintf("torn-%d-%s", time.Now().UnixNano(), name))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("keeping a torn end: %w", err)
	}
	return nil
}
