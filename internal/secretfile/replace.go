// SPDX-License-Identifier: MPL-2.0

package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replacement is the next content of a file, written and synced beside it. Until
// it is put in place the file is what it was; whoever is killed in between leaves
// a file that is as encrypted as the other one.
type replacement struct{ temp, path string }

// prepare writes text beside path, with the mode that the file at path has, or
// 0600 for a new one. text MUST be encrypted: the disk never sees anything else.
// A symbolic link stays one: what it leads to is replaced.
func prepare(path string, text []byte) (*replacement, error) {
	mode := fs.FileMode(0o600)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	// The name ends like the file's, so that it is taken for what it is.
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*-"+filepath.Base(path))
	if err != nil {
		return nil, unwritable(path, err)
	}
	r := &replacement{temp: f.Name(), path: path}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		r.discard()
		return nil, unwritable(path, err)
	}
	return r, nil
}

// commit puts the content in place: all of it or, on error, none.
func (r *replacement) commit() error {
	if err := os.Rename(r.temp, r.path); err != nil {
		r.discard()
		return unwritable(r.path, err)
	}
	return syncDir(filepath.Dir(r.path))
}

func (r *replacement) discard() { _ = os.Remove(r.temp) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}

func unwritable(path string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("writing %s: %w: check the directory and its permissions", path, err)
}
