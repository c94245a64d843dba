// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package ledger

import (
	"os"
	"runtime"
)

// datasync makes what was written to a file durable.
func datasync(f *os.File) error { return f.Sync() }

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
