// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Store reads each file once, and opens each content once, however many of its
// values are asked for. A file that changes is read again. It is safe for
// concurrent use.
type Store struct {
	keys *keyring

	mu     sync.Mutex
	files  map[stamp]func() (*File, error)
	opened map[content]func() opening
}

// opening is what came of the attempt to open a content. A failure is kept like a
// success: the next of two hundred values does not wait for a dead key service
// again. What its caller gave up is not one.
type opening struct {
	opened *Opened
	err    error
	gaveUp bool
}

// stamp identifies a state of a file.
type stamp struct {
	path     string
	format   Format
	size     int64
	modified time.Time
}

// content identifies what a file says. The same bytes mean something else in
// another format.
type content struct {
	sum    [sha256.Size]byte
	format Format
}

// NewStore opens files with these identities. It looks at none before the first
// file is opened.
func NewStore(ids Identities) *Store {
	return &Store{
		keys:   &keyring{ids: ids},
		files:  map[stamp]func() (*File, error){},
		opened: map[content]func() opening{},
	}
}

// File reads the file at path; it needs no key. An empty format is that of the
// file's name.
func (s *Store) File(path string, format Format) (*File, error) {
	if format == "" {
		format = FormatOf(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Code: Unreadable, File: path, Detail: "it is no regular file"}
	}
	at := stamp{path: path, format: format, size: info.Size(), modified: info.ModTime()}
	if absolute, err := filepath.Abs(path); err == nil {
		at.path = absolute
	}
	return s.reading(at, path)()
}

// reading returns the one reading of a state of a file.
func (s *Store) reading(at stamp, path string) func() (*File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	read := s.files[at]
	if read == nil {
		read = sync.OnceValues(func() (*File, error) { return Read(path, at.format) })
		s.files[at] = read
	}
	return read
}

// Open decrypts a file and authenticates all of it.
func (s *Store) Open(ctx context.Context, f *File) (*Opened, error) {
	at := content{sum: f.sum, format: f.Format}
	for {
		open := s.opening(ctx, at, f)
		done := open()
		switch {
		case done.err == nil:
			// The file may have another name, if its content was opened before.
			return &Opened{file: f, inside: done.opened.inside}, nil
		case !done.gaveUp:
			return nil, located(done.err, NoIdentity, f.Name, "")
		}
		s.mu.Lock()
		delete(s.opened, at)
		s.mu.Unlock()
		if ctx.Err() != nil {
			return nil, located(done.err, NoIdentity, f.Name, "")
		}
	}
}

// opening returns the one attempt to open a content.
func (s *Store) opening(ctx context.Context, at content, f *File) func() opening {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.opened[at]
	if open == nil {
		open = sync.OnceValue(func() opening {
			o, err := f.open(ctx, s.keys)
			return opening{opened: o, err: err, gaveUp: err != nil && ctx.Err() != nil}
		})
		s.opened[at] = open
	}
	return open
}

// Secret reads the value at a key path of the file at path.
func (s *Store) Secret(ctx context.Context, path string, format Format, key Path) (Secret, error) {
	f, err := s.File(path, format)
	if err != nil {
		return Secret{}, err
	}
	if err := f.Scalar(key); err != nil {
		return Secret{}, err
	}
	o, err := s.Open(ctx, f)
	if err != nil {
		return Secret{}, err
	}
	return o.Secret(key)
}
