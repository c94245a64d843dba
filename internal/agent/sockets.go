// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// socketDirMax is how long a socket directory's path may be: sun_path has 108
// bytes on Linux and 104 on macOS, and the fleet's names need some.
const socketDirMax = 86

// socketDir makes the directory of a plane's unix sockets: "run" in its data
// directory or, where that is too long, one under the user's runtime directory
// whose name is a function of the data directory, so that a later start finds
// and cleans what a killed one left. remove removes it if it is empty.
func socketDir(dataDir string) (dir string, remove func(), err error) {
	dir = filepath.Join(dataDir, "run")
	if len(dir) > socketDirMax {
		base := os.Getenv("XDG_RUNTIME_DIR")
		if !filepath.IsAbs(base) || len(base) > socketDirMax/2 {
			base = os.TempDir()
		}
		sum := sha256.Sum256([]byte(dataDir))
		dir = filepath.Join(base, "hybridge-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(sum[:6]))
	}
	// Mkdir and not MkdirAll: in a directory that others write to, a link of
	// theirs must not decide where our sockets lie.
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", nil, fmt.Errorf("making the directory for sockets: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", nil, fmt.Errorf("making the directory for sockets: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ownedByUs(info) {
		return "", nil, fmt.Errorf("making the directory for sockets: %s exists and is not a directory that only this user can enter: remove it", dir)
	}
	return dir, func() { _ = os.Remove(dir) }, nil
}
