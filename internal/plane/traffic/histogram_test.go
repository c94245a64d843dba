// SPDX-License-Identifier: MPL-2.0

package traffic

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryLatencyLiesInItsBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		took := time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "took"))
		i := bucketOf(took)
		if took > UpperBound(i) && i != NumBuckets-1 {
			t.Errorf("%v is above its bucket %d, which ends at %v", took, i, UpperBound(i))
		}
		if i > 0 && took <= UpperBound(i-1) {
			t.Errorf("%v belongs into a bucket below %d, for that one ends at %v", took, i, UpperBound(i-1))
		}
	})
}

// What a gate relies on: a p99 is off by less than a sixteenth.
func TestQuantilesAreOffByLessThanASixteenth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		took := rapid.SliceOfN(rapid.Int64Range(1, int64(10*time.Minute)), 1, 300).Draw(t, "took")
		q := rapid.SampledFrom([]float64{.25, .5, .9, .99, .999}).Draw(t, "q")
		var h Histogram
		for _, d := range took {
			h[bucketOf(time.Duration(d))]++
		}
		slices.Sort(took)
		rank := 0 // the smallest one that a fraction q does not exceed
		for float64(rank+1) < q*float64(len(took)) {
			rank++
		}
		want, got := time.Duration(took[rank]), h.Quantile(q)
		if off := max(got-want, want-got); off > max(want/SubBuckets, resolution) {
			t.Errorf("the %v quantile of %d is %v, read as %v: off by %v", q, len(took), want, got, off)
		}
	})
}

func TestAGateTells490FromOver500Milliseconds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ took, atLeast, atMost time.Duration }{
		{490 * time.Millisecond, 475 * time.Millisecond, 492 * time.Millisecond},
		{530 * time.Millisecond, 524 * time.Millisecond, 558 * time.Millisecond},
		{20 * time.Microsecond, 16 * time.Microsecond, 32 * time.Microsecond},
		{time.Hour, 17 * time.Minute, 18 * time.Minute}, // beyond the last bucket
	} {
		var h Histogram
		h[bucketOf(c.took)] = 1000
		if got := h.Quantile(.99); got < c.atLeast || got > c.atMost {
			t.Errorf("requests that all took %v: p99 = %v", c.took, got)
		}
	}
	if got := new(Histogram).Quantile(.99); got != 0 {
		t.Errorf("nothing took %v", got)
	}
}
