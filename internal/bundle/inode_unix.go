// SPDX-License-Identifier: MPL-2.0

//go:build unix

package bundle

import (
	"os"
	"syscall"
)

// inode is the file's serial number, so that a file replaced by rename is
// noticed even when size and time are kept.
func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino) //nolint:unconvert // narrower on some systems
	}
	return 0
}
