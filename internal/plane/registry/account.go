// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// newID makes an identifier of 32 hex digits, as Cloudflare has for accounts and Workers.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// notFound turns "no row" into ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// isUnique says whether err is a violated UNIQUE constraint.
func isUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}

// CreateAccount adds an account with a new id. subdomain may be empty.
func (r *Registry) CreateAccount(ctx context.Context, name, subdomain string) (Account, error) {
	a := Account{ID: newID(), Name: name, Subdomain: subdomain, CreatedOn: r.stamp()}
	err := r.update(ctx, fmt.Sprintf("creating the account %q", name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO accounts (id, name, subdomain, created_on) VALUES (?, ?, NULLIF(?, ''), ?)`,
			a.ID, a.Name, a.Subdomain, a.CreatedOn.UnixMicro())
		if isUnique(err) {
			return fmt.Errorf("subdomain %q: %w", subdomain, ErrNameTaken)
		}
		return err
	})
	return a, err
}

const accountColumns = `id, name, COALESCE(subdomain, ''), created_on`

func scanAccount(row interface{ Scan(...any) error }) (Account, error) {
	var a Account
	var created int64
	err := row.Scan(&a.ID, &a.Name, &a.Subdomain, &created)
	a.CreatedOn = fromMicros(created)
	return a, notFound(err)
}

// Account returns an account by its id.
func (r *Registry) Account(ctx context.Context, id string) (a Account, err error) {
	err = r.view(ctx, "reading the account "+id, func(tx *sql.Tx) (err error) {
		a, err = scanAccount(tx.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE id = ?`, id))
		return err
	})
	return a, err
}

// Accounts lists all accounts, oldest first.
func (r *Registry) Accounts(ctx context.Context) (list []Account, err error) {
	err = r.view(ctx, "listing accounts", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+accountColumns+` FROM accounts ORDER BY created_on, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			a, err := scanAccount(rows)
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	return list, err
}

// SetSubdomain gives an account its workers.dev subdomain; empty takes it away.
// A subdomain that another account has gives ErrNameTaken.
func (r *Registry) SetSubdomain(ctx context.Context, accountID, subdomain string) error {
	return r.update(ctx, fmt.Sprintf("setting the subdomain %q", subdomain), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE accounts SET subdomain = NULLIF(?, '') WHERE id = ?`, subdomain, accountID)
		if isUnique(err) {
			return ErrNameTaken
		}
		return oneRow(res, err)
	})
}

// SubdomainOwner returns the id of the account that has that subdomain, or ErrNotFound.
func (r *Registry) SubdomainOwner(ctx context.Context, subdomain string) (accountID string, err error) {
	err = r.view(ctx, fmt.Sprintf("looking up the subdomain %q", subdomain), func(tx *sql.Tx) error {
		return notFound(tx.QueryRowContext(ctx, `SELECT id FROM accounts WHERE subdomain = ?`, subdomain).Scan(&accountID))
	})
	return accountID, err
}

// oneRow turns a statement that changed nothing into ErrNotFound.
func oneRow(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrNotFound
	}
	return nil
}
