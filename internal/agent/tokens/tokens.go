// SPDX-License-Identifier: MPL-2.0

// Package tokens makes, lists and revokes the API tokens of a self-hosted plane:
// through its API while it runs, in its data directory while it does not.
package tokens

import (
	"context"
	"time"
)

// Token is a token without its text.
type Token struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Status      string     `json:"status"` // "active" or "expired"
	Permissions []string   `json:"permissions"`
	CreatedOn   time.Time  `json:"created_on"`
	ExpiresOn   *time.Time `json:"expires_on"`   // nil if never
	LastUsedOn  *time.Time `json:"last_used_on"` // nil if never
}

// Wanted is a token to be made.
type Wanted struct {
	Name        string
	Permissions []string // names of permission groups, as plane.ExpandPermissions gives them
	ExpiresOn   *time.Time
}

// Keeper keeps the tokens of one account. It MUST be closed.
type Keeper interface {
	// Create makes a token and returns its text, which nobody can read again.
	Create(ctx context.Context, w Wanted) (t Token, text string, err error)
	List(ctx context.Context) ([]Token, error)
	// Revoke has a token, by id or name, authenticate nothing from now on.
	Revoke(ctx context.Context, idOrName string) (Token, error)
	Close() error
}
