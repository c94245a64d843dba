// SPDX-License-Identifier: MPL-2.0

// Package alert decides when something that is wrong is told, and when that it has
// ended: once each, however often one looks, and not for what passes by itself.
package alert

import (
	"cmp"
	"slices"
	"time"
)

// Kinds of alerts. They are part of what receivers are told and never change.
const (
	ConnectorDown     = "connector_down"
	PlaneUnhealthy    = "plane_unhealthy"
	CrashLoop         = "crash_loop"
	RolloutFailed     = "rollout_failed"
	CertificateExpiry = "certificate_expiry"
	DiskFilling       = "disk_filling"
)

// Delays are how long something has to be wrong before it is told, and right before
// its end is.
type Delays struct{ Raise, Resolve time.Duration }

// DefaultDelays say how quickly each kind passes by itself. A restart or a rotation must
// not be told, and what swings about a limit not all the time.
var DefaultDelays = map[string]Delays{
	ConnectorDown:     {time.Minute, 30 * time.Second},
	PlaneUnhealthy:    {30 * time.Second, 30 * time.Second},
	CrashLoop:         {0, 2 * time.Minute}, // between two starts the version looks well
	RolloutFailed:     {0, 0},
	CertificateExpiry: {0, 0},
	DiskFilling:       {10 * time.Second, 5 * time.Minute},
}

// Problem is something that is wrong now.
type Problem struct {
	Kind    string
	Subject string // which one of its kind
	Detail  string // for people: what is wrong and how to mend it
}

// Key names what an alert is about.
type Key struct{ Kind, Subject string }

func (p Problem) key() Key { return Key{p.Kind, p.Subject} }

// Tracker remembers since when what is wrong. It is for one goroutine.
type Tracker struct {
	delays map[string]Delays
	states map[Key]*state
}

type state struct {
	raised bool
	wrong  bool
	since  time.Time // that it is wrong, or right
}

// NewTracker makes a Tracker that knows of the alerts that stand.
func NewTracker(delays map[string]Delays, standing []Key, now time.Time) *Tracker {
	t := &Tracker{delays: delays, states: map[Key]*state{}}
	for _, k := range standing {
		t.states[k] = &state{raised: true, wrong: true, since: now}
	}
	return t
}

// Look takes what is wrong now, and returns what is to be raised and resolved. Both come
// again with each Look until Raised or Resolved confirms them: telling may fail. now MUST
// be of one monotonic clock.
func (t *Tracker) Look(now time.Time, problems []Problem) (raise []Problem, resolve []Key) {
	seen := map[Key]bool{}
	for _, p := range problems {
		k := p.key()
		if seen[k] {
			continue
		}
		seen[k] = true
		s := t.states[k]
		if s == nil {
			s = &state{}
			t.states[k] = s
		}
		if !s.wrong {
			s.wrong, s.since = true, now
		}
		if !s.raised && now.Sub(s.since) >= t.delays[k.Kind].Raise {
			raise = append(raise, p)
		}
	}
	for k, s := range t.states {
		switch {
		case seen[k]:
			continue
		case !s.raised:
			delete(t.states, k)
			continue
		case s.wrong:
			s.wrong, s.since = false, now
		}
		if now.Sub(s.since) >= t.delays[k.Kind].Resolve {
			resolve = append(resolve, k)
		}
	}
	slices.SortFunc(resolve, func(a, b Key) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject)) })
	return raise, resolve
}

// Raised confirms that an alert was told.
func (t *Tracker) Raised(k Key) {
	if s := t.states[k]; s != nil {
		s.raised = true
	}
}

// Resolved confirms that the end of an alert was told.
func (t *Tracker) Resolved(k Key) {
	if s := t.states[k]; s != nil {
		s.raised = false
		if !s.wrong {
			delete(t.states, k)
		}
	}
}
