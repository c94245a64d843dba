// SPDX-License-Identifier: MPL-2.0

// Package doctor looks at what the agent needs on a machine, without changing
// anything.
package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/daemon"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/tunneltoken"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

const (
	// minSystemd has LoadCredentialEncrypted=.
	minSystemd = 250
	// minMemory is what the agent and a few Workers need: about 60 MiB each.
	minMemory = 256 << 20
	// askTimeout bounds each question to another program.
	askTimeout = 10 * time.Second
)

// examination collects findings.
type examination struct {
	ctx    context.Context
	getenv func(string) string
	file   *agentfile.File
	out    health.Status
}

// Examine returns one check per thing that was looked at. A check that is
// neither OK nor a warning keeps the agent from running.
func Examine(ctx context.Context, config string, getenv func(string) string) []health.Check {
	e := &examination{ctx: ctx, getenv: getenv}
	f, err := agentfile.Read(config, getenv)
	if !e.check("configuration", err, config) {
		e.systemd()
		return e.out.Checks
	}
	e.file = f
	running := e.running()
	e.dataDir()
	if f.Plane != nil {
		e.workerd()
	}
	e.connectors()
	e.secrets()
	e.certificates()
	if !running { // its own ports are taken by itself
		e.ports()
	}
	e.memory()
	daemon.LookAtDisk(&e.out, f)
	daemon.LookAtClock(&e.out)
	e.systemd()
	return e.out.Checks
}

// check adds a finding and reports whether it is fine.
func (e *examination) check(name string, err error, detail string) bool {
	if err != nil {
		detail = err.Error()
	}
	e.out.Add(health.Check{Name: name, OK: err == nil, Detail: detail})
	return err == nil
}

func (e *examination) warn(name, format string, args ...any) {
	e.out.Add(health.Check{Name: name, Warning: true, Detail: fmt.Sprintf(format, args...)})
}

func (e *examination) running() bool {
	var token []byte
	if e.file.Health.TokenFile != "" {
		token, _ = credential.Read(e.file.Health.TokenFile) // its absence is a finding of its own
	}
	s, err := health.Ask(e.ctx, e.file.Health.Listen, token)
	if err != nil {
		e.warn("agent", "it does not answer: %v", err)
		return false
	}
	e.check("agent", nil, "version "+s.Agent+" runs")
	for _, c := range s.Checks {
		if !c.OK {
			c.Name = "agent: " + c.Name
			e.out.Add(c)
		}
	}
	return true
}

func (e *examination) dataDir() {
	dir := e.file.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir = filepath.Dir(dir)
		if unix.Access(dir, unix.W_OK) != nil {
			e.check("data_dir", fmt.Errorf("%s does not exist, and this user cannot make it: use StateDirectory= in the unit, or make it with mode 0700", e.file.DataDir), "")
			return
		}
		e.check("data_dir", nil, e.file.DataDir+" will be made")
	case err != nil:
		e.check("data_dir", err, "")
	case !info.IsDir():
		e.check("data_dir", fmt.Errorf("%s is no directory: name another one", dir), "")
	case info.Mode().Perm()&0o077 != 0:
		e.check("data_dir", fmt.Errorf("%s can be read by others (mode %#o): chmod 0700 %s", dir, info.Mode().Perm(), dir), "")
	case unix.Access(dir, unix.W_OK) != nil:
		e.check("data_dir", fmt.Errorf("this user cannot write to %s: chown it to the agent's user, or run doctor as that", dir), "")
	default:
		e.check("data_dir", nil, dir)
	}
}

func (e *examination) workerd() {
	path, err := workerd.Find(e.file.Plane.Workerd, e.getenv)
	if err != nil {
		e.check("workerd", err, "")
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
	defer cancel()
	version, err := workerd.BinaryVersion(ctx, path)
	e.check("workerd", err, path+" "+version)
}

func (e *examination) connectors() {
	for _, name := range slices.Sorted(maps.Keys(e.file.Connectors)) {
		path, err := connector.Find(e.file.Connectors[name].Cloudflared)
		version, knows := "", false
		if err == nil {
			version, knows, err = connector.Version(e.ctx, path)
		}
		if e.check("cloudflared of "+name, err, path+" "+version) && !knows {
			e.warn("cloudflared of "+name, "%s does not know --token-file: the token goes by its environment, which root can read; use 2025.4.0 or later", version)
		}
	}
}

func (e *examination) secrets() {
	secret := func(key, path string) {
		if path != "" {
			_, err := credential.Read(path)
			e.check(key, err, path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.file.Connectors)) {
		c := e.file.Connectors[name]
		source := tunneltoken.Of(c)
		token, err := source.Read(e.ctx)
		if err == nil {
			err = connector.CheckToken(string(token), c.TunnelID)
		}
		e.check("token of "+name, err, source.String())
	}
	secret("health.token_file", e.file.Health.TokenFile)
	for i, w := range e.file.Alerts.Webhooks {
		secret(fmt.Sprintf("alerts.webhooks[%d].secret_file", i), w.SecretFile)
	}
	if e.getenv("SOPS_AGE_KEY") != "" {
		e.warn("environment", "SOPS_AGE_KEY is set: unset it and use a systemd credential")
	}
}

func (e *examination) certificates() {
	var pairs []agentfile.Pair
	if e.file.Ingress != nil {
		pairs = append(pairs, e.file.Ingress.Certificates...)
	}
	if p := e.file.Plane; p != nil && p.API.TLS != nil {
		pairs = append(pairs, *p.API.TLS)
	}
	for _, p := range pairs {
		cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if !e.check("certificate "+p.CertFile, err, "") {
			continue
		}
		if left := time.Until(cert.Leaf.NotAfter); left < time.Duration(e.file.Alerts.CertificateExpiry) {
			e.warn("certificate "+p.CertFile, "it ends on %s: renew it", cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		if info, err := os.Stat(p.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
			e.warn("key "+p.KeyFile, "everybody may read it: chmod o= %s", p.KeyFile)
		}
	}
}

// ports tries to listen where the agent will.
func (e *examination) ports() {
	try := func(key, address string) {
		if address == "" || agentfile.IsUnix(address) {
			return
		}
		ln, err := (&net.ListenConfig{}).Listen(e.ctx, "tcp", address)
		switch {
		case err == nil:
			_ = ln.Close()
		case errors.Is(err, unix.EADDRINUSE):
			err = fmt.Errorf("%s is taken by another program: \"ss -ltnp\" names it; stop that, or name another port (fine if it is systemd's own socket for the agent)", address)
		case errors.Is(err, unix.EACCES):
			err = fmt.Errorf("%s needs a privilege: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a .socket unit", address)
		}
		e.check(key, err, address)
	}
	if p := e.file.Plane; p != nil {
		try("plane.api.listen", p.API.Listen)
	}
	if i := e.file.Ingress; i != nil {
		for n, l := range i.Listen {
			try(fmt.Sprintf("ingress.listen[%d]", n), l.Address)
		}
	}
	try("health.listen", e.file.Health.Listen)
	for _, name := range slices.Sorted(maps.Keys(e.file.Connectors)) {
		try("connectors."+name+".metrics", e.file.Connectors[name].Metrics)
	}
}

func (e *examination) memory() {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return // not Linux
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "MemAvailable:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 54)
		if err != nil {
			return
		}
		if kib<<10 < minMemory {
			e.warn("memory", "%d MiB are available, less than %d: Workers will be killed; add memory", kib>>10, minMemory>>20)
			return
		}
		e.check("memory", nil, fmt.Sprintf("%d MiB available", kib>>10))
	}
}

var systemdForm = regexp.MustCompile(`^systemd (\d+)`)

func (e *examination) systemd() {
	ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "--version").Output()
	m := systemdForm.FindSubmatch(out)
	if err != nil || m == nil {
		e.warn("systemd", "there is none: whatever starts the agent must restart it and place its secrets")
		return
	}
	if n, _ := strconv.Atoi(string(m[1])); n < minSystemd {
		e.warn("systemd", "version %d is older than %d: it cannot decrypt credentials; use LoadCredential= with a file of mode 0400", n, minSystemd)
		return
	}
	e.check("systemd", nil, "version "+string(m[1]))
}
