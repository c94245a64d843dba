// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/doctor"
)

func newDoctor(p process) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Explain what is wrong on this machine for the agent, and how to mend it",
		Long: `Look at everything that the agent of agent.yaml needs on this machine: the file itself,
secrets and their permissions, the data directory, ports, workerd and cloudflared and
their versions, certificates, memory, disk, the clock, systemd. Each finding names its
remedy. It changes nothing. The exit code is 1 if the agent could not run.`,
		Example: "  hybridge doctor --config /etc/hybridge/agent.yaml",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			checks := doctor.Examine(context.Background(), config, onMachine(p).getenv)
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			wrong := 0
			for _, c := range checks {
				if !c.OK && !c.Warning {
					wrong++
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", mark(c), c.Name, oneLine(c.Detail))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if wrong > 0 {
				return &exitError{exitFailure, fmt.Errorf("%d findings keep the agent from running", wrong)}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", defaultAgentFile, "`FILE` of the agent's configuration")
	return cmd
}
