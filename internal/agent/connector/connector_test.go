// SPDX-License-Identifier: MPL-2.0

package connector

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/tunneltoken"
	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

// buffer is a log that tests read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs a connector with the token that has this secret.
func start(t *testing.T, in *standintest.StandIn, secret string) (c *Connector, tokenFile string, log *buffer) {
	t.Helper()
	tokenFile, log = filepath.Join(t.TempDir(), "token"), &buffer{}
	standintest.WriteToken(t, tokenFile, standintest.Token(secret))
	host := supervise.NewHost()
	t.Cleanup(host.Close)
	c = Start(Config{
		Name: "paris-1", TunnelID: standintest.TunnelID, Cloudflared: in.Path, Token: tunneltoken.Of(agentfile.Connector{TokenFile: tokenFile}), Host: host,
		Interval: 20 * time.Millisecond, RotationTimeout: 2 * time.Second,
		Log: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug}),
	})
	t.Cleanup(c.Stop)
	return c, tokenFile, log
}

func state(c *Connector, want string) func() bool {
	return func() bool { return c.Status().State == want }
}

func TestTheTokenGoesByFileAndNowhereElse(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	c, _, log := start(t, in, "canary-one")
	standintest.Eventually(t, "connected", state(c, "connected"))
	seen := in.Seen()[0]
	token := standintest.Token("canary-one")
	if all := strings.Join(append(seen.Argv, seen.Env...), " "); strings.Contains(all, token) || !slices.Contains(seen.Argv, tokenPath) || !slices.Contains(seen.Argv, "--no-autoupdate") {
		t.Errorf("it was started with %q", all)
	}
	if seen.Token != token {
		t.Error("it got another token")
	}
	if got := c.Status(); got.Connections != 4 || got.Version != "2025.4.0" || got.ConnectorID == "" {
		t.Errorf("%+v", got)
	}
	standintest.Eventually(t, "its careless line is logged", func() bool { return strings.Contains(log.String(), "Starting tunnel with [secret]") })
	if strings.Contains(log.String(), token) {
		t.Error("the log holds the token")
	}
}

func TestAnOldCloudflaredGetsItByItsOwnEnvironment(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Version: "2025.2.1", Connections: 4})
	c, _, _ := start(t, in, "canary-two")
	standintest.Eventually(t, "connected", state(c, "connected"))
	seen := in.Seen()[0]
	if slices.Contains(seen.Argv, "--token-file") || strings.Contains(strings.Join(seen.Argv, " "), standintest.Token("canary-two")) {
		t.Errorf("argv is %q", seen.Argv)
	}
	if !slices.Contains(seen.Env, "TUNNEL_TOKEN="+standintest.Token("canary-two")) {
		t.Error("its environment lacks the token")
	}
	if os.Getenv("TUNNEL_TOKEN") != "" {
		t.Error("our own environment has a token")
	}
}

func TestARotationStartsTheNewOneFirst(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	c, file, _ := start(t, in, "old")
	standintest.Eventually(t, "connected", state(c, "connected"))
	standintest.WriteToken(t, file, standintest.Token("new"))
	standintest.Eventually(t, "rotated", func() bool { return c.Status().Rotations == 1 })
	var order []string
	for _, e := range in.Seen() {
		order = append(order, e.Event+" "+e.Token)
	}
	want := []string{"start " + standintest.Token("old"), "start " + standintest.Token("new"), "end " + standintest.Token("old")}
	if !slices.Equal(order, want) {
		t.Errorf("the order was %q", order)
	}
}

func TestATokenThatCannotConnectDropsNothing(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4, Refused: []string{standintest.Token("wrong")}})
	c, file, _ := start(t, in, "good")
	standintest.Eventually(t, "connected", state(c, "connected"))
	pid := c.Status().PID
	standintest.WriteToken(t, file, standintest.Token("wrong"))
	standintest.Eventually(t, "the new one is started and given up", func() bool {
		return slices.ContainsFunc(in.Seen(), func(e standintest.Start) bool {
			return e.Event == "end" && e.Token == standintest.Token("wrong")
		})
	})
	if got := c.Status(); got.PID != pid || got.Rotations != 0 {
		t.Errorf("%+v", got)
	}
	standintest.WriteToken(t, file, "nonsense")
	standintest.Eventually(t, "it says what is wrong", func() bool { return strings.Contains(c.Status().Pending, "it holds no tunnel token") })
	time.Sleep(100 * time.Millisecond) // and stays so
	if got := c.Status(); got.PID != pid || got.State != "connected" || got.Pending == "" {
		t.Errorf("after a file without a token: %+v", got)
	}
	standintest.WriteToken(t, file, standintest.Token("good"))
	standintest.Eventually(t, "all is well with the token before", func() bool { return c.Status().Pending == "" })
}

func TestAKilledConnectorComesBack(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	c, _, _ := start(t, in, "s")
	standintest.Eventually(t, "connected", state(c, "connected"))
	pid := c.Status().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	standintest.Eventually(t, "another one is connected", func() bool {
		s := c.Status()
		return s.State == "connected" && s.PID != pid && s.Restarts == 1
	})
}

func TestOneThatEndsAtOnceIsTriedAgainWithBackOff(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Exit: 1})
	c, _, _ := start(t, in, "s")
	standintest.Eventually(t, "it backs off", state(c, "backing-off"))
	if got := c.Status().LastError; !strings.Contains(got, "exit status 1") || !strings.Contains(got, "not valid") {
		t.Errorf("the error is %q", got)
	}
	in.Behave(standintest.Behaviour{Connections: 1})
	standintest.Eventually(t, "it connects once it can", state(c, "connected"))
}

func TestLosingAllConnectionsIsSeenAndKillsNothing(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	c, _, _ := start(t, in, "s")
	standintest.Eventually(t, "connected", state(c, "connected"))
	pid := c.Status().PID
	in.Behave(standintest.Behaviour{})
	standintest.Eventually(t, "disconnected", state(c, "disconnected"))
	in.Behave(standintest.Behaviour{Connections: 4})
	standintest.Eventually(t, "connected again", state(c, "connected"))
	if c.Status().PID != pid {
		t.Error("it was restarted")
	}
}

func TestStopWaitsForItsGrace(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4, GraceMillis: 300})
	c, _, _ := start(t, in, "s")
	standintest.Eventually(t, "connected", state(c, "connected"))
	c.Stop()
	if seen := in.Seen(); seen[len(seen)-1].Event != "end" {
		t.Errorf("it was cut off: %+v", seen)
	}
}

func TestATokenOfAnotherTunnelIsRefused(t *testing.T) {
	t.Parallel()
	err := CheckToken(standintest.Token("s"), "5f1b0c3a-0000-4000-8000-00000000beef")
	if err == nil || !strings.Contains(err.Error(), standintest.TunnelID) {
		t.Errorf("%v", err)
	}
}

// Its source may hold a token by now that connects nowhere: what was checked is what it gets.
func TestAKilledConnectorComesBackWithTheTokenItHad(t *testing.T) {
	t.Parallel()
	in := standintest.New(t, standintest.Behaviour{Connections: 4, Refused: []string{standintest.Token("wrong")}})
	c, file, _ := start(t, in, "good")
	standintest.Eventually(t, "connected", state(c, "connected"))
	standintest.WriteToken(t, file, standintest.Token("wrong"))
	standintest.Eventually(t, "the new token is given up", func() bool {
		return strings.Contains(c.Status().Pending, "rotating: the new connector had no connection")
	})
	if got := c.Status(); got.State != "connected" || got.LastError != "" {
		t.Errorf("%+v", got)
	}
	pid := c.Status().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	standintest.Eventually(t, "another one is connected", func() bool {
		s := c.Status()
		return s.State == "connected" && s.PID != pid
	})
	if seen := in.Seen(); seen[len(seen)-1].Token != standintest.Token("good") {
		t.Error("it was started with the token that connects nowhere")
	}
}

func TestAChangeIsARotation(t *testing.T) {
	t.Parallel()
	in, other := standintest.New(t, standintest.Behaviour{Connections: 4}), standintest.New(t, standintest.Behaviour{Version: "2026.1.0"})
	c, _, _ := start(t, in, "s")
	standintest.Eventually(t, "connected", state(c, "connected"))
	pid := c.Status().PID
	cfg, _ := c.wanted()
	cfg.Cloudflared = other.Path
	c.Change(cfg)
	standintest.Eventually(t, "the other cloudflared gets no connection", func() bool { return strings.Contains(c.Status().Pending, "the old connector stays") })
	if got := c.Status(); got.PID != pid || got.State != "connected" || got.Version != "2025.4.0" {
		t.Errorf("%+v", got)
	}
	other.Behave(standintest.Behaviour{Version: "2026.1.0", Connections: 2})
	cfg.Metrics = free(t)
	c.Change(cfg)
	standintest.Eventually(t, "the other one is in use", func() bool { return c.Status().Rotations == 1 })
	if got := c.Status(); got.Version != "2026.1.0" || got.Connections != 2 || got.Metrics != cfg.Metrics || got.Pending != "" {
		t.Errorf("%+v", got)
	}
	if seen := in.Seen(); seen[len(seen)-1].Event != "end" {
		t.Error("the old one still runs")
	}

	// While nothing runs, a change does not wait for the back-off's end.
	other.Behave(standintest.Behaviour{Exit: 1})
	_ = syscall.Kill(c.Status().PID, syscall.SIGKILL)
	standintest.Eventually(t, "it fails again and again", func() bool { return c.Status().Restarts > 2 })
	cfg.Cloudflared = in.Path
	c.Change(cfg)
	standintest.Eventually(t, "the first one is in use", func() bool { return c.Status().Version == "2025.4.0" })
}

func free(t *testing.T) string {
	t.Helper()
	address, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// TestARealCloudflared runs the real one, where there is one on PATH, towards an edge that nobody
// listens at. It takes its token from our pipe, its metrics server tells that it has no connection,
// and it ends when asked to.
func TestARealCloudflared(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("cloudflared")
	if err != nil {
		t.Skip("no cloudflared on PATH")
	}
	version, knowsFile, err := Version(t.Context(), real)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cloudflared")
	// It would look a name up: with an empty resolv.conf it asks loopback.
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mounted := "mount --bind " + resolv + " /etc/resolv.conf && "
	if err := exec.CommandContext(t.Context(), "unshare", "-rm", "sh", "-c", mounted+"true").Run(); err != nil {
		t.Skipf("there are no mount namespaces, and its traffic must stay on loopback: %v", err)
	}
	script := "#!/bin/sh\nexport TUNNEL_EDGE=127.0.0.1:1 TUNNEL_TRANSPORT_PROTOCOL=http2\nexec unshare -rm sh -c '" + mounted + "exec " + real + " \"$@\"' cloudflared \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("s"), 32))
	c, _, log := start(t, &standintest.StandIn{Path: path}, secret)
	standintest.Eventually(t, "it runs without a connection", state(c, "disconnected"))
	if got := c.Status(); got.Version != version || got.PID == 0 || got.Restarts != 0 {
		t.Errorf("%+v", got)
	}
	standintest.Eventually(t, "it knows its tunnel", func() bool { return strings.Contains(log.String(), standintest.TunnelID) })
	c.Stop()
	if strings.Contains(log.String(), secret) {
		t.Error("the log holds the secret")
	}
	t.Logf("cloudflared %s, --token-file %t", version, knowsFile)
}
