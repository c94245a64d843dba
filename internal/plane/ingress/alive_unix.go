// SPDX-License-Identifier: MPL-2.0

//go:build unix

package ingress

import (
	"net"
	"syscall"
)

// alive reports whether an idle connection is still open and silent. What a
// version says unasked must not be taken for the answer to the next request.
func alive(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// Nothing to read is what an idle connection has; data or end are not.
		open = err == syscall.EAGAIN
		return true
	})
	return err == nil && open
}
