// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

func openRegistry(t *testing.T, dir string) *registry.Registry {
	t.Helper()
	reg, err := registry.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	return reg
}

func identityOf(t *testing.T, reg *registry.Registry) Identity {
	t.Helper()
	id, err := EnsureIdentity(t.Context(), reg)
	if err != nil {
		t.Fatal(err)
	}
	token, err := reg.Authenticate(t.Context(), id.Token)
	if err != nil || token.AccountID != id.AccountID {
		t.Fatalf("the token is of account %q (%v), want %q", token.AccountID, err, id.AccountID)
	}
	if id.Subdomain != ownerName {
		t.Errorf("subdomain %q", id.Subdomain)
	}
	return id
}

func TestTheIdentityStaysTheSame(t *testing.T) {
	t.Parallel()
	reg := openRegistry(t, t.TempDir()+"/plane")
	if first, second := identityOf(t, reg), identityOf(t, reg); first != second {
		t.Errorf("it changed from account %s to %s", first.AccountID, second.AccountID)
	}
	info, err := os.Stat(filepath.Join(reg.Dir(), identityFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestALostIdentityFileGivesANewTokenAndEndsTheOldOne(t *testing.T) {
	t.Parallel()
	reg := openRegistry(t, t.TempDir()+"/plane")
	before := identityOf(t, reg)
	if err := os.Remove(filepath.Join(reg.Dir(), identityFile)); err != nil {
		t.Fatal(err)
	}
	after := identityOf(t, reg)
	if after.AccountID != before.AccountID || after.Token == before.Token {
		t.Error("want the same account and another token")
	}
	if _, err := reg.Authenticate(t.Context(), before.Token); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("the lost token still works: %v", err)
	}
}

// A plane that was made by an older program: its owner may do what is new as well.
func TestTheOwnersTokenGrowsWithThePermissionsThereAre(t *testing.T) {
	t.Parallel()
	reg := openRegistry(t, t.TempDir()+"/plane")
	before := identityOf(t, reg)
	if err := reg.DeleteToken(t.Context(), before.AccountID, ownerName); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.CreateToken(t.Context(), before.AccountID, ownerName, before.Token, []string{"Workers Scripts Write"}); err != nil {
		t.Fatal(err)
	}
	if after := identityOf(t, reg); after != before {
		t.Error("the token has another text now")
	}
	token, err := reg.Authenticate(t.Context(), before.Token)
	if err != nil || !slices.Contains(token.Permissions, "Account Analytics Read") {
		t.Errorf("permissions: %v, %v", token.Permissions, err)
	}
}

func TestAnIdentityFileOfAnotherRegistryIsReplaced(t *testing.T) {
	t.Parallel()
	other := openRegistry(t, t.TempDir()+"/other")
	foreign := identityOf(t, other)
	file, err := os.ReadFile(filepath.Join(other.Dir(), identityFile))
	if err != nil {
		t.Fatal(err)
	}
	reg := openRegistry(t, t.TempDir()+"/plane")
	if err := os.WriteFile(filepath.Join(reg.Dir(), identityFile), file, 0o600); err != nil {
		t.Fatal(err)
	}
	if id := identityOf(t, reg); id.AccountID == foreign.AccountID || id.Token == foreign.Token {
		t.Error("a foreign identity was taken over")
	}
}

func TestSocketsLieInTheDataDirectoryWhereThePathIsShortEnough(t *testing.T) {
	t.Parallel()
	base, err := os.MkdirTemp("", "agt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	long := filepath.Join(base, strings.Repeat("x", 100))
	for data, inside := range map[string]bool{base: true, long: false} {
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		dir, remove, err := socketDir(data)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(dir, data) != inside || len(dir) > socketDirMax {
			t.Errorf("%s: sockets in %s", data, dir)
		}
		// A start after a kill finds the same directory, with what was left in it.
		if again, _, err := socketDir(data); err != nil || again != dir {
			t.Errorf("second start: %s, %v", again, err)
		}
		remove()
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

func TestASocketDirectoryOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(dir string) error{
		"a link":         func(dir string) error { return os.Symlink(os.TempDir(), dir) },
		"open to others": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) },
		"a file":         func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		data, err := os.MkdirTemp("", "agt")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(data) })
		if err := prepare(filepath.Join(data, "run")); err != nil {
			t.Fatal(err)
		}
		if dir, _, err := socketDir(data); err == nil {
			t.Errorf("%s: took %s", name, dir)
		}
	}
}

func TestAFailedStartLeavesTheDirectoryToTheNextOne(t *testing.T) {
	t.Parallel()
	cfg, _ := testConfig(t)
	refusal := errors.New("not today")
	cfg.Prepare = func(context.Context, *registry.Registry) error { return refusal }
	if _, err := Start(t.Context(), cfg); !errors.Is(err, refusal) {
		t.Fatalf("got %v", err)
	}
	cfg.Prepare = nil
	cfg.EgressAllow = []string{"nonsense"} // refused after the sockets are made
	if _, err := Start(t.Context(), cfg); err == nil {
		t.Fatal("a nonsensical range was accepted")
	}
	cfg.EgressAllow = nil
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("the directory is not free: %v", err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(cfg.DataDir, "run")); !os.IsNotExist(err) {
		t.Errorf("sockets are left: %v", err)
	}
}
