// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

const (
	defaultAPI     = "127.0.0.1:8780"
	defaultIngress = "127.0.0.1:8787" // as wrangler dev
	// drainLimit is how long requests in flight can hold up the end of a plane.
	drainLimit = 10 * time.Second
)

type devFlags struct {
	data, api, ingress, envFile, workerd, logFormat string
	allowEgress, callbacks                          []string
	callbackSecret                                  string
	allowRemote                                     bool
	zones                                           []string
}

func newDev(p process) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev [flags] [-- COMMAND [ARGUMENT]...]",
		Short: "Run a self-hosted plane for one person",
		Long: `Run a self-hosted plane on this machine: the Cloudflare API for Workers, and the
Workers themselves on workerd. A Worker "api" with its subdomain enabled answers
at http://api.dev.localhost:8787/.

It also has Cloudflare Tunnels, and is the connector of all of them: requests for a
host name of a tunnel's ingress rules are brought to the service that the rule
names, e.g. curl -H "Host: app.example.com" http://127.0.0.1:8787/. Which rule serves
a URL is what "hybridge tunnel test" says.

At the first start it makes an account and a token, which stay in the data
directory. Once ready it prints the exports that point Terraform, OpenTofu and
wrangler at it, and writes them to the file named by --env-file. That file
carries the token: only its owner can read it, it appears whole, and it is
removed when the plane stops. A port of 0 takes a free one.

It runs until SIGINT or SIGTERM, lets requests in flight end (10 s at most), and
exits with 0; a second signal ends it at once. All Workers are back at the next
start with the same directory.

With a COMMAND it runs that in the plane's environment, passes signals on, and
exits with its code. The log is then at level warn unless HYBRIDGE_LOG says
otherwise.`,
		Example: `  hybridge dev --env-file dev.env &                # then: . ./dev.env
  hybridge dev --api 127.0.0.1:0 --ingress 127.0.0.1:0 -- ./test.sh
  hybridge dev --allow-egress 10.1.2.3/32          # Workers may reach that host`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash > 0 || dash < 0 && len(args) > 0 {
				return usageError("unexpected argument %q; a command follows \"--\"", args[0])
			}
			if cmd.ArgsLenAtDash() == 0 && len(args) == 0 {
				return usageError("\"--\" without a command")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return dev(p, f, args) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.data, "data", "", "`DIR` that holds everything of the plane (default $XDG_DATA_HOME/hybridge/dev)")
	fs.StringVar(&f.api, "api", defaultAPI, "`ADDRESS` of the API")
	fs.StringVar(&f.ingress, "ingress", defaultIngress, "`ADDRESS` at which Workers answer")
	fs.StringVar(&f.envFile, "env-file", "", "`FILE` to write the exports to while the plane is ready")
	fs.StringVar(&f.workerd, "workerd", "", "`PATH` of the workerd binary (default $HYBRIDGE_WORKERD, PATH, node_modules)")
	fs.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fs.StringSliceVar(&f.allowEgress, "allow-egress", nil, "private or loopback `CIDR` range that Workers may reach; repeatable")
	fs.StringSliceVar(&f.callbacks, "rollout-callback", nil, "`URL` that is told of every change of a rollout, signed (Standard Webhooks); repeatable")
	fs.StringVar(&f.callbackSecret, "rollout-callback-secret-file", "", "`FILE` with the key of the signatures, as text or whsec_...; nobody else may read it")
	fs.StringSliceVar(&f.zones, "zone", nil, "`DOMAIN` of a DNS zone that the plane has, e.g. example.com; repeatable, and kept in the directory")
	fs.BoolVar(&f.allowRemote, "allow-remote", false, "admit addresses that other machines can reach; the API has no TLS")
	return cmd
}

// dev runs a plane, and a command beside it if argv is not empty.
func dev(p process, f devFlags, argv []string) error {
	level := hclog.Info
	if len(argv) > 0 {
		level = hclog.Warn // the screen is the command's
	}
	log, err := newLog(p.stderr, f.logFormat, p.getenv(logVariable), level)
	if err != nil {
		return err
	}
	for _, c := range f.allowEgress {
		if _, err := netip.ParsePrefix(c); err != nil {
			return usageError("--allow-egress %q is no address range; write it as 10.1.2.3/32 or 10.1.0.0/16", c)
		}
	}
	for i, zone := range f.zones {
		f.zones[i] = strings.ToLower(strings.TrimSuffix(zone, "."))
		if !tunnelrule.IsHostname(f.zones[i]) {
			return usageError("--zone %q is no domain name; write it as example.com", zone)
		}
	}
	callbacks, err := f.wantedCallbacks()
	if err != nil {
		return err
	}
	data, err := dataDir(f.data, p.getenv)
	if err != nil {
		return err
	}
	binary, err := findWorkerd(f.workerd, p.getenv)
	if err != nil {
		return err
	}

	// From here on a signal ends what has been started.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	exports := envFile{path: f.envFile}
	var id agent.Identity
	starting, cancel := context.WithCancel(context.Background())
	defer cancel()
	type started struct {
		a   *agent.Agent
		err error
	}
	ready := make(chan started, 1)
	go func() {
		a, err := agent.Start(starting, agent.Config{
			DataDir: data, API: f.api, Ingress: f.ingress, AllowRemote: f.allowRemote,
			Workerd: binary, EgressAllow: f.allowEgress, Callbacks: callbacks, Version: version, Log: log,
			ServeTunnels: true,
			Prepare: func(ctx context.Context, reg *registry.Registry) (err error) {
				if err := exports.clear(); err != nil { // not before the directory is ours
					return err
				}
				if id, err = agent.EnsureIdentity(ctx, reg); err != nil {
					return err
				}
				for _, zone := range f.zones {
					if _, err := reg.EnsureZone(ctx, id.AccountID, zone); err != nil {
						return err
					}
				}
				return nil
			},
		})
		ready <- started{a, err}
	}()
	var a *agent.Agent
	select {
	case s := <-ready:
		if s.err != nil {
			return explain(s.err, data)
		}
		a = s.a
	case s := <-signals:
		cancel()
		if r := <-ready; r.a != nil {
			return stop(r.a, signals, log, s)
		}
		return nil
	}

	vars := variables(a.Addresses(), id)
	if err := exports.write(vars); err != nil {
		return errors.Join(err, stop(a, signals, log, nil))
	}
	defer exports.remove()
	log.Info("plane is ready", "api", "http://"+a.Addresses().API, "ingress", "http://"+a.Addresses().Ingress, "data", data)
	if f.allowRemote {
		log.Warn("other machines may reach this plane; its API is not encrypted", "api", f.api, "ingress", f.ingress)
	}
	if len(argv) > 0 {
		return runBeside(p, a, argv, vars, signals, log)
	}
	fmt.Fprintf(p.stdout, "# Workers answer at http://<name>.%s.%s:%s/\n%s", id.Subdomain, agent.LocalDomain, portOf(a.Addresses().Ingress), exportLines(vars))
	select {
	case s := <-signals:
		return stop(a, signals, log, s)
	case err := <-a.Failed():
		return errors.Join(err, stop(a, signals, log, nil))
	}
}

// runBeside runs a command until it ends, then stops the plane.
func runBeside(p process, a *agent.Agent, argv []string, vars []variable, signals <-chan os.Signal, log hclog.Logger) error {
	c, err := startCommand(p, argv, vars)
	if err != nil {
		return errors.Join(err, stop(a, signals, log, nil))
	}
	failed := a.Failed()
	var broken error
	for n := 0; ; {
		select {
		case s := <-signals:
			if n++; n > 1 {
				_ = c.cmd.Process.Kill()
				continue
			}
			c.forward(s)
		case broken = <-failed:
			failed = nil
			log.Error("the plane is broken; ending the command", "error", broken)
			c.forward(syscall.SIGTERM) // it has nothing to work with any more
		case err := <-c.done:
			// The command's code is ours; what else went wrong goes to the log.
			if err := stop(a, signals, log, nil); err != nil {
				log.Error("stopping the plane", "error", err)
			}
			if err := c.result(err); err != nil || broken == nil {
				return err
			}
			return broken
		}
	}
}

// stop drains the plane. A signal meanwhile cuts that short and sets the exit code.
func stop(a *agent.Agent, signals <-chan os.Signal, log hclog.Logger, why os.Signal) error {
	if why != nil {
		log.Info("stopping; a second signal stops at once", "signal", why)
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- a.Close(ctx) }()
	select {
	case err := <-closed:
		return err
	case s := <-signals:
		cancel()
		err := <-closed
		code := exitFailure
		if n, ok := s.(syscall.Signal); ok {
			code = exitSignal + int(n)
		}
		return &exitError{code, err}
	}
}

// dataDir is the plane's directory: the flag's, else the one of the XDG base
// directory specification.
func dataDir(flag string, getenv func(string) string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	base := getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(base) { // the specification has relative paths ignored
		home := getenv("HOME")
		if home == "" {
			return "", usageError("neither HOME nor XDG_DATA_HOME is set: name a directory with --data")
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "hybridge", "dev"), nil
}

// explain adds the remedy in terms of flags, which the agent does not know.
func explain(err error, data string) error {
	var inUse *registry.InUseError
	if errors.As(err, &inUse) {
		return fmt.Errorf("%s is in use by another hybridge (pid %s): stop that one, or name another directory with --data", data, inUse.PID)
	}
	var listen *agent.ListenError
	if !errors.As(err, &listen) {
		return err
	}
	flag := map[string]string{"API": "--api", "ingress": "--ingress"}[listen.Server]
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listening for the %s on %s: another program has that port: stop it, or name another one, or a free one with %s 127.0.0.1:0", listen.Server, listen.Address, flag)
	case errors.Is(err, agent.ErrNotLoopback):
		return &exitError{exitUsage, fmt.Errorf("%s %s is refused: other machines could reach it, and the API has no TLS: use an address of 127.0.0.0/8, or say --allow-remote", flag, listen.Address)}
	}
	return fmt.Errorf("%w: name another address with %s", err, flag)
}
