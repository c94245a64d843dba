// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"time"
)

// racyWindow is how much older than the reading of a file its modification must
// be for its stamp to prove anything: file systems round times (ext4 to a tick
// of 4 ms, FAT to 2 s), so a file may change twice within one time stamp.
const racyWindow = 3 * time.Second

// stamp tells cheaply whether a file or directory is still what it was.
type stamp struct {
	path string
	meta fileMeta
	// sha256 is the content of a file that was modified so shortly before it was
	// read that its metadata prove nothing: it is read again. Empty otherwise.
	sha256 string
	// absent marks a path that MUST NOT exist.
	absent bool
}

// fileMeta is what os.Stat tells about the identity of a file's content.
type fileMeta struct {
	size  int64
	mtime int64 // nanoseconds since 1970
	inode uint64
}

type fileHash struct {
	meta fileMeta
	sum  string
}

// entry is one remembered inspection. The holder of sem owns the fields below.
type entry struct {
	sem    chan struct{}
	code   *Code
	stamps []stamp
}

func (b *Bundler) entry(key string) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[key]
	if e == nil {
		e = &entry{sem: make(chan struct{}, 1)}
		b.entries[key] = e
	}
	return e
}

func (e *entry) lock(ctx context.Context) error {
	select {
	case e.sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *entry) unlock() { <-e.sem }

func (b *Bundler) allCurrent(stamps []stamp) bool {
	for _, s := range stamps {
		if !s.current() {
			return false
		}
	}
	return true
}

func (s stamp) current() bool {
	info, err := os.Stat(s.path)
	if s.absent {
		return os.IsNotExist(err)
	}
	if err != nil || metaOf(info) != s.meta {
		return false
	}
	if s.sha256 == "" {
		return true
	}
	sum, _, err := hashFile(s.path)
	return err == nil && sum == s.sha256
}

// fileStamp describes a file whose content was read at the given time.
func fileStamp(path string, info os.FileInfo, sum string, read time.Time) stamp {
	s := stamp{path: path, meta: metaOf(info)}
	if read.Sub(info.ModTime()) < racyWindow {
		s.sha256 = sum
	}
	return s
}

// pathStamp describes a path that matters by being there or not.
func pathStamp(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path, absent: true}
	}
	return stamp{path: path, meta: metaOf(info)}
}

func metaOf(info os.FileInfo) fileMeta {
	m := fileMeta{size: info.Size(), mtime: info.ModTime().UnixNano(), inode: inode(info)}
	if info.IsDir() {
		m.size = 0 // of no meaning, and not stable on all file systems
	}
	return m
}

// hashCached is the SHA-256 of a file, read only if it may have changed since
// this Bundler read it last.
func (b *Bundler) hashCached(path string, info os.FileInfo) (string, error) {
	meta := metaOf(info)
	b.mu.Lock()
	known, ok := b.hashes[path]
	b.mu.Unlock()
	if ok && known.meta == meta {
		return known.sum, nil
	}
	now := time.Now()
	sum, after, err := hashFile(path)
	if err != nil {
		return "", err
	}
	if metaOf(after) == meta && now.Sub(info.ModTime()) >= racyWindow {
		b.mu.Lock()
		b.hashes[path] = fileHash{meta: meta, sum: sum}
		b.mu.Unlock()
	}
	return sum, nil
}

func hashFile(path string) (string, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	return hex.EncodeToString(h.Sum(nil)), info, nil
}

// readFile is a file's content together with a stamp for it.
func readFile(path string) (data []byte, sum string, s stamp, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", stamp{}, err
	}
	now := time.Now()
	data, err = io.ReadAll(f)
	if err != nil {
		return nil, "", stamp{}, err
	}
	sum = hashBytes(data)
	return data, sum, fileStamp(path, info, sum, now), nil
}

func hashBytes(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
