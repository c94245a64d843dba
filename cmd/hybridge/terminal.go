// SPDX-License-Identifier: MPL-2.0

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ownsTerminal reports whether our process group is the one that a terminal
// sends Ctrl-C to. A command of ours is in the same group.
func ownsTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// interactive reports whether somebody looks at w.
func interactive(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
