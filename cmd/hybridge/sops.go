// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

func newSops(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sops",
		Short: "Look after SOPS files, and find out where a secret is",
		Long: `Look after the SOPS files that hold the secrets of Workers. The commands write
files that the sops program (https://getsops.io) reads, and read what it writes.
None of them prints a value, or writes one to disk.`,
		Example: `  hybridge sops init                                           # an age key and a .sops.yaml
  hybridge sops check                                          # before a commit
  hybridge sops pull doppler --project api --config prd --out prod.enc.yaml
  hybridge sops where db.password --file prod.enc.yaml         # after a leak`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] != "help" {
				return usageError("unknown command %q; \"hybridge sops --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSopsInit(p), newSopsCheck(p), newSopsPull(p), newSopsWhere(p))
	return cmd
}

// identityFlags say with what files are opened, as the provider's sops block does.
type identityFlags struct {
	ageKeyFile string
	noEnv      bool
	vaultAllow []string
}

const identityHelp = `Files are opened with what SOPS finds by itself (SOPS_AGE_KEY_FILE and the like,
sops/age/keys.txt in the configuration directory, cloud credentials, GnuPG), and
with --age-key-file. --no-env leaves that file alone. A Vault server is sent a
token only if --vault-allow names it: the file says which one, so whoever may
change a file could otherwise collect tokens.`

func (f *identityFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.ageKeyFile, "age-key-file", "", "`FILE` of age identities, or with one SSH private key; nobody else may read it")
	fs.BoolVar(&f.noEnv, "no-env", false, "use no key that the environment or a well-known file has")
	fs.StringSliceVar(&f.vaultAllow, "vault-allow", nil, "`URL` of a Vault server that may be sent a token; repeatable")
}

// store opens files with these identities. A key file that cannot be used is an
// error at once, and not one for each file.
func (f *identityFlags) store() (*sealed.Store, error) {
	if f.ageKeyFile != "" {
		if err := sealed.CheckKeyFile(f.ageKeyFile); err != nil {
			return nil, &exitError{exitUsage, err}
		}
	}
	return sealed.NewStore(sealed.Identities{AgeKeyFile: f.ageKeyFile, VaultAllowlist: f.vaultAllow, Environment: !f.noEnv}), nil
}

// formatOf reads the value of a flag --format; empty if it is not set.
func formatOf(flag string, allowed ...sealed.Format) (sealed.Format, error) {
	format := sealed.Format(flag)
	if flag != "" && !slices.Contains(allowed, format) {
		var names []string
		for _, f := range allowed {
			names = append(names, string(f))
		}
		return "", usageError("--format %q is unknown; use %s", flag, strings.Join(names, ", "))
	}
	return format, nil
}

// completeFormats completes the values of a flag --format.
func completeFormats(formats ...sealed.Format) cobra.CompletionFunc {
	var names []string
	for _, f := range formats {
		names = append(names, string(f))
	}
	return cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)
}

// untilSignal ends with the first SIGINT or SIGTERM.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printLine prints a value as one line of JSON.
func printLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// counted writes a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
