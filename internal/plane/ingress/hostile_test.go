// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends bytes as they are to the front and returns the connection.
func (f *front) raw(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAmbiguousRequestsReachNoVersion(t *testing.T) {
	t.Parallel()
	v := startVersion(t, "v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body that broke off reaches a version as one that breaks off.
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Errorf("a version got %s %s %v", r.Method, r.RequestURI, r.Header)
		}
	}))
	f := startFront(t, Share{v.Target, 100})
	const chunked = "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n"
	const post = "POST / HTTP/1.1\r\nHost: api.test\r\n"
	for raw, want := range map[string]int{
		post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab":                       400,
		post + "Content-Length: 2, 2\r\n\r\nab":                                         400,
		post + "Content-Length: +2\r\n\r\nab":                                           400,
		post + "Content-Length: 3\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n":      400,
		post + "Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n":      501,
		post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n":                  501,
		chunked + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                         501,
		chunked + "\r\n0x2\r\nab\r\n0\r\n\r\n":                                          400,
		chunked + "\r\n2\r\nabc\r\n0\r\n\r\n":                                           400,
		chunked + "\r\n-1\r\nab\r\n0\r\n\r\n":                                           400,
		chunked + "\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n":                            400,
		"GET / HTTP/1.1\r\nHost: api.test\r\nHost: other.test\r\n\r\n":                  400,
		"GET / HTTP/1.1\r\nHost: api.test\r\nX-A: b\rCf-Ray: 1\r\n\r\n":                 400,
		"GET / HTTP/1.1\r\nHost: api.test\r\nX-A: b\x00c\r\n\r\n":                       400,
		"GET /a b HTTP/1.1\r\nHost: api.test\r\n\r\n":                                   400,
		"GET /\x01 HTTP/1.1\r\nHost: api.test\r\n\r\n":                                  400,
		"CONNECT api.test:80 HTTP/1.1\r\nHost: api.test\r\n\r\n":                        400,
		"GET http://other.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n":                     404,
		"GET / HTTP/1.1\r\nHost: api.test\r\nX-A: " + strings.Repeat("a", 2<<20) + "\r": 431,
	} {
		c := f.raw(t, raw)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.90q: %v", raw, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%.90q: got %d, want %d", raw, res.StatusCode, want)
		}
	}
}

func TestAFoldedHeaderIsOneLineToAVersion(t *testing.T) {
	t.Parallel()
	v := startVersion(t, "v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header["X-A"], r.Header["Cf-Ray"])
	}))
	f := startFront(t, Share{v.Target, 100})
	c := f.raw(t, "GET / HTTP/1.1\r\nHost: api.test\r\nX-A: b\r\n Cf-Ray: forged\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if want := fmt.Sprintf("%q %q", []string{"b Cf-Ray: forged"}, []string{res.Header.Get("Cf-Ray")}); string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
}

func TestARefusalDoesNotWaitForATricklingBody(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	c := f.raw(t, "POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 1000\r\n\r\na")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer while the body is missing: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNotFound || !res.Close {
		t.Errorf("%d, close %v", res.StatusCode, res.Close)
	}
}

func TestHostileResponsesEndTheirConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, response string
		status           int // 0: the client sees a broken response
		body             string
	}{
		"flood of 1xx":          {"GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1<<16), 502, ""},
		"flood of 100":          {"GET", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1<<16), 502, ""},
		"body after HEAD":       {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", 200, ""},
		"body after 204":        {"GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", 204, ""},
		"body after 304":        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", 304, ""},
		"two lengths":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 502, ""},
		"length and chunks":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc"},
		"broken chunk":          {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0, ""},
		"no HTTP":               {"GET", "SSH-2.0-x\r\n\r\n", 502, ""},
		"upgrade nobody wanted": {"GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n", 502, ""},
	} {
		v := rawVersion(t, func(n int, conn *net.UnixConn) {
			br := bufio.NewReader(conn)
			for {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				if n == 1 {
					_, _ = io.WriteString(conn, c.response)
				} else {
					_, _ = io.WriteString(conn, okResponse)
				}
			}
		})
		f := startFront(t, Share{v.Target, 100})
		res, err := f.client.Do(f.request(t, c.method, "/", nil))
		var body []byte
		if err == nil {
			body, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		switch {
		case c.status == 0:
			if err == nil {
				t.Errorf("%s: taken for whole: %d %q", name, res.StatusCode, body)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case res.StatusCode != c.status || c.status != 502 && string(body) != c.body:
			t.Errorf("%s: %d %q", name, res.StatusCode, body)
		}
		if _, body := f.do(t, f.request(t, http.MethodGet, "/", nil)); body != "ok" && name != "length and chunks" {
			t.Errorf("%s: the next one got %q", name, body)
		}
	}
}
