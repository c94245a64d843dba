// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// CreateFirst makes the first account together with its first token, in one
// transaction, and only where there has never been an account: a token that was revoked later never comes
// back by it. made says whether it has done so.
func (r *Registry) CreateFirst(ctx context.Context, account Account, token Token, text string) (made bool, err error) {
	if !tokenText.MatchString(text) {
		return false, errors.New("creating the first token: its text must be 40 to 80 letters, digits, - and _")
	}
	if token.Name == "" {
		return false, errors.New("creating the first token: it needs a name")
	}
	permissions, err := json.Marshal(token.Permissions)
	if err != nil {
		return false, fmt.Errorf("creating the first token: %w", err)
	}
	hash, now := sha256.Sum256([]byte(text)), r.stamp().UnixMicro()
	err = r.update(ctx, "creating the first account", func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM accounts`).Scan(&n); err != nil || n > 0 {
			return err
		}
		id := newID()
		if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (id, name, subdomain, created_on) VALUES (?, ?, NULLIF(?, ''), ?)`,
			id, account.Name, account.Subdomain, now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO tokens (id, account_id, name, hash, permissions, created_on) VALUES (?, ?, ?, ?, ?, ?)`,
			newID(), id, token.Name, hash[:], string(permissions), now); err != nil {
			return err
		}
		made = true
		return nil
	})
	return made && err == nil, err
}
