// SPDX-License-Identifier: MPL-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

const auditExits = `Exit codes: 0 all is well; 1 there are findings; 2 it could not be looked at.`

func newAudit(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify, prove and read an audit ledger",
		Long: `Work with an audit ledger and nothing else: its files and a public key.

The key has to come from where whoever writes the ledger cannot change it: from your
configuration or repository, not from the machine that the ledger lies on. --vkey takes
the key itself or a file with it.

` + auditExits,
		Example: `  hybridge audit verify --dir /var/lib/hybridge/audit --vkey audit.pub
  hybridge audit check-copy --dir ./audit --vkey audit.pub kept-checkpoint.txt
  hybridge audit prove --dir ./audit --vkey audit.pub --id 0199…  > proof.json
  hybridge audit verify-proof --vkey audit.pub proof.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q; \"hybridge audit --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerify(p), newAuditCheckCopy(p), newAuditProve(p), newAuditVerifyProof(p), newAuditDisclose(p),
		newAuditLog(p), newAuditTail(p), newAuditReport(p), newAuditExport(p), newAuditCheckpoint(p), newAuditKey(p))
	return cmd
}

// auditFlags are those that most commands have.
type auditFlags struct {
	dir, vkey string
	json      bool
}

func (f *auditFlags) addDir(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "dir", "audit", "`DIRECTORY` of the ledger")
}

func (f *auditFlags) addKey(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.vkey, "vkey", "", "public `KEY` that signs the ledger's checkpoints, or a file with it")
}

func (f *auditFlags) addJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// verifier reads the public key.
func (f *auditFlags) verifier() (note.Verifier, error) {
	if f.vkey == "" {
		return nil, usageError("--vkey is missing: give the public key, from where nobody who writes the ledger can change it")
	}
	if v, err := note.NewVerifier(f.vkey); err == nil {
		return v, nil
	}
	text, err := os.ReadFile(f.vkey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("--vkey %q is neither a public key nor a file", f.vkey)
	}
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("reading the public key: %w", err)}
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, usageError("%s has no public key of a ledger: it looks like NAME+HASH+BASE64", f.vkey)
	}
	return v, nil
}

// cannot is an error that says nothing about the ledger.
func cannot(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{exitUsage, err}
}

// found is the end of a command that has found something, and has said what.
func found(format string, args ...any) error {
	return &exitError{exitFailure, fmt.Errorf(format, args...)}
}

// parsePosition reads MONTH/NUMBER.
func parsePosition(text string) (ledger.Position, error) {
	month, number, _ := strings.Cut(text, "/")
	seq, err := strconv.ParseInt(number, 10, 64)
	if _, monthErr := time.Parse("2006-01", month); err != nil || monthErr != nil || seq < 0 {
		return ledger.Position{}, usageError("%q is no entry: it looks like 2026-11/42", text)
	}
	return ledger.Position{Month: month, Seq: seq}, nil
}

// entryFlags name an entry.
type entryFlags struct{ id, entry string }

func (f *entryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.id, "id", "", "`ID` of the event")
	cmd.Flags().StringVar(&f.entry, "entry", "", "month and `NUMBER` of the entry: 2026-11/42")
}

func (f *entryFlags) read(dir string) (ledger.Record, error) {
	if (f.id == "") == (f.entry == "") {
		return ledger.Record{}, usageError("give either --id or --entry")
	}
	if f.id != "" {
		return ledger.Find(dir, f.id)
	}
	at, err := parsePosition(f.entry)
	if err != nil {
		return ledger.Record{}, err
	}
	return ledger.Get(dir, at)
}

// printable takes from a foreign text what would speak to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

func newAuditKey(p process) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "key NAME --out FILE",
		Short: "Make the key that signs a ledger's checkpoints",
		Long: `Make a key pair of Ed25519. The private key is written to FILE, which must not exist, for
its owner only. The public key is printed: keep it in your repository, so that whoever
verifies takes it from there.

NAME is the origin of the ledger, like a URL without scheme: audit.example.com/paris.`,
		Example: "  hybridge audit key audit.example.com/paris --out audit.key > audit.pub",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || out == "" {
				return usageError("give the NAME of the ledger, and --out for the private key")
			}
			secret, public, err := note.GenerateKey(rand.Reader, args[0])
			if err != nil {
				return usageError("%q is no name of a ledger: no spaces, no plus sign", args[0])
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return cannot(fmt.Errorf("writing the private key: %w", err))
			}
			_, err = fmt.Fprintln(f, secret)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return cannot(fmt.Errorf("writing the private key: %w", err))
			}
			_, err = fmt.Fprintln(p.stdout, public)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the private key")
	return cmd
}
