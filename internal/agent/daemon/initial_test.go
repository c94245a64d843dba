// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// firstPlane is a registry whose first token is in a file.
type firstPlane struct {
	t    *testing.T
	reg  *registry.Registry
	file string
	log  *bytes.Buffer
}

func newFirstPlane(t *testing.T) *firstPlane {
	t.Helper()
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	return &firstPlane{t: t, reg: reg, file: filepath.Join(t.TempDir(), "token"), log: &bytes.Buffer{}}
}

// start is what a start of the agent does.
func (p *firstPlane) start() error {
	return ensureInitial(p.t.Context(), p.reg, p.file, hclog.New(&hclog.LoggerOptions{Output: p.log}))
}

func (p *firstPlane) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *firstPlane) text() string {
	p.t.Helper()
	text, err := os.ReadFile(p.file)
	p.must(err)
	return strings.TrimSpace(string(text))
}

func (p *firstPlane) works(text string) bool {
	_, err := p.reg.Authenticate(p.t.Context(), text)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		p.t.Fatal(err)
	}
	return err == nil
}

func TestTheFirstTokenIsMadeOnce(t *testing.T) {
	t.Parallel()
	p := newFirstPlane(t)
	p.must(p.start())
	first := p.text()
	if info, err := os.Stat(p.file); err != nil || info.Mode().Perm() != 0o600 || !p.works(first) {
		t.Fatalf("%v %v, or the token does not work", info, err)
	}
	p.must(p.start())
	if p.text() != first {
		t.Error("the second start has changed it")
	}

	// Whoever removes the file does not get another one.
	p.must(os.Remove(p.file))
	p.must(p.start())
	if _, err := os.Stat(p.file); err == nil {
		t.Error("the file is there again")
	}
	if strings.Contains(p.log.String(), first) {
		t.Error("the log holds the token")
	}
}

func TestTheLastTokenStaysRevoked(t *testing.T) {
	t.Parallel()
	p := newFirstPlane(t)
	p.must(p.start())
	first := p.text()
	accounts, err := p.reg.Accounts(t.Context())
	p.must(err)
	p.must(p.reg.DeleteToken(t.Context(), accounts[0].ID, initialTokenName))

	// Its file still lies there, as after a leak.
	p.must(p.start())
	if p.works(first) {
		t.Error("the revoked token works again")
	}
	p.must(os.Remove(p.file))
	p.must(p.start())
	if tokens, err := p.reg.Tokens(t.Context(), accounts[0].ID); err != nil || len(tokens) > 0 {
		t.Errorf("there are tokens: %v %v", tokens, err)
	}
	if !strings.Contains(p.log.String(), "hybridge token create") {
		t.Errorf("the log does not say what to do:\n%s", p.log)
	}
}

func TestAStartKilledAfterWritingTheFileIsContinued(t *testing.T) {
	t.Parallel()
	p := newFirstPlane(t)
	text := registry.MintToken()
	p.must(os.WriteFile(p.file, []byte(text+"\n"), 0o600)) // and no account so far
	p.must(p.start())
	if !p.works(text) {
		t.Error("the token of the file does not work")
	}
}

func TestAFirstTokenThatOthersCouldReadIsRefused(t *testing.T) {
	t.Parallel()
	p := newFirstPlane(t)
	text := registry.MintToken()
	p.must(os.WriteFile(p.file, []byte(text), 0o600))
	p.must(os.Chmod(p.file, 0o644))
	if err := p.start(); err == nil || !strings.Contains(err.Error(), "reading the first token") || p.works(text) {
		t.Errorf("%v", err)
	}
}
