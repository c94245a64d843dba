// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"errors"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// primaryCode masks SQLite's extended result codes.
const primaryCode = 0xff

// IsFull reports whether err says that there is no room left, for the database or for a
// file. What failed with it has changed nothing.
func IsFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&primaryCode == sqlite3.SQLITE_FULL ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
