// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// timesyncd is there once systemd-timesyncd has set the clock (systemd-timesyncd.service(8)).
const timesyncd = "/run/systemd/timesync/synchronized"

// LookAtClock adds what the kernel knows of the clock.
func LookAtClock(s *health.Status) {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err != nil { // a unit with ProtectClock= refuses even the question
		_, err := os.Stat(timesyncd)
		s.Clock.Synchronised = err == nil
		s.Clock.Unknown = err != nil
	} else {
		unit := 1e6
		if tx.Status&unix.STA_NANO != 0 {
			unit = 1e9
		}
		s.Clock.Synchronised = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
		s.Clock.OffsetSeconds = float64(tx.Offset) / unit
	}
	s.Add(clockCheck(s.Clock, time.Now()))
}
