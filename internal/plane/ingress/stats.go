// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"sync/atomic"
	"time"
)

// latencyBounds are the upper bounds of the latency buckets. They double from
// half a millisecond, the cost of a hop, to about 16 seconds.
var latencyBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond,
	8 * time.Millisecond, 16 * time.Millisecond, 32 * time.Millisecond, 64 * time.Millisecond,
	128 * time.Millisecond, 256 * time.Millisecond, 512 * time.Millisecond, 1024 * time.Millisecond,
	2048 * time.Millisecond, 4096 * time.Millisecond, 8192 * time.Millisecond, 16384 * time.Millisecond,
}

// Stats counts what a Target has answered. It is safe for concurrent use.
type Stats struct {
	requests atomic.Uint64
	failed   atomic.Uint64 // answered with 5xx, the ingress's own included
	nanos    atomic.Uint64
	buckets  [len(latencyBounds) + 1]atomic.Uint64
}

// Snapshot is Stats at one moment. Its fields are read one after the other, so
// under load they may differ by the requests of that moment.
type Snapshot struct {
	Requests     uint64
	ServerErrors uint64
	TotalLatency time.Duration
	// Buckets[i] counts requests that took at most Bounds[i] and longer than the
	// bound before; the last bucket has no bound.
	Bounds  []time.Duration
	Buckets []uint64
}

func (s *Stats) observe(status int, took time.Duration) {
	s.requests.Add(1)
	if status >= 500 {
		s.failed.Add(1)
	}
	s.nanos.Add(uint64(max(took, 0)))
	i := 0
	for i < len(latencyBounds) && took > latencyBounds[i] {
		i++
	}
	s.buckets[i].Add(1)
}

// Snapshot reads the counters.
func (s *Stats) Snapshot() Snapshot {
	snap := Snapshot{
		Requests:     s.requests.Load(),
		ServerErrors: s.failed.Load(),
		TotalLatency: time.Duration(s.nanos.Load()),
		Bounds:       append([]time.Duration(nil), latencyBounds[:]...),
		Buckets:      make([]uint64, len(s.buckets)),
	}
	for i := range s.buckets {
		snap.Buckets[i] = s.buckets[i].Load()
	}
	return snap
}
