// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

const (
	// lookEvery is how old a status can be.
	lookEvery = time.Second
	// lookTimeout is how long the database may take to answer before it counts as broken.
	lookTimeout = 5 * time.Second
	// staleAfter is how old the last look may be for the agent to count as alive: SQLite
	// may wait longer than it is told to.
	staleAfter = lookTimeout + 3*lookEvery
)

// Status is the last look at everything.
func (d *Daemon) Status() health.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// alive says why the agent makes no progress: its own loop stands still, or the
// database does not answer, which a restart may mend. Nothing outside of it counts.
func (d *Daemon) alive() error {
	d.mu.Lock()
	s, age := d.status, time.Since(d.looked)
	d.mu.Unlock()
	if age > staleAfter {
		return fmt.Errorf("the agent has not looked at itself for %s", age.Round(time.Second))
	}
	for _, c := range s.Checks {
		if c.Name == "database" && !c.OK {
			return errors.New(c.Detail)
		}
	}
	return nil
}

// monitor looks at everything until ctx ends, and feeds systemd's watchdog while there is progress.
func (d *Daemon) monitor(ctx context.Context) {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("reading the watchdog's interval", "error", err)
	}
	every := lookEvery
	if watchdog > 0 {
		every = min(every, watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.refreshCertificates()
		d.look(ctx)
		if watchdog > 0 && d.alive() == nil {
			d.notify(daemon.SdNotifyWatchdog)
		}
	}
}

func (d *Daemon) refreshCertificates() {
	for _, c := range []*certificates{d.certs, d.apiCert} {
		if c == nil {
			continue
		}
		switch changed, err := c.refresh(); {
		case err != nil:
			d.log.Error("the certificates before stay in use", "error", err)
		case changed:
			d.log.Info("certificates have been read again")
		}
	}
}

// look makes a new status.
func (d *Daemon) look(ctx context.Context) {
	d.mu.Lock()
	f, connectors := d.file, maps.Clone(d.connectors)
	s := health.Status{
		Version: health.DocumentVersion, Agent: d.version, Region: f.Region, StartedOn: d.started,
		RestartNeeded: d.restart, ConfigError: d.configError, Checks: []health.Check{},
	}
	d.mu.Unlock()
	if s.ConfigError != "" {
		s.Add(health.Check{Name: "configuration", Warning: true, Detail: "the last reload was refused: " + s.ConfigError})
	}
	if len(s.RestartNeeded) > 0 {
		s.Add(health.Check{Name: "configuration", Warning: true, Detail: "a restart is needed for " + strings.Join(s.RestartNeeded, ", ")})
	}
	if d.agent != nil {
		d.lookAtPlane(ctx, &s)
	}
	lookAtConnectors(&s, connectors)
	d.lookAtCertificates(&s, time.Duration(f.Alerts.CertificateExpiry))
	LookAtDisk(&s, f)
	now := time.Now()
	if jump := d.clock.observe(now.Round(0), now.Sub(d.born)); jump != 0 {
		d.log.Warn("the clock has jumped", "seconds", jump.Seconds())
	}
	s.Clock.JumpSeconds, s.Clock.JumpedOn = d.clock.jump.Seconds(), d.clock.on
	LookAtClock(&s)
	d.alerts.look(ctx, &s)
	s.Settle()
	s.AsOf = now.UTC()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.looked = s, now
}

func (d *Daemon) lookAtPlane(ctx context.Context, s *health.Status) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	check := health.Check{Name: "database", OK: true}
	if _, err := d.agent.Registry().Accounts(ctx); err != nil && !errors.Is(err, context.Canceled) {
		check.OK, check.Detail = false, "the plane's database does not answer: "+err.Error()
	}
	s.Add(check)
	addresses := d.agent.Addresses()
	s.Addresses = append(s.Addresses, addresses.API)
	if addresses.Ingress != "" {
		s.Addresses = append(s.Addresses, addresses.Ingress)
	}
	workers := health.Check{Name: "workers", OK: true}
	for _, v := range d.agent.Versions() {
		s.Workers = append(s.Workers, health.Worker{WorkerID: v.WorkerID, VersionID: v.VersionID, State: v.State, Restarts: v.Restarts, LastError: v.LastError})
		if v.State == string(supervise.CrashLoop) || v.State == string(supervise.BackingOff) {
			workers.OK = false
			workers.Detail = strings.TrimSpace(fmt.Sprintf("%s version %s of Worker %s is in state %s.", workers.Detail, v.VersionID, v.WorkerID, v.State))
		}
	}
	s.Add(workers)
	if list := d.agent.Unanswered(); len(list) > 0 {
		names := []string{}
		for _, a := range list {
			names = append(names, fmt.Sprintf("%s (Worker %q)", a.Host, a.Worker))
		}
		s.Add(health.Check{Name: "host names", Warning: true, Detail: "no Worker is deployed for " + strings.Join(names, ", ") + ": deploy it, or correct ingress.zones"})
	}
}

func lookAtConnectors(s *health.Status, connectors map[string]*connector.Connector) {
	if len(connectors) > 0 {
		s.Connectors = map[string]connector.Status{}
	}
	for _, name := range slices.Sorted(maps.Keys(connectors)) {
		c := connectors[name].Status()
		s.Connectors[name] = c
		check := health.Check{Name: "connector " + name, OK: c.State == "connected", Detail: c.LastError}
		switch {
		case !check.OK && check.Detail == "":
			check.Detail = fmt.Sprintf("it is %s, without a connection to Cloudflare: see its log lines", c.State)
		case check.OK && c.Pending != "":
			check.OK, check.Warning, check.Detail = false, true, c.Pending
		}
		s.Add(check)
	}
}

func (d *Daemon) lookAtCertificates(s *health.Status, limit time.Duration) {
	for _, c := range []*certificates{d.certs, d.apiCert} {
		if c == nil {
			continue
		}
		list, stale := c.list()
		if stale != "" {
			s.Add(health.Check{Name: "certificates", Warning: true, Detail: stale + ": the ones before stay in use"})
		}
		for _, cert := range list {
			s.Certificates = append(s.Certificates, cert)
			check := health.Check{Name: "certificate " + cert.File, OK: true}
			if left := time.Until(cert.NotAfter); left < limit {
				check.OK, check.Warning = false, left > 0
				check.Detail = fmt.Sprintf("it ends on %s: renew it; the agent takes over the new file by itself", cert.NotAfter.UTC().Format(time.RFC3339))
			}
			s.Add(check)
		}
	}
}

// LookAtDisk adds the file system of the data directory.
func LookAtDisk(s *health.Status, f *agentfile.File) {
	var st unix.Statfs_t
	at := f.DataDir
	err := unix.Statfs(at, &st)
	for errors.Is(err, unix.ENOENT) && at != "/" { // it will be made there
		at = filepath.Dir(at)
		err = unix.Statfs(at, &st)
	}
	if err != nil {
		if f.Plane != nil {
			s.Add(health.Check{Name: "disk", Detail: fmt.Sprintf("looking at %s: %v", f.DataDir, err)})
		}
		return
	}
	size := uint64(st.Bsize)                                                                                //nolint:unconvert // its type differs between systems
	disk := health.Disk{Path: f.DataDir, FreeBytes: uint64(st.Bavail) * size, TotalBytes: st.Blocks * size} //nolint:unconvert // its type differs between systems
	if disk.TotalBytes > 0 {
		disk.FreePercent = math.Round(1000*float64(disk.FreeBytes)/float64(disk.TotalBytes)) / 10
	}
	s.Disk = &disk
	s.Add(diskCheck(disk, f.Alerts.DiskFree))
}

func diskCheck(disk health.Disk, limit agentfile.Percent) health.Check {
	if disk.FreePercent >= float64(limit) {
		return health.Check{Name: "disk", OK: true}
	}
	return health.Check{Name: "disk", Warning: true, Detail: fmt.Sprintf(
		"%.1f%% of the file system of %s is free, less than alerts.disk_free: make room; a full one refuses writes and goes on serving", disk.FreePercent, disk.Path)}
}
