// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotFound: the ledger has no such entry.
var ErrNotFound = errors.New("the ledger has no such entry")

// Record is an entry as it is read.
type Record struct {
	Position
	Leaf []byte
}

// Reader reads entries in their order, across segments and months, while others
// append. It verifies nothing, needs no lock, and gives only what is durable.
type Reader struct {
	dir    string
	at     Position // of the next entry
	hashed int64    // entries of the month that are durable

	segment *os.File
	first   int64 // entry of the segment
	next    int64 // entry at which the reader of the segment stands
	lines   *bufio.Reader
}

// NewReader reads from a position on; the zero Position is the beginning.
func NewReader(dir string, from Position) *Reader { return &Reader{dir: dir, at: from} }

// At is the position of the entry that Next gives next, if there will be one.
func (r *Reader) At() Position { return r.at }

// Close ends the reader.
func (r *Reader) Close() {
	if r.segment != nil {
		r.segment.Close()
		r.segment = nil
	}
}

// Next gives the next entry, or io.EOF while there is none yet.
func (r *Reader) Next() (Record, error) {
	for {
		ready, err := r.ready()
		if err != nil {
			return Record{}, err
		}
		if !ready {
			moved, err := r.nextMonth()
			if err != nil {
				return Record{}, err
			}
			if !moved {
				return Record{}, io.EOF
			}
			continue
		}
		if r.segment == nil {
			if err := r.openSegment(); err != nil {
				return Record{}, err
			}
		}
		line, err := r.lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // the rest is in the next segment
			if len(line) > 0 {
				return Record{}, &DamageError{Month: r.at.Month, Entry: r.next, What: "it is cut in two"}
			}
			first, err := segmentOf(filepath.Join(r.dir, r.at.Month), r.next)
			if err != nil {
				return Record{}, err
			}
			if first != r.next || first == r.first {
				return Record{}, &DamageError{Month: r.at.Month, Entry: r.next, What: "it is missing"}
			}
			r.Close()
			continue
		}
		if err != nil {
			return Record{}, err
		}
		r.next++
		if r.next <= r.at.Seq {
			continue // before where reading begins
		}
		record := Record{Position: r.at, Leaf: bytes.TrimSuffix(line, []byte("\n"))}
		r.at.Seq++
		return record, nil
	}
}

// ready reports whether the month has the next entry.
func (r *Reader) ready() (bool, error) {
	if r.at.Month == "" {
		return false, nil
	}
	if r.at.Seq < r.hashed {
		return true, nil
	}
	info, err := os.Stat(filepath.Join(r.dir, r.at.Month, hashesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.hashed = entriesIn(info.Size())
	return r.at.Seq < r.hashed, nil
}

func (r *Reader) nextMonth() (bool, error) {
	months, err := Months(r.dir)
	if err != nil {
		return false, err
	}
	for _, m := range months {
		if m <= r.at.Month {
			continue
		}
		info, err := os.Stat(filepath.Join(r.dir, m, hashesFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if err != nil || info.Size() == 0 {
			return false, nil //nolint:nilerr // it is just being begun
		}
		// The month before may have got entries since ready looked.
		if r.at.Month != "" {
			if more, err := r.ready(); more || err != nil {
				return more, err
			}
		}
		r.Close()
		r.at, r.hashed = Position{Month: m}, 0
		return true, nil
	}
	return false, nil
}

func (r *Reader) openSegment() error {
	dir := filepath.Join(r.dir, r.at.Month)
	first, err := segmentOf(dir, r.at.Seq)
	if err != nil {
		return err
	}
	if r.segment, err = os.Open(filepath.Join(dir, leavesFile(first))); err != nil {
		return err
	}
	r.first, r.next, r.lines = first, first, bufio.NewReaderSize(r.segment, MaxLeafBytes+1)
	return nil
}

// segmentOf is the first entry of the segment that has an entry.
func segmentOf(dir string, seq int64) (int64, error) {
	firsts, err := segments(dir)
	if err != nil {
		return 0, err
	}
	for i := len(firsts) - 1; i >= 0; i-- {
		if firsts[i] <= seq {
			return firsts[i], nil
		}
	}
	return 0, fmt.Errorf("there is no segment with entry %d in %s: %w", seq, dir, ErrNotFound)
}

// Get reads one entry.
func Get(dir string, at Position) (Record, error) {
	r := NewReader(dir, at)
	defer r.Close()
	record, err := r.Next()
	if errors.Is(err, io.EOF) || err == nil && record.Position != at {
		return Record{}, fmt.Errorf("entry %s: %w", at, ErrNotFound)
	}
	return record, err
}

// Find reads the entry whose "id" is id, and looks at the newest months first.
func Find(dir, id string) (Record, error) {
	quoted, err := json.Marshal(id)
	if err != nil {
		return Record{}, err
	}
	pattern := append([]byte(`"id":`), quoted...)
	months, err := Months(dir)
	if err != nil {
		return Record{}, err
	}
	for i := len(months) - 1; i >= 0; i-- {
		record, err := findIn(dir, months[i], id, pattern)
		if !errors.Is(err, ErrNotFound) {
			return record, err
		}
	}
	return Record{}, fmt.Errorf("id %q: %w", id, ErrNotFound)
}

func findIn(dir, month, id string, pattern []byte) (Record, error) {
	r := NewReader(dir, Position{Month: month})
	defer r.Close()
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) || err == nil && record.Month != month {
			return Record{}, ErrNotFound
		}
		if err != nil {
			return Record{}, err
		}
		var leaf struct {
			ID string `json:"id"`
		}
		if bytes.Contains(record.Leaf, pattern) && json.Unmarshal(record.Leaf, &leaf) == nil && leaf.ID == id {
			return record, nil
		}
	}
}

// Disclosures reads what is kept beside an entry: nothing if it withholds nothing,
// or if the values were erased.
func Disclosures(dir string, at Position) ([]string, error) {
	month := filepath.Join(dir, at.Month)
	first, err := segmentOf(month, at.Seq)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(month, disclosuresFile(first)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		d, err := parseDisclosureLine(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return nil, fmt.Errorf("reading the disclosures of entry %s: %w", at, err)
		}
		if d.Seq == at.Seq {
			return d.Disclosures, nil
		}
		if d.Seq > at.Seq {
			return nil, nil
		}
	}
}
