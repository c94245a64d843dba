// SPDX-License-Identifier: MPL-2.0

package traffic

import (
	"sync"
	"time"
)

const (
	// Retention is how far back a Recorder remembers: a candidate may bake for a day.
	Retention = 24 * time.Hour
	// fineTime is for how long each second is kept apart. Older ones are a part of
	// their minute, which costs a window that begins there up to a minute of what
	// belongs to it.
	fineTime = 15 * time.Minute

	interval = time.Second
)

// Recorder remembers what the versions answered, second by second. Its memory is
// bounded by what happened: per version at most 900 slices of seconds and 1440 of
// minutes, each as large as the number of different latencies in it (usually 200
// bytes, at most 6 kB), and 24 kB besides. A version without traffic
// costs one read per second, one that has not run for Retention nothing.
//
// It is safe for concurrent use. What it records belongs to this process: after a
// restart of the plane the history begins anew.
type Recorder struct {
	now func() time.Time

	mu      sync.Mutex
	started int64 // Unix second in which the time since the last sample began
	series  map[Key]*series
}

// NewRecorder returns a Recorder without history. now is its clock; nil means
// time.Now. It samples when it is asked, and each second while Run runs.
func NewRecorder(now func() time.Time) *Recorder {
	if now == nil {
		now = time.Now
	}
	return &Recorder{now: now, started: now().Unix(), series: map[Key]*series{}}
}

// Run samples at the turn of each second until stop is closed.
func (r *Recorder) Run(stop <-chan struct{}) {
	for {
		now := r.now()
		timer := time.NewTimer(now.Truncate(interval).Add(interval).Sub(now))
		select {
		case <-timer.C:
			r.Sample()
		case <-stop:
			timer.Stop()
			return
		}
	}
}

// Open returns the counters of a version, which go on from where they were if the
// Recorder still has them. Each Open MUST be followed by one Release, after the
// last use of the counters.
func (r *Recorder) Open(k Key) *Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.series[k]
	if s == nil {
		s = &series{key: k}
		r.series[k] = s
	}
	s.refs++
	return &s.counters
}

// Release ends a use of the version's counters. What they have counted is kept.
func (r *Recorder) Release(k Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.series[k]; s != nil {
		s.refs--
	}
}

// Totals is what was counted for a version since the Recorder knows it.
func (r *Recorder) Totals(k Key) Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.series[k]; s != nil {
		return s.counters.Totals()
	}
	return Totals{}
}

// Sample adds what was counted since the last sample to the history.
//
// It bears the second in which that time began. So a window of the history holds
// no request that ended before it began, not even if a sample is late, but may
// lack some of its first second: a gate must not judge a step by what came before.
func (r *Recorder) Sample() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sample()
}

func (r *Recorder) sample() {
	now := r.now().Unix()
	for k, s := range r.series {
		s.sample(r.started)
		s.age(now)
		if s.refs == 0 && len(s.fine) == 0 && len(s.coarse) == 0 {
			delete(r.series, k)
		}
	}
	r.started = now
}

// Slice is what one version answered in a stretch of time.
type Slice struct {
	Key Key
	// At is when the stretch began: a second, or a minute if it is long ago.
	At    time.Time
	cells []cell
}

// Add adds the slice to tallies; to chooses one for each outcome that occurred,
// or nil to leave it out.
func (s Slice) Add(to func(Outcome) *Tally) {
	var tallies [NumOutcomes]*Tally
	var asked [NumOutcomes]bool
	for _, c := range s.cells {
		o, i := c.counter()
		if !asked[o] {
			tallies[o], asked[o] = to(o), true
		}
		t := tallies[o]
		switch {
		case t == nil:
		case i == NumBuckets:
			t.ServerErrors += c.gain()
		default:
			t.Requests += c.gain()
			t.Latencies[i] += c.gain()
		}
	}
}

// Each calls f for every slice of the history of each version that want wants, up
// to this moment. Neither may call the Recorder.
func (r *Recorder) Each(want func(Key) bool, f func(Slice)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sample()
	for k, s := range r.series {
		if !want(k) {
			continue
		}
		for _, list := range [][]slice{s.coarse, s.fine} {
			for _, sl := range list {
				f(Slice{Key: k, At: time.Unix(sl.second, 0).UTC(), cells: sl.cells})
			}
		}
	}
}
