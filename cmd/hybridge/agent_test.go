// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// machine is a directory with an agent.yaml, and the agent that runs on it.
type machine struct {
	t    *testing.T
	dir  string
	told chan string // what the agent tells systemd
	env  []string    // beside what each agent gets
	cmd  *exec.Cmd
	log  *bytes.Buffer // read after the end only
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir, told: make(chan string, 10_000)}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path("notify.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	// Read all the time, as systemd does: a full socket would hold the agent up.
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := notify.Read(buf)
			if err != nil {
				return
			}
			m.told <- string(buf[:n])
		}
	}()
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// start starts the agent as systemd would, with the files as handed-over sockets,
// and waits for READY=1.
func (m *machine) start(files ...*os.File) {
	m.t.Helper()
	// LISTEN_PID must be the agent's own, which only a shell between knows.
	m.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec hybridge agent --config "$0"`, m.path("agent.yaml")) //nolint:noctx // ended by stop
	m.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path("notify.sock"), "WATCHDOG_USEC=600000", "HYBRIDGE_WORKERD="+workerdtest.Path(m.t))
	m.cmd.Env = append(m.cmd.Env, m.env...)
	if len(files) > 0 {
		m.cmd.Env = append(m.cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(files)))
	}
	m.cmd.ExtraFiles, m.log = files, &bytes.Buffer{}
	m.cmd.Stderr = m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	cmd := m.cmd
	m.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	m.hears("READY=1")
}

// hears waits until the agent has told systemd something.
func (m *machine) hears(want string) {
	m.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case said := <-m.told:
			if strings.Contains(said, want) {
				return
			}
		case <-deadline:
			_ = m.cmd.Process.Kill()
			_ = m.cmd.Wait()
			m.t.Fatalf("it did not tell systemd %s\n%s", want, m.log)
		}
	}
}

// silent fails if the agent tells systemd something between two times from now.
func (m *machine) silent(unwanted string, from, to time.Duration) {
	m.t.Helper()
	start, end := time.After(from), time.After(to)
	begun := false
	for {
		select {
		case said := <-m.told:
			if begun && strings.Contains(said, unwanted) {
				m.t.Fatalf("it told systemd %s", unwanted)
			}
		case <-start:
			begun = true
		case <-end:
			return
		}
	}
}

func (m *machine) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) stop() string {
	m.t.Helper()
	m.signal(syscall.SIGTERM)
	if err := m.cmd.Wait(); err != nil {
		m.t.Fatalf("the agent ended with %v\n%s", err, m.log)
	}
	return m.log.String()
}

func (m *machine) status() health.Status {
	m.t.Helper()
	s, err := health.Ask(m.t.Context(), "unix://"+m.path("health.sock"), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// overUnix is a client of the socket.
func overUnix(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
}

// deploy uploads a Worker that answers with text.
func (m *machine) deploy(name, text string) {
	m.t.Helper()
	if status, answer := m.upload(name, text); status != http.StatusOK {
		m.t.Fatalf("uploading %s: %d %s", name, status, answer)
	}
}

// upload is deploy with its answer, through the API's unix socket and with the initial token.
func (m *machine) upload(name, text string) (status int, answer string) {
	m.t.Helper()
	token, err := os.ReadFile(m.path("token"))
	if err != nil {
		m.t.Fatal(err)
	}
	client := overUnix(m.path("api.sock"))
	call := func(method, path, contentType string, body io.Reader) (int, string) {
		req, err := http.NewRequestWithContext(m.t.Context(), method, "http://plane/client/v4"+path, body)
		if err != nil {
			m.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		req.Header.Set("Content-Type", contentType)
		resp, err := client.Do(req)
		if err != nil {
			m.t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(answer)
	}
	var accounts struct{ Result []struct{ ID string } }
	if _, answer := call(http.MethodGet, "/accounts", "", nil); json.Unmarshal([]byte(answer), &accounts) != nil || len(accounts.Result) != 1 {
		m.t.Fatalf("the accounts are %s", answer)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("metadata", `{"main_module":"index.js","compatibility_date":"2025-09-01"}`)
	part, _ := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="index.js"; filename="index.js"`}, "Content-Type": {"application/javascript+module"},
	})
	fmt.Fprintf(part, `export default { fetch() { return new Response(%q) } }`, text)
	_ = form.Close()
	return call(http.MethodPut, "/accounts/"+accounts.Result[0].ID+"/workers/scripts/"+name, form.FormDataContentType(), &body)
}

// load asks again and again until stopped; each failure is kept. Over HTTP/1 its requests have bodies
// that can be read once only, so no client repeats what was lost on a connection that was kept alive. HTTP/2 tells
// the client what was not begun (RFC 9113, 6.8), which then has to repeat it, and can.
type load struct {
	asked  atomic.Int64
	mu     sync.Mutex
	failed []string
	stop   func() []string
}

func startLoad(t *testing.T, clients int, url, host string, transport func() *http.Transport) *load {
	l := &load{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			client := &http.Client{Transport: transport(), Timeout: 30 * time.Second}
			for ctx.Err() == nil {
				req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader("body"))
				if req.Host = host; strings.HasPrefix(url, "http:") {
					req.GetBody = nil
				}
				resp, err := client.Do(req)
				text := ""
				if err == nil {
					body, _ := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != http.StatusOK || string(body) != "hello" {
						text = fmt.Sprintf("%s %s", resp.Status, body)
					}
				} else {
					text = err.Error()
				}
				l.asked.Add(1)
				if text != "" {
					l.mu.Lock()
					l.failed = append(l.failed, text)
					l.mu.Unlock()
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	l.stop = func() []string { cancel(); running.Wait(); return l.failed }
	return l
}

func (m *machine) config(listen, more string) string {
	return fmt.Sprintf(`format: 1
region: fr
data_dir: %[1]s/data
plane:
  api: { listen: "unix://%[1]s/api.sock" }
  initial_token_file: %[1]s/token
ingress:
  listen: [ %[2]s ]
  zones: { example.com: { hostnames: { "app.example.com": { worker: api } } } }
health: { listen: "unix://%[1]s/health.sock" }
%[3]s`, m.dir, listen, more)
}

// handedOver is a socket that stays open while the agent restarts, as a .socket unit has it.
func handedOver(t *testing.T) (address string, file *os.File) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err = ln.(*net.TCPListener).File() //nolint:forcetypeassert // it is one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	address = ln.Addr().String()
	_ = ln.Close() // systemd does not accept on it
	return address, file
}

func TestARestartWithSystemdsSocketsRefusesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certificate(1)
	plain, plainFile := handedOver(t)
	secure, secureFile := handedOver(t)
	config := m.config(fmt.Sprintf(`{ address: "%s" }, { address: "%s", tls: true }`, plain, secure), "")
	m.write("agent.yaml", strings.Replace(config, "ingress:", fmt.Sprintf("ingress:\n  certificates: [ { cert_file: %[1]s/app.crt, key_file: %[1]s/app.key } ]", m.dir), 1))
	m.start(plainFile, secureFile)
	m.deploy("api", "hello")
	loads := map[string]*load{
		"a connection for each": startLoad(t, 3, "http://"+plain, "app.example.com", func() *http.Transport { return &http.Transport{DisableKeepAlives: true} }),
		"kept alive":            startLoad(t, 3, "http://"+plain, "app.example.com", func() *http.Transport { return &http.Transport{} }),
		"HTTP/2": startLoad(t, 2, "https://"+secure, "app.example.com", func() *http.Transport {
			return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // not what this is about
		}),
	}
	for range 4 {
		time.Sleep(200 * time.Millisecond)
		m.stop()
		m.start(plainFile, secureFile)
	}
	time.Sleep(200 * time.Millisecond)
	for name, l := range loads {
		if failed := l.stop(); len(failed) > 0 || l.asked.Load() < 20 {
			t.Errorf("%s: %d of %d requests failed: %q", name, len(failed), l.asked.Load(), failed[:min(5, len(failed))])
		}
		t.Logf("%s: %d requests over 4 restarts", name, l.asked.Load())
	}
	m.stop()
}

func TestWhatArrivesWhileNothingRunsIsAnswered(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	address, file := handedOver(t)
	m.write("agent.yaml", m.config(fmt.Sprintf(`{ address: "%s" }`, address), ""))
	m.start(file)
	m.deploy("api", "hello")
	m.signal(syscall.SIGKILL)
	_ = m.cmd.Wait()
	answered := make(chan string, 1)
	go func() {
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address, strings.NewReader("body"))
		req.Host = "app.example.com"
		resp, err := (&http.Client{Transport: &http.Transport{}, Timeout: patience}).Do(req)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answered <- string(text)
	}()
	time.Sleep(200 * time.Millisecond) // it waits in the kernel
	m.start(file)
	if got := <-answered; got != "hello" {
		t.Errorf("it was answered with %q", got)
	}
	m.stop()
}

// Without a .socket unit nobody queues meanwhile. This measures for how long; the documentation has the figure.
func TestARestartWithoutThemRefusesForAMoment(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	address := freeAddress(t)
	m.write("agent.yaml", m.config(fmt.Sprintf(`{ address: "%s" }`, address), ""))
	m.start()
	m.deploy("api", "hello")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answers := func() bool {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		req.Host = "app.example.com"
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	var windows []time.Duration
	for range 3 {
		if !answers() {
			t.Fatal("it does not answer before the restart")
		}
		done := make(chan time.Duration)
		go func() {
			for answers() {
				time.Sleep(time.Millisecond)
			}
			closed := time.Now()
			for !answers() {
				time.Sleep(time.Millisecond)
			}
			done <- time.Since(closed)
		}()
		time.Sleep(50 * time.Millisecond)
		m.stop()
		m.start()
		windows = append(windows, (<-done).Round(time.Millisecond))
	}
	t.Logf("refused for %v at three restarts with one Worker", windows)
	m.stop()
}

// certificate makes one for a host name, signed by itself.
func certificate(t *testing.T, serial int64, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func (m *machine) certificate(serial int64) {
	m.t.Helper()
	cert, key := certificate(m.t, serial, "app.example.com")
	m.write("app.crt", cert)
	m.write("app.key", key)
}

func TestReloadsAndNewCertificatesDropNoRequest(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certificate(1)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	certificates := fmt.Sprintf("  certificates: [ { cert_file: %[1]s/app.crt, key_file: %[1]s/app.key } ]\nhealth:", m.dir)
	config := strings.Replace(m.config(fmt.Sprintf(`{ address: "%s", tls: true }`, address), ""), "health:", certificates, 1)
	m.write("agent.yaml", config)
	m.start()
	m.deploy("api", "hello")
	transport := func() *http.Transport {
		return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			ServerName: "app.example.com", NextProtos: []string{"h2"}, InsecureSkipVerify: true, //nolint:gosec // the test looks at the serial number itself
			VerifyConnection: func(s tls.ConnectionState) error {
				if s.NegotiatedProtocol != "h2" {
					return fmt.Errorf("negotiated %q", s.NegotiatedProtocol)
				}
				return nil
			},
		}}
	}
	l := startLoad(t, 4, "https://"+address, "app.example.com", transport)
	m.hears("WATCHDOG=1")

	// The host name of another Worker appears by SIGHUP.
	m.write("agent.yaml", strings.Replace(config, `"app.example.com": { worker: api }`, `"app.example.com": { worker: api }, "www.example.com": { worker: api }`, 1))
	m.signal(syscall.SIGHUP)
	m.hears("RELOADING=1")
	m.hears("READY=1")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address, nil)
	req.Host = "www.example.com"
	if resp, err := (&http.Client{Transport: transport()}).Do(req); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("www.example.com: %v %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}

	// A wrong file changes nothing and is shown.
	m.write("agent.yaml", config+"unknown: 1\n")
	m.signal(syscall.SIGHUP)
	standintest.Eventually(t, "the refused reload is shown", func() bool { return strings.Contains(m.status().ConfigError, `unknown field "unknown"`) })
	if !m.status().Ready {
		t.Errorf("%+v", m.status().Checks)
	}
	m.write("agent.yaml", strings.Replace(config, "region: fr", "region: fr\nlog: { format: text }", 1))
	m.signal(syscall.SIGHUP)
	standintest.Eventually(t, "the key that needs a restart is shown", func() bool { return slices.Equal(m.status().RestartNeeded, []string{"log.format"}) })

	// New certificate files are taken over by themselves; broken ones are not.
	m.write("app.crt", "half a certificate")
	stale := func() bool {
		return slices.ContainsFunc(m.status().Checks, func(c health.Check) bool {
			return c.Name == "certificates" && c.Warning && strings.Contains(c.Detail, "app.crt")
		})
	}
	standintest.Eventually(t, "that it is not in use is told", stale)
	time.Sleep(700 * time.Millisecond)
	m.certificate(2)
	standintest.Eventually(t, "the new certificate is served", func() bool {
		conn, err := tls.Dial("tcp", address, transport().TLSClientConfig)
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	standintest.Eventually(t, "all is well again", func() bool { return !stale() })
	if failed := l.stop(); len(failed) > 0 || l.asked.Load() < 100 {
		t.Errorf("%d of %d requests failed, the first with %q", len(failed), l.asked.Load(), failed[:min(1, len(failed))])
	}
	if said := m.stop(); strings.Count(said, "the certificates before stay in use") > 3 {
		t.Error("the log repeats itself")
	}
}

func TestTheTunnelTokenStaysInItsFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	in := standintest.New(t, standintest.Behaviour{Connections: 4})
	first, second := standintest.Token("canary-agent-one"), standintest.Token("canary-agent-two")
	standintest.WriteToken(t, m.path("tunnel-token"), first)
	m.write("agent.yaml", fmt.Sprintf(`format: 1
connectors:
  paris-1: { tunnel_id: %s, cloudflared: %s, token_file: %s }
health: { listen: "unix://%s" }
log: { level: trace }
`, standintest.TunnelID, in.Path, m.path("tunnel-token"), m.path("health.sock")))
	m.start()
	standintest.Eventually(t, "connected", func() bool { return m.status().Ready })
	standintest.WriteToken(t, m.path("tunnel-token"), second)
	standintest.Eventually(t, "rotated", func() bool { return m.status().Connectors["paris-1"].Rotations == 1 })
	shown := fmt.Sprintf("%+v", m.status())
	out, err := exec.CommandContext(t.Context(), "hybridge", "status", "--config", m.path("agent.yaml")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "paris-1") {
		t.Errorf("hybridge status: %v\n%s", err, out)
	}
	said := m.stop()
	for _, token := range []string{first, second, "canary-agent"} {
		if strings.Contains(said+shown+string(out), token) {
			t.Errorf("the log or the status holds %q", token)
		}
	}
	seen := in.Seen()
	if len(seen) != 4 || seen[1].Event != "start" || seen[2].Event != "end" {
		t.Errorf("%+v", seen)
	}
	for _, s := range seen {
		if all := strings.Join(append(s.Argv, s.Env...), " "); strings.Contains(all, first) || strings.Contains(all, second) {
			t.Error("argv or environment holds a token")
		}
	}
}

func TestAKilledAgentTakesItsConnectorsAlongAndComesBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	in := standintest.New(t, standintest.Behaviour{Connections: 1})
	standintest.WriteToken(t, m.path("tunnel-token"), standintest.Token("s"))
	m.write("agent.yaml", m.config(`{ address: "127.0.0.1:0" }`, fmt.Sprintf("connectors: { a: { tunnel_id: %s, cloudflared: %s, token_file: %s } }\n", standintest.TunnelID, in.Path, m.path("tunnel-token"))))
	m.start()
	m.deploy("api", "hello")
	token, _ := os.ReadFile(m.path("token"))
	standintest.Eventually(t, "ready", func() bool { return m.status().Ready })
	pid := m.status().Connectors["a"].PID
	m.signal(syscall.SIGKILL)
	_ = m.cmd.Wait()
	standintest.Eventually(t, "the connector dies too", func() bool { return syscall.Kill(pid, 0) != nil })
	m.start() // over the sockets that were left
	standintest.Eventually(t, "ready again", func() bool { return m.status().Ready })
	if s := m.status(); len(s.Workers) != 1 || s.Workers[0].State != "ready" {
		t.Errorf("%+v", s.Workers)
	}
	if after, _ := os.ReadFile(m.path("token")); !bytes.Equal(token, after) {
		t.Error("the initial token has changed")
	}
	m.stop()
}
