// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// backupMark stands between the name of the database and the schema version that a
	// backup has.
	backupMark = ".backup-"
	// backupsKept is how many backups stay: enough to go back over two releases.
	backupsKept = 3
)

// migrate brings the database at path to the newest schema. Before it changes one that
// is in use, it makes a backup beside it.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	var have int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	if have > len(migrations) {
		return newerSchema(path, have)
	}
	if have > 0 && have < len(migrations) {
		if err := backUp(ctx, db, path, have); err != nil {
			if IsFull(err) {
				err = fmt.Errorf("%w: make room for a second copy of it", err)
			}
			return fmt.Errorf("making a backup before the schema is migrated from version %d to %d, which has not begun: %w", have, len(migrations), err)
		}
	}
	for n := have + 1; n <= len(migrations); n++ {
		if err := applyMigration(ctx, db, n); err != nil {
			return fmt.Errorf("migrating the schema to version %d: %w", n, err)
		}
	}
	return nil
}

// newerSchema says how to go on where a newer program has been.
func newerSchema(path string, have int) error {
	err := fmt.Errorf("the registry has schema version %d and this program knows %d: use the newer hybridge that wrote it", have, len(migrations))
	for _, b := range backups(path) {
		if b.schema <= len(migrations) {
			return fmt.Errorf("%w, or put %s in the place of %s, which loses everything since the upgrade", err, b.path, path)
		}
	}
	return err
}

func applyMigration(ctx context.Context, db *sql.DB, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	if _, err := tx.ExecContext(ctx, migrations[n-1]); err != nil {
		return errors.Join(err, rollback(tx))
	}
	// A PRAGMA takes no parameters; n is ours.
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, n)); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

// backUp copies the database, as one transaction sees it, to path.backup-<schema>: whole
// or not at all, readable by its owner only. Older backups than the newest are removed.
func backUp(ctx context.Context, db *sql.DB, path string, schema int) (err error) {
	to := path + backupMark + strconv.Itoa(schema)
	part := to + ".part" // of a start that was killed, if it is there
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	if err := createPrivateFile(part); err != nil { // SQLite takes an empty file as it is
		return err
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, part); err != nil {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR, fileMode)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	for i, b := range backups(path) {
		if i >= backupsKept {
			if err := os.Remove(b.path); err != nil {
				return err
			}
		}
	}
	return syncDir(filepath.Dir(path))
}

type backup struct {
	path   string
	schema int
}

// backups lists those of the database at path, newest first.
func backups(path string) (list []backup) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+backupMark)
		if n, err := strconv.Atoi(number); ok && err == nil {
			list = append(list, backup{filepath.Join(filepath.Dir(path), e.Name()), n})
		}
	}
	slices.SortFunc(list, func(a, b backup) int { return cmp.Compare(b.schema, a.schema) })
	return list
}
