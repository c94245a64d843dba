// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// maxSocketPath is what fits into sockaddr_un.sun_path with its final NUL on
	// Linux; macOS has four bytes less, which the longest name below leaves room for.
	maxSocketPath = 107
	maxSocketName = 16
	socketSuffix  = ".sock"
)

// socketDir hands out paths of unix sockets in a directory that only we can enter.
type socketDir struct {
	path string
	next atomic.Uint64
}

func openSocketDir(path string) (*socketDir, error) {
	if len(path)+1+maxSocketName > maxSocketPath {
		return nil, fmt.Errorf("opening socket directory %s: the path is too long for unix sockets; choose one of at most %d bytes",
			path, maxSocketPath-maxSocketName-1)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("opening socket directory: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("opening socket directory: %w", err)
	}
	d := &socketDir{path: path}
	// Sockets of a run that was killed: nothing listens on them, and bind(2) fails
	// where one exists.
	return d, d.clear()
}

func (d *socketDir) clear() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("opening socket directory: %w", err)
	}
	for _, e := range entries {
		if e.Type()&os.ModeSocket != 0 && strings.HasSuffix(e.Name(), socketSuffix) {
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("removing stale socket: %w", err)
			}
		}
	}
	return nil
}

func (d *socketDir) newPath() string {
	return filepath.Join(d.path, strconv.FormatUint(d.next.Add(1), 36)+socketSuffix)
}

func (d *socketDir) close() { _ = d.clear() }

// listener is a unix socket that we keep open and a succession of children
// accepts from. While none runs, connections wait in its queue instead of being
// refused, so a restart costs time but no request.
type listener struct {
	path string
	l    *net.UnixListener
}

// file is a descriptor for a child; the caller closes it.
func (l *listener) file() (*os.File, error) {
	if l.l == nil {
		nl, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.path, Net: "unix"})
		if err != nil {
			return nil, fmt.Errorf("listening: %w", err)
		}
		l.l = nl
	}
	return l.l.File()
}

// close refuses connections from now on, until file is called again.
func (l *listener) close() {
	if l.l != nil {
		_ = l.l.Close()
		l.l = nil
	}
}
