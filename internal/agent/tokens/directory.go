// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// directory keeps the tokens of a plane that does not run.
type directory struct {
	reg     *registry.Registry
	account string
	log     hclog.Logger
}

// OpenDirectory opens the data directory of a plane that has run before. While the plane
// runs, that gives a *registry.InUseError. accountID says which
// account, where there are several. What is done is noted in log.
func OpenDirectory(ctx context.Context, dir, accountID string, log hclog.Logger) (Keeper, error) {
	// Opening would make one.
	if _, err := os.Stat(filepath.Join(dir, registry.DatabaseFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no plane in %s: start it once, which makes its account and its first token", dir)
	}
	// What it writes must be the plane's own: a file of root's would stop the next start.
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
			return nil, fmt.Errorf("the data directory %s belongs to the user with the id %d: run this as that user, e.g. with sudo -u '#%d'", dir, st.Uid, st.Uid)
		}
	}
	reg, err := registry.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	d := &directory{reg: reg, account: accountID, log: log}
	if err := d.findAccount(ctx); err != nil {
		return nil, errors.Join(err, reg.Close())
	}
	return d, nil
}

func (d *directory) findAccount(ctx context.Context) error {
	accounts, err := d.reg.Accounts(ctx)
	switch {
	case err != nil:
		return err
	case len(accounts) == 1: // whatever another plane's environment says
		d.account = accounts[0].ID
	case d.account != "":
		if _, err := d.reg.Account(ctx, d.account); err != nil {
			return err
		}
	case len(accounts) == 0:
		return fmt.Errorf("the plane in %s has no account yet: start it once", d.reg.Dir())
	default:
		return fmt.Errorf("the plane in %s has %d accounts: name one with CLOUDFLARE_ACCOUNT_ID", d.reg.Dir(), len(accounts))
	}
	return nil
}

func (d *directory) audit(action string, t registry.Token, more ...any) {
	d.log.Info("audit", append([]any{"action", action, "account", d.account, "by_uid", os.Getuid(), "token_id", t.ID, "name", t.Name}, more...)...)
}

func view(t registry.Token) Token {
	status := "active"
	if t.Expired(time.Now()) {
		status = "expired"
	}
	return Token{ID: t.ID, Name: t.Name, Status: status, Permissions: t.Permissions, CreatedOn: t.CreatedOn, ExpiresOn: t.ExpiresOn, LastUsedOn: t.LastUsedOn}
}

func (d *directory) Create(ctx context.Context, w Wanted) (Token, string, error) {
	wanted := registry.Token{AccountID: d.account, Name: w.Name, Permissions: w.Permissions, ExpiresOn: w.ExpiresOn}
	if err := plane.CheckToken(wanted, time.Now()); err != nil {
		return Token{}, "", err
	}
	text := registry.MintToken()
	t, err := d.reg.AddToken(ctx, wanted, text)
	if errors.Is(err, registry.ErrNameTaken) {
		return Token{}, "", fmt.Errorf("an API token named %q already exists: revoke it, or choose another name", w.Name)
	}
	if err != nil {
		return Token{}, "", err
	}
	d.audit("token.create", t, "permissions", t.Permissions, "expires_on", t.ExpiresOn)
	return view(t), text, nil
}

func (d *directory) List(ctx context.Context) ([]Token, error) {
	list, err := d.reg.Tokens(ctx, d.account)
	out := make([]Token, len(list))
	for i, t := range list {
		out[i] = view(t)
	}
	return out, err
}

func (d *directory) Revoke(ctx context.Context, idOrName string) (Token, error) {
	t, err := plane.RevokeToken(ctx, d.reg, d.account, idOrName, time.Now())
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return Token{}, notFound(idOrName)
	case errors.Is(err, plane.ErrLastToken):
		return Token{}, fmt.Errorf("revoking %q: %w", idOrName, plane.ErrLastToken)
	case err != nil:
		return Token{}, err
	}
	d.audit("token.revoke", t)
	return view(t), nil
}

func notFound(idOrName string) error {
	return fmt.Errorf("there is no token with the name or id %q: \"hybridge token list\" shows them", idOrName)
}

func (d *directory) Close() error { return d.reg.Close() }
