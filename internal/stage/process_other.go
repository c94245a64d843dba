// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package stage

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

// Descendants knows nothing here: only Linux tells a process's children.
func Descendants(int) ([]int, error) { return nil, nil }

// Alive says whether a process can be signalled.
func Alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
