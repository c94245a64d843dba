// SPDX-License-Identifier: MPL-2.0

package origin_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/origin"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

func ptr[T any](v T) *T { return &v }

// stage is an ingress in front of an origin.Server.
type stage struct {
	t      *testing.T
	server *origin.Server
	url    string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, server: origin.New(hclog.NewNullLogger())}
	router := ingress.New(hclog.NewNullLogger())
	router.SetOthers(s.server.Lookup)
	front := httptest.NewServer(router)
	t.Cleanup(s.server.Close)
	t.Cleanup(front.Close)
	t.Cleanup(s.server.CloseUpgraded)
	s.url = front.URL
	return s
}

// serve sets one tunnel with these rules and a catch-all.
func (s *stage) serve(whole *tunnelrule.Origin, rules ...tunnelrule.Rule) {
	s.t.Helper()
	c := tunnelrule.Config{Ingress: append(rules, tunnelrule.CatchAll), Origin: whole}
	if problems := c.Validate(); len(problems) > 0 {
		s.t.Fatalf("the rules are no rules: %v", problems)
	}
	if err := s.server.SetTunnels([]plane.ServedTunnel{{ID: "1", Name: "paris", Config: c, Hosts: []string{"*.wild.example.com", "dns.example.com"}}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) do(method, host, path string, body io.Reader, header ...string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func (s *stage) get(host, path string) (int, string) {
	s.t.Helper()
	status, text, _ := s.do(http.MethodGet, host, path, nil)
	return status, text
}

func (s *stage) want(host, path string, status int, text string) {
	s.t.Helper()
	if gotStatus, got := s.get(host, path); gotStatus != status || !strings.Contains(got, text) {
		s.t.Errorf("%s%s: %d %q, want %d %q", host, path, gotStatus, got, status, text)
	}
}

// echo says what a service got.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sni := ""
		if r.TLS != nil {
			sni = r.TLS.ServerName
		}
		fmt.Fprintf(w, "%s %s %s host=%s sni=%s proto=%d length=%d te=%v body=%s xff=%s xfp=%s ip=%s loop=%s", name, r.Method, r.URL, r.Host, sni, r.ProtoMajor, r.ContentLength, r.TransferEncoding,
			body, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Cf-Connecting-Ip"), r.Header.Get("Cdn-Loop"))
	})
}

func service(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(echo(name))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRulesAreServedAsCloudflaredServesThem(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.serve(nil,
		tunnelrule.Rule{Hostname: "app.example.com", Path: "^/admin", Service: service(t, "admin")},
		tunnelrule.Rule{Hostname: "app.example.com", Service: service(t, "app")},
		tunnelrule.Rule{Hostname: "*.example.com", Service: service(t, "wild")},
		tunnelrule.Rule{Hostname: "teapot.example.org", Service: "http_status:418"},
		tunnelrule.Rule{Hostname: "hello.example.org", Service: "hello_world"},
		tunnelrule.Rule{Hostname: "ssh.example.org", Service: "ssh://localhost:22"},
		tunnelrule.Rule{Path: "^/anywhere", Service: service(t, "anywhere")},
	)
	s.want("app.example.com", "/x?y=1", 200, "app GET /x?y=1 host=app.example.com")
	s.want("APP.example.com:8787", "/", 200, "app GET / host=APP.example.com:8787")
	s.want("app.example.com", "/admin/x", 200, "admin GET /admin/x")
	s.want("app.example.com", "/x/admin", 200, "app GET")
	s.want("other.example.com", "/", 200, "wild GET")
	s.want("a.b.example.com", "/", 200, "wild GET")
	s.want("teapot.example.org", "/", 418, "")
	s.want("hello.example.org", "/", 200, "The tunnel works")
	s.want("ssh.example.org", "/", 502, "only cloudflared serves it")
	// A DNS record sends a name to the tunnel whose rules do not name it.
	s.want("dns.example.com", "/anywhere", 200, "wild GET") // the first rule that matches
	s.want("x.wild.example.com", "/", 200, "wild GET")
	// A host that no rule and no record names is nobody's.
	s.want("example.com", "/anywhere", 404, "no Worker answers at example.com")
	s.want("nobody.example.org", "/anywhere", 404, "no Worker answers")

	_, text, _ := s.do(http.MethodPost, "app.example.com", "/", strings.NewReader("some text"), "X-Forwarded-For", "192.0.2.9", "Cf-Connecting-Ip", "192.0.2.9")
	for _, want := range []string{"body=some text", "xff=192.0.2.9, 127.0.0.1", "xfp=http", "ip=127.0.0.1", "loop=hybridge-", "length=9"} {
		if !strings.Contains(text, want) {
			t.Errorf("the service lacks %q: %s", want, text)
		}
	}
}

func TestSettingsOfAServiceApply(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	secure := httptest.NewUnstartedServer(echo("secure"))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	pool := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pool, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp("", "hy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	socket := filepath.Join(sockets, "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: echo("unix"), ReadHeaderTimeout: time.Second}
	go func() { _ = unix.Serve(l) }()
	t.Cleanup(func() { _ = unix.Close() })
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })

	rule := func(host, service string, o tunnelrule.Origin) tunnelrule.Rule {
		return tunnelrule.Rule{Hostname: host, Service: service, Origin: &o}
	}
	insecure := tunnelrule.Origin{NoTLSVerify: ptr(true)}
	s.serve(&tunnelrule.Origin{HTTPHostHeader: ptr("whole.internal")},
		rule("plain.x.com", service(t, "plain"), tunnelrule.Origin{HTTPHostHeader: ptr("internal")}),
		rule("whole.x.com", service(t, "plain"), tunnelrule.Origin{}),
		rule("untrusted.x.com", secure.URL, tunnelrule.Origin{}),
		rule("insecure.x.com", secure.URL, insecure),
		rule("trusted.x.com", secure.URL, tunnelrule.Origin{CAPool: &pool}),
		rule("named.x.com", secure.URL, tunnelrule.Origin{CAPool: &pool, OriginServerName: ptr("example.com")}),
		rule("misnamed.x.com", secure.URL, tunnelrule.Origin{CAPool: &pool, OriginServerName: ptr("example.org")}),
		rule("example.com", secure.URL, tunnelrule.Origin{CAPool: &pool, MatchSNIToHost: ptr(true)}),
		rule("sni.x.com", secure.URL, tunnelrule.Origin{CAPool: &pool, MatchSNIToHost: ptr(true)}),
		rule("two.x.com", secure.URL, tunnelrule.Origin{NoTLSVerify: ptr(true), HTTP2Origin: ptr(true)}),
		rule("nopool.x.com", secure.URL, tunnelrule.Origin{CAPool: ptr(pool + ".missing")}),
		rule("unix.x.com", "unix:"+socket, tunnelrule.Origin{}),
		rule("whole-body.x.com", service(t, "plain"), tunnelrule.Origin{DisableChunkedEncoding: ptr(true)}),
		rule("chunked.x.com", service(t, "plain"), tunnelrule.Origin{}),
		rule("slow-tls.x.com", "https://"+silent.Addr().String(), tunnelrule.Origin{TLSTimeout: ptr[int64](1)}),
		rule("access.x.com", service(t, "plain"), tunnelrule.Origin{Access: &tunnelrule.Access{Required: true, TeamName: "acme", AudTag: []string{"x"}}}),
		rule("dead.x.com", "http://127.0.0.1:1", tunnelrule.Origin{ConnectTimeout: ptr[int64](1)}),
	)
	s.want("plain.x.com", "/", 200, "host=internal")
	s.want("whole.x.com", "/", 200, "host=whole.internal")
	s.want("untrusted.x.com", "/", 502, `rule 3 of the tunnel "paris"`)
	s.want("insecure.x.com", "/", 200, "secure GET")
	s.want("insecure.x.com", "/", 200, "proto=1")
	s.want("trusted.x.com", "/", 200, "secure GET")
	s.want("named.x.com", "/", 200, "sni=example.com")
	s.want("misnamed.x.com", "/", 502, "does not answer")
	s.want("example.com", "/", 200, "sni=example.com")
	s.want("sni.x.com", "/", 502, "does not answer")
	s.want("two.x.com", "/", 200, "proto=2")
	s.want("nopool.x.com", "/", 502, "authorities cannot be read")
	s.want("unix.x.com", "/x", 200, "unix GET /x")
	s.want("access.x.com", "/", 403, "which this plane cannot check")
	s.want("dead.x.com", "/", 502, "connection refused")
	s.want("slow-tls.x.com", "/", 502, "does not answer")

	unknownLength := func(host string) string {
		_, text, _ := s.do(http.MethodPost, host, "/", io.MultiReader(strings.NewReader("in "), strings.NewReader("parts")))
		return text
	}
	if text := unknownLength("whole-body.x.com"); !strings.Contains(text, "length=8") || !strings.Contains(text, "body=in parts") {
		t.Errorf("without chunks: %s", text)
	}
	if text := unknownLength("chunked.x.com"); !strings.Contains(text, "length=-1") || !strings.Contains(text, "te=[chunked]") {
		t.Errorf("with chunks: %s", text)
	}
}

func TestARuleThatLeadsBackIsNoLoop(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.serve(nil, tunnelrule.Rule{Hostname: "app.example.com", Service: s.url})
	s.want("app.example.com", "/", http.StatusLoopDetected, "leads back to this ingress, where no Worker answers at app.example.com")
}

func TestAnswersStreamAndWebSocketsLast(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	more := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "first\n")
			_ = http.NewResponseController(w).Flush()
			<-more
			_, _ = io.WriteString(w, "second\n")
			return
		}
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = rw.WriteString("echo " + line)
			_ = rw.Flush()
		}
	}))
	t.Cleanup(backend.Close)
	s.serve(nil, tunnelrule.Rule{Hostname: "app.example.com", Service: strings.Replace(backend.URL, "http", "ws", 1)})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app.example.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("the first line: %q %v", line, err)
	}
	close(more)
	if line, err := lines.ReadString('\n'); err != nil || line != "second\n" {
		t.Errorf("the second line: %q %v", line, err)
	}

	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	up, err := http.ReadResponse(r, nil)
	if err != nil || up.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrading: %v %v", up, err)
	}
	fmt.Fprint(c, "hello\n")
	if line, err := r.ReadString('\n'); err != nil || line != "echo hello\n" {
		t.Errorf("over the WebSocket: %q %v", line, err)
	}
	s.server.CloseUpgraded()
	if _, err := r.ReadString('\n'); err == nil {
		t.Error("the connection outlives the server")
	}
}

func TestAnotherConfigurationHoldsAtOnceAndKeepsConnections(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var opened int
	backend := httptest.NewUnstartedServer(echo("one"))
	backend.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened++
		}
	}
	backend.Start()
	t.Cleanup(backend.Close)
	kept := plane.ServedTunnel{ID: "1", Name: "kept", Config: tunnelrule.Config{Ingress: []tunnelrule.Rule{{Hostname: "kept.example.com", Service: backend.URL}, tunnelrule.CatchAll}}}
	other := func(status string) plane.ServedTunnel {
		return plane.ServedTunnel{ID: "2", Name: "other", Config: tunnelrule.Config{Ingress: []tunnelrule.Rule{{Hostname: "other.example.com", Service: "http_status:" + status}, tunnelrule.CatchAll}}}
	}
	for _, status := range []string{"201", "202", "203"} {
		if err := s.server.SetTunnels([]plane.ServedTunnel{kept, other(status)}); err != nil {
			t.Fatal(err)
		}
		s.want("kept.example.com", "/", 200, "one GET")
		if got, _ := s.get("other.example.com", "/"); fmt.Sprint(got) != status {
			t.Errorf("status %d, want %s", got, status)
		}
	}
	if opened != 1 {
		t.Errorf("%d connections were opened for a tunnel that did not change", opened)
	}
	if err := s.server.SetTunnels(nil); err != nil {
		t.Fatal(err)
	}
	s.want("kept.example.com", "/", 404, "no Worker answers")
}

func TestVPCServicesCheckCertificatesAsTold(t *testing.T) {
	t.Parallel()
	server := origin.New(hclog.NewNullLogger())
	t.Cleanup(server.Close)
	secure := httptest.NewTLSServer(echo("secure"))
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(echo("plain"))
	t.Cleanup(plain.Close)
	port := func(u string) int { return portOf(t, u) }
	get := func(v plane.VPCTarget, https bool) string {
		w := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://api.internal/x?y=1", nil)
		server.Fetch(v, https).ServeHTTP(w, req)
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	v := plane.VPCTarget{Host: "127.0.0.1", HTTPPort: port(plain.URL), HTTPSPort: port(secure.URL)}
	if got := get(v, false); !strings.Contains(got, "200 plain GET /x?y=1 host=api.internal") {
		t.Errorf("http: %s", got)
	}
	for verify, want := range map[string]string{"": "502", "verify_full": "502", "verify_ca": "502", "disabled": "200 secure GET /x?y=1 host=api.internal"} {
		v.Verify = verify
		if got := get(v, true); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", verify, got)
		}
	}
	v.HTTPPort = 1
	if got := get(v, false); !strings.Contains(got, "the VPC service at 127.0.0.1:1 does not answer") {
		t.Errorf("a dead one: %s", got)
	}
}

func portOf(t *testing.T, u string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(u[strings.Index(u, "//")+2:])
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
