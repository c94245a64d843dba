// SPDX-License-Identifier: MPL-2.0

package doctor

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

const (
	// minSystemd has LoadCredentialEncrypted=.
	minSystemd = 250
	// askTimeout bounds each question to another program.
	askTimeout = 10 * time.Second
	// oldAfter is how long Cloudflare supports a version of cloudflared, and about how
	// long wrangler's compatibility dates can be ahead of a workerd that nobody updates.
	oldAfter = 365 * 24 * time.Hour
)

func (e *examination) workerd() {
	path, err := workerd.Find(e.file.Plane.Workerd, e.getenv)
	if err != nil {
		e.check("workerd", err, "")
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
	defer cancel()
	version, err := workerd.BinaryVersion(ctx, path)
	if !e.check("workerd", err, path+" "+version) {
		return
	}
	if made, err := time.Parse(time.DateOnly, version); err == nil && e.now.Sub(made) > oldAfter {
		e.warn("workerd", "%s is of %s: it refuses Workers with a newer compatibility_date; install a newer one (npm package \"workerd\") and restart the agent", path, version)
	}
}

var cloudflaredForm = regexp.MustCompile(`^(\d{4})\.(\d+)\.`)

func (e *examination) connectors() {
	for _, name := range slices.Sorted(maps.Keys(e.file.Connectors)) {
		what := "cloudflared of " + name
		path, err := connector.Find(e.file.Connectors[name].Cloudflared)
		version, knows := "", false
		if err == nil {
			version, knows, err = connector.Version(e.ctx, path)
		}
		if !e.check(what, err, path+" "+version) {
			continue
		}
		if !knows {
			e.warn(what, "%s does not know --token-file: the token goes by its environment, which root can read; use 2025.4.0 or later", version)
		}
		if m := cloudflaredForm.FindStringSubmatch(version); m != nil {
			year, _ := strconv.Atoi(m[1])
			month, _ := strconv.Atoi(m[2])
			if e.now.Sub(time.Date(year, time.Month(month)+1, 1, 0, 0, 0, 0, time.UTC)) > oldAfter {
				e.warn(what, "%s is older than a year, and Cloudflare supports it no more: install a newer one, then restart the agent; it does not update itself here", version)
			}
		}
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
	e.check("systemd", nil, fmt.Sprintf("version %s", m[1]))
}
