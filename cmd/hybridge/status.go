// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// watchEvery is how often --watch asks; the agent looks at itself once per second.
const watchEvery = time.Second

var errNotReady = errors.New("the agent is not ready")

func newStatus(p process) *cobra.Command {
	var config string
	var asJSON, watch, schema bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how this machine's agent is",
		Long: `Show how this machine's agent is: its checks, connectors, Workers, certificates. It
asks the health endpoint that agent.yaml names. The exit code is 1 if something of the
configuration does not work; warnings do not count.

The document of --json has a version: members may be added, and none goes or changes its
meaning without another one. --schema prints its JSON Schema.`,
		Example: `  hybridge status
  hybridge status --watch
  hybridge status --json | jq .connectors`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if schema {
				return writeJSON(p.stdout, health.Schema())
			}
			f, err := readAgentFile(onMachine(p), config)
			if err != nil {
				return err
			}
			if watch {
				return watchStatus(p, f)
			}
			s, err := askAgent(cmd.Context(), f)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(p.stdout, s)
			} else {
				err = writeStatus(p.stdout, s)
			}
			if err == nil && !s.Ready {
				return &exitError{exitFailure, errNotReady}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&config, "config", defaultAgentFile, "`FILE` of the agent's configuration")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the document of the health endpoint")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it anew each second, until Ctrl-C")
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the document")
	cmd.MarkFlagsMutuallyExclusive("json", "watch", "schema")
	return cmd
}

// onMachine lets a person's command read the same agent.yaml as the service, which
// alone is told where its credentials are.
func onMachine(p process) process {
	p.getenv = credential.WithServiceDirectory(p.getenv)
	return p
}

func writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func askAgent(ctx context.Context, f *agentfile.File) (health.Status, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	var token []byte
	if f.Health.TokenFile != "" {
		var err error
		if token, err = credential.Read(f.Health.TokenFile); err != nil {
			return health.Status{}, err
		}
	}
	return health.Ask(ctx, f.Health.Listen, token)
}

func watchStatus(p process, f *agentfile.File) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	clear := ""
	if out, ok := p.stdout.(*os.File); ok && interactive(out) {
		clear = "\x1b[H\x1b[2J"
	}
	for {
		s, err := askAgent(ctx, f)
		if ctx.Err() != nil {
			return nil
		}
		fmt.Fprint(p.stdout, clear)
		if err != nil {
			fmt.Fprintln(p.stdout, err) // it may come back
		} else if err := writeStatus(p.stdout, s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

func writeStatus(out io.Writer, s health.Status) error {
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	region := ""
	if s.Region != "" {
		region = ", region " + s.Region
	}
	fmt.Fprintf(w, "agent %s: %s%s, up %s\n", s.Agent, ready, region, s.AsOf.Sub(s.StartedOn).Round(time.Second))
	for _, c := range s.Checks {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", mark(c), c.Name, oneLine(c.Detail))
	}
	if len(s.Connectors) > 0 {
		fmt.Fprintln(w, "connectors")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Connectors)) {
		c := s.Connectors[name]
		fmt.Fprintf(w, "  %s\t%s\t%d connections\tcloudflared %s\t%d restarts\n", name, c.State, c.Connections, orUnknown(c.Version), c.Restarts)
	}
	if len(s.Workers) > 0 {
		fmt.Fprintln(w, "Workers")
	}
	for _, v := range s.Workers {
		fmt.Fprintf(w, "  %s\tversion %s\t%s\t%d restarts\n", v.WorkerID, v.VersionID, v.State, v.Restarts)
	}
	return w.Flush()
}

func mark(c health.Check) string {
	switch {
	case c.OK:
		return "ok"
	case c.Warning:
		return "warning"
	}
	return "WRONG"
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func orUnknown(s string) string {
	if s == "" {
		return "of unknown version"
	}
	return s
}
