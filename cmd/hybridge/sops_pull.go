// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/doppler"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
	"github.com/hybridge/terraform-provider-hybridge/internal/secretfile"
)

const tokenVariable = "DOPPLER_TOKEN"

// writable are the formats in which a file can be made.
var writable = []sealed.Format{sealed.YAML, sealed.JSON, sealed.Dotenv}

type dopplerFlags struct {
	identities                               identityFlags
	project, config, out, baseURL, tokenFile string
	format                                   string
	age                                      []string
	dryRun, rotate, includeMetadata          bool
}

func newSopsPull(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pull",
		Short:   "Write a SOPS file from a store of secrets",
		Long:    "Write a SOPS file from a store of secrets.",
		Example: "  hybridge sops pull doppler --project api --config prd --out prod.enc.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown store %q; known is doppler", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSopsPullDoppler(p))
	return cmd
}

func newSopsPullDoppler(p process) *cobra.Command {
	var f dopplerFlags
	cmd := &cobra.Command{
		Use:   "doppler --project PROJECT --config CONFIG --out FILE [flags]",
		Short: "Write a SOPS file from a Doppler config",
		Long: `Write the secrets of a Doppler config into a SOPS file, whose keys are then the
names in Doppler. No value is ever on disk unencrypted: FILE is encrypted in
memory, and takes the place of the old one as a whole or not at all.

FILE mirrors the config: what Doppler does not have goes, and so do comments. In
a FILE that is there already, recipients and data key stay, and so does the
ciphertext of each value that did not change: for Terraform only the others are
new. If nothing changed, the file is not touched. That needs an identity that
opens it; --rotate does without, makes a new data key, and so a new ciphertext of
every value. A new FILE is encrypted for the recipients of --age, else for those
of the creation rule in .sops.yaml.

The token is that of --token-file, else of DOPPLER_TOKEN; a service token of the
config, with read access, suffices.

` + identityHelp,
		Example: `  hybridge sops pull doppler --project api --config prd --out prod.enc.yaml
  hybridge sops pull doppler --project api --config prd --out prod.enc.yaml --dry-run
  hybridge sops pull doppler --project api --config dev --out dev.env --age age1... --token-file doppler.token`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return sopsPullDoppler(p, f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.project, "project", "", "`PROJECT` in Doppler")
	fs.StringVar(&f.config, "config", "", "`CONFIG` of the project")
	fs.StringVar(&f.out, "out", "", "`FILE` to write")
	fs.StringVar(&f.format, "format", "", "yaml, json or dotenv (default by the name of FILE)")
	fs.StringSliceVar(&f.age, "age", nil, "`RECIPIENT` of a new file, age1... or ssh-ed25519 ...; repeatable")
	fs.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the token; nobody else may read it")
	fs.StringVar(&f.baseURL, "base-url", doppler.DefaultBaseURL, "`URL` of Doppler's API")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would change, and write nothing")
	fs.BoolVar(&f.rotate, "rotate", false, "make FILE anew: new data key, all values encrypted anew")
	fs.BoolVar(&f.includeMetadata, "include-metadata", false, "keep "+strings.Join(doppler.Metadata, ", "))
	f.identities.add(fs)
	_ = cmd.RegisterFlagCompletionFunc("format", completeFormats(writable...)) // fails for unknown flags only
	return cmd
}

func sopsPullDoppler(p process, f dopplerFlags) error {
	for _, needed := range []struct{ name, value string }{{"project", f.project}, {"config", f.config}, {"out", f.out}} {
		if needed.value == "" {
			return usageError("--project, --config and --out are needed, but --%s is missing", needed.name)
		}
	}
	format, err := formatOf(f.format, writable...)
	if err != nil {
		return err
	}
	mirror := secretfile.Mirror{Path: f.out, Format: format, Age: f.age, Rotate: f.rotate}
	if err := mirror.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	store, err := f.identities.store()
	if err != nil {
		return err
	}
	token := sealed.NewSecret(p.getenv(tokenVariable))
	if f.tokenFile != "" {
		text, err := sealed.ReadKeyFile(f.tokenFile)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("reading the Doppler token: %w", err)}
		}
		token = sealed.NewSecret(strings.TrimSpace(string(text)))
	}
	client, err := doppler.New(doppler.Config{
		BaseURL: f.baseURL, Token: token,
		Notice: func(text string) { fmt.Fprintln(p.stderr, "hybridge: Doppler:", text) },
	})
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ctx, stop := untilSignal()
	defer stop()
	secrets, err := client.Download(ctx, f.project, f.config)
	if err != nil {
		return err
	}
	if !f.includeMetadata {
		for _, name := range doppler.Metadata {
			delete(secrets, name)
		}
	}
	mirror.Secrets = secrets
	change, err := mirror.Plan(ctx, store, time.Now())
	if err != nil {
		return err
	}
	if !f.dryRun {
		if err := change.Write(); err != nil {
			return err
		}
	}
	if change.OtherRecipients {
		fmt.Fprintf(p.stderr, "hybridge: %s keeps its recipients, which are not those of --age: change them with `sops updatekeys`, or with --rotate\n", f.out)
	}
	printChange(p.stdout, change, f.dryRun)
	return nil
}

func printChange(w io.Writer, c *secretfile.Change, dry bool) {
	if c.Nothing() {
		fmt.Fprintf(w, "%s: unchanged\n", c.Path)
		return
	}
	did := "written"
	if dry {
		did = "would be written"
	}
	fmt.Fprintf(w, "%s: %s for %s: %d added, %d changed, %d removed, %d unchanged\n", c.Path, did, strings.Join(c.Recipients, ", "),
		len(c.Added), len(c.Changed), len(c.Removed), len(c.Retained))
	if c.Rotated {
		fmt.Fprintln(w, "all values are encrypted anew: every Worker with a secret from this file gets a new version")
	}
	for _, part := range []struct {
		sign  string
		names []string
	}{{"+", c.Added}, {"~", c.Changed}, {"-", c.Removed}} {
		for _, name := range part.names {
			fmt.Fprintf(w, "  %s %s\n", part.sign, name)
		}
	}
}
