// SPDX-License-Identifier: MPL-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
)

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (l *load) unharmed(t *testing.T) {
	t.Helper()
	if failed := l.stop(); len(failed) > 0 || l.asked.Load() < 20 {
		t.Errorf("%d of %d requests failed, the first with %q", len(failed), l.asked.Load(), failed[:min(1, len(failed))])
	}
	t.Logf("%d requests", l.asked.Load())
}

// reload writes agent.yaml and waits until systemd hears that it is in use.
func (m *machine) reload(config string) {
	m.t.Helper()
	m.write("agent.yaml", config)
	m.signal(syscall.SIGHUP)
	m.hears("RELOADING=1\nMONOTONIC_USEC=")
	m.hears("READY=1")
}

// edited are the parts of an agent.yaml that a story changes.
type edited struct{ hostnames, certificates, connectors string }

func TestConnectorsCertificatesAndHostNamesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certificate(1)
	second, key := certificate(t, 2, "www.example.com")
	m.write("www.crt", second)
	m.write("www.key", key)
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	standintest.WriteToken(t, m.path("tunnel-token"), standintest.Token("s"))
	plain, secure := freeAddress(t), freeAddress(t)
	connector := func(name, more string) string {
		return fmt.Sprintf("  %s: { tunnel_id: %s, cloudflared: %s, token_file: %s%s }\n", name, standintest.TunnelID, in.Path, m.path("tunnel-token"), more)
	}
	config := func(e edited) string {
		return fmt.Sprintf(`format: 1
data_dir: %[1]s/data
plane: { api: { listen: "unix://%[1]s/api.sock" }, initial_token_file: %[1]s/token }
ingress:
  listen: [ { address: "%[2]s" }, { address: "%[3]s", tls: true } ]
  certificates: [ { cert_file: %[1]s/app.crt, key_file: %[1]s/app.key }%[4]s ]
  zones: { example.com: { hostnames: { "app.example.com": { worker: api }%[5]s } } }
health: { listen: "unix://%[1]s/health.sock" }
connectors:
%[6]s`, m.dir, plain, secure, e.certificates, e.hostnames, e.connectors)
	}
	e := edited{connectors: connector("a", "")}
	m.write("agent.yaml", config(e))
	m.start()
	m.deploy("api", "hello")
	m.deploy("www", "welcome")
	standintest.Eventually(t, "ready", func() bool { return m.status().Ready })
	a := m.status().Connectors["a"].PID
	over := func(alpn string) func() *http.Transport {
		return func() *http.Transport {
			return &http.Transport{ForceAttemptHTTP2: alpn == "h2", DisableKeepAlives: alpn != "h2", TLSClientConfig: &tls.Config{
				ServerName: "app.example.com", NextProtos: []string{alpn}, InsecureSkipVerify: true, //nolint:gosec // the story is about which one is served
			}}
		}
	}
	loads := []*load{
		startLoad(t, 2, "https://"+secure, "app.example.com", over("h2")),
		startLoad(t, 1, "https://"+secure, "app.example.com", over("http/1.1")), // a handshake each
		startLoad(t, 1, "http://"+plain, "app.example.com", func() *http.Transport { return &http.Transport{DisableKeepAlives: true} }),
		startLoad(t, 1, "http://"+plain, "app.example.com", func() *http.Transport { return &http.Transport{} }),
	}

	// A host name comes, moves to another Worker, and goes.
	www := func() (status int) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+plain, nil)
		req.Host = "www.example.com"
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := www(); got == http.StatusOK {
		t.Error("the host name is there before it was given")
	}
	for _, worker := range []string{"api", "www"} {
		e.hostnames = `, "www.example.com": { worker: ` + worker + ` }`
		m.reload(config(e))
		if got := www(); got != http.StatusOK {
			t.Errorf("www.example.com on %s: %d", worker, got)
		}
	}

	// A certificate comes and goes; the one of the other name is served meanwhile.
	serial := func(name string) int64 {
		conn, err := tls.Dial("tcp", secure, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // as above
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial("www.example.com"); got != 1 {
		t.Errorf("www.example.com is served with the certificate %d, want the first one", got)
	}
	e.certificates = fmt.Sprintf(", { cert_file: %[1]s/www.crt, key_file: %[1]s/www.key }", m.dir)
	m.reload(config(e))
	if app, www := serial("app.example.com"), serial("www.example.com"); app != 1 || www != 2 {
		t.Errorf("the certificates are %d and %d, want 1 and 2", app, www)
	}

	// What names a certificate that is not there changes nothing at all.
	wrong := edited{certificates: fmt.Sprintf(", { cert_file: %[1]s/no.crt, key_file: %[1]s/no.key }", m.dir), connectors: connector("b", "")}
	m.reload(config(wrong))
	standintest.Eventually(t, "it is said", func() bool { return strings.Contains(m.status().ConfigError, "no.crt") })
	if got := www(); got != http.StatusOK {
		t.Errorf("after a refused reload, www.example.com answers %d", got)
	}
	if c := m.status().Connectors; len(c) != 1 || c["a"].PID != a {
		t.Errorf("after a refused reload, the connectors are %+v", c)
	}

	// A connector comes: the first one is not touched.
	e.connectors = connector("a", "") + connector("b", "")
	m.reload(config(e))
	standintest.Eventually(t, "b is connected", func() bool { return m.status().Connectors["b"].State == "connected" && m.status().ConfigError == "" })
	b := m.status().Connectors["b"].PID
	if got := m.status().Connectors["a"].PID; got != a {
		t.Errorf("a was restarted: %d, was %d", got, a)
	}

	// A changed one rotates: its successor is connected before it ends.
	e.connectors = connector("a", ", metrics: \""+freeAddress(t)+"\"") + connector("b", "")
	m.reload(config(e))
	standintest.Eventually(t, "a is another one", func() bool { s := m.status().Connectors["a"]; return s.Rotations == 1 && s.State == "connected" })
	events := in.Seen()
	if last := events[len(events)-1]; last.Event != "end" || last.PID != a {
		t.Errorf("the last event is %s of %d, want the end of %d after the start of its successor", last.Event, last.PID, a)
	}

	// One that goes ends with its grace.
	e.connectors = connector("a", ", metrics: \""+strings.TrimSpace(m.status().Connectors["a"].Metrics)+"\"")
	e.hostnames, e.certificates = "", ""
	m.reload(config(e))
	standintest.Eventually(t, "b has ended", func() bool { return syscall.Kill(b, 0) != nil })
	standintest.Eventually(t, "b is not shown", func() bool { return len(m.status().Connectors) == 1 })
	if got, was := www(), serial("www.example.com"); got == http.StatusOK || was != 1 {
		t.Errorf("www.example.com answers %d with the certificate %d, although both are gone", got, was)
	}
	for _, l := range loads {
		l.unharmed(t)
	}
	m.stop()
}

func TestAPublicAPINeedsToBeSaidAndHasTLS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	_, port, _ := net.SplitHostPort(freeAddress(t))
	m.certificate(1)
	config := func(api string) string {
		return strings.Replace(m.config(`{ address: "127.0.0.1:0" }`, ""), fmt.Sprintf(`{ listen: "unix://%s/api.sock" }`, m.dir), api, 1)
	}
	pair := fmt.Sprintf("tls: { cert_file: %[1]s/app.crt, key_file: %[1]s/app.key }", m.dir)
	for api, want := range map[string]string{
		fmt.Sprintf(`{ listen: "0.0.0.0:%s" }`, port):                              "plane.api.listen: other machines could reach 0.0.0.0",
		fmt.Sprintf(`{ listen: "0.0.0.0:%s", %s }`, port, pair):                    "allow_public: true and tls",
		fmt.Sprintf(`{ listen: "[::]:%s", allow_public: true }`, port):             "plane.api.tls: a public API needs it",
		fmt.Sprintf(`{ listen: ":%s", %s }`, port, pair):                           "plane.api.listen: other machines could reach",
		fmt.Sprintf(`{ listen: "example.com:%s", allow_public: false }`, port):     "plane.api.listen: other machines could reach",
		fmt.Sprintf(`{ listen: "unix://api.sock", allow_public: true, %s }`, pair): "has no absolute path",
	} {
		m.write("agent.yaml", config(api))
		out, err := exec.CommandContext(t.Context(), "hybridge", "agent", "--config", m.path("agent.yaml")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", api, err, out)
		}
	}

	m.write("agent.yaml", config(fmt.Sprintf(`{ listen: "0.0.0.0:%s", allow_public: true, %s }`, port, pair)))
	m.start()
	token, err := os.ReadFile(m.path("token"))
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + port
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its certificate is looked at below
	ask := func(authorization string) int {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/client/v4/accounts", nil)
		req.Header.Set("Authorization", authorization)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if with, without := ask("Bearer "+strings.TrimSpace(string(token))), ask("Bearer "+strings.Repeat("x", 50)); with != http.StatusOK || without != http.StatusForbidden && without != http.StatusUnauthorized {
		t.Errorf("with the token %d, without %d", with, without)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/client/v4/accounts", nil)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if resp, err := http.DefaultClient.Do(req); err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("in the clear it answered %s", resp.Status)
		}
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}); err == nil { //nolint:gosec // the story
		t.Error("it speaks TLS 1.1")
	}

	// Its certificate is taken over like the ingress's.
	m.certificate(7)
	standintest.Eventually(t, "the new certificate is served", func() bool {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // as above
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 7
	})
	m.stop()
}
