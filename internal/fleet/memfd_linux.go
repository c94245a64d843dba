// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile holds content in memory that no path leads to: a configuration has
// secrets in it and must not reach a disk.
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("workerd-config", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "workerd-config")
	if _, err := f.WriteAt(content, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing a file in memory: %w", err)
	}
	return f, nil
}
