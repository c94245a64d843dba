// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/leak"
)

// followEvery is how often a rollout is looked at. A step lasts seconds at least.
const followEvery = 500 * time.Millisecond

const rolloutPlane = `Asked is the self-hosted plane of CLOUDFLARE_BASE_URL, CLOUDFLARE_ACCOUNT_ID and
CLOUDFLARE_API_TOKEN; a URL like unix:///run/hybridge/api.sock asks an agent by its
socket. Behind Cloudflare Access, the service token of CLOUDFLARE_ACCESS_CLIENT_ID and
CLOUDFLARE_ACCESS_CLIENT_SECRET is sent too. Cloudflare keeps no rollouts: there, look
at the deployments.`

func newRollout(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "See what the rollouts of a plane do and have done",
		Long: `See what the rollouts of a plane do and have done: their steps, what gates said, and
what a Worker or a webhook answered to them, which stays on the plane.

` + rolloutPlane,
		Example: `  hybridge rollout list --worker api
  hybridge rollout show 8e4f0a1c-7b52-4d3e-9f60-1a2b3c4d5e6f
  hybridge rollout status --worker api --follow        # until it has ended`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] != "help" {
				return usageError("unknown command %q; \"hybridge rollout --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRolloutList(p), newRolloutShow(p), newRolloutStatus(p))
	return cmd
}

// planeClient is a client of the plane that the environment names.
func planeClient(ctx context.Context, p process) (*cloudflare.Client, error) {
	plane, err := leak.Environment(p.getenv, "hybridge/"+version)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	client, err := plane.Open(ctx)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	keeps, err := client.KeepsRollouts(ctx)
	if err != nil {
		return nil, err
	}
	if !keeps {
		return nil, usageError("%s keeps no rollouts: it is no self-hosted plane, or an older one", client.BaseURL())
	}
	return client, nil
}

func newRolloutList(p process) *cobra.Command {
	var worker, state string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list [flags]",
		Short:   "List rollouts, newest first",
		Long:    "List rollouts, newest first.\n\n" + rolloutPlane,
		Example: "  hybridge rollout list --worker api --state rolled_back\n  hybridge rollout list --json | jq '.[].id'",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := untilSignal()
			defer stop()
			client, err := planeClient(ctx, p)
			if err != nil {
				return err
			}
			list, err := client.Rollouts(ctx, worker, state, limit)
			if err != nil {
				return err
			}
			if asJSON {
				if list == nil {
					list = []cloudflare.RolloutView{}
				}
				return printJSON(p.stdout, list)
			}
			printRollouts(p.stdout, list)
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&worker, "worker", "", "`NAME` or id of a Worker")
	fs.StringVar(&state, "state", "", "deploying, baking, judged, rolling_back, succeeded, rolled_back, held, overtaken or unknown")
	fs.IntVar(&limit, "limit", 20, "how many, 100 at most")
	fs.BoolVar(&asJSON, "json", false, "print them as JSON")
	states := []string{"deploying", "baking", "judged", "rolling_back", "succeeded", "rolled_back", "held", "overtaken", "unknown"}
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	return cmd
}

func printRollouts(w io.Writer, list []cloudflare.RolloutView) {
	if len(list) == 0 {
		fmt.Fprintln(w, "there are no rollouts")
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tWORKER\tSTATE\tVERSION\tSTARTED\tENDED\tRUN")
	for _, r := range list {
		ended := "-"
		if r.EndedOn != nil {
			ended = r.EndedOn.Local().Format(time.DateTime)
		}
		run := r.Run.ID
		if run == "" {
			run = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Worker, r.State, r.Target, r.StartedOn.Local().Format(time.DateTime), ended, run)
	}
	_ = t.Flush()
}

func newRolloutShow(p process) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID [flags]",
		Short:   "Show a rollout with everything that happened",
		Long:    "Show a rollout with everything that happened, and what was answered to its gates.\n\n" + rolloutPlane,
		Example: "  hybridge rollout show 8e4f0a1c-7b52-4d3e-9f60-1a2b3c4d5e6f",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("name one rollout by its ID; \"hybridge rollout list\" has them")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := untilSignal()
			defer stop()
			client, err := planeClient(ctx, p)
			if err != nil {
				return err
			}
			r, err := client.Rollout(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(p.stdout, r)
			}
			printRollout(p.stdout, r)
			for _, e := range r.Events {
				printEvent(p.stdout, e)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

func printRollout(w io.Writer, r cloudflare.RolloutView) {
	fmt.Fprintf(w, "rollout   %s of Worker %s: %s\n", r.ID, r.Worker, r.State)
	previous := r.Previous
	if previous == "" {
		previous = "(nothing)"
	}
	fmt.Fprintf(w, "versions  %s -> %s\n", previous, r.Target)
	if r.Run.ID != "" || r.Run.Commit != "" {
		fmt.Fprintf(w, "run       %s %s %s\n", r.Run.ID, r.Run.Workspace, r.Run.Commit)
	}
	var live []string
	for _, s := range r.Live {
		live = append(live, fmt.Sprintf("%s at %g %%", s.VersionID, s.Percentage))
	}
	fmt.Fprintf(w, "live now  %s\n", strings.Join(live, ", "))
	if r.EndedOn == nil {
		fmt.Fprintf(w, "lease     %.0f s left\n", r.LeaseSecondsLeft)
	}
}

func printEvent(w io.Writer, e cloudflare.RolloutEvent) {
	fmt.Fprintf(w, "%s  %-12s", e.At.Local().Format(time.TimeOnly), e.State)
	switch v := e.Verdict; {
	case v != nil && e.State == "judged":
		fmt.Fprintf(w, "  gate %s %s: %s\n", v.Gate, map[bool]string{true: "passed", false: "failed"}[v.Pass], v.Reason)
		if v.Detail != "" {
			fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(v.Detail, "\n", "\n    "))
		}
	case e.Reason != "":
		fmt.Fprintf(w, "  %s\n", e.Reason)
	default:
		fmt.Fprintf(w, "  %g %%\n", e.Percentage)
	}
}

func newRolloutStatus(p process) *cobra.Command {
	var worker string
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "status --worker NAME [flags]",
		Short: "Say what the newest rollout of a Worker is doing",
		Long: `Say what the newest rollout of a Worker is doing. With --follow it goes on until the
rollout has ended, also over a plane that restarts.

` + rolloutPlane + `

Exit codes: 0 it goes on, has succeeded, or is held as it was told; 1 it was rolled
back, overtaken, or its end is not known; 2 wrong usage.`,
		Example: "  hybridge rollout status --worker api --follow",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if worker == "" {
				return usageError("--worker is needed: the name or id of a Worker")
			}
			ctx, stop := untilSignal()
			defer stop()
			return rolloutStatus(ctx, p, worker, follow, asJSON)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&worker, "worker", "", "`NAME` or id of the Worker")
	fs.BoolVar(&follow, "follow", false, "go on until the rollout has ended")
	fs.BoolVar(&asJSON, "json", false, "print the rollout, and then each event, as one line of JSON")
	return cmd
}

func rolloutStatus(ctx context.Context, p process, worker string, follow, asJSON bool) error {
	client, err := planeClient(ctx, p)
	if err != nil {
		return err
	}
	list, err := client.Rollouts(ctx, worker, "", 1)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return usageError("the Worker %q had no rollout yet", worker)
	}
	r := list[0]
	show := func(e cloudflare.RolloutEvent) { printEvent(p.stdout, e) }
	if asJSON {
		show = func(e cloudflare.RolloutEvent) { _ = printLine(p.stdout, e) } // a reader that is gone needs no more
		err = printLine(p.stdout, r)
	} else {
		printRollout(p.stdout, r)
	}
	if err != nil {
		return err
	}
	after, state := int64(0), r.State
	for {
		events, now, err := client.RolloutEvents(ctx, r.ID, after)
		switch {
		case err == nil:
			for _, e := range events {
				show(e)
				after = e.Sequence
			}
			state = now
		case !follow || !cloudflare.IsUnreachable(err):
			return err
		default:
			fmt.Fprintln(p.stderr, "hybridge: the plane does not answer; asking again")
		}
		if !follow || ended(state) {
			return verdictOf(state, r.ID)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

func ended(state string) bool {
	switch state {
	case "succeeded", "rolled_back", "held", "overtaken", "unknown":
		return true
	}
	return false
}

// verdictOf makes the exit code of a state.
func verdictOf(state, id string) error {
	switch state {
	case "rolled_back", "overtaken", "unknown":
		return &exitError{exitFailure, errors.New("the rollout " + id + " is " + state)}
	}
	return nil
}
