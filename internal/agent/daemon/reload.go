// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
)

// Reload takes over a configuration that read gives, as far as that goes without
// a restart: host names, certificates, connectors, the health token, limits of alerts, the level of the log. Requests
// are not touched. If read or a file that it names is wrong, everything stays as it was. It is called by
// one goroutine.
func (d *Daemon) Reload(read func() (*agentfile.File, error)) error {
	d.notify(daemon.SdNotifyReloading + "\nMONOTONIC_USEC=" + daemon.SdNotifyMonotonicUsec())
	defer d.NotifyReady()
	err := d.reload(read)
	text := ""
	if err != nil {
		text = err.Error()
	}
	d.mu.Lock()
	d.configError = text
	d.mu.Unlock()
	return err
}

func (d *Daemon) reload(read func() (*agentfile.File, error)) error {
	next, err := read()
	if err != nil {
		return err
	}
	token, err := healthToken(next)
	if err != nil {
		return err
	}
	if err := d.certs.use(certificatePairs(next)); err != nil {
		return err
	}
	d.mu.Lock()
	old := d.file
	d.mu.Unlock()
	restart := needRestart(old, next)
	if d.agent != nil {
		d.agent.SetHostnames(hostnames(next))
	}
	connectors := d.reloadConnectors(old, next)
	d.log.SetLevel(hclog.LevelFromString(next.Log.Level))

	// What needs a restart stays as it runs, so that the next reload compares with that.
	running := *next
	running.DataDir, running.Plane, running.Log.Format = old.DataDir, old.Plane, old.Log.Format
	running.Health.Listen, running.Alerts.Webhooks = old.Health.Listen, old.Alerts.Webhooks
	if running.Ingress != nil && old.Ingress != nil {
		i := *running.Ingress
		i.Listen = old.Ingress.Listen
		running.Ingress = &i
	} else {
		running.Ingress = old.Ingress
	}
	d.mu.Lock()
	d.file, d.token, d.connectors, d.restart = &running, token, connectors, restart
	d.mu.Unlock()
	if len(restart) > 0 {
		d.log.Warn("these changes need a restart", "keys", strings.Join(restart, ", "))
	}
	return nil
}

// needRestart names the keys whose change needs one.
func needRestart(old, next *agentfile.File) (keys []string) {
	add := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	listen := func(f *agentfile.File) []agentfile.Listener {
		if f.Ingress == nil {
			return nil
		}
		return f.Ingress.Listen
	}
	add("data_dir", old.DataDir, next.DataDir)
	add("plane", old.Plane, next.Plane)
	add("ingress.listen", listen(old), listen(next))
	add("health.listen", old.Health.Listen, next.Health.Listen)
	add("alerts.webhooks", old.Alerts.Webhooks, next.Alerts.Webhooks)
	add("log.format", old.Log.Format, next.Log.Format)
	return keys
}

// reloadConnectors starts those that are new, changes those that have changed without
// downtime, and lets those that are gone end. A changed token's
// content is not its business: each connector looks at that itself.
func (d *Daemon) reloadConnectors(old, next *agentfile.File) map[string]*connector.Connector {
	out := map[string]*connector.Connector{}
	for name, c := range d.connectors {
		now, stays := next.Connectors[name]
		if !stays {
			d.log.Info("stopping the connector " + name)
			d.running.Go(c.Stop) // it has its grace; Close waits for it
			continue
		}
		if !reflect.DeepEqual(now, old.Connectors[name]) {
			d.log.Info("changing the connector " + name)
			c.Change(d.connectorConfig(name, now))
		}
		out[name] = c
	}
	for _, name := range slices.Sorted(maps.Keys(next.Connectors)) {
		if out[name] == nil {
			d.log.Info("starting the connector " + name)
			out[name] = connector.Start(d.connectorConfig(name, next.Connectors[name]))
		}
	}
	return out
}
