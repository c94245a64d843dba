// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Token is an API token as the registry knows it: never its text.
type Token struct {
	ID          string // 32 hex digits
	AccountID   string
	Name        string   // unique within the account
	Permissions []string // names of permission groups
	CreatedOn   time.Time
	LastUsedOn  *time.Time // to about a minute; nil if never used
}

// lastUsedResolution keeps a busy token from costing a write for every request.
const lastUsedResolution = time.Minute

// tokenText is what clients accept as a token; the official provider checks it.
var tokenText = regexp.MustCompile(`^[0-9A-Za-z_-]{40,80}$`)

// MintToken makes the text of a new token. The prefix lets secret scanners know it.
func MintToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return "hybridge_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// CreateToken adds a token whose text is text. Only a hash of it is kept.
func (r *Registry) CreateToken(ctx context.Context, accountID, name, text string, permissions []string) (Token, error) {
	if !tokenText.MatchString(text) {
		return Token{}, fmt.Errorf("creating the token %q: its text must be 40 to 80 letters, digits, - and _", name)
	}
	if name == "" {
		return Token{}, errors.New("creating a token: it needs a name")
	}
	t := Token{ID: newID(), AccountID: accountID, Name: name, Permissions: permissions, CreatedOn: r.stamp()}
	perms, err := json.Marshal(permissions)
	if err != nil {
		return Token{}, fmt.Errorf("creating the token %q: %w", name, err)
	}
	hash := sha256.Sum256([]byte(text))
	err = r.update(ctx, fmt.Sprintf("creating the token %q", name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tokens (id, account_id, name, hash, permissions, created_on) VALUES (?, ?, ?, ?, ?, ?)`,
			t.ID, t.AccountID, t.Name, hash[:], string(perms), t.CreatedOn.UnixMicro())
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	return t, err
}

const tokenColumns = `id, account_id, name, permissions, created_on, last_used_on`

func scanToken(row interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var perms string
	var created int64
	var used sql.NullInt64
	if err := row.Scan(&t.ID, &t.AccountID, &t.Name, &perms, &created, &used); err != nil {
		return Token{}, notFound(err)
	}
	t.CreatedOn, t.LastUsedOn = fromMicros(created), fromNullMicros(used)
	if err := json.Unmarshal([]byte(perms), &t.Permissions); err != nil {
		return Token{}, fmt.Errorf("permissions of the token %q: %w", t.Name, err)
	}
	return t, nil
}

// Authenticate returns the token whose text is text, or ErrNotFound, and notes
// its use. The text is looked up by its hash, so that timing tells nothing.
func (r *Registry) Authenticate(ctx context.Context, text string) (Token, error) {
	hash := sha256.Sum256([]byte(text))
	var t Token
	err := r.view(ctx, "looking up a token", func(tx *sql.Tx) (err error) {
		t, err = scanToken(tx.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE hash = ?`, hash[:]))
		return err
	})
	if err != nil {
		return Token{}, err
	}
	now := r.stamp()
	if t.LastUsedOn != nil && now.Sub(*t.LastUsedOn) < lastUsedResolution {
		return t, nil
	}
	err = r.update(ctx, "noting the use of a token", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tokens SET last_used_on = ? WHERE id = ?`, now.UnixMicro(), t.ID)
		return err
	})
	t.LastUsedOn = &now
	return t, err
}

// Tokens lists an account's tokens, oldest first.
func (r *Registry) Tokens(ctx context.Context, accountID string) (list []Token, err error) {
	err = r.view(ctx, "listing tokens", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE account_id = ? ORDER BY created_on, id`, accountID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			t, err := scanToken(rows)
			if err != nil {
				return err
			}
			list = append(list, t)
		}
		return rows.Err()
	})
	return list, err
}

// DeleteToken removes a token by id or name; it authenticates nothing from now on.
func (r *Registry) DeleteToken(ctx context.Context, accountID, idOrName string) error {
	return r.update(ctx, fmt.Sprintf("deleting the token %q", idOrName), func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `DELETE FROM tokens WHERE account_id = ? AND (id = ? OR name = ?)`, accountID, idOrName, idOrName))
	})
}
