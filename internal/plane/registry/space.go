// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"errors"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// IsFull reports whether a change failed because the disk is full, or takes no
// more of this user or this file. Nothing of the change is kept then, and reading goes on.
func IsFull(err error) bool {
	for _, errno := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG} {
		if errors.Is(err, errno) {
			return true
		}
	}
	var e *sqlite.Error
	// SQLite tells ENOSPC apart only: the other two are failed writes to it.
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_WRITE)
}
