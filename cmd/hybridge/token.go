// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/tokens"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
)

// defaultTokenLife is the end of a token where nobody says another: what is forgotten
// ends by itself.
const defaultTokenLife = "720h"

const tokenPlane = `Asked is, in this order:
  the plane in the data directory named by --data, which must not run;
  the plane of the agent.yaml named by --config, whether it runs or not;
  the plane of CLOUDFLARE_BASE_URL and CLOUDFLARE_API_TOKEN, if the latter is set;
  the plane of /etc/hybridge/agent.yaml.
A running plane is asked through its API, with CLOUDFLARE_API_TOKEN, or else with the
agent's initial token. That token needs "Account API Tokens Write", as "admin" has.`

// tokenFlags say which plane is meant.
type tokenFlags struct{ config, data string }

func newToken(p process) *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the API tokens of a self-hosted plane",
		Long: `Make, list and revoke the API tokens of a self-hosted plane.

` + tokenPlane,
		Example: `  hybridge token create ci --permission deploy --expires 720h --out ci.token
  hybridge token list
  hybridge token revoke ci`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] != "help" {
				return usageError("unknown command %q; \"hybridge token --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&f.config, "config", "", "`FILE` of an agent's configuration")
	cmd.PersistentFlags().StringVar(&f.data, "data", "", "data `DIR` of a plane that does not run")
	cmd.AddCommand(newTokenCreate(p, &f), newTokenList(p, &f), newTokenRevoke(p, &f))
	return cmd
}

func newTokenCreate(p process, f *tokenFlags) *cobra.Command {
	var permissions []string
	var expires, out string
	cmd := &cobra.Command{
		Use:   "create NAME --permission PERMISSION",
		Short: "Make a token; its text is shown once",
		Long: `Make a token. Its text is printed on stdout, or written to the file of --out, and can
never be shown again: the plane keeps a hash of it.

Permissions are Cloudflare's permission groups, such as "Workers Scripts Write", and
shorthands for sets of them: deploy (uploads and deploys; reads no data, no logs), read,
tunnels, data, logs, audit, admin. Through the API a token gives only what it has itself.

` + tokenPlane,
		Example: `  hybridge token create ci --permission deploy --out ci.token
  hybridge token create dashboards --permission "Account Analytics Read" --expires never
  hybridge token create paris --permission deploy,tunnels --config /etc/hybridge/agent.yaml`,
		Args: oneArgument("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			w := tokens.Wanted{Name: args[0]}
			if len(permissions) == 0 {
				return usageError("--permission is needed, e.g. --permission deploy")
			}
			var err error
			if w.Permissions, err = plane.ExpandPermissions(permissions); err != nil {
				return &exitError{exitUsage, err}
			}
			if w.ExpiresOn, err = tokenEnd(expires, time.Now()); err != nil {
				return err
			}
			return createToken(p, f, w, out)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&permissions, "permission", nil, "`PERMISSION` group or shorthand; repeatable")
	fs.StringVar(&expires, "expires", defaultTokenLife, "`TIME` until it ends, e.g. 24h, or never")
	fs.StringVar(&out, "out", "", "new `FILE` for its text, mode 0600, instead of stdout")
	shorthands := []string{"deploy", "read", "tunnels", "data", "logs", "audit", "admin"}
	_ = cmd.RegisterFlagCompletionFunc("permission", cobra.FixedCompletions(shorthands, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	return cmd
}

func oneArgument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError("\"%s\" takes one %s, but got %d arguments", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}

// tokenEnd is when a token of that life ends; nil for never.
func tokenEnd(life string, now time.Time) (*time.Time, error) {
	if life == "never" {
		return nil, nil
	}
	d, err := time.ParseDuration(life)
	if err != nil || d <= 0 {
		return nil, usageError("--expires %q is no time such as 720h, nor never", life)
	}
	end := now.Add(d).UTC().Truncate(time.Second)
	return &end, nil
}

func createToken(p process, f *tokenFlags, w tokens.Wanted, out string) (err error) {
	ctx, stop := untilSignal()
	defer stop()
	keeper, err := f.keeper(ctx, p)
	if err != nil {
		return err
	}
	defer keeper.Close()
	var file *os.File
	if out != "" {
		// Before the token is there: it could not be shown again.
		if file, err = os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("writing the token: %s is there already: remove it, or name another file with --out", out)
			}
			return fmt.Errorf("writing the token: %w", err)
		}
		defer func() {
			_ = file.Close()
			if err != nil {
				_ = os.Remove(out)
			}
		}()
	}
	t, text, err := keeper.Create(ctx, w)
	if err != nil {
		return err
	}
	if err := writeToken(p, file, text); err != nil {
		_, undo := keeper.Revoke(context.WithoutCancel(ctx), t.ID) // nobody has it
		return errors.Join(fmt.Errorf("writing the token: %w", err), undo)
	}
	end := "never ends"
	if t.ExpiresOn != nil {
		end = "ends on " + t.ExpiresOn.Local().Format(time.DateTime)
	}
	fmt.Fprintf(p.stderr, "made the token %s (%s), which %s; its text is not kept and cannot be shown again\n", t.Name, t.ID, end)
	return nil
}

func writeToken(p process, file *os.File, text string) error {
	if file == nil {
		_, err := fmt.Fprintln(p.stdout, text)
		return err
	}
	if _, err := io.WriteString(file, text+"\n"); err != nil {
		return err
	}
	return file.Sync()
}

func newTokenList(p process, f *tokenFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tokens, oldest first; never their texts",
		Long:    "List tokens, oldest first; never their texts.\n\n" + tokenPlane,
		Example: "  hybridge token list\n  hybridge token list --json | jq '.[] | select(.expires_on == null).name'",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := untilSignal()
			defer stop()
			keeper, err := f.keeper(ctx, p)
			if err != nil {
				return err
			}
			defer keeper.Close()
			list, err := keeper.List(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(p.stdout, list)
			}
			printTokens(p.stdout, list)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}

func printTokens(w io.Writer, list []tokens.Token) {
	when := func(t *time.Time) string {
		if t == nil {
			return "never"
		}
		return t.Local().Format(time.DateTime)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tID\tSTATUS\tEXPIRES\tLAST USED\tPERMISSIONS")
	for _, token := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", token.Name, token.ID, token.Status, when(token.ExpiresOn), when(token.LastUsedOn), strings.Join(token.Permissions, ", "))
	}
	_ = t.Flush() // as the other prints
}

func newTokenRevoke(p process, f *tokenFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME-OR-ID",
		Short:   "Have a token authenticate nothing any more, at once",
		Long:    "Have a token authenticate nothing any more, at once. The last one that can make\nothers stays.\n\n" + tokenPlane,
		Example: "  hybridge token revoke ci",
		Args:    oneArgument("name or id"),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := untilSignal()
			defer stop()
			keeper, err := f.keeper(ctx, p)
			if err != nil {
				return err
			}
			defer keeper.Close()
			t, err := keeper.Revoke(ctx, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "revoked the token %s (%s)\n", t.Name, t.ID)
			return nil
		},
	}
}
