// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
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

// ensureInitial makes the account and the first token of a plane at its very first
// start, and writes the token to path. The file is written before the token
// works, so that no crash leaves a token that nobody knows. Later it does
// nothing: neither a file that somebody removed nor a token that somebody revoked comes back,
// also where it was the last one.
func ensureInitial(ctx context.Context, reg *registry.Registry, path string, log hclog.Logger) error {
	accounts, err := reg.Accounts(ctx)
	if err != nil {
		return err
	}
	if len(accounts) > 0 {
		for _, a := range accounts {
			if tokens, err := reg.Tokens(ctx, a.ID); err != nil || len(tokens) > 0 {
				return err
			}
		}
		log.Warn("no API token is left: the API answers nobody; make one with \"hybridge token create\"")
		return nil
	}
	permissions, err := plane.ExpandPermissions([]string{"admin"})
	if err != nil {
		return err
	}
	text := registry.MintToken()
	switch _, err := os.Lstat(path); {
	case err == nil: // written by a start that was killed, or brought by whoever set the machine up
		old, err := credential.Read(path)
		if err != nil {
			return fmt.Errorf("reading the first token: %w", err)
		}
		text = string(old)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("writing the first token: %w", err)
	default:
		if err := agent.WritePrivateFile(path, []byte(text+"\n")); err != nil {
			return fmt.Errorf("writing the first token: %w", err)
		}
	}
	account := registry.Account{Name: accountName, Subdomain: accountName}
	if _, err := reg.CreateFirst(ctx, account, registry.Token{Name: initialTokenName, Permissions: permissions}, text); err != nil {
		return fmt.Errorf("making the first token from %s: %w", path, err)
	}
	log.Info("the first API token has been written", "file", path)
	return nil
}
