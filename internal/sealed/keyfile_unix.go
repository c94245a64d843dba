// SPDX-License-Identifier: MPL-2.0

//go:build unix

package sealed

import (
	"fmt"
	"os"
	"syscall"
)

func openNoFollow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// exposed says why somebody else may read or replace the file; empty if nobody
// may.
func exposed(info os.FileInfo) string {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("its mode is %#o", mode)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Sprintf("it belongs to user %d", stat.Uid)
	}
	return ""
}

// replaceable says why everybody may put another file into the place of one in this
// directory; empty if not. What a group may do is left alone: on many systems it is
// the user's own.
func replaceable(dir os.FileInfo) string {
	if mode := dir.Mode(); mode&0o002 != 0 && mode&os.ModeSticky == 0 {
		return "everybody may write into its directory"
	}
	return ""
}
