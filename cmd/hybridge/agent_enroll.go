// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
	"github.com/hybridge/terraform-provider-hybridge/internal/secretfile"
)

const (
	defaultMachineKey     = "/etc/hybridge/age-identity"
	defaultMachineSecrets = "/etc/hybridge/secrets.enc.yaml"
)

func newAgentEnroll(p process) *cobra.Command {
	var key, secrets string
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Make this machine's age identity, and say which recipient to add",
		Long: `Make the age identity of this machine, readable by its owner only, and print its
recipient, which is public. The identity never leaves the machine. Whoever keeps the
machine's SOPS file adds the recipient to it and sends the file, which is encrypted.

Repeat it at any time: a key that is there stays, and it says whether the SOPS file
opens with it. The exit code is 1 if the file is there and does not open. No value of it is printed.`,
		Example: `  sudo hybridge agent enroll
  hybridge agent enroll --key ./age-identity --secrets ./paris-1.enc.yaml`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return enroll(p, key, secrets) },
	}
	cmd.Flags().StringVar(&key, "key", defaultMachineKey, "`FILE` of the machine's age identity")
	cmd.Flags().StringVar(&secrets, "secrets", defaultMachineSecrets, "SOPS `FILE` with the machine's secrets")
	return cmd
}

func enroll(p process, path, secrets string) error {
	key, err := secretfile.EnsureKey(path, time.Now())
	if err != nil {
		return err
	}
	if key.Made {
		fmt.Fprintf(p.stdout, "made the age identity %s\n", key.Path)
	} else {
		fmt.Fprintf(p.stdout, "the age identity %s is there already, and was left as it is\n", key.Path)
	}
	fmt.Fprintf(p.stdout, "this machine's recipient is %s\n", key.Recipient)

	if _, err := os.Stat(secrets); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(p.stdout, `
next, where the repository is:
  1. add the recipient to the rule of this machine's file in .sops.yaml
  2. sops updatekeys FILE, or make it: sops encrypt --in-place FILE
  3. bring the file here as %s: it is encrypted, so any way will do
then repeat this command, which says whether the file opens
`, secrets)
		return nil
	}
	file, err := sealed.Read(secrets, "")
	if err != nil {
		return err
	}
	if !slices.Contains(file.Recipients(), key.Recipient) {
		return fmt.Errorf("%s is not encrypted for this machine: add the recipient %s to its rule in .sops.yaml, run sops updatekeys, and bring the file here again", secrets, key.Recipient)
	}
	if _, err := sealed.NewStore(sealed.Identities{AgeKeyFile: path}).Open(context.Background(), file); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s opens with it, and has %s\n", secrets, counted(len(file.Keys()), "value"))
	return nil
}
