// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"net"
	"syscall"
)

// waitReadable returns once c has data, without reading any of it.
func waitReadable(c *net.UnixConn) {
	rc, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN
	})
}
