// SPDX-License-Identifier: MPL-2.0

// Package packaging_test checks what is installed on machines: the unit, the examples, and
// the artefacts of a release, if dist/ has some.
package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
)

const unit = "hybridge-agent.service"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// systemd reports what it has no use for; an old one does not know notify-reload.
var oldSystemd = regexp.MustCompile(`Failed to parse service type, ignoring: notify-reload$`)

func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze on this machine")
	}
	text := read(t, unit)
	// The program is not installed here.
	path := filepath.Join(t.TempDir(), unit)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "ExecStart=/usr/bin/hybridge ", "ExecStart=/bin/true ")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", path).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if !oldSystemd.MatchString(strings.TrimSpace(line)) {
			t.Errorf("systemd says: %s", line)
		}
	}
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`exposure level for \S+: (\d+\.\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("%s", out)
	}
	if level, _ := strconv.ParseFloat(string(found[1]), 64); level > 2 {
		t.Errorf("its exposure level is %s, above 2", found[1])
	}
}

func TestTheUnitFitsTheAgent(t *testing.T) {
	t.Parallel()
	text := read(t, unit)
	for _, line := range []string{
		"Type=notify-reload", "WatchdogSec=60", "TimeoutStopSec=90s", "User=hybridge", "StateDirectory=hybridge", "StateDirectoryMode=0700", "RuntimeDirectory=hybridge",
		"ExecStart=/usr/bin/hybridge agent --config /etc/hybridge/agent.yaml", "KillMode=mixed",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the unit lacks %q", line)
		}
	}
	// systemd older than 253 keeps the type that stands before.
	if strings.Index(text, "\nType=notify\n") > strings.Index(text, "\nType=notify-reload\n") || !strings.Contains(text, "\nType=notify\n") {
		t.Error("an older systemd has no type to fall back on")
	}
	if strings.Contains(text, "\nMemoryDenyWriteExecute=") {
		t.Error("workerd could not compile JavaScript")
	}
	if !strings.Contains(read(t, "sysusers.conf"), "u     hybridge") {
		t.Error("nobody makes the unit's user")
	}
}

func TestTheExampleIsValid(t *testing.T) {
	t.Parallel()
	f, err := agentfile.Read("agent.yaml", func(name string) string {
		return map[string]string{"CREDENTIALS_DIRECTORY": "/run/credentials/" + unit}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	// What the unit lets it use, and what the credentials' example places.
	credentials := read(t, "credentials.conf")
	for _, path := range []string{f.Connectors["paris-1"].TokenFile, f.Alerts.Webhooks[0].SecretFile} {
		if !strings.Contains(credentials, "LoadCredential="+filepath.Base(path)+":") {
			t.Errorf("credentials.conf does not place %s", path)
		}
	}
	if f.DataDir != "/var/lib/hybridge" || !strings.HasPrefix(f.Plane.API.Listen, "unix:///run/hybridge/") {
		t.Errorf("%+v", f)
	}
}
