// SPDX-License-Identifier: MPL-2.0

// Command hybridge is everything of Hybridge that runs on a machine.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

// Exit codes, beside those of a command that `hybridge dev` runs.
const (
	exitFailure    = 1   // it was tried and failed
	exitUsage      = 2   // the command line or the environment makes no sense
	exitNotRunning = 126 // the command exists and cannot be started, as in sh
	exitNotFound   = 127 // there is no such command, as in sh
	exitSignal     = 128 // plus the number of the signal that ended it
)

// exitError carries an exit code; a nil err says nothing on stderr.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// process is what a command may touch of the process it runs in.
type process struct {
	stdin          *os.File
	stdout, stderr io.Writer
	getenv         func(string) string
}

func main() {
	os.Exit(run(os.Args[1:], process{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}))
}

// run executes one command line and returns the exit code.
func run(args []string, p process) int {
	root := newRoot(p)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	code := exitFailure
	var exit *exitError
	if errors.As(err, &exit) {
		code, err = exit.code, exit.err
	}
	if err != nil {
		fmt.Fprintln(p.stderr, "hybridge:", err)
	}
	return code
}

func newRoot(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   "hybridge",
		Short: "Run Cloudflare Workers on machines you own",
		Long: `Hybridge runs Cloudflare Workers on machines you own, behind the Cloudflare API:
Terraform, OpenTofu and wrangler work on it unchanged.

Exit codes: 0 success; 1 failure; 2 wrong usage. A command that "hybridge dev"
runs passes its own through, 128 plus the signal's number if one ended it, and
127 or 126 if it cannot be found or started.

Environment:
  HYBRIDGE_LOG       level of the log: trace, debug, info, warn, error, off
  HYBRIDGE_WORKERD   path of the workerd binary`,
		Example: `  hybridge dev                                     # a plane on this machine
  hybridge dev -- terraform apply                  # a plane for the time of one command
  hybridge rollout status --worker api --follow    # what a release is doing
  hybridge token create ci --permission deploy     # who else may deploy
  hybridge sops check                              # the SOPS files of Workers' secrets`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q; \"hybridge help\" lists them", args[0])
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.SetVersionTemplate("hybridge {{.Version}}\n")
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; \"%s --help\" lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(newAgent(p), newAudit(p), newDev(p), newDoctor(p), newRollout(p), newSops(p), newStatus(p), newToken(p), newTunnel(p), newVersion(p))
	return root
}
