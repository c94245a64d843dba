// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"errors"
	"os"
	"syscall"
)

// datasync makes what was written to a file durable, with its size, and without the
// times that nobody asks for.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
