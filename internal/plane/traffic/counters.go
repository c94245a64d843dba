// SPDX-License-Identifier: MPL-2.0

package traffic

import (
	"sync/atomic"
	"time"
)

// Counters counts what a version answers. It is safe for concurrent use; the zero
// value is ready. Counting costs two atomic additions, three for an answer with
// 5xx: the requests themselves are the sum of the buckets.
type Counters struct {
	buckets      [NumOutcomes][NumBuckets]atomic.Uint64
	serverErrors [NumOutcomes]atomic.Uint64
	// nanos grows with every request and after everything else about it. It is how
	// the Recorder sees, in one read, whether there is anything new.
	nanos  atomic.Uint64
	marked [NumOutcomes]atomic.Uint64
}

// Observe counts a request that ended with o after took; status is what the client
// was answered, 0 if nothing.
func (c *Counters) Observe(o Outcome, status int, took time.Duration) {
	if status >= 500 {
		c.serverErrors[o].Add(1)
	}
	c.buckets[o][bucketOf(took)].Add(1)
	c.nanos.Add(uint64(max(took, 1)))
}

// ObserveMarked counts a request that chose its version by a preview URL or by a
// version override.
//
// Such requests are kept out of all other figures, although Cloudflare counts
// them. They are how gates, and people, look at a candidate that may serve no
// user yet: a gate that judges what users get would see its own probes instead,
// mostly well-behaved ones to a health check, and a candidate at 10 % of little
// traffic would pass by them. Failed probes are not lost: whoever sends them
// has the answer.
func (c *Counters) ObserveMarked(o Outcome) { c.marked[o].Add(1) }

// Totals reads the counters. Under load it may miss a part of the requests that
// are being counted at that moment.
func (c *Counters) Totals() Totals {
	t := Totals{Time: time.Duration(c.nanos.Load())}
	for o := range c.buckets {
		tally := &t.Outcomes[o]
		for i := range c.buckets[o] {
			tally.Latencies[i] = c.buckets[o][i].Load()
		}
		tally.Requests = tally.Latencies.Count()
		tally.ServerErrors = c.serverErrors[o].Load()
		t.Marked[o] = c.marked[o].Load()
	}
	return t
}
