// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// patience bounds every wait of these tests; it is never reached when they pass.
const patience = 20 * time.Second

// fakeVersion is an http.Handler on a unix socket, in place of a workerd.
type fakeVersion struct {
	*Target
	socket string
	srv    *http.Server
}

func startVersion(t *testing.T, id string, h http.Handler) *fakeVersion {
	t.Helper()
	dir, err := os.MkdirTemp("", "ing") // t.TempDir can exceed the length of a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v := &fakeVersion{socket: filepath.Join(dir, "s")}
	v.serve(t, h)
	v.Target = NewTarget("api", "w1", id, v.socket)
	return v
}

func (v *fakeVersion) serve(t *testing.T, h http.Handler) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", v.socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	v.srv = srv
}

// front is a router with one Worker at api.test behind a real server.
type front struct {
	*Router
	url    string
	client *http.Client
	log    *syncBuffer
}

func startFront(t *testing.T, shares ...Share) *front {
	t.Helper()
	f := &front{log: &syncBuffer{}}
	f.Router = New(hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: f.log, JSONFormat: true}))
	f.route(shares...)
	srv := httptest.NewUnstartedServer(f.Router)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	f.url = srv.URL
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	f.client = &http.Client{Transport: tr, Timeout: patience}
	return f
}

func (f *front) route(shares ...Share) {
	f.Set(Route{WorkerID: "w1", WorkerName: "api", Hosts: []string{"api.test"}, PreviewSuffix: "-api.test", Shares: shares})
}

func (f *front) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.test"
	return req
}

func (f *front) do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
}

func TestARequestReachesItsWorkerAndKeepsItsHost(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, r.Header.Get("CF-Connecting-IP"))
	}))
	f := startFront(t, Share{v.Target, 100})
	req := f.request(t, http.MethodGet, "/a%2Fb?q=1;2", nil)
	req.Host = "API.test.:8787"
	req.Header.Set("CF-Connecting-IP", "203.0.113.9")
	res, body := f.do(t, req)
	if want := "GET API.test.:8787 /a%2Fb?q=1;2 127.0.0.1"; body != want {
		t.Errorf("got %q, want %q", body, want)
	}
	if len(res.Header.Get("CF-Ray")) != 16 {
		t.Errorf("CF-Ray is %q", res.Header.Get("CF-Ray"))
	}
}

func TestAnUnknownHostIsNamed(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	req := f.request(t, http.MethodGet, "/", nil)
	req.Host = "nobody.test"
	res, body := f.do(t, req)
	if res.StatusCode != 404 || !strings.Contains(body, "nobody.test") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestAWorkerWithoutALiveVersionSaysSo(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	res, body := f.do(t, f.request(t, http.MethodGet, "/", nil))
	if res.StatusCode != 404 || !strings.Contains(body, "1042") || !strings.Contains(body, "api") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestAPreviewHostReachesItsVersionOnly(t *testing.T) {
	t.Parallel()
	live := startVersion(t, idNew, text("live"))
	old := startVersion(t, idOld, text("old"))
	f := startFront(t, Share{live.Target, 100})
	var released atomic.Int32
	f.SetPreview(func(_ context.Context, workerID, prefix string) (*Target, func(), bool, error) {
		switch {
		case workerID != "w1":
			return nil, nil, false, fmt.Errorf("asked for %s", workerID)
		case prefix == idOld[:8]:
			return old.Target, func() { released.Add(1) }, true, nil
		case prefix == "bad0bad0":
			return nil, nil, false, errors.New("machine out of memory")
		}
		return nil, nil, false, nil
	})
	for prefix, want := range map[string]string{
		idNew[:8]:  "200 live",
		idOld[:8]:  "200 old",
		"33333333": "404 Worker api has no version 33333333\n",
		"bad0bad0": "502 the version bad0bad0 of Worker api cannot be started\n",
	} {
		req := f.request(t, http.MethodGet, "/", nil)
		req.Host = prefix + "-api.test"
		res, body := f.do(t, req)
		if got := fmt.Sprint(res.StatusCode, " ", body); got != want {
			t.Errorf("%s: got %q, want %q", prefix, got, want)
		}
	}
	if n := released.Load(); n != 1 {
		t.Errorf("released %d times, want once", n)
	}
	if n := old.InFlight(); n != 0 {
		t.Errorf("%d uses left", n)
	}
}

func TestAResponseStreamsWhileItIsMade(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"", "9"} {
		step := make(chan struct{})
		v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for i := range 3 {
				fmt.Fprintf(w, "%03d", i)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-step:
				case <-r.Context().Done():
					return
				}
			}
		}))
		f := startFront(t, Share{v.Target, 100})
		res, err := f.client.Do(f.request(t, http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			var piece [3]byte // blocks for ever if the ingress keeps anything back
			if _, err := io.ReadFull(res.Body, piece[:]); err != nil || string(piece[:]) != fmt.Sprintf("%03d", i) {
				t.Fatalf("length %q, piece %d: %q, %v", length, i, piece, err)
			}
			step <- struct{}{}
		}
		_ = res.Body.Close()
	}
}

func TestBodiesStreamInBothDirectionsAtOnce(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "echo %s\n", lines.Text())
			_ = rc.Flush()
		}
	}))
	f := startFront(t, Share{v.Target, 100})
	pr, pw := io.Pipe()
	res := make(chan *http.Response, 1)
	go func() {
		r, err := f.client.Do(f.request(t, http.MethodPost, "/", pr))
		if err != nil {
			t.Error(err)
			close(res)
			return
		}
		res <- r
	}()
	var out *bufio.Scanner
	for i := range 3 {
		fmt.Fprintf(pw, "line %d\n", i)
		if out == nil {
			r := <-res
			if r == nil {
				return
			}
			defer func() { _ = r.Body.Close() }()
			out = bufio.NewScanner(r.Body)
		}
		if !out.Scan() || out.Text() != fmt.Sprintf("echo line %d", i) {
			t.Fatalf("%d: %q", i, out.Text())
		}
	}
	_ = pw.Close()
	if out.Scan() {
		t.Errorf("more: %q", out.Text())
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}))
	f := startFront(t, Share{v.Target, 100})
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	for name, body := range map[string]io.Reader{
		"of known length": bytes.NewReader(sent),
		"chunked":         struct{ io.Reader }{bytes.NewReader(sent)},
	} {
		_, got := f.do(t, f.request(t, http.MethodPut, "/", body))
		if got != string(sent) {
			t.Errorf("%s: %d of %d bytes came back, or not the same", name, len(got), len(sent))
		}
	}
}

func TestTrailersPassInBothDirections(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("X-Sum", r.Trailer.Get("X-In"))
	}))
	f := startFront(t, Share{v.Target, 100})
	req := f.request(t, http.MethodPost, "/", struct{ io.Reader }{strings.NewReader("body")})
	req.Trailer = http.Header{"X-In": {"42"}, "Cf-Ray": {"forged"}}
	res, _ := f.do(t, req)
	if got := res.Trailer.Get("X-Sum"); got != "42" {
		t.Errorf("trailer is %q", got)
	}
}

func TestResponsesKeepTheirShape(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			w.WriteHeader(http.StatusOK)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		case "/head":
			w.Header().Set("Content-Length", "1234")
		case "/plain":
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		case "/cookies":
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.Header().Set("Keep-Alive", "timeout=1")
		}
	}))
	f := startFront(t, Share{v.Target, 100})

	res, _ := f.do(t, f.request(t, http.MethodGet, "/none", nil))
	if res.StatusCode != 204 {
		t.Errorf("204 became %d", res.StatusCode)
	}
	res, _ = f.do(t, f.request(t, http.MethodGet, "/same", nil))
	if res.StatusCode != 304 || res.Header.Get("Etag") != `"1"` {
		t.Errorf("304 became %d %v", res.StatusCode, res.Header)
	}
	res, _ = f.do(t, f.request(t, http.MethodHead, "/head", nil))
	if res.ContentLength != 1234 {
		t.Errorf("HEAD: length %d", res.ContentLength)
	}
	res, _ = f.do(t, f.request(t, http.MethodGet, "/plain", nil))
	if ct, ok := res.Header["Content-Type"]; ok {
		t.Errorf("a content type was guessed: %v", ct)
	}
	res, _ = f.do(t, f.request(t, http.MethodGet, "/cookies", nil))
	if diff := cmp.Diff([]string{"a=1", "b=2"}, res.Header["Set-Cookie"]); diff != "" || res.Header.Get("Keep-Alive") != "" {
		t.Errorf("%s %v", diff, res.Header)
	}
	res, _ = f.do(t, f.request(t, http.MethodGet, "/hints", nil))
	if res.StatusCode != 200 || res.Header.Get("Link") != "" {
		t.Errorf("hints leaked into the final response: %v", res.Header)
	}
}

func TestExpectContinueIsAnsweredOnlyWhenSomebodyReads(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q", b, r.Header.Get("Expect"))
	}))
	f := startFront(t, Share{v.Target, 100})
	for host, want := range map[string]string{"api.test": "HTTP/1.1 100", "nobody.test": "HTTP/1.1 404"} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", host)
		br := bufio.NewReader(c)
		line, err := br.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%s: first answer %q, %v; want %q", host, line, err, want)
		}
		if host == "api.test" {
			_, _ = br.ReadString('\n')
			_, _ = io.WriteString(c, "ping")
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(res.Body); string(b) != `ping ""` {
				t.Errorf("got %q", b)
			}
		}
		_ = c.Close()
	}
}

func TestHTTP2WithoutTLSWorks(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Host, b)
	}))
	f := startFront(t, Share{v.Target, 100})
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	f.client = &http.Client{Transport: tr, Timeout: patience}
	res, body := f.do(t, f.request(t, http.MethodPost, "/", strings.NewReader("hello")))
	if res.ProtoMajor != 2 || body != "api.test hello" {
		t.Errorf("HTTP/%d: %q", res.ProtoMajor, body)
	}
}

func TestWebSocketsEchoAndCountUntilTheyClose(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	}))
	f := startFront(t, Share{v.Target, 100})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, res, err := websocket.Dial(ctx, f.url+"/ws", &websocket.DialOptions{Host: "api.test", Subprotocols: []string{"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Errorf("subprotocol: %v", res.Header)
	}
	big := bytes.Repeat([]byte("x"), 20<<10)
	for _, msg := range [][]byte{[]byte("hello"), big} {
		if err := c.Write(ctx, websocket.MessageBinary, msg); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	v.Retire()
	select {
	case <-v.Drained():
		t.Fatal("drained under an open WebSocket")
	default:
	}
	if n := v.InFlight(); n != 1 {
		t.Errorf("%d in flight", n)
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing handshake: %v", err)
	}
	await(t, v.Drained(), "drained after the WebSocket closed")
}

func TestCloseUpgradedEndsWebSockets(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		_, _, _ = c.Read(r.Context())
	}))
	f := startFront(t, Share{v.Target, 100})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, f.url+"/ws", &websocket.DialOptions{Host: "api.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	f.CloseUpgraded()
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("still open: %v", err)
	}
	v.Retire()
	await(t, v.Drained(), "drained")
}

func TestAClientThatLeavesCancelsTheRequest(t *testing.T) {
	t.Parallel()
	arrived, cancelled := make(chan struct{}), make(chan struct{})
	v := startVersion(t, idNew, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(cancelled)
	}))
	f := startFront(t, Share{v.Target, 100})
	ctx, cancel := context.WithCancel(t.Context())
	req := f.request(t, http.MethodGet, "/", nil).WithContext(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := f.client.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	await(t, arrived, "request arrived")
	cancel()
	await(t, cancelled, "the version saw the client leave")
	await(t, done, "client returned")
	v.Retire()
	await(t, v.Drained(), "drained")
}

func TestAClientThatLeavesInItsBodyDoesNotLookFinished(t *testing.T) {
	t.Parallel()
	result := make(chan error, 1)
	v := startVersion(t, idNew, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		result <- err
	}))
	f := startFront(t, Share{v.Target, 100})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	_ = c.Close()
	select {
	case err := <-result:
		if err == nil {
			t.Error("the version took half a body for a whole one")
		}
	case <-time.After(patience):
		t.Fatal("the version never heard of it")
	}
	v.Retire()
	await(t, v.Drained(), "drained")
}

func TestATruncatedResponseIsNotTakenForAWholeOne(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	f := startFront(t, Share{v.Target, 100})
	res, err := f.client.Do(f.request(t, http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("read %q without an error", b)
	}
}

func TestAnEarlyAnswerReachesAClientThatIsStillSending(t *testing.T) {
	t.Parallel()
	v := rawVersion(t, func(_ int, c *net.UnixConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo much\n")
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		}
	})
	f := startFront(t, Share{v.Target, 100})
	pr, pw := io.Pipe()
	go func() {
		for range 64 {
			if _, err := pw.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
		// Neither more nor an end: the client waits.
	}()
	defer func() { _ = pw.Close() }()
	res, err := f.client.Do(f.request(t, http.MethodPost, "/", pr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if !res.Close {
		t.Error("the client may take the connection for reusable")
	}
	if b, err := io.ReadAll(res.Body); res.StatusCode != 413 || string(b) != "too much\n" || err != nil {
		t.Errorf("%d %q %v", res.StatusCode, b, err)
	}
	v.Retire()
	await(t, v.Drained(), "drained though the client never finished")
}

func TestBytesAfterAnEarlyAnswerAreNoRequest(t *testing.T) {
	t.Parallel()
	var paths sync.Map
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths.Store(r.URL.Path, true)
		w.Header().Set("Connection", "close")
	}))
	f := startFront(t, Share{v.Target, 100})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, "POST /first HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000\r\n\r\n")
	br := bufio.NewReader(c)
	if _, err := http.ReadResponse(br, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lateBodyTime + 200*time.Millisecond) // the body is late: the connection is given up
	_, _ = io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n")
	_, _ = io.ReadAll(br)
	if _, ok := paths.Load("/smuggled"); ok {
		t.Error("the rest of a body was taken for a request")
	}
}

func TestADeadVersionIs502(t *testing.T) {
	t.Parallel()
	f := startFront(t, Share{NewTarget("api", "w1", idNew, filepath.Join(t.TempDir(), "gone")), 100})
	res, body := f.do(t, f.request(t, http.MethodGet, "/", nil))
	if res.StatusCode != 502 || !strings.Contains(body, "api") || strings.Contains(body, "/") {
		t.Errorf("%d %q (paths of the machine are nobody's business)", res.StatusCode, body)
	}
}

func TestARequestWaitsForAVersionThatRestarts(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, text("first"))
	f := startFront(t, Share{v.Target, 100})
	_, _ = f.do(t, f.request(t, http.MethodGet, "/", nil))
	v.serveAgain(t)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		res, body := f.do(t, f.request(t, method, "/", nil))
		if res.StatusCode != 200 || body != "second" {
			t.Errorf("%s: %d %q", method, res.StatusCode, body)
		}
	}
}

// serveAgain replaces the process behind the socket: the old connections die,
// and for a moment nobody listens.
func (v *fakeVersion) serveAgain(t *testing.T) {
	t.Helper()
	if err := v.srv.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { defer close(done); v.serve(t, text("second")) })
	t.Cleanup(func() { <-done })
}

// rawVersion accepts connections and hands them to serve, one goroutine each.
func rawVersion(t *testing.T, serve func(n int, c *net.UnixConn)) *fakeVersion {
	t.Helper()
	dir, err := os.MkdirTemp("", "ing")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v := &fakeVersion{socket: filepath.Join(dir, "s")}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", v.socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer func() { _ = c.Close() }(); serve(n, c.(*net.UnixConn)) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	v.Target = NewTarget("api", "w1", idNew, v.socket)
	return v
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestARequestThatWasNeverReadIsSentAgain(t *testing.T) {
	t.Parallel()
	v := rawVersion(t, func(n int, c *net.UnixConn) {
		if n == 1 {
			// Dies with the request unread in its socket.
			waitReadable(c)
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, okResponse)
		}
	})
	f := startFront(t, Share{v.Target, 100})
	res, body := f.do(t, f.request(t, http.MethodPost, "/", nil))
	if res.StatusCode != 200 || body != "ok" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestARequestThatMayHaveBeenSeenIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	v := rawVersion(t, func(_ int, c *net.UnixConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			seen.Add(1) // and dies of it
		}
	})
	f := startFront(t, Share{v.Target, 100})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		seen.Store(0)
		res, _ := f.do(t, f.request(t, method, "/", nil))
		if res.StatusCode != 502 || seen.Load() != 1 {
			t.Errorf("%s: %d after %d attempts", method, res.StatusCode, seen.Load())
		}
	}
}

func TestAnEndlessResponseHeaderIsCutOff(t *testing.T) {
	t.Parallel()
	v := rawVersion(t, func(_ int, c *net.UnixConn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
		for {
			if _, err := c.Write(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
				return
			}
		}
	})
	f := startFront(t, Share{v.Target, 100})
	if res, _ := f.do(t, f.request(t, http.MethodGet, "/", nil)); res.StatusCode != 502 {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestAConnectionWithDataAfterItsResponseIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	v := rawVersion(t, func(_ int, c *net.UnixConn) {
		conns.Add(1)
		br := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			_, _ = io.WriteString(c, okResponse+okResponse) // the second belongs to nobody
		}
	})
	f := startFront(t, Share{v.Target, 100})
	for range 3 {
		if _, body := f.do(t, f.request(t, http.MethodGet, "/", nil)); body != "ok" {
			t.Errorf("got %q", body)
		}
	}
	if n := conns.Load(); n != 3 {
		t.Errorf("%d connections for 3 requests", n)
	}
}

func TestWhatAVersionSaysUnaskedIsNobodysAnswer(t *testing.T) {
	t.Parallel()
	answered, said := make(chan struct{}, 2), make(chan struct{}, 2)
	v := rawVersion(t, func(n int, c *net.UnixConn) {
		br := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			_, _ = io.WriteString(c, okResponse)
			if n == 1 {
				<-answered // the ingress has put the connection away
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
			}
			said <- struct{}{}
		}
	})
	f := startFront(t, Share{v.Target, 100})
	for range 2 {
		if _, body := f.do(t, f.request(t, http.MethodGet, "/", nil)); body != "ok" {
			t.Errorf("got %q", body)
		}
		answered <- struct{}{}
		<-said
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	v := rawVersion(t, func(_ int, c *net.UnixConn) {
		conns.Add(1)
		br := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(c, okResponse)
		}
	})
	f := startFront(t, Share{v.Target, 100})
	for i := range 20 {
		var body io.Reader
		if i%2 == 1 {
			body = strings.NewReader("hello")
		}
		if _, got := f.do(t, f.request(t, http.MethodPost, "/", body)); got != "ok" {
			t.Errorf("got %q", got)
		}
	}
	// A machine that stalls for bodyGrace costs one more.
	if n := conns.Load(); n > 3 {
		t.Errorf("%d connections for 20 requests", n)
	}
}

func TestTheAccessLogHasOneLineWithoutTheQuery(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	f := startFront(t, Share{v.Target, 100})
	_, _ = f.do(t, f.request(t, http.MethodDelete, "/a/b?token=hunter2", nil))
	v.Retire()
	await(t, v.Drained(), "drained")
	deadline := time.Now().Add(patience)
	for f.log.String() == "" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	var line struct {
		Worker, Version, Method, Host, Path, Ray string
		Status                                   int
		Duration                                 any
	}
	raw := f.log.String()
	if err := json.Unmarshal([]byte(raw), &line); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if strings.Contains(raw, "hunter2") {
		t.Errorf("the query is in the log: %s", raw)
	}
	if line.Worker != "api" || line.Version != idNew || line.Method != "DELETE" || line.Path != "/a/b" || line.Status != 418 || line.Duration == nil || line.Ray == "" {
		t.Errorf("got %s", raw)
	}
	if !v.Served() {
		t.Error("the version does not know that it has served")
	}
}

func TestAServiceBindingReachesAWorkerWithoutAHost(t *testing.T) {
	t.Parallel()
	v := startVersion(t, idNew, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, " ", r.Header.Get("CF-Connecting-IP"))
	}))
	r := New(hclog.NewNullLogger())
	r.Set(Route{WorkerID: "w1", WorkerName: "api", Shares: []Share{{v.Target, 100}}})
	for id, want := range map[string]string{"w1": "200 any.example 192.0.2.7", "w2": "404"} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://any.example/", nil)
		req.Header.Set("CF-Connecting-IP", "192.0.2.7")
		r.Service(id).ServeHTTP(rec, req)
		if got := fmt.Sprint(rec.Code, " ", rec.Body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("never happened: %s", what)
	}
}
