// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// makePrivateDir makes dir, or takes it as it is if only its owner may enter it.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("making the directory %s: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the directory %s: %w", dir, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the directory %s is open to others (mode %04o): run chmod 0700 on it", dir, info.Mode().Perm())
	}
	return nil
}

// createPrivateFile makes an empty file that only its owner may read, unless it
// is there. SQLite gives its -wal and -shm files the same mode.
func createPrivateFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return f.Close()
}

// lockExclusive takes the lock file at path for this process and writes its pid
// into it. The kernel lets go of it however the process ends.
func lockExclusive(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		if IsFull(err) {
			err = nil // the number is for people; the lock is ours
		}
	} else if errors.Is(err, unix.EWOULDBLOCK) {
		holder, readErr := io.ReadAll(io.LimitReader(f, 32))
		if readErr != nil {
			holder = []byte("unknown")
		}
		err = &InUseError{PID: strings.TrimSpace(string(holder))}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// InUseError says that another process has the registry open.
type InUseError struct {
	PID string // of that process
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("the registry is in use by the process %s: stop that one first", e.PID)
}

// syncDir makes a rename or a removal in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening the directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing the directory %s: %w", dir, err)
	}
	return nil
}

// WriteDurably makes path hold data, readable by its owner only, whole or not at
// all, also after a crash.
func WriteDurably(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return syncDir(filepath.Dir(path))
}
