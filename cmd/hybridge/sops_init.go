// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/secretfile"
)

type sopsInitFlags struct{ key, config, pathRegex string }

func newSopsInit(p process) *cobra.Command {
	var f sopsInitFlags
	cmd := &cobra.Command{
		Use:   "init [flags]",
		Short: "Make an age key and a creation rule",
		Long: `Make an age key that only you can read, and a .sops.yaml which says that files
like prod.enc.yaml are encrypted for it. It prints the recipient, which is public,
and never the key.

Nothing is overwritten: a key that is there already is used, and for a .sops.yaml
that is there already, here or above, it says which lines to add.`,
		Example: `  hybridge sops init
  hybridge sops init --key new.txt                     # after the old one has leaked
  hybridge sops init --path-regex '^secrets/.*\.yaml$'`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return sopsInit(p, f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.key, "key", "", "`FILE` for the key (default sops/age/keys.txt in the configuration directory, where SOPS looks)")
	fs.StringVar(&f.config, "config", "", "`FILE` for the creation rule (default the .sops.yaml that SOPS would take here, else a new one)")
	fs.StringVar(&f.pathRegex, "path-regex", secretfile.DefaultPathRegex, "`REGEX` of the paths that are to be encrypted, relative to the config")
	return cmd
}

func sopsInit(p process, f sopsInitFlags) error {
	if err := secretfile.CheckPathRegex(f.pathRegex); err != nil {
		return &exitError{exitUsage, err}
	}
	usual, usualErr := secretfile.DefaultKeyFile()
	path := f.key
	if path == "" {
		if usualErr != nil {
			return &exitError{exitUsage, usualErr}
		}
		path = usual
	}
	key, err := secretfile.EnsureKey(path, time.Now())
	if err != nil {
		return err
	}
	if key.Made {
		fmt.Fprintf(p.stdout, "made the key %s\n", key.Path)
	} else {
		fmt.Fprintf(p.stdout, "the key %s is there already, and was left as it is\n", key.Path)
	}
	fmt.Fprintf(p.stdout, "its recipient is %s\n", key.Recipient)
	config := f.config
	if config == "" {
		config = secretfile.ConfigHere()
	}
	rule, err := secretfile.EnsureRule(config, f.pathRegex, key.Recipient)
	if err != nil {
		return err
	}
	switch {
	case rule.Made:
		fmt.Fprintf(p.stdout, "made %s: files that %s fits are encrypted for it\n", rule.Config, f.pathRegex)
	case rule.Named:
		fmt.Fprintf(p.stdout, "%s names the recipient already\n", rule.Config)
	default:
		fmt.Fprintf(p.stdout, "%s is there already, and was left as it is. Add the recipient to a rule, or put this rule first below creation_rules, as the first that fits is taken:\n%s", rule.Config, rule.Lines)
	}
	if key.Tracked {
		switch ignored, known := gitIgnores(key.Path); {
		case !known:
			fmt.Fprintf(p.stderr, "hybridge: %s lies in a working copy of git: move it away, or see that .gitignore names it, before you commit\n", key.Path)
		case !ignored:
			fmt.Fprintf(p.stderr, "hybridge: %s lies in a working copy of git, and git does not ignore it: move it away, or name it in .gitignore, before you commit\n", key.Path)
		}
	}
	fmt.Fprintf(p.stdout, `
next:
  * keep a copy of the key where only you find it: without it the files are lost
`)
	if path != usual {
		where, err := filepath.Abs(path)
		if err != nil {
			where = path
		}
		fmt.Fprintf(p.stdout, "  * say where it is: export SOPS_AGE_KEY_FILE='%s', or age_key_file in the provider's sops block\n", where)
	}
	fmt.Fprintf(p.stdout, `  * encrypt a file: sops encrypt --in-place prod.enc.yaml; change it: sops edit prod.enc.yaml
    or write one from Doppler: hybridge sops pull doppler --help
  * refer to a value of it in Terraform:
    secrets = { DB_PASSWORD = { sops_file = "${path.module}/prod.enc.yaml", key = "db.password" } }
  * give it to others: add their recipients to %s, then sops updatekeys FILE
  * look after it: hybridge sops check, before each commit
`, rule.Config)
	return nil
}

// gitIgnores asks git whether a commit leaves the file out: by any .gitignore, and by what
// else git looks at. One that is in a commit already is not ignored. known is false where git
// cannot be asked.
func gitIgnores(path string) (ignored, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// Nothing that the working copy's own settings name is run.
	err := exec.CommandContext(ctx, "git", "-c", "core.fsmonitor=false", "-C", filepath.Dir(path), "check-ignore", "--quiet", "--", filepath.Base(path)).Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, true
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return false, true
	}
	return false, false
}
