// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"context"
	"sync"
	"time"
)

// RecordedFor is how long what a version has answered is kept, second by second. A gate
// asks for one step of a rollout.
const RecordedFor = 15 * time.Minute

// recorder keeps what versions have answered in each second. It reads the counters that
// there are anyhow, so it costs the requests nothing, and it keeps nothing of a second in
// which a version was not asked.
type recorder struct {
	mu       sync.Mutex
	last     map[*Target]Counts  // of those that are routed, or still draining
	versions map[string][]second // by version id, oldest first
}

// second is what a version has answered in one second.
type second struct {
	unix   int64
	counts compact
}

// compact is Counts with the empty buckets left out.
type compact struct {
	outcomes     [outcomes]uint32
	serverErrors uint32
	bins         []binCount
}

type binCount struct {
	bin uint8
	n   uint32
}

func compacted(c Counts) compact {
	k := compact{serverErrors: uint32(c.ServerErrors)}
	for i, n := range c.Outcomes {
		k.outcomes[i] = uint32(n)
	}
	for i, n := range c.bins {
		if n > 0 {
			k.bins = append(k.bins, binCount{uint8(i), uint32(n)})
		}
	}
	return k
}

func (k compact) counts() (c Counts) {
	for i, n := range k.outcomes {
		c.Outcomes[i] = uint64(n)
	}
	c.ServerErrors = uint64(k.serverErrors)
	for _, b := range k.bins {
		c.bins[b.bin] = uint64(b.n)
	}
	return c
}

// follow begins to record targets.
func (r *recorder) follow(shares []Share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range shares {
		if _, known := r.last[s.Target]; !known {
			r.last[s.Target] = Counts{}
		}
	}
}

// sample takes what was counted since the last sample. What has drained counts no more.
func (r *recorder) sample(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := now.Add(-RecordedFor).Unix()
	for t, before := range r.last {
		drained := t.isDrained() // asked before the counters are read for the last time
		is := t.stats.Counts()
		if delta := is.since(before); delta.Requests() > 0 {
			r.note(t.versionID, now.Unix(), delta)
		}
		if r.last[t] = is; drained {
			delete(r.last, t)
		}
	}
	for id, seconds := range r.versions {
		first := 0
		for first < len(seconds) && seconds[first].unix < oldest {
			first++
		}
		if first == len(seconds) {
			delete(r.versions, id)
		} else if first > 0 {
			r.versions[id] = append([]second(nil), seconds[first:]...)
		}
	}
}

func (r *recorder) note(version string, unix int64, delta Counts) {
	seconds := r.versions[version]
	if n := len(seconds); n > 0 && seconds[n-1].unix == unix {
		sum := seconds[n-1].counts.counts()
		sum.add(delta)
		seconds[n-1].counts = compacted(sum)
		return
	}
	r.versions[version] = append(seconds, second{unix, compacted(delta)})
}

// Window is what a version has answered from one second to another, both included.
func (r *Router) Window(versionID string, from, to time.Time) (c Counts) {
	r.recorder.sample(time.Now())
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	for _, s := range r.recorder.versions[versionID] {
		if s.unix >= from.Unix() && s.unix <= to.Unix() {
			c.add(s.counts.counts())
		}
	}
	return c
}

// Record keeps what versions answer, second by second, until ctx ends.
func (r *Router) Record(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			r.recorder.sample(now)
		}
	}
}

// Live calls f with each version that is routed, in no order.
func (r *Router) Live(f func(t *Target)) {
	for _, e := range r.table.Load().workers {
		for _, s := range e.Shares {
			f(s.Target)
		}
	}
}
