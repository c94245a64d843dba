// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package daemon

import (
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// LookAtClock knows of jumps only: the rest, only Linux tells.
func LookAtClock(s *health.Status) {
	s.Clock.Unknown = true
	s.Add(clockCheck(s.Clock, time.Now()))
}
