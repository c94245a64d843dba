// SPDX-License-Identifier: MPL-2.0

// Package doctor looks at what the agent needs on a machine, without changing
// anything.
package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/daemon"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// examination collects findings.
type examination struct {
	ctx    context.Context
	getenv func(string) string
	now    time.Time
	root   bool
	file   *agentfile.File
	out    health.Status
}

// Examine returns one check per thing that was looked at. A check that is
// neither OK nor a warning keeps the agent from running.
func Examine(ctx context.Context, config string, getenv func(string) string) []health.Check {
	e := &examination{ctx: ctx, getenv: getenv, now: time.Now(), root: os.Geteuid() == 0}
	return e.examine(config)
}

func (e *examination) examine(config string) []health.Check {
	f, err := agentfile.Read(config, e.getenv)
	if !e.check("configuration", err, config) {
		e.systemd()
		return e.out.Checks
	}
	e.file = f
	if info, err := os.Stat(config); err == nil && info.Mode().Perm()&0o022 != 0 {
		e.warn("configuration", "others may change %s (mode %#o), and so what runs: chmod go-w %s", config, info.Mode().Perm(), config)
	}
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
		return e.listens(e.file.Health.Listen)
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

// listens reports whether anything is at an address, be it an agent that refuses us.
func (e *examination) listens(address string) bool {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		network, address = "unix", path
	}
	conn, err := (&net.Dialer{Timeout: askTimeout}).DialContext(e.ctx, network, address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
