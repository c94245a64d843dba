// SPDX-License-Identifier: MPL-2.0

package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// today is when the machine is examined: the stand-in of TestMain is new then.
var today = time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC)

// machine is one that lacks nothing, until a story takes something away.
type machine struct {
	t      *testing.T
	dir    string
	config string
	env    map[string]string
	now    time.Time
	in     *standintest.StandIn
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "doctor") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir, now: today, in: standintest.New(t, standintest.Behaviour{})}
	m.env = map[string]string{"HYBRIDGE_WORKERD": workerdtest.Path(t), "SECRETS": dir}
	m.must(os.Mkdir(m.path("data"), 0o700))
	standintest.WriteToken(t, m.path("tunnel-token"), standintest.Token("canary-doctor"))
	m.write("health-token", "canary-doctor-health")
	m.write("hook", "canary-doctor-hook-0123456789")
	m.certificate("app", today.Add(90*24*time.Hour))
	m.config = fmt.Sprintf(`format: 1
data_dir: %[1]s/data
plane: { api: { listen: "unix://%[1]s/api.sock" } }
ingress:
  listen: [ { address: "127.0.0.1:0" }, { address: "127.0.0.2:0", tls: true } ]
  certificates: [ { cert_file: %[1]s/app.crt, key_file: %[1]s/app.key } ]
health: { listen: "127.0.0.1:1", token_file: "${SECRETS}/health-token" }
alerts: { webhooks: [ { url: "https://ops.example.com/", secret_file: %[1]s/hook } ] }
connectors: { paris-1: { tunnel_id: %[2]s, cloudflared: %[3]s, token_file: %[1]s/tunnel-token } }
`, dir, standintest.TunnelID, m.in.Path)
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	m.must(os.WriteFile(m.path(name), []byte(text), 0o600))
}

func (m *machine) replace(old, new string) {
	m.t.Helper()
	if !strings.Contains(m.config, old) {
		m.t.Fatalf("the configuration has no %q", old)
	}
	m.config = strings.Replace(m.config, old, new, 1)
}

func (m *machine) certificate(name string, end time.Time) {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"app.example.com"}, NotBefore: today.Add(-time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	m.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	m.must(err)
	m.write(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	m.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

func (m *machine) examine() []health.Check {
	m.t.Helper()
	m.must(os.WriteFile(m.path("agent.yaml"), []byte(m.config), 0o600))
	e := &examination{ctx: m.t.Context(), now: m.now, root: true, getenv: credential.WithServiceDirectory(func(name string) string { return m.env[name] })}
	checks := e.examine(m.path("agent.yaml"))
	if text := fmt.Sprint(checks); strings.Contains(text, "canary") {
		m.t.Errorf("a finding holds a secret: %s", text)
	}
	return checks
}

func TestAMachineThatLacksNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	seen := map[string]bool{}
	for _, c := range m.examine() {
		seen[c.Name] = true
		// Whatever runs the tests may have a clock, a disk or a systemd of its own kind.
		if !c.OK && (!c.Warning || c.Name != "agent" && c.Name != "clock" && c.Name != "disk" && c.Name != "systemd" && c.Name != "memory") {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{
		"configuration", "agent", "data_dir", "workerd", "cloudflared of paris-1", "token of paris-1", "health.token_file", "alerts.webhooks[0].secret_file",
		"certificate " + m.path("app.crt"), "plane.api.listen", "ingress.listen[0]", "ingress.listen[1]", "health.listen", "disk", "clock", "systemd",
	} {
		if !seen[name] {
			t.Errorf("%s was not looked at", name)
		}
	}
}

// Each flaw is found under its name, with its remedy, and is a failure exactly where the agent could not run.
func TestEachFindingNamesItsRemedy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flaw    string
		make    func(*machine)
		name    string
		remedy  string
		warning bool
	}{
		{"an unknown key", func(m *machine) { m.config += "colour: red\n" }, "configuration", `line 10, column 1: unknown field "colour"`, false},
		{"others may change the file", func(m *machine) {
			m.write("agent.yaml", "")
			m.must(os.Chmod(m.path("agent.yaml"), 0o622))
		}, "configuration", "chmod go-w", true},
		{"a data directory for everybody", func(m *machine) { m.must(os.Chmod(m.path("data"), 0o755)) }, "data_dir", "chmod 0700 ", false},
		{"a file as data directory", func(m *machine) { m.replace("/data\n", "/hook\n") }, "data_dir", "is no directory: name another one", false},
		{"a data directory that nobody can make", func(m *machine) { m.replace(m.path("data"), "/proc/nowhere/data") }, "data_dir", "use StateDirectory= in the unit", false},
		{"no workerd", func(m *machine) { m.env["HYBRIDGE_WORKERD"] = "/nowhere/workerd" }, "workerd", "npm install", false},
		{"a script as workerd", func(m *machine) {
			m.write("workerd", "#!/bin/sh\n")
			m.must(os.Chmod(m.path("workerd"), 0o700))
			m.env["HYBRIDGE_WORKERD"] = m.path("workerd")
		}, "workerd", "not the binary", false},
		{"an old workerd", func(m *machine) { m.now = time.Now().Add(2 * 365 * 24 * time.Hour) }, "workerd", "install a newer one", true},
		{"no cloudflared", func(m *machine) { m.replace(m.in.Path, "/nowhere/cloudflared") }, "cloudflared of paris-1", `install Cloudflare's package "cloudflared"`, false},
		{"something else as cloudflared", func(m *machine) { m.replace(m.in.Path, "/bin/echo") }, "cloudflared of paris-1", "this is not cloudflared: install", false},
		{"a cloudflared that does not know --token-file", func(m *machine) { m.in.Behave(standintest.Behaviour{Version: "2025.2.0"}) }, "cloudflared of paris-1", "use 2025.4.0 or later", true},
		{"an old cloudflared", func(m *machine) { m.in.Behave(standintest.Behaviour{Version: "2024.3.0"}) }, "cloudflared of paris-1", "older than a year, and Cloudflare supports it no more: install a newer one", true},
		{"no token", func(m *machine) { m.must(os.Remove(m.path("tunnel-token"))) }, "token of paris-1", "does not exist", false},
		{"a token that others can read", func(m *machine) { m.must(os.Chmod(m.path("tunnel-token"), 0o644)) }, "token of paris-1", "0644", false},
		{"a token of another tunnel", func(m *machine) { m.replace(standintest.TunnelID, "5f1b0c3a-0000-4000-8000-00000000beef") }, "token of paris-1", "its token is of tunnel " + standintest.TunnelID, false},
		{"a credential that systemd has not placed", func(m *machine) {
			m.replace("token_file: "+m.path("tunnel-token"), "token_file: \"${CREDENTIALS_DIRECTORY}/tunnel-token\"")
		}, "token of paris-1", "systemctl start hybridge-agent, then ask again", true},
		{"a SOPS file that is not there", func(m *machine) {
			m.replace("token_file: "+m.path("tunnel-token"), "token_sops: { file: /nowhere/s.yaml, key: t }")
		}, "token of paris-1", "reading the SOPS file", false},
		{"a health token that others can read", func(m *machine) { m.must(os.Chmod(m.path("health-token"), 0o604)) }, "health.token_file", "0604", false},
		{"an empty webhook key", func(m *machine) { m.write("hook", "\n") }, "alerts.webhooks[0].secret_file", "it is empty", false},
		{"an identity in the environment", func(m *machine) { m.env["SOPS_AGE_KEY"] = "canary" }, "environment", "unset it and use a systemd credential", true},
		{"a certificate without its key", func(m *machine) { m.must(os.Remove(m.path("app.key"))) }, "certificate app.crt", "name PEM files of a certificate and of its key", false},
		{"a certificate that ends", func(m *machine) { m.certificate("app", today.Add(24*time.Hour)) }, "certificate app.crt", "it ends on 2025-05-02T00:00:00Z: renew it", true},
		{"a key for everybody", func(m *machine) { m.must(os.Chmod(m.path("app.key"), 0o644)) }, "key app.key", "chmod o= ", true},
		{"a port that is taken", func(m *machine) {
			ln, err := (&net.ListenConfig{}).Listen(m.t.Context(), "tcp", "127.0.0.1:0")
			m.must(err)
			m.t.Cleanup(func() { _ = ln.Close() })
			m.replace("127.0.0.1:0", ln.Addr().String())
		}, "ingress.listen[0]", `"ss -ltnp" names it`, false},
		{"an address that is not this machine's", func(m *machine) { m.replace("127.0.0.2:0", "192.0.2.1:1") }, "ingress.listen[1]", "cannot assign requested address", false},
		{"a directory of sockets that is not there", func(m *machine) { m.replace("/api.sock", "/run/api.sock") }, "plane.api.listen", "RuntimeDirectory= in the unit", false},
		{"a socket with too long a path", func(m *machine) { m.replace("/api.sock", "/"+strings.Repeat("a", 100)+".sock") }, "plane.api.listen", "name a shorter one", false},
		{"a disk that fills", func(m *machine) { m.replace("alerts: {", "alerts: { disk_free: 99.9%,") }, "disk", "make room", true},
	} {
		t.Run(c.flaw, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			c.make(m)
			name := strings.Replace(c.name, " app.", " "+m.path("app."), 1)
			var same []health.Check
			for _, found := range m.examine() {
				if found.Name == name {
					same = append(same, found)
				}
				if !found.OK && !found.Warning && found.Name != name {
					t.Errorf("it is no flaw of %s: %s", found.Name, found.Detail)
				}
			}
			for _, found := range same {
				if !found.OK && found.Warning == c.warning && strings.Contains(found.Detail, c.remedy) {
					return
				}
			}
			t.Errorf("it was not found, or without %q (warning %t): %+v", c.remedy, c.warning, same)
		})
	}
}

func TestLittleMemoryIsAWarning(t *testing.T) {
	t.Parallel()
	const meminfo = "MemTotal:        1012345 kB\nMemFree:           50000 kB\nMemAvailable:     %d kB\nBuffers: 1 kB\n"
	for kib, fine := range map[int]bool{100 << 10: false, 300 << 10: true} {
		available, ok := memoryAvailable(strings.NewReader(fmt.Sprintf(meminfo, kib)))
		if !ok || available != uint64(kib)<<10 {
			t.Fatalf("%d %t", available, ok)
		}
		e := &examination{}
		e.judgeMemory(available)
		got := e.out.Checks[0]
		if got.OK != fine || !fine && (!got.Warning || !strings.Contains(got.Detail, "100 MiB are available, less than 256: Workers will be killed; add memory")) {
			t.Errorf("%d KiB: %+v", kib, got)
		}
	}
	if _, ok := memoryAvailable(strings.NewReader("nothing")); ok {
		t.Error("it reads what is not there")
	}
}

func TestSystemdsVersion(t *testing.T) { //nolint:paralleltest // it sets the environment
	for _, c := range []struct{ says, want string }{
		{"systemd 255 (255.4-1ubuntu8)", "version 255"},
		{"systemd 245 (245.4)", "version 245 is older than 250: it cannot decrypt credentials; use LoadCredential= with a file of mode 0400"},
		{"", "there is none: whatever starts the agent must restart it and place its secrets"},
	} {
		dir := t.TempDir()
		if c.says != "" {
			if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\necho '"+c.says+"'\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", dir)
		e := &examination{ctx: t.Context()}
		e.systemd()
		if got := e.out.Checks[0]; !strings.Contains(got.Detail, c.want) || got.OK != (c.want == "version 255") || !got.OK && !got.Warning {
			t.Errorf("%q: %+v", c.says, got)
		}
	}
}

// An agent that runs is asked, and its own ports are no finding, even where it refuses us.
func TestARunningAgentTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	m.must(err)
	token := []byte("canary-doctor-health")
	status := health.Status{Version: health.DocumentVersion, Checks: []health.Check{{Name: "connector paris-1", Detail: "it is disconnected"}}}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: health.Handler(
		func() health.Status { return status }, func() error { return nil }, func() []byte { return token })}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	m.replace("127.0.0.1:1", ln.Addr().String())
	find := func(name string) (out []health.Check) {
		for _, c := range m.examine() {
			if c.Name == name {
				out = append(out, c)
			}
		}
		return out
	}
	if got := find("agent: connector paris-1"); len(got) != 1 || got[0].Detail != "it is disconnected" || got[0].Warning {
		t.Errorf("%+v", got)
	}
	token = []byte("another")
	if got := find("agent"); len(got) != 1 || !got[0].Warning || !strings.Contains(got[0].Detail, "is health.token_file the agent's?") {
		t.Errorf("%+v", got)
	}
	if got := find("health.listen"); len(got) > 0 {
		t.Errorf("the agent's own port is a finding: %+v", got)
	}
}
