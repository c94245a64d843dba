// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// frontier is the right edge of a tree: what is needed to append to it and to know
// its head, without reading anything.
type frontier struct {
	size int64
	at   [64]tlog.Hash // by level: the newest complete subtree there that has no sibling yet
}

// add appends an entry and appends to stored the hashes that it completes, in the
// order of package tlog.
func (f *frontier) add(h tlog.Hash, stored []tlog.Hash) []tlog.Hash {
	stored = append(stored, h)
	level := 0
	for n := f.size; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(f.at[level], h)
		stored = append(stored, h)
		level++
	}
	f.at[level] = h
	f.size++
	return stored
}

// root is the head of the tree. That of an empty one is tlog's too.
func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		h, _ := tlog.TreeHash(0, nil)
		return h
	}
	level := bits.TrailingZeros64(uint64(f.size))
	h := f.at[level]
	for level++; level < 63; level++ {
		if f.size>>level&1 == 1 {
			h = tlog.NodeHash(f.at[level], h)
		}
	}
	return h
}

// frontierOf reads the right edge of a tree of n entries.
func frontierOf(n int64, hashes tlog.HashReader) (frontier, error) {
	f := frontier{size: n}
	var levels []int
	var indexes []int64
	for level := range 63 {
		if n>>level&1 == 1 {
			levels = append(levels, level)
			indexes = append(indexes, tlog.StoredHashIndex(level, n>>level-1))
		}
	}
	if len(indexes) == 0 {
		return f, nil
	}
	got, err := hashes.ReadHashes(indexes)
	if err != nil {
		return frontier{}, err
	}
	for i, level := range levels {
		f.at[level] = got[i]
	}
	return f, nil
}

// entriesIn is how many whole entries a file of hashes of that many bytes covers.
func entriesIn(size int64) int64 {
	count := size / tlog.HashSize
	low, high := int64(0), count // n entries have at least n hashes
	for low < high {
		mid := (low + high + 1) / 2
		if tlog.StoredHashCount(mid) <= count {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}
