// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"fmt"
	"math"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

const (
	// clockLimit is what certificates and tokens begin to suffer from.
	clockLimit = time.Second
	// jumpShown is how long a jump of the clock stays a warning.
	jumpShown = 10 * time.Minute
)

// clockWatch finds steps of the clock: wall time and monotonic time should advance alike.
type clockWatch struct {
	wall time.Time
	mono time.Duration
	jump time.Duration // the last one; positive is forward
	on   *time.Time
}

// observe is given both clocks and returns the step since the call before, if it is above clockLimit.
func (w *clockWatch) observe(wall time.Time, mono time.Duration) (jump time.Duration) {
	if !w.wall.IsZero() {
		jump = wall.Sub(w.wall) - (mono - w.mono)
	}
	w.wall, w.mono = wall, mono
	if jump.Abs() < clockLimit {
		return 0
	}
	on := wall.UTC()
	w.jump, w.on = jump, &on
	return jump
}

// clockCheck judges the clock. Everything about it is a warning only: containers and machines without
// NTP run well for a while.
func clockCheck(c health.Clock, now time.Time) health.Check {
	check := health.Check{Name: "clock", Warning: true}
	switch {
	case c.JumpedOn != nil && now.Sub(*c.JumpedOn).Abs() < jumpShown:
		check.Detail = fmt.Sprintf("it jumped by %.1f s on %s: tokens, certificates and schedules follow it; look at systemd-timesyncd or chrony", c.JumpSeconds, c.JumpedOn.Format(time.RFC3339))
	case c.Unknown:
		return health.Check{Name: "clock", OK: true, Detail: "the kernel does not say whether it is right"}
	case !c.Synchronised:
		check.Detail = "the kernel's clock is not synchronised: enable systemd-timesyncd or chrony"
	case math.Abs(c.OffsetSeconds) > clockLimit.Seconds():
		check.Detail = fmt.Sprintf("the clock is off by %.3f s: look at systemd-timesyncd or chrony", c.OffsetSeconds)
	default:
		return health.Check{Name: "clock", OK: true}
	}
	return check
}
