// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

func TestAJumpOfTheClockIsSeen(t *testing.T) {
	t.Parallel()
	var w clockWatch
	wall, mono := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Duration(0)
	advance := func(byWall, byMono time.Duration) time.Duration {
		wall, mono = wall.Add(byWall), mono+byMono
		return w.observe(wall, mono)
	}
	if jump := w.observe(wall, mono); jump != 0 {
		t.Errorf("the first look gave %s", jump)
	}
	// A slow loop and a clock that NTP slews are none.
	for _, by := range [][2]time.Duration{{time.Second, time.Second}, {time.Minute, time.Minute}, {time.Second + 500*time.Microsecond, time.Second}} {
		if jump := advance(by[0], by[1]); jump != 0 {
			t.Errorf("%v gave %s", by, jump)
		}
	}
	for _, step := range []time.Duration{time.Hour, -2 * time.Hour, 90 * time.Second} {
		if jump := advance(time.Second+step, time.Second); jump != step {
			t.Errorf("a step of %s gave %s", step, jump)
		}
		if !w.on.Equal(wall) {
			t.Errorf("it was noted on %s", w.on)
		}
		if jump := advance(time.Second, time.Second); jump != 0 || w.jump != step {
			t.Errorf("the look after it gave %s, and the last jump is %s", jump, w.jump)
		}
	}
}

func TestWhatTheClocksCheckSays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { on := now.Add(-d); return &on }
	for _, c := range []struct {
		name  string
		clock health.Clock
		want  string // empty: it is fine
	}{
		{"right", health.Clock{Synchronised: true, OffsetSeconds: 0.01}, ""},
		{"off", health.Clock{Synchronised: true, OffsetSeconds: -1.5}, "the clock is off by -1.500 s: look at systemd-timesyncd"},
		{"not synchronised", health.Clock{}, "enable systemd-timesyncd or chrony"},
		{"unknown", health.Clock{Unknown: true}, ""},
		{"jumped", health.Clock{Synchronised: true, JumpSeconds: 3600, JumpedOn: ago(time.Minute)}, "it jumped by 3600.0 s on 2026-03-01T11:59:00Z"},
		{"jumped long ago", health.Clock{Synchronised: true, JumpSeconds: 3600, JumpedOn: ago(time.Hour)}, ""},
		{"jumped back since", health.Clock{Synchronised: true, JumpSeconds: -7200, JumpedOn: ago(-time.Hour)}, ""},
	} {
		got := clockCheck(c.clock, now)
		if fine := c.want == ""; got.OK != fine || got.Warning == fine || !strings.Contains(got.Detail, c.want) {
			t.Errorf("%s: %+v, want %q", c.name, got, c.want)
		}
	}
}

func TestADiskThatFillsIsAWarning(t *testing.T) {
	t.Parallel()
	if got := diskCheck(health.Disk{Path: "/var/lib/hybridge", FreePercent: 10}, 10); !got.OK {
		t.Errorf("%+v", got)
	}
	got := diskCheck(health.Disk{Path: "/var/lib/hybridge", FreePercent: 9.9}, 10)
	if got.OK || !got.Warning || !strings.Contains(got.Detail, "9.9% of the file system of /var/lib/hybridge is free") || !strings.Contains(got.Detail, "make room") {
		t.Errorf("%+v", got)
	}
}
