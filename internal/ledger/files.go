// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	leavesPrefix      = "leaves-"
	disclosuresPrefix = "disclosures-"
	segmentSuffix     = ".jsonl"
	hashesFile        = "hashes"
	checkpointsFile   = "checkpoints"
)

// DamageError says that a ledger is not what was written, and from which entry on.
type DamageError struct {
	Month string
	Entry int64 // the first bad one
	What  string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("entry %s/%d: %s: find out what happened with `hybridge audit verify`, and begin a new ledger in another directory", e.Month, e.Entry, e.What)
}

// Months lists the months of a ledger, oldest first.
func Months(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var months []string
	for _, e := range entries {
		if _, err := time.Parse(monthForm, e.Name()); err == nil && e.IsDir() {
			months = append(months, e.Name())
		}
	}
	return months, nil
}

func leavesFile(first int64) string {
	return fmt.Sprintf("%s%012d%s", leavesPrefix, first, segmentSuffix)
}
func disclosuresFile(first int64) string {
	return fmt.Sprintf("%s%012d%s", disclosuresPrefix, first, segmentSuffix)
}

// segments lists the first entries of a month's segments.
func segments(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var firsts []int64
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), leavesPrefix)
		if !ok {
			continue
		}
		first, err := strconv.ParseInt(strings.TrimSuffix(number, segmentSuffix), 10, 64)
		if err != nil || leavesFile(first) != e.Name() {
			return nil, fmt.Errorf("%s is no name of a segment", filepath.Join(dir, e.Name()))
		}
		firsts = append(firsts, first)
	}
	return firsts, nil
}

// hashReader reads a file of hashes as package tlog asks for them.
type hashReader struct{ f io.ReaderAt }

func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if _, err := r.f.ReadAt(hashes[i][:], index*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("reading hash %d: %w", index, err)
		}
	}
	return hashes, nil
}

// openFile opens a file of a ledger for reading and writing, and makes it if it is
// not there.
func openFile(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
}

// exists reports whether a file is there.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readRange reads bytes of a file.
func readRange(f *os.File, from, to int64) ([]byte, error) {
	if to <= from {
		return nil, nil
	}
	data := make([]byte, to-from)
	if _, err := f.ReadAt(data, from); err != nil {
		return nil, err
	}
	return data, nil
}

func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
