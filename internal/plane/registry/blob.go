// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// A blob lies at blobs/<first two hex digits>/<64 hex digits>. Its name is the
// SHA-256 of its bytes and it never changes. A blob is there before a version
// that refers to it is; a blob that no version refers to is removed by Open.

// BlobPath is where the bytes with that SHA-256 lie, if they are stored.
func (r *Registry) BlobPath(sha256 string) string {
	if len(sha256) != hex.EncodedLen(len(hashSum{})) {
		// Such a name is in no version; it must not reach outside the directory.
		return filepath.Join(r.blobs, "invalid", "blob")
	}
	return filepath.Join(r.blobs, sha256[:2], sha256)
}

type hashSum [sha256.Size]byte

// Put stores what src yields and returns its SHA-256 as 64 hex digits and its
// size. The bytes are on the disk when Put returns nil. After an error of src
// nothing is stored. Put needs memory for one buffer, whatever the size.
func (r *Registry) Put(src io.Reader) (sum string, size int64, err error) {
	tmp, err := os.CreateTemp(r.blobs, ".tmp-*") // mode 0600
	if err != nil {
		return "", 0, fmt.Errorf("storing a blob: %w", err)
	}
	stored := false
	defer func() {
		err = errors.Join(err, tmp.Close())
		if !stored {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(tmp, h), src)
	if err != nil {
		return "", 0, fmt.Errorf("storing a blob: %w", err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	path := r.BlobPath(sum)
	if info, statErr := os.Lstat(path); statErr == nil && info.Mode().IsRegular() && info.Size() == size {
		return sum, size, nil
	}
	if err := tmp.Sync(); err != nil {
		return "", 0, fmt.Errorf("storing the blob %s: %w", sum, err)
	}
	if err := os.Mkdir(filepath.Dir(path), dirMode); err == nil {
		if err := syncDir(r.blobs); err != nil {
			return "", 0, fmt.Errorf("storing the blob %s: %w", sum, err)
		}
	} else if !errors.Is(err, os.ErrExist) {
		return "", 0, fmt.Errorf("storing the blob %s: %w", sum, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return "", 0, fmt.Errorf("storing the blob %s: %w", sum, err)
	}
	stored = true
	if err := syncDir(filepath.Dir(path)); err != nil {
		return "", 0, fmt.Errorf("storing the blob %s: %w", sum, err)
	}
	return sum, size, nil
}

// OpenBlob reads a blob. The reader's last Read fails if the bytes are not those
// that were stored.
func (r *Registry) OpenBlob(sum string) (io.ReadCloser, error) {
	f, err := os.Open(r.BlobPath(sum))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the blob %s is missing from %s: restore it from a backup, or upload the version again: %w", sum, r.blobs, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a blob: %w", err)
	}
	return &verifyingReader{f: f, want: sum, h: sha256.New()}, nil
}

// VerifyBlob reads the whole blob and says whether its bytes are those that were stored.
func (r *Registry) VerifyBlob(sum string) error {
	f, err := r.OpenBlob(sum)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, f)
	return errors.Join(err, f.Close())
}

type verifyingReader struct {
	f    *os.File
	want string
	h    hash.Hash
}

func (v *verifyingReader) Read(p []byte) (int, error) {
	n, err := v.f.Read(p)
	v.h.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(v.h.Sum(nil)); got != v.want {
			return n, fmt.Errorf("the blob %s is damaged: its bytes hash to %s; restore it from a backup, or upload the version again", v.want, got)
		}
		return n, io.EOF
	}
	return n, err
}

func (v *verifyingReader) Close() error { return v.f.Close() }

// collectBlobs removes what no version refers to: temporary files and blobs of
// uploads that were refused or cut off, and of deleted versions. It runs only
// while the registry is opened, when no upload can be under way.
func (r *Registry) collectBlobs(ctx context.Context) error {
	used := map[string]bool{}
	err := r.view(ctx, "listing the blobs in use", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT DISTINCT sha256 FROM version_modules`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var sum string
			if err := rows.Scan(&sum); err != nil {
				return err
			}
			used[sum] = true
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	err = filepath.WalkDir(r.blobs, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || used[entry.Name()] {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		return fmt.Errorf("removing unused blobs: %w", err)
	}
	return nil
}
