// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	accountName      = "hybridge"
	initialTokenName = "initial"
	initialTokenFile = "initial-token"
)

// InitialTokenFile is where the first token of a plane is written.
func InitialTokenFile(f *agentfile.File) string {
	if path := f.Plane.InitialTokenFile; path != "" {
		return path
	}
	return filepath.Join(f.DataDir, initialTokenFile)
}

// ensureInitial makes the account and the first token of a plane that has none,
// and writes the token to path. The file is written before the token works, so
// that no crash leaves a token that nobody knows. A file that somebody removed
// later is not written again.
func ensureInitial(ctx context.Context, reg *registry.Registry, path string) error {
	accounts, err := reg.Accounts(ctx)
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		a, err := reg.CreateAccount(ctx, accountName, accountName)
		if err != nil {
			return fmt.Errorf("making the first account: %w", err)
		}
		accounts = append(accounts, a)
	}
	account := accounts[0].ID
	tokens, err := reg.Tokens(ctx, account)
	if err != nil || len(tokens) > 0 {
		return err
	}
	permissions, err := plane.ExpandPermissions([]string{"admin"})
	if err != nil {
		return err
	}
	text := registry.MintToken()
	switch old, err := os.ReadFile(path); {
	case err == nil: // written by a start that was killed
		text = strings.TrimSpace(string(old))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("writing the first token: %w", err)
	default:
		if err := agent.WritePrivateFile(path, []byte(text+"\n")); err != nil {
			return fmt.Errorf("writing the first token: %w", err)
		}
	}
	if _, err := reg.CreateToken(ctx, account, initialTokenName, text, permissions); err != nil {
		return fmt.Errorf("making the first token from %s: %w", path, err)
	}
	return nil
}
