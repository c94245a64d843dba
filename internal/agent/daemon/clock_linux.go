// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// clockLimit is what certificates and tokens begin to suffer from.
const clockLimit = time.Second

// LookAtClock adds what the kernel knows of the clock. Whether it is
// synchronised is a warning only: containers and machines without NTP run well for a while.
func LookAtClock(s *health.Status) {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err != nil {
		s.Clock = health.Clock{Unknown: true}
		return
	}
	unit := 1e6
	if tx.Status&unix.STA_NANO != 0 {
		unit = 1e9
	}
	s.Clock = health.Clock{Synchronised: state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0, OffsetSeconds: float64(tx.Offset) / unit}
	check := health.Check{Name: "clock", OK: true}
	switch {
	case !s.Clock.Synchronised:
		check.OK, check.Warning, check.Detail = false, true, "the kernel's clock is not synchronised: enable systemd-timesyncd or chrony"
	case math.Abs(s.Clock.OffsetSeconds) > clockLimit.Seconds():
		check.OK, check.Warning, check.Detail = false, true, fmt.Sprintf("the clock is off by %.3f s: look at systemd-timesyncd or chrony", s.Clock.OffsetSeconds)
	}
	s.Add(check)
}
