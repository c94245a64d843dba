// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"
)

func TestEveryLatencyLiesInItsBucket(t *testing.T) {
	t.Parallel()
	for bin := range latencyBins - 1 {
		_, to := binBounds(bin)
		if from, _ := binBounds(bin + 1); from != to {
			t.Fatalf("bucket %d ends at %s, and the next begins at %s", bin, to, from)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		took := time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(rt, "took"))
		from, to := binBounds(binOf(took))
		if took < from || took >= to {
			rt.Fatalf("%s lies in the bucket from %s to %s", took, from, to)
		}
		if width := to - from; width > time.Microsecond && width > from/8 {
			rt.Fatalf("the bucket of %s is %s wide", took, width)
		}
	})
}

func TestAQuantileIsTrueToAnEighth(t *testing.T) {
	t.Parallel()
	var s Stats
	for i := range 1000 {
		s.observe(Success, http.StatusOK, time.Duration(i+1)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := s.Counts().Quantile(q); got < want*7/8 || got > want*9/8 {
			t.Errorf("quantile %v is %s, want about %s", q, got, want)
		}
	}
	if got := (Counts{}).Quantile(0.99); got != 0 {
		t.Errorf("of nothing it is %s", got)
	}
}

// Whatever is sampled when: windows that follow each other add up to all that was counted.
func TestWindowsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := New(hclog.NewNullLogger())
		target := NewTarget("api", "w", "v", "/nowhere")
		r.Set(Route{WorkerID: "w", WorkerName: "api", Shares: []Share{{target, 100}}})
		start := time.Now().Add(-time.Minute).Truncate(time.Second)
		var want uint64
		var failed uint64
		for i := range rapid.IntRange(1, 30).Draw(rt, "seconds") {
			for range rapid.IntRange(0, 5).Draw(rt, "requests") {
				o := Outcome(rapid.IntRange(0, int(outcomes)-1).Draw(rt, "outcome"))
				target.stats.observe(o, http.StatusOK, time.Duration(rapid.IntRange(0, 1e9).Draw(rt, "took")))
				want++
				if o.Failed() {
					failed++
				}
			}
			r.recorder.sample(start.Add(time.Duration(i) * time.Second))
		}
		var got, errors uint64
		for i := range 30 {
			second := start.Add(time.Duration(i) * time.Second)
			c := r.Window("v", second, second)
			got, errors = got+c.Requests(), errors+c.Errors()
		}
		if whole := r.Window("v", start, start.Add(time.Minute)); got != want || errors != failed || whole.Requests() != want {
			rt.Fatalf("%d requests and %d errors in windows, %d in one; want %d and %d", got, errors, whole.Requests(), want, failed)
		}
	})
}

func TestWhatADrainedVersionAnsweredStaysForAWhile(t *testing.T) {
	t.Parallel()
	r := New(hclog.NewNullLogger())
	old, young := NewTarget("api", "w", "old", "/nowhere"), NewTarget("api", "w", "young", "/nowhere")
	r.Set(Route{WorkerID: "w", Shares: []Share{{old, 100}}})
	if !old.Acquire() {
		t.Fatal("a fresh target is retired")
	}
	r.Set(Route{WorkerID: "w", Shares: []Share{{young, 100}}})
	old.Retire()
	now := time.Now()
	r.recorder.sample(now)
	old.stats.observe(ScriptThrew, http.StatusInternalServerError, time.Millisecond) // its last request ends now
	old.Release()
	r.recorder.sample(now)
	if n := r.Window("old", now.Add(-time.Second), now.Add(time.Minute)).Errors(); n != 1 {
		t.Errorf("its last request is counted %d times", n)
	}
	if _, followed := r.recorder.last[old]; followed {
		t.Error("a version that is gone is still followed")
	}
	r.recorder.sample(now.Add(RecordedFor + 2*time.Second))
	if len(r.recorder.versions) != 0 {
		t.Error("what is too old is kept")
	}
}
