// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package supervise

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

func restrictThread()   {}
func restrictChild(int) {}
func prepare(*exec.Cmd) {}
func terminate(pid int) { signal(pid, os.Interrupt) }
func kill(pid int)      { signal(pid, os.Kill) }

func signal(pid int, s os.Signal) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Signal(s)
	}
}

// usage is not known here: the watchdog then probes at every interval.
func usage(int) (time.Duration, int64, error) {
	return 0, 0, errors.ErrUnsupported
}

func coreWait(int) time.Duration { return 0 }
