// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Sentinels that callers branch on. They come wrapped with the object's name.
var (
	ErrNotFound      = errors.New("not found")
	ErrNameTaken     = errors.New("the name is taken")
	ErrLiveChanged   = errors.New("another deployment is live")
	ErrVersionLive   = errors.New("the version is live")
	ErrLive          = errors.New("the deployment is live")
	ErrInUse         = errors.New("something refers to it")
	ErrNotDeployable = errors.New("the version is not among the deployable ones")
)

// DeployableVersions is how many of a Worker's newest versions can be deployed,
// as at Cloudflare.
const DeployableVersions = 100

// Registry is the durable state of one plane. It is safe for concurrent use.
// Every method that changes something is one transaction that is on the disk
// when the method returns nil; a crash at any moment leaves all of it or nothing.
type Registry struct {
	dir    string
	lock   *os.File
	writer *sql.DB // exactly one connection: SQLite has one writer
	reader *sql.DB
	blobs  string
	keys   *keys

	now func() time.Time
	// beforeCommit is nil outside tests, which inject a failure with it.
	beforeCommit func(what string) error
}

const (
	// DatabaseFile is there once a plane has run in a directory.
	DatabaseFile = "registry.db"
	lockFile     = "registry.lock"
	keyFile      = "secrets.key"
	blobDir      = "blobs"

	// readerConnections bounds parallel reads; each costs SQLite's page cache.
	readerConnections = 4
	// busyTimeout is how long a connection waits for a lock that only a checkpoint
	// can hold, since there is one writer.
	busyTimeout = 5 * time.Second
)

// Open opens the registry in dir, and creates it if dir is empty or absent. One
// process at a time may have it open. Blobs that nothing refers to are removed.
func Open(ctx context.Context, dir string) (_ *Registry, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	if err := makePrivateDir(dir); err != nil {
		return nil, fmt.Errorf("opening the registry: %w", err)
	}
	r := &Registry{dir: dir, blobs: filepath.Join(dir, blobDir), now: time.Now}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening the registry in %s: %w", dir, err), r.Close())
		}
	}()
	if r.lock, err = lockExclusive(filepath.Join(dir, lockFile)); err != nil {
		return nil, err
	}
	if err := makePrivateDir(r.blobs); err != nil {
		return nil, err
	}
	database := filepath.Join(dir, DatabaseFile)
	_, statErr := os.Lstat(database)
	if r.keys, err = openKeys(filepath.Join(dir, keyFile), errors.Is(statErr, os.ErrNotExist)); err != nil {
		return nil, err
	}
	if err := createPrivateFile(database); err != nil {
		return nil, err
	}
	if r.writer, err = openDatabase(database, 1, "immediate"); err != nil {
		return nil, err
	}
	if err := migrate(ctx, r.writer, database); err != nil {
		return nil, err
	}
	if r.reader, err = openDatabase(database, readerConnections, "deferred"); err != nil {
		return nil, err
	}
	if err := r.collectBlobs(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func openDatabase(path string, connections int, txlock string) (*sql.DB, error) {
	q := url.Values{"_txlock": {txlock}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		// What is deleted must not linger in free pages: it may be a ciphertext.
		"secure_delete(1)",
	}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close releases the registry. No other method may run or be called afterwards; a
// second Close does nothing.
func (r *Registry) Close() error {
	var errs []error
	if r.reader != nil {
		errs = append(errs, r.reader.Close())
	}
	if r.writer != nil {
		errs = append(errs, r.writer.Close())
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Close())
	}
	r.reader, r.writer, r.lock = nil, nil, nil
	return errors.Join(errs...)
}

// Dir is the absolute path of the registry's directory.
func (r *Registry) Dir() string { return r.dir }

// update runs f in one write transaction. what names it in errors.
func (r *Registry) update(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	tx, err := r.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := f(tx); err != nil {
		return fmt.Errorf("%s: %w", what, errors.Join(err, rollback(tx)))
	}
	if r.beforeCommit != nil {
		if err := r.beforeCommit(what); err != nil {
			return fmt.Errorf("%s: %w", what, errors.Join(err, rollback(tx)))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// view runs f in one read transaction: f sees one state throughout.
func (r *Registry) view(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	tx, err := r.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := errors.Join(f(tx), rollback(tx)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func rollback(tx *sql.Tx) error {
	// A cancelled context has rolled the transaction back already.
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("rolling back: %w", err)
	}
	return nil
}

// Times are stored as microseconds since the epoch: what the API shows is then
// exactly what is stored.

func (r *Registry) stamp() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

func fromNullMicros(n sql.NullInt64) *time.Time {
	if !n.Valid {
		return nil
	}
	t := fromMicros(n.Int64)
	return &t
}
