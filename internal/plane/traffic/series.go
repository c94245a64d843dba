// SPDX-License-Identifier: MPL-2.0

package traffic

import "time"

// cell is one non-zero count of a slice: which counter, and how much it gained.
// Most of a version's counters stand still in most seconds, so this is a few
// hundred bytes for a busy second and nothing for an idle one.
type cell uint32

const (
	// stride is a counter for each bucket and one for 5xx answers.
	stride       = NumBuckets + 1
	cellIndexLen = 11 // bits
	maxGain      = 1<<(32-cellIndexLen) - 1
)

// The index has to fit.
const _ = uint(1<<cellIndexLen - NumOutcomes*stride)

func (c cell) counter() (o Outcome, i int) {
	n := int(c & (1<<cellIndexLen - 1))
	return Outcome(n / stride), n % stride
}

func (c cell) gain() uint64 { return uint64(c >> cellIndexLen) }

// appendGain appends what counter i of o gained, in several cells if need be.
func appendGain(cells []cell, o, i int, gain uint64) []cell {
	for gain > 0 {
		part := min(gain, maxGain)
		cells = append(cells, cell(part<<cellIndexLen|uint64(o*stride+i)))
		gain -= part
	}
	return cells
}

// gains is everything by which the counters grew in some time.
type gains [NumOutcomes][stride]uint64

func (g *gains) add(cells []cell) {
	for _, c := range cells {
		o, i := c.counter()
		g[o][i] += c.gain()
	}
}

func (g *gains) cells() []cell {
	n := 0
	for o := range g {
		for _, gain := range g[o] {
			if gain > 0 {
				n++
			}
		}
	}
	cells := make([]cell, 0, n) // they stay for a day: no spare room
	for o := range g {
		for i, gain := range g[o] {
			cells = appendGain(cells, o, i, gain)
		}
	}
	return cells
}

// slice is what a version's counters gained in the time that begins at a second.
type slice struct {
	second int64 // Unix
	cells  []cell
}

// series is the history of one version. It is guarded by the Recorder.
type series struct {
	key      Key
	counters Counters
	refs     int // running processes that count into it

	nanos uint64 // counters.nanos at the last sample
	seen  gains  // the counters at the last sample
	// fine holds a slice for each second with traffic, coarse one for each minute.
	fine, coarse []slice
}

// sample appends what was counted since the last one, to the slice of second.
func (s *series) sample(second int64) {
	nanos := s.counters.nanos.Load()
	if nanos == s.nanos {
		return
	}
	s.nanos = nanos
	var gained gains
	for o := range s.seen {
		for i := range s.seen[o] {
			counter := &s.counters.serverErrors[o]
			if i < NumBuckets {
				counter = &s.counters.buckets[o][i]
			}
			now := counter.Load()
			gained[o][i] = now - s.seen[o][i]
			s.seen[o][i] = now
		}
	}
	s.fine = appendSlice(s.fine, second, &gained)
}

// appendSlice appends gained to the last slice of list if that began at second or
// later (clocks are set back), and as a new one otherwise.
func appendSlice(list []slice, second int64, gained *gains) []slice {
	if n := len(list); n > 0 && list[n-1].second >= second {
		gained.add(list[n-1].cells)
		list[n-1].cells = gained.cells()
		return list
	}
	return append(list, slice{second, gained.cells()})
}

const secondsPerMinute = int64(time.Minute / time.Second)

// age makes slices of minutes out of those of seconds that are old, and forgets
// minutes that are very old.
func (s *series) age(now int64) {
	n := 0
	for ; n < len(s.fine) && s.fine[n].second < now-int64(fineTime/time.Second); n++ {
		var gained gains
		gained.add(s.fine[n].cells)
		minute := s.fine[n].second / secondsPerMinute * secondsPerMinute
		s.coarse = appendSlice(s.coarse, minute, &gained)
	}
	s.fine = dropFront(s.fine, n)
	n = 0
	for n < len(s.coarse) && s.coarse[n].second < now-int64(Retention/time.Second) {
		n++
	}
	s.coarse = dropFront(s.coarse, n)
}

// dropFront removes the first n slices and what they hold.
func dropFront(list []slice, n int) []slice {
	if n == 0 {
		return list
	}
	rest := copy(list, list[n:])
	clear(list[rest:])
	if rest == 0 {
		return nil
	}
	return list[:rest]
}
