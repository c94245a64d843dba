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
	"slices"
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
	ExpiresOn   *time.Time // from then on it authenticates nothing; nil if never
}

// Expired reports whether a token's time is over.
func (t Token) Expired(now time.Time) bool { return t.ExpiresOn != nil && !now.Before(*t.ExpiresOn) }

// ErrTokenExpired comes from Authenticate for a token whose time is over.
var ErrTokenExpired = errors.New("the token has expired")

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

// CreateToken adds a token that never expires, whose text is text.
func (r *Registry) CreateToken(ctx context.Context, accountID, name, text string, permissions []string) (Token, error) {
	return r.AddToken(ctx, Token{AccountID: accountID, Name: name, Permissions: permissions}, text)
}

// AddToken adds a token with t's account, name, permissions and end. Only a hash of its
// text is kept.
func (r *Registry) AddToken(ctx context.Context, t Token, text string) (Token, error) {
	if !tokenText.MatchString(text) {
		return Token{}, fmt.Errorf("creating the token %q: its text must be 40 to 80 letters, digits, - and _", t.Name)
	}
	if t.Name == "" {
		return Token{}, errors.New("creating a token: it needs a name")
	}
	t.ID, t.CreatedOn, t.LastUsedOn = newID(), r.stamp(), nil
	if t.ExpiresOn != nil {
		end := t.ExpiresOn.UTC().Truncate(time.Microsecond)
		t.ExpiresOn = &end
	}
	perms, err := json.Marshal(t.Permissions)
	if err != nil {
		return Token{}, fmt.Errorf("creating the token %q: %w", t.Name, err)
	}
	hash := sha256.Sum256([]byte(text))
	err = r.update(ctx, fmt.Sprintf("creating the token %q", t.Name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tokens (id, account_id, name, hash, permissions, created_on, expires_on) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			t.ID, t.AccountID, t.Name, hash[:], string(perms), t.CreatedOn.UnixMicro(), nullMicros(t.ExpiresOn))
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	return t, err
}

const tokenColumns = `id, account_id, name, permissions, created_on, last_used_on, expires_on`

func scanToken(row interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var perms string
	var created int64
	var used, expires sql.NullInt64
	if err := row.Scan(&t.ID, &t.AccountID, &t.Name, &perms, &created, &used, &expires); err != nil {
		return Token{}, notFound(err)
	}
	t.CreatedOn, t.LastUsedOn = fromMicros(created), fromNullMicros(used)
	t.ExpiresOn = fromNullMicros(expires)
	if err := json.Unmarshal([]byte(perms), &t.Permissions); err != nil {
		return Token{}, fmt.Errorf("permissions of the token %q: %w", t.Name, err)
	}
	return t, nil
}

// Authenticate returns the token whose text is text, or ErrNotFound, and notes
// its use. One whose time is over comes with ErrTokenExpired. The text is looked up by
// its hash: how long that takes depends on the hash, which whoever guesses cannot
// choose, so timing tells nothing of any text.
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
	if t.Expired(now) {
		return t, ErrTokenExpired
	}
	if t.LastUsedOn != nil && now.Sub(*t.LastUsedOn) < lastUsedResolution {
		return t, nil
	}
	err = r.update(ctx, "noting the use of a token", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tokens SET last_used_on = ? WHERE id = ?`, now.UnixMicro(), t.ID)
		return err
	})
	if IsFull(err) {
		return t, nil // who reads must not be locked out for it
	}
	t.LastUsedOn = &now
	return t, err
}

// Tokens lists an account's tokens, oldest first.
func (r *Registry) Tokens(ctx context.Context, accountID string) (list []Token, err error) {
	err = r.view(ctx, "listing tokens", func(tx *sql.Tx) (err error) {
		list, err = tokens(ctx, tx, accountID)
		return err
	})
	return list, err
}

func tokens(ctx context.Context, tx *sql.Tx, accountID string) (list []Token, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE account_id = ? ORDER BY created_on, id`, accountID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, rows.Err()
}

// Token returns a token by its id or name.
func (r *Registry) Token(ctx context.Context, accountID, idOrName string) (t Token, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the token %q", idOrName), func(tx *sql.Tx) (err error) {
		t, err = scanToken(tx.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE account_id = ?1 AND (id = ?2 OR name = ?2) ORDER BY id = ?2 DESC LIMIT 1`, accountID, idOrName))
		return err
	})
	return t, err
}

// DeleteToken removes a token by id or name; it authenticates nothing from now on.
func (r *Registry) DeleteToken(ctx context.Context, accountID, idOrName string) error {
	return r.update(ctx, fmt.Sprintf("deleting the token %q", idOrName), func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `DELETE FROM tokens WHERE account_id = ? AND (id = ? OR name = ?)`, accountID, idOrName, idOrName))
	})
}

// RevokeToken removes a token by id or name, and returns it, unless may, which gets it and
// all others of the account, has an error. It authenticates nothing from then on.
func (r *Registry) RevokeToken(ctx context.Context, accountID, idOrName string, may func(gone Token, rest []Token) error) (gone Token, err error) {
	err = r.update(ctx, fmt.Sprintf("revoking the token %q", idOrName), func(tx *sql.Tx) error {
		all, err := tokens(ctx, tx, accountID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(t Token) bool { return t.ID == idOrName })
		if i < 0 {
			i = slices.IndexFunc(all, func(t Token) bool { return t.Name == idOrName })
		}
		if i < 0 {
			return ErrNotFound
		}
		gone = all[i]
		if err := may(gone, slices.Delete(all, i, i+1)); err != nil {
			return err
		}
		return oneRow(tx.ExecContext(ctx, `DELETE FROM tokens WHERE id = ?`, gone.ID))
	})
	return gone, err
}
