// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package fleet

import (
	"errors"
	"os"
)

func memoryFile([]byte) (*os.File, error) {
	return nil, errors.New("running Workers needs Linux: elsewhere a configuration with secrets would have to lie on a disk")
}
