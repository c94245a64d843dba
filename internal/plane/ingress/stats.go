// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"math/bits"
	"net/http"
	"sync/atomic"
	"time"
)

// Outcome is how one invocation ended, as Cloudflare's analytics call it.
type Outcome int

// The outcomes. All but the first two are failures; a Response with a status of 500 and
// above that a Worker makes on purpose is a success here.
const (
	Success            Outcome = iota
	ClientDisconnected         // the client did not wait for the answer
	ScriptThrew                // an exception before the answer, or while it was being sent
	InternalError              // no answer: the version died, hung, or broke the protocol
	outcomes
)

// String is the value of the dimension "status".
func (o Outcome) String() string {
	return [...]string{"success", "clientDisconnected", "scriptThrewException", "internalError"}[o]
}

// Failed reports whether the invocation counts as an error.
func (o Outcome) Failed() bool { return o >= ScriptThrew }

// threw reports whether an answer is workerd's own for an uncaught exception: its body is
// the text of the status, and it has no Content-Type, which every Response made of text has.
// (Measured with workerd 2026-11; TestAnExceptionIsToldFromAnAnswer holds it.)
func threw(r *http.Response) bool {
	return r.StatusCode == http.StatusInternalServerError && r.ContentLength == int64(len("Internal Server Error")) && len(r.Header["Content-Type"]) == 0
}

// The latency buckets double eight times finer than powers of two, from a microsecond to
// about two minutes: a quantile is told to an eighth of itself.
const (
	fineBits    = 3
	latencyBins = 8 + (27-fineBits)*8
)

// binOf is the bucket of a latency.
func binOf(took time.Duration) int {
	us := uint64(max(took, 0) / time.Microsecond)
	if us < 1<<fineBits {
		return int(us)
	}
	e := bits.Len64(us) - 1
	return min(latencyBins-1, 8+(e-fineBits)*8+int(us>>(e-fineBits)&7))
}

// binBounds are the lower and the upper bound of a bucket.
func binBounds(bin int) (from, to time.Duration) {
	if bin < 8 {
		return time.Duration(bin) * time.Microsecond, time.Duration(bin+1) * time.Microsecond
	}
	e, sub := (bin-8)/8, (bin-8)%8
	width := time.Microsecond << e
	from = time.Duration(8+sub) * width
	return from, from + width
}

// Stats counts what a Target has answered. It is safe for concurrent use.
type Stats struct {
	outcomes     [outcomes]atomic.Uint64
	serverErrors atomic.Uint64 // answered with 5xx, the ingress's own included
	nanos        atomic.Uint64
	bins         [latencyBins]atomic.Uint64
}

// Counts are what Stats counts, at one moment or in a time. They are read one after the
// other, so under load they may differ by the requests of that moment.
type Counts struct {
	Outcomes     [outcomes]uint64
	ServerErrors uint64
	nanos        uint64
	bins         [latencyBins]uint64
}

func (s *Stats) observe(o Outcome, status int, took time.Duration) {
	s.outcomes[o].Add(1)
	if status >= 500 {
		s.serverErrors.Add(1)
	}
	s.nanos.Add(uint64(max(took, 0)))
	s.bins[binOf(took)].Add(1)
}

// Counts reads the counters.
func (s *Stats) Counts() Counts {
	var c Counts
	for i := range s.outcomes {
		c.Outcomes[i] = s.outcomes[i].Load()
	}
	c.ServerErrors, c.nanos = s.serverErrors.Load(), s.nanos.Load()
	for i := range s.bins {
		c.bins[i] = s.bins[i].Load()
	}
	return c
}

// Requests is the number of all invocations.
func (c Counts) Requests() (n uint64) {
	for _, o := range c.Outcomes {
		n += o
	}
	return n
}

// Errors is the number of those that failed.
func (c Counts) Errors() (n uint64) {
	for o, count := range c.Outcomes {
		if Outcome(o).Failed() {
			n += count
		}
	}
	return n
}

// Quantile is the wall time that q (0 to 1) of the invocations did not exceed, between the
// bounds of its bucket in proportion; 0 without invocations.
func (c Counts) Quantile(q float64) time.Duration {
	var total, below uint64
	for _, n := range c.bins {
		total += n
	}
	rank := q * float64(total)
	for bin, n := range c.bins {
		if n > 0 && float64(below+n) >= rank {
			from, to := binBounds(bin)
			return from + time.Duration(float64(to-from)*max(0, rank-float64(below))/float64(n))
		}
		below += n
	}
	return 0
}

// Total is the wall time of all invocations together. A Window does not know it.
func (c Counts) Total() time.Duration { return time.Duration(c.nanos) }

// EachBin calls f with the upper bound and the number of each bucket that is not empty,
// from the fastest on.
func (c Counts) EachBin(f func(upTo time.Duration, n uint64)) {
	for bin, n := range c.bins {
		if n > 0 {
			_, to := binBounds(bin)
			f(to, n)
		}
	}
}

func (c *Counts) add(d Counts) {
	for i, n := range d.Outcomes {
		c.Outcomes[i] += n
	}
	c.ServerErrors += d.ServerErrors
	for i, n := range d.bins {
		c.bins[i] += n
	}
}

// since is what was counted after before.
func (c Counts) since(before Counts) (d Counts) {
	for i := range d.Outcomes {
		d.Outcomes[i] = c.Outcomes[i] - before.Outcomes[i]
	}
	d.ServerErrors = c.ServerErrors - before.ServerErrors
	for i := range d.bins {
		d.bins[i] = c.bins[i] - before.bins[i]
	}
	return d
}
