// SPDX-License-Identifier: MPL-2.0

package tunnelrule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

// What cloudflared and its documentation refuse, with the place.
func TestInvalidRulesAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	all := CatchAll
	for name, c := range map[string]struct {
		rules []Rule
		want  string
	}{
		"no rule":                      {nil, `ingress: there is no rule`},
		"no catch-all":                 {[]Rule{{Hostname: "a.example.com", Service: "http://localhost"}}, `ingress[0]: the last rule MUST match all requests`},
		"a catch-all with a path":      {[]Rule{{Path: "/x", Service: "http://localhost"}}, `ingress[0]: the last rule MUST match`},
		"a catch-all first":            {[]Rule{{Service: "http://localhost"}, all}, `ingress[0]: it matches all requests`},
		"a star first":                 {[]Rule{{Hostname: "*", Service: "http://localhost"}, all}, `ingress[0]: it matches all requests`},
		"a port":                       {[]Rule{{Hostname: "a.example.com:80", Service: "http://localhost"}, all}, `ingress[0].hostname: "a.example.com:80" has a port`},
		"a scheme":                     {[]Rule{{Hostname: "https://a.example.com", Service: "http://localhost"}, all}, `ingress[0].hostname: "https://a.example.com" is a URL`},
		"a wildcard in the middle":     {[]Rule{{Hostname: "a.*.example.com", Service: "http://localhost"}, all}, `ingress[0].hostname: "a.*.example.com": a wildcard stands alone`},
		"two wildcards":                {[]Rule{{Hostname: "*.*.example.com", Service: "http://localhost"}, all}, `ingress[0].hostname: "*.*.example.com": a wildcard`},
		"a wildcard in a label":        {[]Rule{{Hostname: "*a.example.com", Service: "http://localhost"}, all}, `ingress[0].hostname: "*a.example.com": a wildcard`},
		"an address":                   {[]Rule{{Hostname: "10.0.0.1", Service: "http://localhost"}, all}, `ingress[0].hostname: "10.0.0.1" is an address`},
		"an empty label":               {[]Rule{{Hostname: "a..example.com", Service: "http://localhost"}, all}, `ingress[0].hostname: "a..example.com" is no host name`},
		"a space":                      {[]Rule{{Hostname: "a b.example.com", Service: "http://localhost"}, all}, `ingress[0].hostname: "a b.example.com" is no host name`},
		"no domain":                    {[]Rule{{Hostname: "app", Service: "http://localhost"}, all}, `ingress[0].hostname: "app" has no domain`},
		"a broken path":                {[]Rule{{Path: "[", Service: "http://localhost"}, all}, `ingress[0].path: "[" is no regular expression`},
		"a Perl path":                  {[]Rule{{Path: "(?=x)", Service: "http://localhost"}, all}, `ingress[0].path: "(?=x)" is no regular expression`},
		"no service":                   {[]Rule{{Path: "/x"}, all}, `ingress[0].service: it is needed`},
		"a service without a scheme":   {[]Rule{{Path: "/x", Service: "localhost:8080"}, all}, `ingress[0].service: "localhost:8080" has no scheme and host`},
		"a service with a slash":       {[]Rule{{Path: "/x", Service: "https://localhost/"}, all}, `ingress[0].service: "https://localhost/" has a path`},
		"a service without a host":     {[]Rule{{Path: "/x", Service: "https://"}, all}, `ingress[0].service: "https://" has no scheme and host`},
		"a service with a path":        {[]Rule{{Path: "/x", Service: "http://localhost:80/static"}, all}, `ingress[0].service: "http://localhost:80/static" has a path`},
		"a service with a query":       {[]Rule{{Path: "/x", Service: "http://localhost:80?x=1"}, all}, `ingress[0].service: "http://localhost:80?x=1" has a path`},
		"a service with a password":    {[]Rule{{Path: "/x", Service: "http://u:p@localhost"}, all}, `ingress[0].service: a URL of a service carries no user and password`},
		"an unknown scheme":            {[]Rule{{Path: "/x", Service: "ftp://localhost"}, all}, `ingress[0].service: the scheme "ftp" is unknown`},
		"a port out of range":          {[]Rule{{Path: "/x", Service: "http://localhost:70000"}, all}, `ingress[0].service: "http://localhost:70000" has no valid port`},
		"a relative socket":            {[]Rule{{Path: "/x", Service: "unix:app.sock"}, all}, `ingress[0].service: "unix:app.sock": write unix: with the absolute path`},
		"a socket as a URL":            {[]Rule{{Path: "/x", Service: "unix:///run/app.sock"}, all}, `ingress[0].service: "unix:///run/app.sock": write unix:`},
		"a relative socket with TLS":   {[]Rule{{Path: "/x", Service: "unix+tls:app.sock"}, all}, `ingress[0].service: "unix+tls:app.sock": write unix+tls:`},
		"no status":                    {[]Rule{{Path: "/x", Service: "http_status:"}, all}, `ingress[0].service: "http_status:" is no status`},
		"a status that is no number":   {[]Rule{{Path: "/x", Service: "http_status:ok"}, all}, `ingress[0].service: "http_status:ok" is no status`},
		"a status out of range":        {[]Rule{{Path: "/x", Service: "http_status:99"}, all}, `ingress[0].service: "http_status:99" is no status`},
		"a negative time":              {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{ConnectTimeout: ptr(int64(-1))}}, all}, `ingress[0].originRequest.connectTimeout: -1 is no number of seconds`},
		"negative connections":         {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{KeepAliveConnections: ptr(int64(-1))}}, all}, `ingress[0].originRequest.keepAliveConnections: -1 is no number from`},
		"a proxy port":                 {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{ProxyPort: ptr(int64(65536))}}, all}, `ingress[0].originRequest.proxyPort: 65536`},
		"a proxy type":                 {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{ProxyType: ptr("http")}}, all}, `ingress[0].originRequest.proxyType: "http" is unknown`},
		"a proxy address":              {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{ProxyAddress: ptr("proxy")}}, all}, `ingress[0].originRequest.proxyAddress: "proxy" is no IP address`},
		"a relative pool":              {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{CAPool: ptr("ca.pem")}}, all}, `ingress[0].originRequest.caPool: "ca.pem" is no absolute path`},
		"a server name":                {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{OriginServerName: ptr("a b")}}, all}, `ingress[0].originRequest.originServerName: "a b" is no host name`},
		"a range":                      {[]Rule{{Path: "/x", Service: "socks-proxy", Origin: &Origin{IPRules: []IPRule{{Prefix: "10.0.0.0"}}}}, all}, `ingress[0].originRequest.ipRules[0].prefix: "10.0.0.0" is no address range`},
		"a port of a range":            {[]Rule{{Path: "/x", Service: "socks-proxy", Origin: &Origin{IPRules: []IPRule{{Prefix: "10.0.0.0/8", Ports: []int64{0}}}}}, all}, `ingress[0].originRequest.ipRules[0].ports[0]: 0 is no port`},
		"access without a team":        {[]Rule{{Path: "/x", Service: "http://localhost", Origin: &Origin{Access: &Access{Required: true}}}, all}, `ingress[0].originRequest.access.teamName: it is needed`},
		"the second of three, by name": {[]Rule{{Hostname: "a.example.com", Service: "http://localhost"}, {Hostname: "-b.example.com", Service: "http://localhost"}, all}, `ingress[1].hostname: "-b.example.com" is no host name`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := Config{Ingress: c.rules}.Validate()
			if len(problems) == 0 || !strings.HasPrefix(problems[0].Error(), c.want) {
				t.Errorf("got %v, want %s ...", problems, c.want)
			}
		})
	}
}

func TestValidRules(t *testing.T) {
	t.Parallel()
	for _, r := range []Rule{
		{Hostname: "app.example.com", Service: "http://localhost:8787"},
		{Hostname: "*.example.com", Path: `\.(jpg|png)$`, Service: "https://127.0.0.1:9443"},
		{Hostname: "bücher.example.com", Service: "http://[::1]:80"},
		{Hostname: "_dmarc.example.com", Service: "http_status:204"},
		{Path: "^/admin", Service: "hello_world"},
		{Path: "/x", Service: "hello-world"}, {Path: "/x", Service: "bastion"}, {Path: "/x", Service: "socks-proxy"},
		{Path: "/x", Service: "unix:/run/app.sock"}, {Path: "/x", Service: "unix+tls:/run/app.sock"},
		{Path: "/x", Service: "ssh://localhost"}, {Path: "/x", Service: "rdp://localhost:3389"}, {Path: "/x", Service: "smb://files"}, {Path: "/x", Service: "tcp://db:5432"},
		{Path: "/x", Service: "ws://localhost"}, {Path: "/x", Service: "wss://localhost"},
		{Path: "/x", Service: "http://localhost", Origin: &Origin{ConnectTimeout: ptr(int64(30)), CAPool: ptr("/etc/ca.pem"), ProxyAddress: ptr("127.0.0.1"), ProxyType: ptr("socks"), OriginServerName: ptr("db.internal")}},
	} {
		if problems := (Config{Ingress: []Rule{r, CatchAll}}).Validate(); len(problems) > 0 {
			t.Errorf("%+v: %v", r, problems)
		}
	}
}

func TestTheFirstRuleThatMatchesServes(t *testing.T) {
	t.Parallel()
	m, err := NewMatcher([]Rule{
		{Hostname: "db.example.com", Path: "^/admin", Service: "https://localhost:9443"},
		{Hostname: "bücher.example.com", Service: "http://localhost:1"},
		{Hostname: "*.example.com", Service: "http://localhost:2"},
		{Path: `\.png$`, Service: "http://localhost:3"},
		CatchAll,
	})
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]int{
		"db.example.com /admin/x":           0,
		"DB.example.com:443 /admin":         0,
		"db.example.com /":                  2,
		"bücher.example.com /":              1,
		"xn--bcher-kva.example.com /":       1,
		"a.b.example.com /":                 2,
		"example.com /":                     4, // a wildcard is for what lies below
		"badexample.com /":                  4,
		"example.org /a.png":                3,
		"example.org /a.png.txt":            4,
		"[::1]:8080 /":                      4,
		"db.example.com.evil.org /admin":    4,
		"notdb.example.com.example.com /":   2,
		"\x00.example.com /":                2,
		"db.example.com /x?y=/admin":        2,
		"db.example.com /admin%2F..%2Fx /x": 0,
	} {
		host, path, _ := strings.Cut(request, " ")
		if got, _ := m.Match(host, path); got != want {
			t.Errorf("%s: rule %d, want %d", request, got, want)
		}
	}
	if diff := cmp.Diff([]string{"its hostname db.example.com is not example.org", "its hostname bücher.example.com is not example.org",
		"its hostname *.example.com is not example.org", "its path \\.png$ does not match /x", ""}, m.Explain("example.org", "/x")); diff != "" {
		t.Error(diff)
	}
	if !m.Hosts("x.example.com") || m.Hosts("example.org") {
		t.Error("Hosts tells the hosts of the catch-all from those of rules")
	}
}

func TestTimesAreWholeSeconds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"ingress":[{"service":"http://x","originRequest":{"connectTimeout":"30s"}}]}`, `{"ingress":[{"service":"http://x","originRequest":{"connectTimeout":1.5}}]}`} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "connectTimeout: it must be int64, and times are whole numbers of seconds") {
			t.Errorf("%s: %v", text, err)
		}
	}
	got := Merge(&Origin{ConnectTimeout: ptr(int64(1)), NoTLSVerify: ptr(true)}, &Origin{ConnectTimeout: ptr(int64(2)), HTTPHostHeader: ptr("x")})
	if diff := cmp.Diff(Origin{ConnectTimeout: ptr(int64(2)), NoTLSVerify: ptr(true), HTTPHostHeader: ptr("x")}, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever comes in, a configuration that is accepted can be matched against any request.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"ingress":[{"hostname":"*.example.com","path":"^/x","service":"http://localhost:80"},{"service":"http_status:404"}]}`), "a.example.com:80", "/x")
	f.Add([]byte(`{"ingress":[{"service":"unix:/x"}],"originRequest":{"connectTimeout":5,"ipRules":[{"prefix":"::/0"}]}}`), "[::1]", "")
	f.Fuzz(func(t *testing.T, text []byte, host, path string) {
		c, err := Parse(text)
		if err != nil || len(c.Validate()) > 0 {
			return
		}
		m, err := NewMatcher(c.Ingress)
		if err != nil {
			t.Fatalf("a valid configuration has no matcher: %v", err)
		}
		i, r := m.Match(host, path)
		if i < 0 || i == len(c.Ingress)-1 && !r.IsCatchAll() {
			t.Fatalf("%q %q: rule %d", host, path, i)
		}
		if out := m.Explain(host, path); len(out) != i+1 || out[i] != "" {
			t.Fatalf("Explain and Match differ: %v, %d", out, i)
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Parse(again); err != nil || len(back.Validate()) > 0 {
			t.Fatalf("written and read again it is refused: %v", err)
		}
	})
}

func TestARuleCanHideOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		earlier, later Rule
		hides          bool
	}{
		{Rule{Hostname: "a.example.com"}, Rule{Hostname: "A.example.com", Path: "^/x"}, true},
		{Rule{Hostname: "*.example.com"}, Rule{Hostname: "a.example.com"}, true},
		{Rule{Hostname: "*.example.com"}, Rule{Hostname: "*.b.example.com"}, true},
		{Rule{Hostname: "a.example.com", Path: "^/x"}, Rule{Hostname: "a.example.com"}, false},
		{Rule{Hostname: "a.example.com"}, Rule{Hostname: "*.example.com"}, false},
		{Rule{Hostname: "a.example.com"}, Rule{Path: "^/x"}, false},
		{Rule{Hostname: "*.example.com"}, Rule{Hostname: "example.com"}, false},
		{Rule{}, Rule{Hostname: "example.com"}, false},
	} {
		if got := Hides(c.earlier, c.later); got != c.hides {
			t.Errorf("%+v before %+v: %v", c.earlier, c.later, got)
		}
	}
}
