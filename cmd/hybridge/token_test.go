// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Whoever may read the agent's files makes tokens with nothing but agent.yaml, whether it
// runs or not.
func TestTokensOfAnAgent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("agent.yaml", m.config(`{ address: "127.0.0.1:0" }`, ""))
	m.start()
	token := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "hybridge", append(append([]string{"token"}, args...), "--config", m.path("agent.yaml"))...)
		cmd.Env = append(os.Environ(), "CLOUDFLARE_API_TOKEN=", "CLOUDFLARE_ACCOUNT_ID=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := token("create", "ci", "--permission", "deploy"); err != nil || !strings.Contains(out, "hybridge_") {
		t.Fatalf("over the unix socket: %v\n%s", err, out)
	}
	if out, err := token("list"); err != nil || !strings.Contains(out, "\nci ") || strings.Contains(out, "hybridge_") {
		t.Errorf("%v\n%s", err, out)
	}
	// Without the initial token's file somebody's own token is needed.
	initial, err := os.ReadFile(m.path("token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.path("token")); err != nil {
		t.Fatal(err)
	}
	if out, err := token("list"); err == nil || !strings.Contains(out, "set CLOUDFLARE_API_TOKEN to a token that can make others") {
		t.Errorf("%v\n%s", err, out)
	}
	said := m.stop()
	if strings.Contains(said, strings.TrimSpace(string(initial))) || !strings.Contains(said, `"action":"token.create"`) {
		t.Errorf("the log holds a token, or no audit line\n%s", said)
	}
	if out, err := token("revoke", "ci"); err != nil || !strings.Contains(out, "revoked the token ci") {
		t.Errorf("in the data directory: %v\n%s", err, out)
	}
}
