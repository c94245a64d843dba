// SPDX-License-Identifier: MPL-2.0

// Package standintest builds and scripts the stand-in for cloudflared. For tests.
package standintest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TunnelID is the tunnel of Token.
const TunnelID = "5f1b0c3a-0000-4000-8000-000000000001"

// Behaviour is what a stand-in does from now on.
type Behaviour struct {
	Version     string
	Connections int      // at /ready
	Refused     []string // tokens that get no connection
	Exit        int      // ends at once with this code
	GraceMillis int      // between SIGTERM and the end
}

// Start is what a stand-in saw when it started or ended.
type Start struct {
	PID   int
	Argv  []string
	Env   []string
	Token string
	Event string // "start" or "end"
}

// StandIn is an executable in a directory of its own.
type StandIn struct {
	t    testing.TB
	Path string
}

// program is the stand-in's executable, built once in each process of tests.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "standin")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cloudflared")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the stand-in: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// New makes a stand-in of a version that knows --token-file.
func New(t testing.TB, b Behaviour) *StandIn {
	t.Helper()
	s := &StandIn{t: t, Path: filepath.Join(t.TempDir(), "cloudflared")}
	text, err := program()
	if err != nil {
		t.Fatal(err)
	}
	// By another process: a child that is being started meanwhile would inherit our descriptor, and what is
	// open for writing cannot be executed.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask 077 && cat >"$0" && chmod 700 "$0"`, s.Path)
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.Behave(b)
	return s
}

// Behave changes what it does, also where it runs.
func (s *StandIn) Behave(b Behaviour) {
	s.t.Helper()
	if b.Version == "" {
		b.Version = "2025.4.0"
	}
	text, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(s.Path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.Path+".new", s.Path+".json")
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Seen is what its processes saw, oldest first.
func (s *StandIn) Seen() (out []Start) {
	s.t.Helper()
	text, err := os.ReadFile(s.Path + ".starts")
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e Start
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// Token is a token of TunnelID with a secret.
func Token(secret string) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"a":"0123456789abcdef0123456789abcdef","t":%q,"s":%q}`, TunnelID, secret))
}

// WriteToken replaces a token file, as a rotation does.
func WriteToken(t testing.TB, path, token string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Eventually calls f until it returns true, for 30 s at most.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}
