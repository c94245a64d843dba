// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Finding is something that is not as it was written.
type Finding struct {
	Month string `json:"month"`
	Entry int64  `json:"entry"` // the first bad one
	What  string `json:"what"`
}

func (f Finding) String() string { return fmt.Sprintf("entry %s/%d: %s", f.Month, f.Entry, f.What) }

// MonthReport says what a month's log holds.
type MonthReport struct {
	Month       string `json:"month"`
	Entries     int64  `json:"entries"`
	Signed      int64  `json:"signed"` // so many of them are under a checkpoint
	Checkpoints int64  `json:"checkpoints"`
	Withheld    int64  `json:"withheld"` // entries with disclosures
	Erased      int64  `json:"erased"`   // entries whose disclosures were deleted on purpose
	Root        string `json:"root"`

	last  Checkpoint
	begun begun
}

// Report is what Verify has found.
type Report struct {
	OK       bool          `json:"ok"`
	Entries  int64         `json:"entries"`
	Months   []MonthReport `json:"months"`
	Findings []Finding     `json:"findings"`
	// Notes are no findings: what a process left that was killed, and what nobody has signed yet.
	Notes []string `json:"notes"`
}

// VerifyOptions say what to hold a ledger against.
type VerifyOptions struct {
	Verifier note.Verifier // of the key that was pinned, not of one that lay beside the ledger
	// Known are checkpoints that somebody else has kept. An older copy of a ledger is
	// as good as any, by itself: only these tell that it was rolled back.
	Known []Checkpoint
	// Since is the oldest month that has to be there; "" is the very first one.
	Since string
}

// Verify reads a whole ledger and compares leaves, hashes, checkpoints, disclosures
// and the chain of months. It changes nothing, needs no lock and little memory, and
// may run while others append. The error says that it could not look.
func Verify(dir string, o VerifyOptions) (*Report, error) {
	months, err := Months(dir)
	if err != nil {
		return nil, fmt.Errorf("verifying the ledger: %w", err)
	}
	r := &Report{Months: []MonthReport{}, Findings: []Finding{}, Notes: []string{}}
	if len(months) == 0 {
		return nil, fmt.Errorf("verifying the ledger: %s has no months, so it is no ledger", dir)
	}
	previous := ""
	var last Checkpoint
	for _, name := range months {
		if name < o.Since {
			continue
		}
		v := &verification{report: r, dir: filepath.Join(dir, name), last: name == months[len(months)-1], verifier: o.Verifier}
		v.month.Month = name
		for _, c := range o.Known {
			if c.Month == name {
				v.known = append(v.known, c)
			}
		}
		if err := v.run(); err != nil {
			return nil, fmt.Errorf("verifying the month %s: %w", name, err)
		}
		m := v.month
		r.Months = append(r.Months, m)
		r.Entries += m.Entries
		switch {
		case m.Entries == 0:
		case previous == "" && m.begun.Previous != "" && o.Since == "":
			v.find(0, "it continues a month that is not here")
		case previous != "" && m.begun.Previous != last.Text:
			v.find(0, "it does not continue the last checkpoint of "+previous)
		case previous != "" && last.Size != r.Months[len(r.Months)-2].Entries:
			v.find(0, "the month before has entries that its last checkpoint does not cover")
		}
		previous, last = name, m.last
	}
	for _, c := range o.Known {
		if !slices.Contains(months, c.Month) {
			r.Findings = append(r.Findings, Finding{c.Month, 0, fmt.Sprintf("somebody holds a checkpoint of %d entries, and this month is not here: the ledger was rolled back", c.Size)})
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		switch {
		case a.Month != b.Month && a.Month < b.Month, a.Month == b.Month && a.Entry < b.Entry:
			return -1
		case a.Month == b.Month && a.Entry == b.Entry:
			return 0
		}
		return 1
	})
	r.OK = len(r.Findings) == 0
	return r, nil
}

// mark is a head that entries have to have at a size.
type mark struct {
	Checkpoint
	copied bool // somebody else has kept it
}

// verification walks one month.
type verification struct {
	report   *Report
	dir      string
	last     bool
	verifier note.Verifier
	known    []Checkpoint
	month    MonthReport

	marks   []mark // in the order of their sizes
	good    int64  // so many entries are as a checkpoint says
	hashed  int64  // entries with hashes
	hashes  *lineReader
	tree    frontier // of the leaves
	claimed frontier // of the leaf hashes in the file of hashes
	differs int64    // first entry whose hash is not the one in the file, or -1
	inner   int64    // first entry of which another hash is wrong, or -1
	stopped bool     // a finding has made what follows meaningless

	disclosures disclosureReader
}

func (v *verification) find(entry int64, what string) {
	v.report.Findings = append(v.report.Findings, Finding{v.month.Month, entry, what})
}

// stop reports the first bad entry of the leaves: after it, everything differs.
func (v *verification) stop(entry int64, what string) {
	if !v.stopped {
		v.find(entry, what)
	}
	v.stopped = true
}

// run reads checkpoints, then hashes, then leaves: the other way round than they are
// written, so that a writer at work is no finding.
func (v *verification) run() error {
	v.differs, v.inner = -1, -1
	if err := v.readCheckpoints(); err != nil {
		return err
	}
	hashes, err := openLines(filepath.Join(v.dir, hashesFile))
	if err != nil {
		return err
	}
	defer hashes.close()
	v.hashes, v.hashed = hashes, entriesIn(hashes.size)
	firsts, err := segments(v.dir)
	if err != nil {
		return err
	}
	for _, first := range firsts {
		if v.stopped {
			break
		}
		if first != v.tree.size {
			v.stop(v.firstBad(v.tree.size), "it, or entries after it, are missing")
			break
		}
		if err := v.readSegment(first); err != nil {
			return err
		}
	}
	v.month.Entries = v.tree.size
	v.finish()
	return nil
}

// firstBad is the first entry that has differed, or else this one.
func (v *verification) firstBad(entry int64) int64 {
	if v.differs >= 0 {
		return min(v.differs, entry)
	}
	return entry
}

func (v *verification) finish() {
	root := v.tree.root()
	v.month.Root = root.String()
	if !v.stopped {
		end := max(v.hashed, v.month.Signed)
		switch {
		case v.tree.size < end:
			v.stop(v.firstBad(v.tree.size), fmt.Sprintf("it and all up to %d are missing", end-1))
		case v.differs >= 0:
			v.stop(v.differs, "it does not have its hash, and no checkpoint tells which of them is right")
		case v.inner >= 0:
			v.find(v.inner, "a hash above it is not what was written")
		}
		if v.hashed < v.month.Signed {
			v.find(v.hashed, "its hash is missing")
		}
		for _, m := range v.marks {
			if m.Size > v.tree.size && m.copied {
				v.find(v.tree.size, fmt.Sprintf("somebody holds a checkpoint of %d entries, and here are %d: the ledger was rolled back", m.Size, v.tree.size))
			}
		}
	}
	// A process may have been killed between the first entry of a month and its checkpoint.
	if v.month.last.Text == "" && (v.tree.size > 1 || !v.last) && !v.stopped {
		v.find(0, "no checkpoint covers it: the checkpoints of the month are missing")
	}
	if n := v.tree.size - v.month.Signed; n > 0 && !v.stopped {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("%s: the newest %d entries are under no checkpoint yet", v.month.Month, n))
	}
	v.month.Withheld, v.month.Erased = v.disclosures.withheld, v.disclosures.erased
}

// readCheckpoints takes the checkpoints of the month and the known ones as marks.
func (v *verification) readCheckpoints() error {
	data, err := openLines(filepath.Join(v.dir, checkpointsFile))
	if err != nil {
		return err
	}
	defer data.close()
	for {
		line, whole, err := data.line()
		if err != nil {
			return err
		}
		if len(line) == 0 && !whole {
			break
		}
		if !whole && bytes.Count(line, []byte(`"`)) == 1 {
			v.report.Notes = append(v.report.Notes, v.month.Month+": the last checkpoint was not written whole")
			break
		}
		c, err := parseCheckpointLine(line, v.month.Month, v.verifier)
		switch {
		case err != nil:
			v.find(v.month.Signed, fmt.Sprintf("checkpoint %d, the first that covers it, is not valid: %v", v.month.Checkpoints+1, err))
		case c.Size <= v.month.Signed:
			v.find(c.Size-1, fmt.Sprintf("checkpoint %d covers no more entries than the one before", v.month.Checkpoints+1))
		case !whole:
			v.find(v.month.Signed, fmt.Sprintf("checkpoint %d, the first that covers it, does not end as it was written", v.month.Checkpoints+1))
		default:
			v.month.Signed, v.month.last = c.Size, c
			v.marks = append(v.marks, mark{Checkpoint: c})
		}
		v.month.Checkpoints++
		if !whole {
			break
		}
	}
	for _, c := range v.known {
		v.marks = append(v.marks, mark{c, true})
	}
	slices.SortStableFunc(v.marks, func(a, b mark) int { return int(min(max(a.Size-b.Size, -1), 1)) })
	return nil
}

// readSegment walks the leaves of a segment.
func (v *verification) readSegment(first int64) error {
	leaves, err := openLines(filepath.Join(v.dir, leavesFile(first)))
	if err != nil {
		return err
	}
	defer leaves.close()
	if err := v.disclosures.open(filepath.Join(v.dir, disclosuresFile(first))); err != nil {
		return err
	}
	defer v.disclosures.close()
	for !v.stopped {
		line, whole, err := leaves.line()
		if err != nil {
			return err
		}
		if !whole {
			if len(line) > 0 && v.tree.size < max(v.hashed, v.month.Signed) {
				v.stop(v.firstBad(v.tree.size), "it is cut in two")
			} else if len(line) > 0 {
				v.report.Notes = append(v.report.Notes, fmt.Sprintf("%s: entry %d was not written whole, and nobody was told that it was", v.month.Month, v.tree.size))
			}
			break
		}
		if err := v.entry(line); err != nil {
			return err
		}
	}
	if !v.stopped && v.differs < 0 {
		if bad := v.disclosures.rest(v.tree.size); bad != "" {
			v.find(v.tree.size-1, bad)
		}
	}
	return nil
}

// entry takes one leaf.
func (v *verification) entry(leaf []byte) error {
	seq := v.tree.size
	var made [64]tlog.Hash
	hashes := v.tree.add(tlog.RecordHash(leaf), made[:0])
	if seq < v.hashed {
		var stored tlog.Hash
		for i, h := range hashes {
			if err := v.hashes.read(stored[:]); err != nil {
				return err
			}
			if i == 0 && seq >= v.month.Signed && stored == (tlog.Hash{}) { // a power cut came before it was written
				v.report.Notes = append(v.report.Notes, fmt.Sprintf("%s: the hashes from entry %d on were not written, and will be", v.month.Month, seq))
				v.hashed = seq
				break
			}
			if i == 0 {
				v.claimed.add(stored, nil)
			}
			switch {
			case h == stored:
			case i == 0 && v.differs < 0:
				v.differs = seq
			case i > 0 && v.differs < 0 && v.inner < 0:
				v.inner = seq
			}
		}
	}
	if seq == 0 {
		var err error
		if v.month.begun, err = parseBegun(leaf); err != nil {
			v.find(0, err.Error())
		}
	}
	if v.differs < 0 { // else numbers may have moved
		if bad := v.disclosures.entry(seq, leaf); bad != "" {
			v.find(seq, bad)
		}
	}
	for len(v.marks) > 0 && v.marks[0].Size == v.tree.size {
		v.compare(v.marks[0])
		v.marks = v.marks[1:]
	}
	return nil
}

// compare holds a head against what was read up to it.
func (v *verification) compare(m mark) {
	what := fmt.Sprintf("the checkpoint of %d entries", m.Size)
	if m.copied {
		what = "the copy of " + what
	}
	switch {
	case v.stopped:
	case v.tree.root() == m.Hash:
		if v.differs >= 0 {
			v.find(v.differs, "it is right, but its hash is not what was written")
			v.differs = -1
			v.claimed = v.tree
		}
		v.good = m.Size
	case v.differs >= 0 && v.claimed.size == v.tree.size && v.claimed.root() == m.Hash:
		v.stop(v.differs, "it is not what was written, or has another place")
	case v.differs >= 0:
		v.stop(v.differs, "neither it nor its hash is what "+what+" has signed")
	case m.copied:
		v.stop(v.good, "it, or one after it, is not what "+what+" has signed: the ledger was written anew")
	default:
		v.stop(v.good, "it, or one after it, is not what "+what+" has signed")
	}
}

// openLines opens a file, with its size at this moment. One that is not there is empty.
func openLines(path string) (*lineReader, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return &lineReader{}, nil
	}
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return newLineReader(f, size), nil
}
