// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oldRegistry is what a program that knew so many migrations has left, with one account.
func oldRegistry(t *testing.T, schema int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "plane")
	must(t, makePrivateDir(dir))
	path := filepath.Join(dir, DatabaseFile)
	must(t, createPrivateFile(path))
	db, err := openDatabase(path, 1, "immediate")
	must(t, err)
	for n := 1; n <= schema; n++ {
		must(t, applyMigration(t.Context(), db, n))
	}
	_, err = db.Exec(`INSERT INTO accounts (id, name, created_on) VALUES ('0123456789abcdef0123456789abcdef', 'Old', 1)`)
	must(t, err)
	must(t, db.Close())
	_, err = openKeys(filepath.Join(dir, keyFile), true)
	must(t, err)
	return dir
}

func schemaOf(t *testing.T, path string) (schema, accounts int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	must(t, err)
	defer db.Close()
	must(t, db.QueryRow(`PRAGMA user_version`).Scan(&schema))
	must(t, db.QueryRow(`SELECT COUNT(*) FROM accounts`).Scan(&accounts))
	return schema, accounts
}

func TestAMigrationBeginsWithABackup(t *testing.T) {
	t.Parallel()
	dir := oldRegistry(t, 2)
	database := filepath.Join(dir, DatabaseFile)
	// What a killed start left, and backups of long ago.
	must(t, os.WriteFile(database+".backup-2.part", []byte("half"), 0o600))
	for _, n := range []string{"0", "1"} {
		must(t, os.WriteFile(database+".backup-"+n, []byte("old"), 0o600))
	}
	r := openIn(t, dir)
	if a, err := r.Accounts(t.Context()); err != nil || len(a) != 1 || a[0].Name != "Old" {
		t.Errorf("after the migration: %v %v", a, err)
	}
	if schema, accounts := schemaOf(t, database+".backup-2"); schema != 2 || accounts != 1 {
		t.Errorf("the backup has schema %d and %d accounts", schema, accounts)
	}
	info, err := os.Stat(database + ".backup-2")
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %04o", info.Mode().Perm())
	}
	left := func() (names []string) {
		found, err := filepath.Glob(database + ".backup-*")
		must(t, err)
		for _, f := range found {
			names = append(names, strings.TrimPrefix(filepath.Base(f), DatabaseFile+".backup-"))
		}
		return names
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, left()); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}
	// A start without a migration makes none.
	r = reopen(t, r)
	if diff := cmp.Diff([]string{"0", "1", "2"}, left()); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}

	// A fourth one takes the place of the oldest.
	must(t, backUp(t.Context(), r.writer, database, len(migrations)))
	if diff := cmp.Diff([]string{"1", "2", fmt.Sprint(len(migrations))}, left()); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}

	// The older program, on what the newer one wrote, says how to go back.
	_, err = r.writer.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, len(migrations)+1))
	must(t, err)
	must(t, r.Close())
	want := fmt.Sprintf("put %s.backup-%d in the place of", database, len(migrations))
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "use the newer hybridge") {
		t.Errorf("Open: %v, want %q", err, want)
	}
}

func TestABackupThatFailsStopsTheMigration(t *testing.T) {
	t.Parallel()
	dir := oldRegistry(t, 1)
	// Something that cannot be replaced by a file.
	must(t, os.MkdirAll(filepath.Join(dir, DatabaseFile+".backup-1", "x"), 0o700))
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "which has not begun") {
		t.Errorf("Open: %v", err)
	}
	if schema, _ := schemaOf(t, filepath.Join(dir, DatabaseFile)); schema != 1 {
		t.Errorf("the schema is %d", schema)
	}
}

// SQLite itself says that it is full.
func TestAFullDatabaseSaysSo(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	text := MintToken()
	_, err := r.CreateToken(t.Context(), a.ID, "ci", text, nil)
	must(t, err)
	var pages int
	must(t, r.writer.QueryRow(`PRAGMA page_count`).Scan(&pages))
	_, err = r.writer.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
	must(t, err)
	for n := 0; ; n++ {
		if _, err = r.CreateToken(t.Context(), a.ID, fmt.Sprint(n, strings.Repeat("x", 4000)), MintToken(), nil); err != nil {
			break
		}
	}
	if !IsFull(err) {
		t.Errorf("%v does not count as full", err)
	}
	if got, err := r.Authenticate(t.Context(), text); err != nil || got.Name != "ci" {
		t.Errorf("reading stopped: %v", err)
	}
}
