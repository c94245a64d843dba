// SPDX-License-Identifier: MPL-2.0

package agentfile

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)
	uuidForm    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	accountForm = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hostForm    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// check refuses what makes no sense, all of it at once.
func (f *File) check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", key, fmt.Errorf(format, args...)))
	}
	if f.Format != Format {
		bad("format", "%d is unknown; this program reads %d", f.Format, Format)
	}
	if !filepath.IsAbs(f.DataDir) {
		bad("data_dir", "%q is not absolute", f.DataDir)
	}
	if f.Region != "" && !nameForm.MatchString(f.Region) {
		bad("region", "%q is no name of lower-case letters, digits and dashes", f.Region)
	}
	f.checkPlane(bad)
	f.checkIngress(bad)
	f.checkConnectors(bad)
	if f.Plane == nil && len(f.Connectors) == 0 {
		bad("plane", "there is neither a plane nor a connector: nothing to run")
	}
	switch {
	case IsUnix(f.Health.Listen):
		checkListen(bad, "health.listen", f.Health.Listen)
	case !checkListen(bad, "health.listen", f.Health.Listen):
	case !IsLoopback(f.Health.Listen):
		bad("health.listen", "other machines could reach %s: use a unix socket or an address of 127.0.0.0/8", f.Health.Listen)
	case f.Health.TokenFile == "":
		bad("health.token_file", "it is needed where health.listen is not a unix socket")
	}
	checkSecretFile(bad, "health.token_file", f.Health.TokenFile)
	for n, w := range f.Alerts.Webhooks {
		key := fmt.Sprintf("alerts.webhooks[%d]", n)
		u, err := url.Parse(w.URL)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(net.JoinHostPort(u.Hostname(), "1"))) {
			bad(key+".url", "it must be an https URL without credentials, or an http one of this machine")
		}
		if w.SecretFile == "" {
			bad(key+".secret_file", "it is needed: without a signature nobody can tell who calls")
		}
		checkSecretFile(bad, key+".secret_file", w.SecretFile)
	}
	if !slices.Contains([]string{"trace", "debug", "info", "warn", "error", "off"}, f.Log.Level) {
		bad("log.level", "%q is unknown; use trace, debug, info, warn, error or off", f.Log.Level)
	}
	if f.Log.Format != "json" && f.Log.Format != "text" {
		bad("log.format", "%q is unknown; use json or text", f.Log.Format)
	}
	return errors.Join(errs...)
}

type complain func(key, format string, args ...any)

func (f *File) checkPlane(bad complain) {
	p := f.Plane
	if p == nil {
		return
	}
	if checkListen(bad, "plane.api.listen", p.API.Listen) && !IsUnix(p.API.Listen) && !IsLoopback(p.API.Listen) {
		switch {
		case !p.API.AllowPublic:
			bad("plane.api.listen", "other machines could reach %s: reach the API through a tunnel and listen on 127.0.0.1 or a unix socket, or say allow_public: true and tls", p.API.Listen)
		case p.API.TLS == nil:
			bad("plane.api.tls", "a public API needs it: name cert_file and key_file")
		}
	}
	if p.API.TLS != nil {
		checkPair(bad, "plane.api.tls", *p.API.TLS)
	}
	checkSecretFile(bad, "plane.initial_token_file", p.InitialTokenFile)
	for n, c := range p.AllowEgress {
		if _, err := netip.ParsePrefix(c); err != nil {
			bad(fmt.Sprintf("plane.allow_egress[%d]", n), "%q is no address range; write it as 10.1.2.3/32", c)
		}
	}
}

func (f *File) checkIngress(bad complain) {
	i := f.Ingress
	if i == nil {
		return
	}
	if f.Plane == nil {
		bad("ingress", "it needs a plane, whose Workers answer: add plane")
	}
	if len(i.Listen) == 0 {
		bad("ingress.listen", "it names no address")
	}
	for n, l := range i.Listen {
		key := fmt.Sprintf("ingress.listen[%d]", n)
		switch {
		case IsUnix(l.Address):
			bad(key+".address", "the ingress listens on host:port only")
		case !checkListen(bad, key+".address", l.Address):
		case !l.TLS && !IsLoopback(l.Address):
			bad(key, "plain HTTP on %s could be read on its way: say tls: true, or use an address of 127.0.0.0/8", l.Address)
		case l.TLS && len(i.Certificates) == 0:
			bad("ingress.certificates", "%s has tls: true and there is no certificate", key)
		}
	}
	for n, c := range i.Certificates {
		checkPair(bad, fmt.Sprintf("ingress.certificates[%d]", n), c)
	}
	for _, zone := range slices.Sorted(maps.Keys(i.Zones)) {
		key := "ingress.zones." + zone
		if !hostForm.MatchString(zone) {
			bad(key, "%q is no domain in lower case", zone)
		}
		for _, host := range slices.Sorted(maps.Keys(i.Zones[zone].Hostnames)) {
			key := key + ".hostnames." + host
			if !hostForm.MatchString(host) || host != zone && !strings.HasSuffix(host, "."+zone) {
				bad(key, "%q is no host name in lower case below %s", host, zone)
			}
			if i.Zones[zone].Hostnames[host].Worker == "" {
				bad(key+".worker", "it is needed")
			}
		}
	}
}

func (f *File) checkConnectors(bad complain) {
	metrics := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.Connectors)) {
		c, key := f.Connectors[name], "connectors."+name
		if !nameForm.MatchString(name) {
			bad(key, "%q is no name of lower-case letters, digits and dashes", name)
		}
		if !uuidForm.MatchString(c.TunnelID) {
			bad(key+".tunnel_id", "%q is no tunnel's id", c.TunnelID)
		}
		if c.Cloudflared != "" && !filepath.IsAbs(c.Cloudflared) {
			bad(key+".cloudflared", "%q is not absolute", c.Cloudflared)
		}
		checkToken(bad, key, c)
		if c.Metrics == "" {
			continue
		}
		if checkListen(bad, key+".metrics", c.Metrics) && (IsUnix(c.Metrics) || !IsLoopback(c.Metrics)) {
			bad(key+".metrics", "%s is no loopback host:port", c.Metrics)
		}
		if other, taken := metrics[c.Metrics]; taken {
			bad(key+".metrics", "connectors.%s has the same", other)
		}
		metrics[c.Metrics] = name
	}
}

// checkToken wants one source of the tunnel's token.
func checkToken(bad complain, key string, c Connector) {
	api := c.TokenFromAPI
	n := 0
	for _, given := range []bool{c.TokenFile != "", c.TokenSOPS != nil, api != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		bad(key, "say where the tunnel's token comes from with one of token_file, token_sops, token_from_api")
	}
	checkSecretFile(bad, key+".token_file", c.TokenFile)
	checkSOPS(bad, key+".token_sops", c.TokenSOPS)
	if api == nil {
		return
	}
	key += ".token_from_api"
	if !accountForm.MatchString(api.AccountID) {
		bad(key+".account_id", "%q is not 32 hexadecimal digits", api.AccountID)
	}
	if (api.APITokenFile != "") == (api.APITokenSOPS != nil) {
		bad(key, "say where the API token comes from with one of api_token_file, api_token_sops")
	}
	checkSecretFile(bad, key+".api_token_file", api.APITokenFile)
	checkSOPS(bad, key+".api_token_sops", api.APITokenSOPS)
	if api.BaseURL != "" {
		u, err := url.Parse(api.BaseURL)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(net.JoinHostPort(u.Hostname(), "1"))) {
			bad(key+".base_url", "it must be an https URL without credentials, or an http one of this machine")
		}
	}
	if time.Duration(api.Refresh) < time.Second {
		bad(key+".refresh", "it is shorter than 1s")
	}
}

func checkSOPS(bad complain, key string, s *SOPSValue) {
	if s == nil {
		return
	}
	if !filepath.IsAbs(s.File) {
		bad(key+".file", "%q is no absolute path", s.File)
	}
	if s.Key == "" {
		bad(key+".key", "it is needed")
	}
	checkSecretFile(bad, key+".age_identity_file", s.AgeIdentityFile)
}

// checkSecretFile refuses a path that depends on where the agent was started.
func checkSecretFile(bad complain, key, path string) {
	if path != "" && !filepath.IsAbs(path) {
		bad(key, "%q is no absolute path", path)
	}
}

func checkPair(bad complain, key string, p Pair) {
	if !filepath.IsAbs(p.CertFile) {
		bad(key+".cert_file", "%q is no absolute path", p.CertFile)
	}
	if !filepath.IsAbs(p.KeyFile) {
		bad(key+".key_file", "%q is no absolute path", p.KeyFile)
	}
}

func checkListen(bad complain, key, address string) bool {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		if !filepath.IsAbs(path) {
			bad(key, "%q has no absolute path; write it as unix:///run/hybridge/name.sock", address)
		}
		return filepath.IsAbs(path)
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		bad(key, "%q is neither host:port nor unix:///path", address)
	}
	return err == nil
}

// IsUnix reports whether an address is a unix socket's.
func IsUnix(address string) bool { return strings.HasPrefix(address, "unix://") }

// IsLoopback reports whether only this machine reaches host:port.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}
