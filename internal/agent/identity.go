// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// identityFile lies in the data directory with mode 0600: the registry keeps a
	// hash of the token only.
	identityFile = "dev.json"
	// ownerName is the name of the account, its subdomain and its token.
	ownerName = "dev"
)

// Identity is who a person is on a plane of their own.
type Identity struct {
	AccountID string `json:"account_id"`
	Token     string `json:"token"`
	Subdomain string `json:"-"` // the account's, which the API can change
}

// EnsureIdentity returns the identity of the plane's owner, and makes account,
// subdomain and token where they are missing. It mends what a crash or a lost
// file left half done; then the token is a new one.
func EnsureIdentity(ctx context.Context, reg *registry.Registry) (Identity, error) {
	path := filepath.Join(reg.Dir(), identityFile)
	id, err := readIdentity(path)
	if err != nil {
		return Identity{}, err
	}
	before := id
	account, err := ownAccount(ctx, reg, id.AccountID)
	if err != nil {
		return Identity{}, fmt.Errorf("preparing the account %q: %w", ownerName, err)
	}
	id.AccountID, id.Subdomain = account.ID, account.Subdomain
	if id.Token, err = ownToken(ctx, reg, id); err != nil {
		return Identity{}, fmt.Errorf("preparing the token %q: %w", ownerName, err)
	}
	if before.AccountID == id.AccountID && before.Token == id.Token {
		return id, nil
	}
	data, err := json.Marshal(id)
	if err != nil {
		return Identity{}, fmt.Errorf("writing %s: %w", path, err)
	}
	return id, WritePrivateFile(path, append(data, '\n'))
}

func readIdentity(path string) (id Identity, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, nil
	}
	if err != nil {
		return Identity{}, fmt.Errorf("reading the plane's identity: %w", err)
	}
	if err := json.Unmarshal(data, &id); err != nil {
		// Without the parser's words: they may quote the token.
		return Identity{}, fmt.Errorf("reading the plane's identity: %s is damaged: remove it, the next start makes a new token", path)
	}
	return id, nil
}

// ownAccount is the account with that id, else the oldest one, else a new one.
func ownAccount(ctx context.Context, reg *registry.Registry, id string) (registry.Account, error) {
	accounts, err := reg.Accounts(ctx)
	if err != nil {
		return registry.Account{}, err
	}
	for _, a := range accounts {
		if a.ID == id {
			return a, nil
		}
	}
	if len(accounts) > 0 {
		return accounts[0], nil
	}
	return reg.CreateAccount(ctx, ownerName, ownerName)
}

// ownToken is the token of id if the registry knows it as ours, else a new one.
func ownToken(ctx context.Context, reg *registry.Registry, id Identity) (string, error) {
	permissions, err := plane.ExpandPermissions([]string{"admin"})
	if err != nil {
		return "", err
	}
	text := registry.MintToken()
	if id.Token != "" {
		t, err := reg.Authenticate(ctx, id.Token)
		switch {
		case errors.Is(err, registry.ErrNotFound):
		case err != nil:
			return "", err
		case t.AccountID != id.AccountID:
		case slices.Equal(t.Permissions, permissions):
			return id.Token, nil
		default: // made by a program that knew fewer permissions
			text = id.Token
		}
	}
	if err := reg.DeleteToken(ctx, id.AccountID, ownerName); err != nil && !errors.Is(err, registry.ErrNotFound) {
		return "", err
	}
	if _, err := reg.CreateToken(ctx, id.AccountID, ownerName, text, permissions); err != nil {
		return "", err
	}
	return text, nil
}

// WritePrivateFile makes path hold data, readable by its owner only. It appears
// whole or not at all.
func WritePrivateFile(path string, data []byte) error {
	return registry.WriteDurably(path, data)
}
