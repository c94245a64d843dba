// SPDX-License-Identifier: MPL-2.0

package tunnelrule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Problem is something that cloudflared or the API would refuse.
type Problem struct {
	// Rule is the index of the rule; -1 for the configuration as a whole.
	Rule int
	// Field is the API's name of the field, below the rule: "originRequest.proxyPort".
	// Empty for the rule as a whole.
	Field string
	Text  string // what is wrong and what to do
}

func (p Problem) Error() string {
	where := "ingress"
	if p.Rule >= 0 {
		where = fmt.Sprintf("ingress[%d]", p.Rule)
	}
	if p.Field != "" {
		if p.Rule < 0 {
			where = p.Field
		} else {
			where += "." + p.Field
		}
	}
	return where + ": " + p.Text
}

// schemes are those of services with a host.
var schemes = []string{"http", "https", "ws", "wss", "tcp", "ssh", "rdp", "smb"}

// Validate checks a whole configuration by the rules of cloudflared and of the API.
func (c Config) Validate() []Problem {
	v := &validation{rule: -1}
	if len(c.Ingress) == 0 {
		v.add("", "there is no rule: the last one MUST match all requests, e.g. service = %q", CatchAll.Service)
	}
	v.origin("originRequest", c.Origin)
	for i, r := range c.Ingress {
		v.rule = i
		last := i == len(c.Ingress)-1
		switch {
		case last && !r.IsCatchAll():
			v.add("", "the last rule MUST match all requests, so it has neither hostname nor path: add one after it, e.g. service = %q", CatchAll.Service)
		case !last && r.IsCatchAll():
			v.add("", "it matches all requests, so the rules after it are never reached: put it last, or give it a hostname or a path")
		}
		v.check(r)
	}
	return v.problems
}

// ValidateRule checks one rule as it stands, but not its place among others.
func ValidateRule(r Rule) []Problem {
	v := &validation{}
	v.check(r)
	return v.problems
}

type validation struct {
	rule     int
	problems []Problem
}

func (v *validation) add(field, format string, args ...any) {
	v.problems = append(v.problems, Problem{v.rule, field, fmt.Sprintf(format, args...)})
}

func (v *validation) check(r Rule) {
	v.hostname(r.Hostname)
	if _, err := regexp.Compile(r.Path); err != nil {
		text := "it"
		if bad := (*syntax.Error)(nil); errors.As(err, &bad) {
			text = bad.Error()
		}
		v.add("path", "%q is no regular expression (RE2): %s", r.Path, text)
	}
	v.service(r.Service)
	v.origin("originRequest", r.Origin)
}

func (v *validation) hostname(host string) {
	const form = "write it as app.example.com or *.example.com"
	switch {
	case host == "" || host == "*":
		return
	case strings.Contains(host, "://") || strings.Contains(host, "/"):
		v.add("hostname", "%q is a URL: %s; a path goes into path", host, form)
		return
	case strings.Contains(host, "*") && (strings.LastIndex(host, "*") > 0 || !strings.HasPrefix(host, "*.")):
		v.add("hostname", "%q: a wildcard stands alone as the first label: %s", host, form)
		return
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		v.add("hostname", "%q has a port, which rules do not look at: %s", host, form)
		return
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		v.add("hostname", "%q is an address, and requests come by name: %s", host, form)
		return
	}
	ascii, err := asciiHost(host)
	name := strings.TrimPrefix(ascii, "*.")
	switch {
	case err != nil || !IsHostname(name):
		v.add("hostname", "%q is no host name: %s", host, form)
	case !strings.Contains(name, "."):
		v.add("hostname", "%q has no domain: %s", host, form)
	}
}

// IsHostname is RFC 1123 with the underscore that DNS knows besides.
func IsHostname(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func (v *validation) service(service string) {
	switch service {
	case "":
		v.add("service", "it is needed, e.g. \"http://localhost:8080\" or %q", CatchAll.Service)
		return
	case "hello_world", "hello-world", "bastion", "socks-proxy":
		return
	}
	if code, ok := strings.CutPrefix(service, "http_status:"); ok {
		if n, err := strconv.Atoi(code); err != nil || n < 100 || n > 999 || len(code) != 3 {
			v.add("service", "%q is no status: write http_status: with a number from 100 to 999", service)
		}
		return
	}
	for _, prefix := range []string{"unix+tls:", "unix:"} {
		if socket, ok := strings.CutPrefix(service, prefix); ok {
			if strings.HasPrefix(socket, "//") || !path.IsAbs(socket) {
				v.add("service", "%q: write %s with the absolute path of the socket, e.g. %s/run/app.sock", service, prefix, prefix)
			}
			return
		}
	}
	u, err := url.Parse(service)
	switch {
	case err != nil || u.Scheme == "" || u.Hostname() == "":
		v.add("service", "%q has no scheme and host: write it as http://localhost:8080", service)
	case !slices.Contains(schemes, u.Scheme):
		v.add("service", "the scheme %q is unknown: use http, https, ws, wss, tcp, ssh, rdp or smb, or unix:/path, unix+tls:/path, http_status:NNN, hello_world, bastion, socks-proxy", u.Scheme)
	case u.User != nil:
		v.add("service", "a URL of a service carries no user and password: a tunnel's configuration is readable")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		v.add("service", "%q has a path, be it a slash: the path of the request is kept, so write scheme, host and port only", service)
	case u.Port() != "" && !isPort(u.Port()):
		v.add("service", "%q has no valid port", service)
	}
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n > 0 && n <= 65535
}

func (v *validation) origin(at string, o *Origin) {
	if o == nil {
		return
	}
	for _, f := range []struct {
		name  string
		value *int64
		max   int64
		unit  string
	}{
		{"connectTimeout", o.ConnectTimeout, 1 << 31, " of seconds"},
		{"tlsTimeout", o.TLSTimeout, 1 << 31, " of seconds"},
		{"tcpKeepAlive", o.TCPKeepAlive, 1 << 31, " of seconds"},
		{"keepAliveTimeout", o.KeepAliveTimeout, 1 << 31, " of seconds"},
		{"keepAliveConnections", o.KeepAliveConnections, 1 << 31, ""},
		{"proxyPort", o.ProxyPort, 65535, " of a port"},
	} {
		if f.value != nil && (*f.value < 0 || *f.value > f.max) {
			v.add(at+"."+f.name, "%d is no number%s from 0 to %d", *f.value, f.unit, f.max)
		}
	}
	if o.ProxyType != nil && *o.ProxyType != "" && *o.ProxyType != "socks" {
		v.add(at+".proxyType", "%q is unknown: use \"socks\", or leave it empty for a regular proxy", *o.ProxyType)
	}
	if o.CAPool != nil && *o.CAPool != "" && !path.IsAbs(*o.CAPool) {
		v.add(at+".caPool", "%q is no absolute path: it is a PEM file on the connector's machine", *o.CAPool)
	}
	if o.OriginServerName != nil && *o.OriginServerName != "" && !IsHostname(strings.ToLower(*o.OriginServerName)) {
		v.add(at+".originServerName", "%q is no host name", *o.OriginServerName)
	}
	if o.ProxyAddress != nil && *o.ProxyAddress != "" {
		if _, err := netip.ParseAddr(*o.ProxyAddress); err != nil && *o.ProxyAddress != "localhost" {
			v.add(at+".proxyAddress", "%q is no IP address", *o.ProxyAddress)
		}
	}
	for i, r := range o.IPRules {
		if _, err := netip.ParsePrefix(r.Prefix); err != nil {
			v.add(fmt.Sprintf("%s.ipRules[%d].prefix", at, i), "%q is no address range: write it as 10.0.0.0/8", r.Prefix)
		}
		for j, p := range r.Ports {
			if p < 1 || p > 65535 {
				v.add(fmt.Sprintf("%s.ipRules[%d].ports[%d]", at, i, j), "%d is no port from 1 to 65535", p)
			}
		}
	}
	if o.Access != nil && o.Access.Required && o.Access.TeamName == "" {
		v.add(at+".access.teamName", "it is needed where access is required: it is the name before .cloudflareaccess.com")
	}
}

// Parse reads a configuration in the API's form. As cloudflared does, it refuses
// times that are not whole numbers; unknown fields are kept out, as new versions of it have them.
func Parse(text []byte) (Config, error) {
	var c Config
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&c); err != nil {
		if typ := (*json.UnmarshalTypeError)(nil); errors.As(err, &typ) {
			return Config{}, fmt.Errorf("%s: it must be %s, and times are whole numbers of seconds", typ.Field, typ.Type)
		}
		return Config{}, errors.New("the configuration is no JSON object")
	}
	return c, nil
}

// Merge returns the settings of a rule over those of the whole configuration.
func Merge(whole, rule *Origin) Origin {
	var out Origin
	for _, o := range []*Origin{whole, rule} {
		if o == nil {
			continue
		}
		set(&out.ConnectTimeout, o.ConnectTimeout)
		set(&out.TLSTimeout, o.TLSTimeout)
		set(&out.TCPKeepAlive, o.TCPKeepAlive)
		set(&out.NoHappyEyeballs, o.NoHappyEyeballs)
		set(&out.KeepAliveConnections, o.KeepAliveConnections)
		set(&out.KeepAliveTimeout, o.KeepAliveTimeout)
		set(&out.HTTPHostHeader, o.HTTPHostHeader)
		set(&out.OriginServerName, o.OriginServerName)
		set(&out.MatchSNIToHost, o.MatchSNIToHost)
		set(&out.CAPool, o.CAPool)
		set(&out.NoTLSVerify, o.NoTLSVerify)
		set(&out.DisableChunkedEncoding, o.DisableChunkedEncoding)
		set(&out.HTTP2Origin, o.HTTP2Origin)
		set(&out.BastionMode, o.BastionMode)
		set(&out.ProxyAddress, o.ProxyAddress)
		set(&out.ProxyPort, o.ProxyPort)
		set(&out.ProxyType, o.ProxyType)
		set(&out.Access, o.Access)
		if o.IPRules != nil {
			out.IPRules = o.IPRules
		}
	}
	return out
}

func set[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}
