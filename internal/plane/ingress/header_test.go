// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asReceived is what a version reads when it gets head.
func asReceived(t *testing.T, head []byte) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		t.Fatalf("the version cannot read %q: %v", head, err)
	}
	return r
}

func TestAClientCannotForgeWhatTheIngressSays(t *testing.T) {
	t.Parallel()
	in := httptest.NewRequest(http.MethodGet, "http://api.test/a", nil)
	forged := []string{
		"CF-Connecting-IP", "cf-ray", "CF-Visitor", "Cf-IpCountry", "CF-Access-Authenticated-User-Email",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
		"X-Real-IP", "True-Client-IP", "Forwarded", "X-Hybridge-Cf", "x-hybridge-anything",
	}
	for _, name := range forged {
		in.Header.Add(name, "forged")
	}
	head, ok := appendRequestHead(nil, in, &identity{clientIP: "192.0.2.7", scheme: "https", ray: "0123456789abcdef"})
	if !ok {
		t.Fatal("refused")
	}
	want := http.Header{
		"Cf-Connecting-Ip":  {"192.0.2.7"},
		"X-Real-Ip":         {"192.0.2.7"},
		"X-Forwarded-For":   {"192.0.2.7"},
		"X-Forwarded-Proto": {"https"},
		"Cf-Visitor":        {`{"scheme":"https"}`},
		"Cf-Ray":            {"0123456789abcdef"},
	}
	if diff := cmp.Diff(want, asReceived(t, head).Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestHopByHopHeadersStayOnTheirHop(t *testing.T) {
	t.Parallel()
	in := httptest.NewRequest(http.MethodGet, "http://api.test/a", nil)
	for name, value := range map[string]string{
		"Connection": "close, X-Private", "X-Private": "1", "Keep-Alive": "timeout=5", "Proxy-Authorization": "Basic x",
		"Proxy-Connection": "keep-alive", "Te": "trailers", "Upgrade": "h2c", "Expect": "100-continue", "X-Public": "2",
		"Cloudflare-Workers-Version-Key": "k",
	} {
		in.Header.Set(name, value)
	}
	head, _ := appendRequestHead(nil, in, nil)
	want := http.Header{"X-Public": {"2"}, "Cloudflare-Workers-Version-Key": {"k"}}
	if diff := cmp.Diff(want, asReceived(t, head).Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestBetweenWorkersTheHeadersStay(t *testing.T) {
	t.Parallel()
	in := httptest.NewRequest(http.MethodGet, "http://api.test/a", nil)
	in.Header.Set("CF-Connecting-IP", "192.0.2.7")
	head, _ := appendRequestHead(nil, in, nil)
	if got := asReceived(t, head).Header.Get("CF-Connecting-IP"); got != "192.0.2.7" {
		t.Errorf("got %q", got)
	}
}

func TestTheTargetIsPassedOnByteForByte(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/a%2Fb/%7Ec?x=%zz;y=1&&", "//double/slash", "/ü", "/a?", "/../b"} {
		raw := "GET " + target + " HTTP/1.1\r\nHost: api.test\r\n\r\n"
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		head, ok := appendRequestHead(nil, in, nil)
		if !ok || string(head) != raw {
			t.Errorf("%s: got %q", target, head)
		}
	}
}

func TestAProgramCannotSmuggleALine(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Request){
		"method":      func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX: y\r\n\r\nGET" },
		"target":      func(r *http.Request) { r.RequestURI = "/ HTTP/1.1\r\nX: y" },
		"host":        func(r *http.Request) { r.Host = "a\r\nX: y" },
		"field name":  func(r *http.Request) { r.Header["X: y\r\nZ"] = []string{"1"} },
		"field value": func(r *http.Request) { r.Header["Z"] = []string{"1\r\nX: y"} },
		"nul":         func(r *http.Request) { r.Header["Z"] = []string{"\x00"} },
	} {
		in := httptest.NewRequest(http.MethodGet, "http://api.test/a", nil)
		spoil(in)
		if head, ok := appendRequestHead(nil, in, nil); ok {
			t.Errorf("%s: passed on as %q", name, head)
		}
	}
}

func FuzzAVersionReadsWhatTheClientSent(f *testing.F) {
	f.Add("GET /a?b=c HTTP/1.1\r\nHost: x.test:80\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
	f.Add("POST http://x.test/a HTTP/1.1\r\nHost: y.test\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\nX-T: 1\r\n\r\n")
	f.Add("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	f.Add("OPTIONS * HTTP/1.1\r\nHost: x\r\nCf-Ray: 1\r\nConnection: x-forwarded-for\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		id := &identity{clientIP: "192.0.2.7", scheme: "http", ray: "0123456789abcdef"}
		head, ok := appendRequestHead(nil, in, id)
		if !ok || in.Method == http.MethodConnect {
			return // refused with 400
		}
		br := bufio.NewReader(bytes.NewReader(head))
		out, err := http.ReadRequest(br)
		if err != nil {
			t.Skip() // net/http's reader is laxer than its validation; the server validates before us
		}
		if br.Buffered() > 0 {
			t.Fatalf("a second request hides in %q", head)
		}
		if out.Method != in.Method || out.Host != in.Host && !strings.Contains(in.RequestURI, "://") {
			t.Fatalf("%s %q became %s %q", in.Method, in.Host, out.Method, out.Host)
		}
		for name, want := range map[string]string{"Cf-Connecting-Ip": id.clientIP, "X-Forwarded-For": id.clientIP, "Cf-Ray": id.ray} {
			if got := out.Header[name]; len(got) != 1 || got[0] != want {
				t.Fatalf("%s is %q, want %q alone", name, got, want)
			}
		}
		if out.ContentLength != in.ContentLength && in.ContentLength != 0 {
			t.Fatalf("length %d became %d", in.ContentLength, out.ContentLength)
		}
	})
}
