// SPDX-License-Identifier: MPL-2.0

package traffic

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// clock is a clock that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

var one = Key{"account", "worker", "one"}

// window is what the Recorder says of a version from from to to, both inclusive.
func window(r *Recorder, k Key, from, to time.Time) (w [NumOutcomes]Tally) {
	r.Each(func(key Key) bool { return key == k }, func(s Slice) {
		if !s.At.Before(from) && !s.At.After(to) {
			s.Add(func(o Outcome) *Tally { return &w[o] })
		}
	})
	return w
}

func always(r *Recorder, k Key) [NumOutcomes]Tally {
	return window(r, k, time.Unix(0, 0), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC))
}

// Whatever happens when, and whenever it is sampled: what the windows hold adds up
// to what was counted, no window has a request from before it began, and whatever
// ended a second after the window began and before its end is in it.
func TestWindowsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		r := NewRecorder(c.Now)
		counters := r.Open(one)
		type event struct {
			at   time.Time
			o    Outcome
			took time.Duration
			code int
		}
		var events []event
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				c.advance(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "wait")))
			case 1:
				r.Sample()
			default:
				e := event{
					c.Now(), Outcome(rapid.IntRange(0, NumOutcomes-1).Draw(t, "outcome")),
					time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "took")), rapid.SampledFrom([]int{0, 200, 500, 503}).Draw(t, "status"),
				}
				events = append(events, e)
				counters.Observe(e.o, e.code, e.took)
			}
		}
		// tally adds up the events that match.
		tally := func(match func(event) bool) (w [NumOutcomes]Tally) {
			for _, e := range events {
				if match(e) {
					w[e.o].Requests++
					w[e.o].Latencies[bucketOf(e.took)]++
					if e.code >= 500 {
						w[e.o].ServerErrors++
					}
				}
			}
			return w
		}
		all := tally(func(event) bool { return true })
		if diff := cmp.Diff(all, always(r, one)); diff != "" {
			t.Errorf("the history does not add up (-counted +recorded):\n%s", diff)
		}
		if diff := cmp.Diff(all, r.Totals(one).Outcomes); diff != "" {
			t.Errorf("the totals do not add up (-counted +recorded):\n%s", diff)
		}
		// Cut anywhere: the two halves make the whole.
		start := newClock().Now()
		cut := start.Add(time.Duration(rapid.Int64Range(0, int64(c.Now().Sub(start)+1)).Draw(t, "cut")))
		before, after := window(r, one, time.Unix(0, 0), cut.Add(-1)), window(r, one, cut, c.Now())
		for o := range before {
			before[o].Add(&after[o])
		}
		if diff := cmp.Diff(all, before); diff != "" {
			t.Errorf("the halves are not the whole (-counted +halves):\n%s", diff)
		}
		// Nothing from before the window is in it.
		possible := tally(func(e event) bool { return !e.at.Before(cut) })
		for o := range after {
			if after[o].Requests > possible[o].Requests {
				t.Errorf("a window from %v has %d requests of %v, but only %d ended then", cut, after[o].Requests, Outcome(o), possible[o].Requests)
			}
		}
	})
}

func TestAWindowLacksAtMostItsFirstSecond(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := NewRecorder(c.Now)
	counters := r.Open(one)
	for range 100 { // ten seconds, a request each 100 ms, sampled on time
		counters.Observe(Success, 200, time.Millisecond)
		c.advance(100 * time.Millisecond)
		if c.Now().Nanosecond() == 0 {
			r.Sample()
		}
	}
	start := newClock().Now()
	for _, w := range []struct {
		from, to time.Duration
		want     uint64
	}{
		{0, 10 * time.Second, 100},
		{3 * time.Second, 10 * time.Second, 70},
		{3500 * time.Millisecond, 10 * time.Second, 60}, // from 4 s on
		{3 * time.Second, 3 * time.Second, 10},
		{20 * time.Second, 30 * time.Second, 0},
	} {
		got := window(r, one, start.Add(w.from), start.Add(w.to))
		if got[Success].Requests != w.want {
			t.Errorf("from %v to %v: %d requests, want %d", w.from, w.to, got[Success].Requests, w.want)
		}
	}
}

func TestWhatHappenedLongAgoIsKeptByTheMinuteAndThenForgotten(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := NewRecorder(c.Now)
	counters := r.Open(one)
	hour := func() { // a busy one
		for range 3600 {
			for i := range 50 {
				counters.Observe(Success, 200, time.Duration(i+1)*3*time.Millisecond)
			}
			c.advance(time.Second)
			r.Sample()
		}
	}
	hour()
	s := r.series[one]
	if len(s.fine) > 901 || len(s.coarse) < 44 || len(s.coarse) > 61 {
		t.Errorf("after an hour there are %d seconds and %d minutes", len(s.fine), len(s.coarse))
	}
	if got := always(r, one)[Success].Requests; got != 3600*50 {
		t.Errorf("%d requests are left", got)
	}
	// A window that begins on a minute is exact still.
	start := newClock().Now()
	if got := window(r, one, start.Add(10*time.Minute), start.Add(20*time.Minute-time.Second)); got[Success].Requests != 10*60*50 {
		t.Errorf("ten minutes had %d requests", got[Success].Requests)
	}
	r.Release(one)
	c.advance(Retention - 30*time.Minute)
	r.Sample()
	if got := always(r, one)[Success].Requests; got == 0 || got == 3600*50 {
		t.Errorf("half of it should be left: %d", got)
	}
	c.advance(time.Hour)
	r.Sample()
	if len(r.series) != 0 {
		t.Error("a version that nobody runs is kept for ever")
	}
}

func TestAVersionThatComesBackGoesOn(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := NewRecorder(c.Now)
	first := r.Open(one)
	second := r.Open(one) // its next process, while the first one drains
	first.Observe(Success, 200, time.Millisecond)
	second.Observe(ScriptThrew, 500, time.Millisecond)
	r.Release(one)
	r.Release(one)
	c.advance(10 * time.Minute)
	r.Sample()
	third := r.Open(one)
	third.Observe(InternalError, 502, time.Millisecond)
	got := always(r, one)
	for _, o := range []Outcome{Success, ScriptThrew, InternalError} {
		if got[o].Requests != 1 {
			t.Errorf("%v: %d", o, got[o].Requests)
		}
	}
}

func TestVersionsAndMarkedRequestsAreKeptApart(t *testing.T) {
	t.Parallel()
	r := NewRecorder(newClock().Now)
	two := Key{"account", "worker", "two"}
	a, b := r.Open(one), r.Open(two)
	a.Observe(Success, 200, time.Millisecond)
	b.ObserveMarked(ScriptThrew)
	if got := always(r, two); got != [NumOutcomes]Tally{} {
		t.Errorf("the probed version has live traffic: %+v", got)
	}
	if got := r.Totals(two).Marked; got != [NumOutcomes]uint64{ScriptThrew: 1} {
		t.Errorf("marked: %v", got)
	}
	if len(r.series[two].fine) != 0 {
		t.Error("a version without live traffic has a history")
	}
}

func TestAClockThatIsSetBackLosesNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := NewRecorder(c.Now)
	counters := r.Open(one)
	for _, d := range []time.Duration{time.Second, time.Second, -time.Hour, time.Second, 2 * time.Hour} {
		counters.Observe(Success, 200, time.Millisecond)
		c.advance(d)
		r.Sample()
	}
	if got := always(r, one)[Success].Requests; got != 5 {
		t.Errorf("%d of 5 are left", got)
	}
}

func TestCountingWhileTheRecorderReads(t *testing.T) {
	t.Parallel()
	r := NewRecorder(nil)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { r.Run(stop) })
	var counting sync.WaitGroup
	for range 4 {
		counting.Go(func() {
			counters := r.Open(one)
			defer r.Release(one)
			for i := range 5000 {
				counters.Observe(Outcome(i%NumOutcomes), 200+i%2*300, time.Duration(i)*time.Microsecond)
			}
		})
	}
	for range 50 {
		r.Sample()
		always(r, one)
	}
	counting.Wait()
	close(stop)
	running.Wait()
	var requests, errors uint64
	for _, tally := range always(r, one) {
		requests, errors = requests+tally.Requests, errors+tally.ServerErrors
	}
	if requests != 20000 || errors != 10000 {
		t.Errorf("%d requests, %d errors", requests, errors)
	}
}

// What the sampler costs, for a version without traffic and for a busy one.
func BenchmarkSample(b *testing.B) {
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		b.Run(name, func(b *testing.B) {
			c := newClock()
			r := NewRecorder(c.Now)
			counters := r.Open(one)
			b.ReportAllocs()
			for b.Loop() {
				if busy {
					for i := range 40 {
						counters.Observe(Success, 200, time.Duration(i*i)*100*time.Microsecond)
					}
				}
				c.advance(time.Second)
				r.Sample()
			}
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	var c Counters
	var took time.Duration
	for b.Loop() {
		took = (took + 77*time.Microsecond) % time.Second
		c.Observe(Success, 200, took)
	}
}
