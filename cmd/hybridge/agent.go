// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/daemon"
)

const (
	defaultAgentFile = "/etc/hybridge/agent.yaml"
	// agentDrainLimit is how long requests in flight can hold up the end of the
	// agent; connectors have their own grace before it. The unit's TimeoutStopSec MUST exceed both.
	agentDrainLimit = 30 * time.Second
)

func newAgent(p process) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run this machine's plane, ingress and tunnel connectors",
		Long: `Run what agent.yaml says: a self-hosted plane, its ingress, and tunnel connectors
(cloudflared, which you install yourself).

SIGHUP reads the file again. Host names, certificates, connectors, the health
token, limits of alerts and the log's level change without touching a request;
the log and "hybridge status" name what needs a restart. A wrong file changes nothing.
Certificates and tokens are read again by themselves when their files change.

Under systemd it uses Type=notify-reload, the watchdog, and sockets that a .socket
unit hands over: those stay open while the agent restarts, so no connection is
refused meanwhile.

It runs until SIGINT or SIGTERM and lets requests in flight end; a second signal
ends it at once.`,
		Example: `  hybridge agent check --config agent.yaml         # would it start?
  hybridge agent --config /etc/hybridge/agent.yaml
  hybridge agent schema > agent.schema.json        # for editors
  sudo hybridge agent enroll                       # whom to encrypt this machine's secrets for`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q; \"hybridge agent --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return runAgent(p, config) },
	}
	cmd.PersistentFlags().StringVar(&config, "config", defaultAgentFile, "`FILE` of the configuration")
	cmd.AddCommand(&cobra.Command{
		Use:     "check",
		Short:   "Check agent.yaml, and say what is wrong with it",
		Example: "  hybridge agent check --config agent.yaml",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if _, err := readAgentFile(onMachine(p), config); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s is valid\n", config)
			return nil
		},
	}, &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of agent.yaml",
		Example: "  hybridge agent schema > agent.schema.json",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			return writeJSON(p.stdout, agentfile.Schema())
		},
	})
	cmd.AddCommand(newAgentEnroll(p))
	return cmd
}

// readAgentFile reads agent.yaml; a wrong one is wrong usage.
func readAgentFile(p process, path string) (*agentfile.File, error) {
	f, err := agentfile.Read(path, p.getenv)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return f, nil
}

func runAgent(p process, config string) error {
	f, err := readAgentFile(p, config)
	if err != nil {
		return err
	}
	level := f.Log.Level
	if v := p.getenv(logVariable); v != "" {
		level = v
	}
	log, err := newLog(p.stderr, f.Log.Format, level, hclog.Info)
	if err != nil {
		return err
	}
	if p.getenv("SOPS_AGE_KEY") != "" {
		log.Warn("SOPS_AGE_KEY is set: every process of this user can read it in /proc; use a systemd credential")
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	starting, cancel := context.WithCancel(context.Background())
	defer cancel()
	type started struct {
		d   *daemon.Daemon
		err error
	}
	ready := make(chan started, 1)
	go func() {
		d, err := daemon.Start(starting, daemon.Config{File: f, Version: version, Getenv: p.getenv, Log: log})
		ready <- started{d, err}
	}()
	var d *daemon.Daemon
	for hup := false; d == nil; {
		select {
		case r := <-ready:
			if r.err != nil {
				return r.err
			}
			d = r.d
			if hup {
				reloadAgent(d, p, config, log)
			}
		case s := <-signals:
			if s == syscall.SIGHUP {
				hup = true
				continue
			}
			cancel()
			if r := <-ready; r.d != nil {
				return stopAgent(r.d, signals, log, s)
			}
			return nil
		}
	}
	d.NotifyReady()
	log.Info("agent is ready", "api", d.Addresses().API, "ingress", d.Addresses().Ingress, "health", f.Health.Listen)
	failed := d.Failed()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGHUP {
				reloadAgent(d, p, config, log)
				continue
			}
			return stopAgent(d, signals, log, s)
		case err := <-failed:
			return errors.Join(err, stopAgent(d, signals, log, nil))
		}
	}
}

func reloadAgent(d *daemon.Daemon, p process, config string, log hclog.Logger) {
	err := d.Reload(func() (*agentfile.File, error) { return agentfile.Read(config, p.getenv) })
	if err != nil {
		log.Error("the configuration before stays in use", "error", err)
		return
	}
	log.Info("configuration is in use", "file", config)
}

// stopAgent lets the agent end. A signal meanwhile ends the process at once: children die with it.
func stopAgent(d *daemon.Daemon, signals <-chan os.Signal, log hclog.Logger, why os.Signal) error {
	d.NotifyStopping()
	log.Info("stopping; a second signal stops at once", "signal", why)
	ctx, cancel := context.WithTimeout(context.Background(), agentDrainLimit)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- d.Close(ctx) }()
	for {
		select {
		case err := <-closed:
			return err
		case s := <-signals:
			if n, ok := s.(syscall.Signal); ok && n != syscall.SIGHUP {
				return &exitError{code: exitSignal + int(n)}
			}
		}
	}
}
