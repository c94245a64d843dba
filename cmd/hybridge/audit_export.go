// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

func newAuditExport(p process) *cobra.Command {
	var f auditFlags
	var month, out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a month's log as static files for any client of C2SP tlog-tiles",
		Long: `Write the log of a month up to its newest checkpoint as C2SP tlog-tiles: checkpoint,
tile/LEVEL/NUMBER, tile/entries/NUMBER. Any client of that format verifies it, Tessera's
fsck among them. What entries withhold is not in it.

` + auditExits,
		Example: `  hybridge audit export --vkey audit.pub --month 2026-11 --out tiles`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return usageError("--out is missing: name a directory that does not exist")
			}
			verifier, err := f.verifier()
			if err != nil {
				return err
			}
			if month, err = monthOr(f.dir, month); err != nil {
				return err
			}
			c, err := ledger.Export(f.dir, month, out, verifier)
			if err != nil {
				return cannot(err)
			}
			_, err = fmt.Fprintf(p.stdout, "%s: %d entries in %s\n", c.Origin, c.Size, out)
			return err
		},
	}
	f.addDir(cmd)
	f.addKey(cmd)
	cmd.Flags().StringVar(&month, "month", "", "`MONTH` of the log (default: the newest)")
	cmd.Flags().StringVar(&out, "out", "", "`DIRECTORY` to make")
	return cmd
}

// monthOr is a month of the ledger: this one, or the newest.
func monthOr(dir, month string) (string, error) {
	months, err := ledger.Months(dir)
	if err != nil {
		return "", cannot(err)
	}
	if len(months) == 0 {
		return "", cannot(fmt.Errorf("%s has no months, so it is no ledger", dir))
	}
	if month == "" {
		return months[len(months)-1], nil
	}
	for _, m := range months {
		if m == month {
			return m, nil
		}
	}
	return "", usageError("the ledger has no month %q; it has %s", month, strings.Join(months, " "))
}

func newAuditCheckpoint(p process) *cobra.Command {
	var f auditFlags
	var month, key string
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest checkpoint, to be kept elsewhere",
		Long: `Print the newest signed checkpoint of a ledger. Whoever keeps it, where the ledger's
machine cannot reach it, can tell later that the ledger was rolled back: see "hybridge
audit check-copy".

With --key-file the ledger's head is signed first, if it has grown.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			verifier, err := f.verifier()
			if err != nil {
				return err
			}
			newest, err := monthOr(f.dir, month)
			if err != nil {
				return err
			}
			if key != "" {
				if err := signNow(f.dir, key, verifier); err != nil {
					return cannot(err)
				}
				if newest, err = monthOr(f.dir, month); err != nil {
					return err
				}
			}
			c, err := ledger.LastCheckpoint(f.dir, newest, verifier)
			if err != nil {
				return found("%w", err)
			}
			_, err = fmt.Fprint(p.stdout, c.Text)
			return err
		},
	}
	f.addDir(cmd)
	f.addKey(cmd)
	cmd.Flags().StringVar(&month, "month", "", "`MONTH` of the log (default: the newest)")
	cmd.Flags().StringVar(&key, "key-file", "", "`FILE` with the private key, to sign now")
	return cmd
}

func signNow(dir, keyFile string, verifier note.Verifier) error {
	signer, err := readSigner(keyFile)
	if err != nil {
		return err
	}
	l, err := ledger.Open(ledger.Config{Dir: dir, Signer: signer, Verifier: verifier})
	if err != nil {
		return err
	}
	return l.Close() // which signs
}

// readSigner reads a private key that is its owner's alone.
func readSigner(path string) (note.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("reading the private key: others may read %s: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil { // its text may quote the key
		return nil, errors.New("reading the private key: the file has none: make one with `hybridge audit key`")
	}
	return signer, nil
}
