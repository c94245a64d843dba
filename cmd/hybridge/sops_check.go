// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/secretfile"
)

type sopsCheckFlags struct {
	identities identityFlags
	noDecrypt  bool
	json       bool
}

func newSopsCheck(p process) *cobra.Command {
	var f sopsCheckFlags
	cmd := &cobra.Command{
		Use:   "check [flags] [PATH...]",
		Short: "Check SOPS files, and what refers to them",
		Long: `Check the SOPS files at and below the PATHs (default: this directory), and what
refers to them:

  * a file that a path_regex of .sops.yaml names, and that is not encrypted
  * a value that stands in a SOPS file in the clear
  * a value that does not decrypt, or a file that was changed without SOPS
  * in *.tf files: a sops_file and key, an api_token_sops, or an ephemeral
    hybridge_sops_file without such a file, without such a value in it, or with
    one that does not decrypt. Only literals and path.module are followed.

A file whose keys are in a cloud or in Vault is opened if it is named, or if a
creation rule or a reference names it: others must not make this machine call the
services that they name.

Directories .git, .terraform and node_modules are left out, and so are links below
a directory. A PATH that is a file has to be a SOPS file. A PATH may be a pattern,
in which ** stands for any directories.

` + identityHelp + `

Exit codes: 0 all is well; 1 there are findings; 2 the check could not be made.`,
		Example: `  hybridge sops check
  hybridge sops check --no-decrypt                     # in CI, without a key
  hybridge sops check --age-key-file key.txt --no-env infra prod.enc.yaml
  hybridge sops check '**/*.enc.yaml'
  hybridge sops check --json | jq '.files[] | select(.problems != [])'`,
		RunE: func(_ *cobra.Command, args []string) error { return sopsCheck(p, f, args) },
	}
	f.identities.add(cmd.Flags())
	cmd.Flags().BoolVar(&f.noDecrypt, "no-decrypt", false, "check only what needs no key")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func sopsCheck(p process, f sopsCheckFlags, paths []string) error {
	store, err := f.identities.store()
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	ctx, stop := untilSignal()
	defer stop()
	check := secretfile.Check{Store: store, Decrypt: !f.noDecrypt}
	if interactive(p.stderr) {
		check.Look = func(path string) { fmt.Fprintln(p.stderr, "opening", path) }
	}
	report, err := check.Run(ctx, paths)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if f.json {
		err = printJSON(p.stdout, report)
	} else {
		printReport(p.stdout, report, check.Decrypt)
	}
	if err == nil && report.Findings > 0 {
		err = &exitError{code: exitFailure} // the report has said it
	}
	return err
}

func printReport(w io.Writer, r *secretfile.Report, decrypt bool) {
	sops := 0
	for _, f := range r.Files {
		fmt.Fprintf(w, "%s: ", f.Path)
		if f.Format != "" {
			sops++
			fmt.Fprintf(w, "%s, %s, for %s: ", f.Format, counted(f.Values, "value"), strings.Join(f.Recipients, ", "))
		}
		switch {
		case len(f.Problems) > 0:
			fmt.Fprintf(w, "%s\n", counted(len(f.Problems), "finding"))
		case f.Decrypted:
			fmt.Fprintln(w, "ok")
		case decrypt:
			fmt.Fprintln(w, "ok, not decrypted: name it, or a creation rule for it, to have its key service asked")
		default:
			fmt.Fprintln(w, "ok, not decrypted")
		}
		printProblems(w, f.Problems)
	}
	for _, ref := range r.References {
		if len(ref.Problems) > 0 {
			fmt.Fprintf(w, "%s: a reference to %s\n", ref.At, strings.TrimSuffix(ref.File+", key "+ref.Key, ", key "))
			printProblems(w, ref.Problems)
		}
	}
	fmt.Fprintf(w, "%s, %s", counted(sops, "SOPS file"), counted(len(r.References), "reference"))
	if r.Others > 0 {
		fmt.Fprintf(w, " (and %d that are no literals, so they were not followed)", r.Others)
	}
	fmt.Fprintf(w, ": %s\n", strings.Replace(counted(r.Findings, "finding"), "0 ", "no ", 1))
}

func printProblems(w io.Writer, problems []secretfile.Problem) {
	for _, problem := range problems {
		fmt.Fprintf(w, "    %s\n", problem.Message)
	}
}
