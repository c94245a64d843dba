// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package daemon

import "github.com/hybridge/terraform-provider-hybridge/internal/agent/health"

// LookAtClock says that it knows nothing: only Linux tells.
func LookAtClock(s *health.Status) { s.Clock = health.Clock{Unknown: true} }
