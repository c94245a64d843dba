// SPDX-License-Identifier: MPL-2.0

// Package tunnelrule is the configuration of a tunnel as cloudflared reads it:
// which rule serves a request, and what it refuses. It is pure.
//
// Source: Cloudflare's documentation of ingress rules and origin parameters.
package tunnelrule

import (
	"fmt"
	"net"
	"reflect"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// Config is a tunnel's configuration in the API's form.
type Config struct {
	Ingress []Rule `json:"ingress"`
	// Origin holds for every rule that does not say otherwise.
	Origin      *Origin      `json:"originRequest,omitempty"`
	WarpRouting *WarpRouting `json:"warp-routing,omitempty"`
}

// WarpRouting lets clients of a private network through.
type WarpRouting struct {
	Enabled bool `json:"enabled"`
}

// Rule sends requests to a service. Rules are tried in their order.
type Rule struct {
	// Hostname is a host name, *.example.com for everything below one, or empty for all.
	Hostname string `json:"hostname,omitempty"`
	// Path is a regular expression (RE2) that has to match somewhere in the path. Empty is all.
	Path string `json:"path,omitempty"`
	// Service is a URL, unix:/path, unix+tls:/path, http_status:NNN, hello_world, bastion or socks-proxy.
	Service string  `json:"service"`
	Origin  *Origin `json:"originRequest,omitempty"`
}

// Origin says how a service is spoken to. nil fields are not set. Times are whole seconds.
type Origin struct {
	ConnectTimeout         *int64   `json:"connectTimeout,omitempty"`
	TLSTimeout             *int64   `json:"tlsTimeout,omitempty"`
	TCPKeepAlive           *int64   `json:"tcpKeepAlive,omitempty"`
	NoHappyEyeballs        *bool    `json:"noHappyEyeballs,omitempty"`
	KeepAliveConnections   *int64   `json:"keepAliveConnections,omitempty"`
	KeepAliveTimeout       *int64   `json:"keepAliveTimeout,omitempty"`
	HTTPHostHeader         *string  `json:"httpHostHeader,omitempty"`
	OriginServerName       *string  `json:"originServerName,omitempty"`
	MatchSNIToHost         *bool    `json:"matchSNItoHost,omitempty"`
	CAPool                 *string  `json:"caPool,omitempty"`
	NoTLSVerify            *bool    `json:"noTLSVerify,omitempty"`
	DisableChunkedEncoding *bool    `json:"disableChunkedEncoding,omitempty"`
	HTTP2Origin            *bool    `json:"http2Origin,omitempty"`
	BastionMode            *bool    `json:"bastionMode,omitempty"`
	ProxyAddress           *string  `json:"proxyAddress,omitempty"`
	ProxyPort              *int64   `json:"proxyPort,omitempty"`
	ProxyType              *string  `json:"proxyType,omitempty"`
	IPRules                []IPRule `json:"ipRules,omitempty"`
	Access                 *Access  `json:"access,omitempty"`
}

// IPRule admits or refuses destinations of a proxy.
type IPRule struct {
	Prefix string  `json:"prefix"` // CIDR
	Ports  []int64 `json:"ports,omitempty"`
	Allow  bool    `json:"allow"`
}

// Access makes cloudflared check the token of Cloudflare Access.
type Access struct {
	Required bool     `json:"required"`
	TeamName string   `json:"teamName"`
	AudTag   []string `json:"audTag,omitempty"`
}

// CatchAll is the last rule of a configuration that names none.
var CatchAll = Rule{Service: "http_status:404"}

// IsCatchAll reports whether the rule matches every request.
func (r Rule) IsCatchAll() bool {
	return (r.Hostname == "" || r.Hostname == "*") && r.Path == ""
}

// Matcher finds the rule of a request. It is safe for concurrent use.
type Matcher struct {
	rules []Rule
	hosts []string // in lower case and ASCII
	paths []*regexp.Regexp
}

// NewMatcher makes one of rules that Validate has accepted.
func NewMatcher(rules []Rule) (*Matcher, error) {
	m := &Matcher{rules: rules, hosts: make([]string, len(rules)), paths: make([]*regexp.Regexp, len(rules))}
	for i, r := range rules {
		host, err := asciiHost(r.Hostname)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		m.hosts[i] = host
		if r.Path == "" {
			continue
		}
		if m.paths[i], err = regexp.Compile(r.Path); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return m, nil
}

// Match returns the first rule that serves a host (with or without a port) and a
// path, and its index; -1 if none does.
func (m *Matcher) Match(host, path string) (int, Rule) {
	host = RequestHost(host)
	for i := range m.rules {
		if m.why(i, host, path) == "" {
			return i, m.rules[i]
		}
	}
	return -1, Rule{}
}

// Explain says for each rule, up to the one that matches, why it does not. The
// text of the one that matches is empty.
func (m *Matcher) Explain(host, path string) []string {
	host = RequestHost(host)
	var out []string
	for i := range m.rules {
		why := m.why(i, host, path)
		out = append(out, why)
		if why == "" {
			break
		}
	}
	return out
}

// Hosts reports whether any rule but a catch-all names the host.
func (m *Matcher) Hosts(host string) bool {
	host = RequestHost(host)
	for i := range m.rules {
		if !m.rules[i].IsCatchAll() && m.rules[i].Hostname != "" && hostMatches(m.hosts[i], host) {
			return true
		}
	}
	return false
}

func (m *Matcher) why(i int, host, path string) string {
	if !hostMatches(m.hosts[i], host) {
		return fmt.Sprintf("its hostname %s is not %s", m.rules[i].Hostname, host)
	}
	if m.paths[i] != nil && !m.paths[i].MatchString(path) {
		return fmt.Sprintf("its path %s does not match %s", m.rules[i].Path, path)
	}
	return ""
}

func hostMatches(rule, host string) bool {
	if rule == "" || rule == "*" || rule == host {
		return true
	}
	below, isWildcard := strings.CutPrefix(rule, "*")
	return isWildcard && strings.HasSuffix(host, below)
}

// Hides reports whether every request that later fits, fits earlier, too. One that is a
// catch-all is another matter.
func Hides(earlier, later Rule) bool {
	if earlier.Path != "" || earlier.IsCatchAll() || later.Hostname == "" {
		return false
	}
	a, err := asciiHost(earlier.Hostname)
	if err != nil {
		return false
	}
	b, err := asciiHost(later.Hostname)
	return err == nil && hostMatches(a, b)
}

// RequestHost is a Host header in the form in which rules are compared: lower-case,
// without port and final dot.
func RequestHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ascii, err := asciiHost(host); err == nil {
		return ascii
	}
	return strings.ToLower(host)
}

// asciiHost is the punycode form (RFC 5891) in lower case; a leading * stays.
func asciiHost(host string) (string, error) {
	prefix, rest := "", host
	if below, ok := strings.CutPrefix(host, "*."); ok {
		prefix, rest = "*.", below
	} else if host == "*" {
		return host, nil
	}
	ascii, err := idna.Lookup.ToASCII(rest)
	if err != nil {
		// Names with underscores exist, and Lookup refuses them.
		if strings.Contains(rest, "_") && isASCII(rest) {
			return strings.ToLower(host), nil
		}
		return "", fmt.Errorf("%q is no host name: %w", host, err)
	}
	return prefix + strings.ToLower(ascii), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// IsEmpty reports whether nothing is set.
func (o *Origin) IsEmpty() bool {
	return o == nil || reflect.ValueOf(*o).IsZero()
}
