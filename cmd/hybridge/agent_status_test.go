// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

func TestThePublishedSchemasAreCurrent(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]any{"agent.schema.json": agentfile.Schema(), "agent-status.schema.json": health.Schema()} {
		var want bytes.Buffer
		if err := writeJSON(&want, schema); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("..", "..", "docs", name)); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("docs/%s is not current (%v): run make generate", name, err)
		}
	}
}

// hybridge runs a command on the machine, with its agent.yaml.
func (m *machine) hybridge(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "hybridge", append(args, "--config", m.path("agent.yaml"))...)
	cmd.Env = append(os.Environ(), m.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// The health endpoint is on TCP here, and its token a credential of systemd's.
func TestStatusTellsHowTheMachineIs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	in := standintest.New(t, standintest.Behaviour{Connections: 3})
	standintest.WriteToken(t, m.path("tunnel-token"), standintest.Token("s"))
	if err := os.Mkdir(m.path("credentials"), 0o700); err != nil {
		t.Fatal(err)
	}
	const secret = "canary-health-token"
	m.write("credentials/health-token", secret+"\n")
	if err := os.Chmod(m.path("credentials/health-token"), 0o440); err != nil { // as systemd has it
		t.Fatal(err)
	}
	address := freeAddress(t)
	config := strings.Replace(m.config(`{ address: "127.0.0.1:0" }`, fmt.Sprintf("connectors: { paris-1: { tunnel_id: %s, cloudflared: %s, token_file: %s } }\n",
		standintest.TunnelID, in.Path, m.path("tunnel-token"))),
		fmt.Sprintf(`health: { listen: "unix://%s/health.sock" }`, m.dir), fmt.Sprintf(`health: { listen: "%s", token_file: "${CREDENTIALS_DIRECTORY}/health-token" }`, address), 1)
	m.write("agent.yaml", config)
	m.env = []string{"CREDENTIALS_DIRECTORY=" + m.path("credentials")}
	m.start()
	m.deploy("api", "hello")
	document := func() (s health.Status, text string, code int) {
		text, stderr, code := m.hybridge("status", "--json")
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		return s, text, code
	}
	standintest.Eventually(t, "ready", func() bool { s, _, code := document(); return code == 0 && len(s.Workers) == 1 })
	s, text, _ := document()
	if s.Version != 1 || !s.Ready || s.Region != "fr" || s.Connectors["paris-1"].Connections != 3 || len(s.Workers) != 1 || s.Disk == nil || len(s.Addresses) != 2 {
		t.Errorf("%s", text)
	}
	// What scripts rely on.
	var raw map[string]any
	_ = json.Unmarshal([]byte(text), &raw)
	for _, member := range []string{"version", "agent", "region", "started_on", "as_of", "ready", "checks", "addresses", "workers", "connectors", "disk", "clock"} {
		if _, there := raw[member]; !there {
			t.Errorf("the document lacks %q", member)
		}
	}
	shown, _, code := m.hybridge("status")
	if code != 0 || !strings.Contains(shown, "ready, region fr, up ") || !strings.Contains(shown, "paris-1  connected  3 connections") || strings.Contains(shown+text, secret) {
		t.Errorf("%d\n%s", code, shown)
	}

	// It is shown anew each second, also what goes wrong meanwhile, until Ctrl-C.
	watch := exec.CommandContext(t.Context(), "hybridge", "status", "--watch", "--config", m.path("agent.yaml"))
	watch.Env = append(os.Environ(), m.env...)
	file, err := os.Create(m.path("watched"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	watch.Stdout = file
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	watched := func(want string, times int) func() bool {
		return func() bool {
			text, _ := os.ReadFile(m.path("watched"))
			return strings.Count(string(text), want) >= times
		}
	}
	standintest.Eventually(t, "it is shown twice", watched(": ready, region fr", 2))
	in.Behave(standintest.Behaviour{})
	standintest.Eventually(t, "the lost connection is shown", watched("paris-1  disconnected  0 connections", 1))
	if _, _, code := document(); code != exitFailure {
		t.Errorf("the exit code is %d while a connector is disconnected", code)
	}
	m.stop()
	standintest.Eventually(t, "that nobody answers is shown", watched("is it running? systemctl status hybridge-agent", 1))
	m.start()
	in.Behave(standintest.Behaviour{Connections: 1})
	standintest.Eventually(t, "it is back", watched("paris-1  connected  1 connections", 1))
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := watch.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}

	// A reload takes another token of the endpoint; the old one is refused.
	m.write("credentials/other", "another-token\n")
	m.reload(strings.Replace(config, "/health-token", "/other", 1))
	if _, err := health.Ask(t.Context(), address, []byte(secret)); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with the token before: %v", err)
	}
	if _, err := health.Ask(t.Context(), address, []byte("another-token")); err != nil {
		t.Error(err)
	}
	if said := m.stop(); strings.Contains(said, secret) {
		t.Error("the log holds the token")
	}
}

func TestStatusSaysWhereItsTokenShouldBe(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	text := strings.Replace(m.config(`{ address: "127.0.0.1:0" }`, ""), "health: {", `health: { token_file: "${CREDENTIALS_DIRECTORY}/health-token",`, 1)
	m.write("agent.yaml", text)
	// A person's shell has no CREDENTIALS_DIRECTORY: that of the service's unit counts.
	if out, stderr, code := m.hybridge("agent", "check"); code != 0 {
		t.Errorf("%d %s%s", code, out, stderr)
	}
	if _, stderr, code := m.hybridge("status"); code != exitFailure || !strings.Contains(stderr, "/run/credentials/hybridge-agent.service/health-token") {
		t.Errorf("%d %s", code, stderr)
	}
}
