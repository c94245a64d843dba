// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLineBytes bounds a line that is read, whatever somebody has written there.
const maxLineBytes = 2*MaxDisclosureBytes + 4<<10

// lineReader reads the bytes that a file had when it was opened.
type lineReader struct {
	f      *os.File
	size   int64
	buffer *bufio.Reader
}

func newLineReader(f *os.File, size int64) *lineReader {
	return &lineReader{f: f, size: size, buffer: bufio.NewReaderSize(io.LimitReader(f, size), 256<<10)}
}

func (r *lineReader) close() {
	if r.f != nil {
		r.f.Close()
	}
}

func (r *lineReader) read(p []byte) error {
	if r.buffer == nil {
		return io.ErrUnexpectedEOF
	}
	_, err := io.ReadFull(r.buffer, p)
	return err
}

// line gives the next line without its line feed, and whether it has one. The line
// is valid until the next call.
func (r *lineReader) line() (line []byte, whole bool, err error) {
	if r.buffer == nil {
		return nil, false, nil
	}
	line, err = r.buffer.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLineBytes {
			line, err = r.buffer.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
		if errors.Is(err, bufio.ErrBufferFull) { // no writer writes that
			return line, true, nil
		}
	}
	if errors.Is(err, io.EOF) {
		return line, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return line[:len(line)-1], true, nil
}

// disclosureReader holds the disclosures of a segment against its entries.
type disclosureReader struct {
	lines   *lineReader
	pruned  bool // the file is not there: the values were erased
	next    disclosureLine
	pending bool
	failed  string

	withheld, erased int64
}

func (d *disclosureReader) open(path string) error {
	d.pending, d.failed, d.next = false, "", disclosureLine{Seq: -1}
	there, err := exists(path)
	if err != nil {
		return err
	}
	d.pruned = !there
	d.lines, err = openLines(path)
	return err
}

func (d *disclosureReader) close() { d.lines.close() }

// peek reads the next line, if there is a whole one.
func (d *disclosureReader) peek() bool {
	if d.pending || d.failed != "" {
		return d.pending
	}
	line, whole, err := d.lines.line()
	if err != nil {
		d.failed = err.Error()
	}
	if err != nil || !whole {
		return false
	}
	before := d.next.Seq
	if d.next, err = parseDisclosureLine(line); err != nil {
		d.failed = "the disclosures after those of the entry before are not what was written"
		return false
	}
	if d.next.Seq <= before {
		d.failed = "its disclosures are not in order"
		return false
	}
	d.pending = true
	return true
}

// entry says what is wrong with the disclosures of an entry, or nothing. After the
// first time it says no more.
func (d *disclosureReader) entry(seq int64, leaf []byte) string {
	if d.failed != "" {
		return ""
	}
	digests, err := commitments(leaf)
	if err != nil {
		return err.Error()
	}
	mine := d.peek() && d.next.Seq == seq
	if d.failed != "" {
		return d.failed
	}
	bad := ""
	switch {
	case d.pending && d.next.Seq < seq:
		bad = "disclosures of an entry before it have no place"
	case !mine && len(digests) == 0:
		return ""
	case !mine && d.pruned:
		d.erased++
		return ""
	case !mine:
		bad = fmt.Sprintf("its %d disclosures are missing", len(digests))
	case d.next.Erased && len(d.next.Disclosures) == 0 && len(digests) > 0:
		d.erased++
	default:
		d.withheld++
		if err := checkDisclosures(leaf, d.next.Disclosures); err != nil {
			bad = err.Error()
		}
	}
	d.failed = bad
	d.pending = false
	return bad
}

// rest says what is wrong behind the last entry. A killed process may have left
// disclosures of entries that it did not come to write.
func (d *disclosureReader) rest(size int64) string {
	if d.failed != "" {
		return ""
	}
	for d.peek() {
		if d.next.Seq < size {
			return "disclosures of an entry before it have no place"
		}
		d.pending = false
	}
	return d.failed
}
