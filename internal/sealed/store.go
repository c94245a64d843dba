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
	opened map[content]func() (*Opened, error)
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
		opened: map[content]func() (*Opened, error){},
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
	return once(&s.mu, s.files, at, func() (*File, error) { return Read(path, format) })()
}

// Open decrypts a file and authenticates all of it.
func (s *Store) Open(ctx context.Context, f *File) (*Opened, error) {
	open := once(&s.mu, s.opened, content{sum: f.sum, format: f.Format}, func() (*Opened, error) {
		return f.open(ctx, s.keys)
	})
	o, err := open()
	if err != nil {
		return nil, located(err, NoIdentity, f.Name, "")
	}
	return o, nil
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

// once returns the one function of this key: whoever calls it first does the
// work, the others wait for it.
func once[K comparable, V any](mu *sync.Mutex, in map[K]func() (V, error), key K, work func() (V, error)) func() (V, error) {
	mu.Lock()
	defer mu.Unlock()
	f := in[key]
	if f == nil {
		f = sync.OnceValues(work)
		in[key] = f
	}
	return f
}
