// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of CPU time in /proc; the kernel's USER_HZ is 100 on
// every architecture that workerd exists for.
const clockTick = 10 * time.Millisecond

// restrictThread makes children of this thread unable to gain privileges, as by
// a set-uid program.
func restrictThread() {
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) // an ancient kernel is no reason not to run
}

// restrictChild forbids core dumps: a child's memory holds secrets.
func restrictChild(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil) // fails only if it is gone already
}

func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // a terminal's Ctrl-C is for the parent, which then drains
		Pdeathsig: syscall.SIGKILL,
	}
}

func terminate(pid int) { _ = unix.Kill(pid, unix.SIGTERM) }

// kill ends the child and whatever it started. A group's number is not used
// again while it has members; right after the last one's end it is not either,
// as the kernel hands numbers out in turn.
func kill(pid int) { _ = unix.Kill(-pid, unix.SIGKILL) }

// usage reads a process' CPU time and resident set in bytes.
func usage(pid int) (cpu time.Duration, rss int64, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The name in parentheses may hold spaces: count fields from its end, where
	// field 3 of proc(5) follows.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, 0, errors.New("unreadable /proc stat")
	}
	fields := bytes.Fields(b[i+1:])
	const utime, stime, rssPages = 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= rssPages {
		return 0, 0, errors.New("unreadable /proc stat")
	}
	var n [3]int64
	for k, f := range []int{utime, stime, rssPages} {
		if n[k], err = strconv.ParseInt(string(fields[f]), 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(n[0]+n[1]) * clockTick, n[2] * int64(os.Getpagesize()), nil
}

// coreWait is how long a process' main thread, which runs workerd's event loop,
// has been ready to run and had no core, since it began. 0 where the kernel does
// not tell.
func coreWait(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b) // time on a core, time waiting for one, both in ns; slices
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n)
}
