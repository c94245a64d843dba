// SPDX-License-Identifier: MPL-2.0

package doctor

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/tunneltoken"
)

func (e *examination) secrets() {
	for _, name := range slices.Sorted(maps.Keys(e.file.Connectors)) {
		c := e.file.Connectors[name]
		source := tunneltoken.Of(c)
		what := "token of " + name
		if e.notPlaced(what, c.SecretFiles()...) {
			continue
		}
		token, err := source.Read(e.ctx)
		if err == nil {
			err = connector.CheckToken(string(token), c.TunnelID)
		}
		e.check(what, err, source.String())
	}
	e.secret("health.token_file", e.file.Health.TokenFile)
	for i, w := range e.file.Alerts.Webhooks {
		e.secret(fmt.Sprintf("alerts.webhooks[%d].secret_file", i), w.SecretFile)
	}
	if e.getenv("SOPS_AGE_KEY") != "" {
		e.warn("environment", "SOPS_AGE_KEY is set, and every process of this user can read it in /proc: unset it and use a systemd credential")
	}
}

func (e *examination) secret(key, path string) {
	if path == "" || e.notPlaced(key, path) {
		return
	}
	_, err := credential.Read(path)
	e.check(key, err, path)
}

// notPlaced warns where systemd places a secret when the service starts, which it has not: that
// is no fault of the machine.
func (e *examination) notPlaced(what string, paths ...string) bool {
	for _, path := range paths {
		if filepath.Dir(path) != credential.ServiceDirectory {
			continue
		}
		_, err := os.Stat(credential.ServiceDirectory)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.warn(what, "%s is placed when the service starts: systemctl start hybridge-agent, then ask again", path)
		case errors.Is(err, fs.ErrPermission) || err == nil && !e.root:
			e.warn(what, "only root and the service can look at %s: sudo hybridge doctor", path)
		default:
			continue
		}
		return true
	}
	return false
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
		what := "certificate " + p.CertFile
		if e.notPlaced(what, p.CertFile, p.KeyFile) {
			continue
		}
		cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			err = fmt.Errorf("%w: name PEM files of a certificate and of its key, which the agent's user can read", err)
		}
		if !e.check(what, err, p.CertFile) {
			continue
		}
		if left := cert.Leaf.NotAfter.Sub(e.now); left < time.Duration(e.file.Alerts.CertificateExpiry) {
			e.warn(what, "it ends on %s: renew it; the agent takes over the new file by itself", cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		if info, err := os.Stat(p.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
			e.warn("key "+p.KeyFile, "everybody may read it: chmod o= %s", p.KeyFile)
		}
	}
}
