// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// connectorOnly is an agent.yaml with one connector and nothing else.
func (m *machine) connectorOnly(in *standintest.StandIn, tunnelID, token string) string {
	return fmt.Sprintf(`format: 1
data_dir: %[1]s/data
connectors: { paris-1: { tunnel_id: %[2]s, cloudflared: %[3]s, %[4]s } }
health: { listen: "unix://%[1]s/health.sock" }
`, m.dir, tunnelID, in.Path, token)
}

func (m *machine) connected(what string, rotations int) {
	m.t.Helper()
	standintest.Eventually(m.t, what, func() bool {
		c := m.status().Connectors["paris-1"]
		return c.State == "connected" && c.Rotations == rotations
	})
}

// The machine enrols, whoever keeps the secrets encrypts for it, and the token reaches cloudflared and nobody else.
func TestATokenTravelsInASOPSFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if err := os.Mkdir(m.path("credentials"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.env = []string{"CREDENTIALS_DIRECTORY=" + m.path("credentials")}
	cmd := exec.CommandContext(t.Context(), "hybridge", "agent", "enroll", "--key", m.path("credentials/age-identity"), "--secrets", m.path("secrets.enc.yaml"))
	out, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`age1[0-9a-z]+`).FindString(string(out))
	if err != nil || found == "" {
		t.Fatalf("%v %s", err, out)
	}
	if err := os.Chmod(m.path("credentials/age-identity"), 0o440); err != nil { // as systemd places it
		t.Fatal(err)
	}
	seal := func(token string) {
		to, err := sealed.AgeRecipients(found)
		if err != nil {
			t.Fatal(err)
		}
		text, err := sealed.Seal("secrets.enc.yaml", sealed.YAML, []sealed.Entry{{Name: "tunnel_token", Value: sealed.NewSecret(token)}}, to, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m.write("secrets.new", string(text))
		if err := os.Rename(m.path("secrets.new"), m.path("secrets.enc.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	first, second := standintest.Token("canary-sops-one"), standintest.Token("canary-sops-two")
	seal(first)
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	m.write("agent.yaml", m.connectorOnly(in, standintest.TunnelID, fmt.Sprintf(`token_sops: { file: %s, key: tunnel_token, age_identity_file: "${CREDENTIALS_DIRECTORY}/age-identity" }`, m.path("secrets.enc.yaml"))))
	m.start()
	m.connected("connected with the token of the SOPS file", 0)

	// git pull brings the rotated one.
	seal(second)
	m.connected("rotated", 1)
	report, _, code := m.hybridge("doctor")
	if !strings.Contains(report, "ok       token of paris-1") {
		t.Errorf("%d %s", code, report)
	}
	said := m.stop() + report
	err = filepath.WalkDir(m.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			text, _ := os.ReadFile(path)
			said += string(text)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, s := range in.Seen() {
		said += strings.Join(append(s.Argv, s.Env...), " ")
	}
	if strings.Contains(said, first) || strings.Contains(said, second) || strings.Contains(said, "canary") {
		t.Error("a log, a file, argv or an environment holds a token")
	}
	if tokens := tokensOf(in); !slices.Equal(tokens, []string{first, second}) {
		t.Error("cloudflared got other tokens")
	}
}

// Terraform plans with a token that may not read tunnel tokens, and rotates; the agent asks for itself.
func TestTheAgentFetchesItsTokenAndNoticesARotation(t *testing.T) {
	t.Parallel()
	plane := planetest.New(t, planetest.Options{})
	client, err := cloudflare.New(cloudflare.Config{BaseURL: plane.BaseURL, AccountID: plane.AccountID, Token: plane.Token})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := client.CreateTunnel(t.Context(), "paris-1")
	if err != nil {
		t.Fatal(err)
	}
	token := func() string {
		text, err := client.TunnelToken(t.Context(), tunnel.ID)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	m := newMachine(t)
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	m.write("api-token", plane.NewToken(t, "Cloudflare Tunnel Write"))
	m.write("agent.yaml", m.connectorOnly(in, tunnel.ID, fmt.Sprintf(`token_from_api: { account_id: %s, base_url: "%s", api_token_file: %s, refresh: 1s }`, plane.AccountID, plane.BaseURL, m.path("api-token"))))
	m.start()
	m.connected("connected with the token that it fetched", 0)
	want := []string{token()}
	if err := client.RotateTunnelSecret(t.Context(), tunnel.ID); err != nil {
		t.Fatal(err)
	}
	m.connected("rotated", 1)
	want = append(want, token())
	if !slices.Equal(tokensOf(in), want) || want[0] == want[1] {
		t.Error("cloudflared got other tokens than the tunnel has")
	}

	// An API that is gone takes nothing away, and is told.
	plane.Close()
	standintest.Eventually(t, "the API's absence is told", func() bool { return m.status().Connectors["paris-1"].Pending != "" })
	if s := m.status(); !s.Ready || s.Connectors["paris-1"].State != "connected" {
		t.Errorf("%+v", s)
	}
	said := m.stop()
	for _, secret := range append(want, plane.Token) {
		if strings.Contains(said, secret) {
			t.Error("the log holds a secret")
		}
	}
}

// tokensOf are the tokens that a stand-in was started with.
func tokensOf(in *standintest.StandIn) (out []string) {
	for _, s := range in.Seen() {
		if s.Event == "start" {
			out = append(out, s.Token)
		}
	}
	return out
}
