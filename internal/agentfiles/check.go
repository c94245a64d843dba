// SPDX-License-Identifier: MPL-2.0

package agentfiles

import (
	"net"
	"net/netip"
	"net/url"
	"path"
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
	versionForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$`)
	sumForm     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	memoryForm  = regexp.MustCompile(`^[1-9][0-9]{0,11}[KMGT]?$`)
	// urlForm and pathForm have nothing that a shell or a unit file would read as anything else.
	urlForm  = regexp.MustCompile(`^[A-Za-z0-9:/._~%+@?=&,{}-]{1,512}$`)
	pathForm = regexp.MustCompile(`^/[A-Za-z0-9/._+-]{1,255}$`)
)

var (
	architectures = []string{"amd64", "arm64"}
	logLevels     = []string{"trace", "debug", "info", "warn", "error", "off"}
	loads         = []string{loadSOPS, loadEncrypted, loadPlain, loadFiles}
)

// check refuses what the agent would refuse, and what cannot be installed.
func (in *input1) check(d *decoder) {
	if in.region != "" && !nameForm.MatchString(in.region) {
		d.bad("region", "%q is no name of lower-case letters, digits and dashes", in.region)
	}
	if !slices.Contains(logLevels, in.logLevel) {
		d.bad("log_level", "%q is unknown; use %s", in.logLevel, strings.Join(logLevels, ", "))
	}
	if in.plane == nil && len(in.connectors) == 0 {
		d.bad("plane", "there is neither a plane nor a connector, so nothing to run: add plane = {}, or connectors")
	}
	in.checkPlane(d)
	in.checkIngress(d)
	in.checkConnectors(d)
	if in.health != "" && checkListen(d, "health.listen", in.health) && !isUnix(in.health) && !isLoopback(in.health) {
		d.bad("health.listen", "other machines could reach %s: use a unix socket or an address of 127.0.0.0/8", in.health)
	}
	in.checkAlerts(d)
	in.checkPrograms(d)
	if !slices.Contains(loads, in.unit.load) {
		d.bad("unit.load", "%q is unknown; use %s", in.unit.load, strings.Join(loads, ", "))
	}
	if in.unit.memoryMax != "" && !memoryForm.MatchString(in.unit.memoryMax) {
		d.bad("unit.memory_max", "%q is no amount of memory; write it as 2G or 768M", in.unit.memoryMax)
	}
}

func (in *input1) checkPlane(d *decoder) {
	if in.plane == nil {
		return
	}
	if checkListen(d, "plane.listen", in.plane.listen) && !isUnix(in.plane.listen) && !isLoopback(in.plane.listen) {
		d.bad("plane.listen", "other machines could reach %s: the API of a plane is reached through a tunnel; use a unix socket or an address of 127.0.0.0/8", in.plane.listen)
	}
	for i, c := range in.plane.allowEgress {
		if p, err := netip.ParsePrefix(c); err != nil || p.String() != c {
			d.bad("plane.allow_egress["+strconv.Itoa(i)+"]", "%q is no address range; write it as 10.1.2.3/32", c)
		}
	}
}

func (in *input1) checkIngress(d *decoder) {
	i := in.ingress
	if i == nil {
		return
	}
	if in.plane == nil {
		d.bad("ingress", "it needs a plane, whose Workers answer: add plane = {}")
	}
	if len(i.listen) == 0 {
		d.bad("ingress.listen", "it names no address; leave it out for %s", defaultIngress)
	}
	for n, l := range i.listen {
		at := "ingress.listen[" + strconv.Itoa(n) + "]"
		switch {
		case isUnix(l.address):
			d.bad(at+".address", "the ingress listens on host:port only")
		case !checkListen(d, at+".address", l.address):
		case !l.tls && !isLoopback(l.address):
			d.bad(at, "plain HTTP on %s could be read on its way: say tls = true, or use an address of 127.0.0.0/8", l.address)
		case l.tls && len(i.certificates) == 0:
			d.bad("ingress.certificates", "%s has tls = true and there is no certificate", at)
		}
	}
	for n, name := range i.certificates {
		if !nameForm.MatchString(name) {
			d.bad("ingress.certificates["+strconv.Itoa(n)+"]", "%q is no name of lower-case letters, digits and dashes; NAME stands for /etc/hybridge/tls/NAME.crt and its key beside it", name)
		}
	}
	for _, zone := range sorted(i.zones) {
		at := step("ingress.zones", zone)
		if !hostForm.MatchString(zone) {
			d.bad(at, "%q is no domain in lower case", zone)
		}
		for _, host := range sorted(i.zones[zone]) {
			if !hostForm.MatchString(host) || host != zone && !strings.HasSuffix(host, "."+zone) {
				d.bad(step(at, host), "%q is no host name in lower case below %s", host, zone)
			}
			if worker := i.zones[zone][host]; !nameForm.MatchString(worker) {
				d.bad(step(at, host), "%q is no Worker's name", worker)
			}
		}
	}
}

func (in *input1) checkConnectors(d *decoder) {
	taken := map[string]string{}
	for _, name := range sorted(in.connectors) {
		c, at := in.connectors[name], step("connectors", name)
		if !nameForm.MatchString(name) {
			d.bad(at, "%q is no name of lower-case letters, digits and dashes", name)
		}
		if !uuidForm.MatchString(c.tunnelID) {
			d.bad(at+".tunnel_id", "%q is no tunnel's id", c.tunnelID)
		}
		if c.accountID != "" && !accountForm.MatchString(c.accountID) {
			d.bad(at+".account_id", "%q is not 32 lower-case hexadecimal digits", c.accountID)
		}
		if c.baseURL != "" {
			u, err := url.Parse(c.baseURL)
			if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(net.JoinHostPort(u.Hostname(), "1"))) {
				d.bad(at+".base_url", "it must be an https URL without credentials, or an http one of this machine")
			} else if c.accountID == "" {
				d.bad(at+".base_url", "it is where the token is asked for with account_id: give that too")
			}
		}
		if c.metrics == "" {
			continue
		}
		if checkListen(d, at+".metrics", c.metrics) && (isUnix(c.metrics) || !isLoopback(c.metrics)) {
			d.bad(at+".metrics", "%s is no loopback host:port", c.metrics)
		}
		if other := taken[c.metrics]; other != "" {
			d.bad(at+".metrics", "%s has the same", other)
		}
		taken[c.metrics] = at
	}
}

func (in *input1) checkAlerts(d *decoder) {
	for _, name := range sorted(in.alerts.webhooks) {
		at := step("alerts.webhooks", name)
		if !nameForm.MatchString(name) {
			d.bad(at, "%q is no name of lower-case letters, digits and dashes", name)
		}
		raw := in.alerts.webhooks[name]
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(net.JoinHostPort(u.Hostname(), "1"))) {
			// It is not repeated: a URL may hold what lets one in.
			d.bad(at, "it must be an https URL without credentials and query, or an http one of this machine")
		}
	}
	if v := in.alerts.certificateExpiry; v != "" {
		if limit, err := time.ParseDuration(v); err != nil || limit <= 0 {
			d.bad("alerts.certificate_expiry", "%q is no duration; write it as 336h or 90m", v)
		}
	}
	if v := in.alerts.diskFree; v != "" {
		number, ok := strings.CutSuffix(v, "%")
		if share, err := strconv.ParseFloat(number, 64); !ok || err != nil || !(share > 0 && share < 100) {
			d.bad("alerts.disk_free", "%q is no share between 0%% and 100%%; write it as 10%%", v)
		}
	}
}

// checkPrograms wants exactly those that the machine runs.
func (in *input1) checkPrograms(d *decoder) {
	for _, name := range programNames {
		p, at := in.programs[name], "programs."+name
		why := ""
		switch {
		case name == "workerd" && in.plane == nil:
			why = "a plane"
		case name == "cloudflared" && len(in.connectors) == 0:
			why = "connectors"
		}
		switch {
		case p == nil && why == "":
			d.bad(at, "it is needed: give version and sha256, or the path of one that is on the machine")
		case p == nil:
		case why != "":
			d.bad(at, "the machine has no need of it without %s", why)
		default:
			p.check(d, at)
			in.checkArchitectures(d, at, p)
		}
	}
}

// checkArchitectures wants every program for each machine that any is for.
func (in *input1) checkArchitectures(d *decoder, at string, p *program) {
	for _, other := range programNames {
		if in.programs[other] == nil || p.path != "" || len(p.sha256) == 0 {
			continue
		}
		for _, arch := range sorted(in.programs[other].sha256) {
			if p.sha256[arch] == "" {
				d.bad(at+".sha256", "it has no %s, which programs.%s.sha256 has", arch, other)
			}
		}
	}
}

func (p *program) check(d *decoder, at string) {
	if p.path != "" {
		if !pathForm.MatchString(p.path) || path.Clean(p.path) != p.path {
			d.bad(at+".path", "%q is no absolute path without special characters", p.path)
		}
		if p.version != "" || p.url != "" || p.sha256 != nil {
			d.bad(at, "what has a path is not installed: leave out version, sha256 and url, or path")
		}
		return
	}
	if !versionForm.MatchString(p.version) || !strings.ContainsAny(p.version, "0123456789") {
		d.bad(at+".version", "%q is no version; nothing stands for the latest one", p.version)
	}
	if len(p.sha256) == 0 {
		d.bad(at+".sha256", "it is needed: the checksum of the download by architecture, e.g. { amd64 = \"…\" }")
	}
	for _, arch := range sorted(p.sha256) {
		if !slices.Contains(architectures, arch) {
			d.bad(step(at+".sha256", arch), "it is unknown; use %s", strings.Join(architectures, ", "))
		}
		if !sumForm.MatchString(p.sha256[arch]) {
			d.bad(step(at+".sha256", arch), "%q is no SHA-256 of 64 lower-case hexadecimal digits", p.sha256[arch])
		}
	}
	if p.url == "" {
		return
	}
	u, err := url.Parse(strings.NewReplacer("{version}", "1", "{arch}", "amd64").Replace(p.url))
	local := err == nil && (u.Scheme == "file" && u.Host == "" || u.Scheme == "http" && isLoopback(net.JoinHostPort(u.Hostname(), "1")))
	if err != nil || !urlForm.MatchString(p.url) || u.User != nil || !local && (u.Scheme != "https" || u.Host == "") || strings.ContainsAny(u.String(), "{}") {
		d.bad(at+".url", "it must be an https URL (or a file:// one, or http of this machine) without credentials, in which {version} and {arch} are replaced")
	}
}

func checkListen(d *decoder, at, address string) bool {
	if name, ok := strings.CutPrefix(address, "unix://"); ok {
		if !pathForm.MatchString(name) {
			d.bad(at, "%q has no absolute path; write it as unix:///run/hybridge/name.sock", address)
			return false
		}
		return true
	}
	host, port, err := net.SplitHostPort(address)
	n, errPort := strconv.ParseUint(port, 10, 16)
	ip, errIP := netip.ParseAddr(host)
	if err != nil || errPort != nil || n == 0 || host != "" && (errIP != nil || ip.Zone() != "") {
		d.bad(at, "%q is neither unix:///path nor an IP address and a port such as 127.0.0.1:8787", address)
		return false
	}
	return true
}

func isUnix(address string) bool { return strings.HasPrefix(address, "unix://") }

// isLoopback reports whether only this machine reaches host:port.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
