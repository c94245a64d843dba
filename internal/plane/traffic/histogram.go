// SPDX-License-Identifier: MPL-2.0

package traffic

import (
	"math/bits"
	"time"
)

// The buckets of latency: resolution wide at first, then SubBuckets to each
// doubling, so that a bucket is never wider than a sixteenth of what lies in it.
// A gate judges a p99 against a limit: by buckets that double, 490 ms and 1 s would
// be the same.
const (
	// SubBuckets is the number of buckets in a doubling; a power of two.
	SubBuckets = 16
	resolution = 16 * time.Microsecond
	doublings  = 21
	// NumBuckets is the number of buckets; the last one has no upper bound.
	NumBuckets = SubBuckets * (doublings + 2)
)

// Histogram counts latencies by bucket.
type Histogram [NumBuckets]uint64

// bucketOf is the bucket of a latency: the one with took <= UpperBound.
func bucketOf(took time.Duration) int {
	v := uint64(max(took-1, 0)) / uint64(resolution)
	if v < SubBuckets {
		return int(v)
	}
	e := bits.Len64(v) - bits.Len(SubBuckets)
	return min(e*SubBuckets+int(v>>e), NumBuckets-1)
}

// UpperBound is the longest latency that belongs into bucket i. That of the last
// bucket, 18 minutes, is where it would end if it had an end.
func UpperBound(i int) time.Duration {
	if i < SubBuckets {
		return time.Duration(i+1) * resolution
	}
	e := i/SubBuckets - 1
	return time.Duration(i%SubBuckets+SubBuckets+1) << e * resolution
}

// Count is the number of latencies.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile is the latency that the fraction q of all does not exceed, read as if
// the latencies in a bucket were spread evenly over it. So it is off by less
// than the bucket's width: a sixteenth of the value, or resolution if that is more.
// Without latencies it is 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	var below float64
	for i, n := range h {
		if n == 0 {
			continue
		}
		if below+float64(n) >= rank {
			var lower time.Duration
			if i > 0 {
				lower = UpperBound(i - 1)
			}
			share := max(rank-below, 0) / float64(n)
			return lower + time.Duration(share*float64(UpperBound(i)-lower))
		}
		below += float64(n)
	}
	return UpperBound(NumBuckets - 1) // rounding left rank a little above the total
}
