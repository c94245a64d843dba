// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

func newAuditProve(p process) *cobra.Command {
	var f auditFlags
	var e entryFlags
	var out string
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Write the proof that an entry is in the ledger",
		Long: `Write a proof that "hybridge audit verify-proof" checks with nothing but the public key:
the entry, the hashes beside its way up the tree, and the signed checkpoint. It reveals
nothing that the entry withholds: see "hybridge audit disclose".

` + auditExits,
		Example: `  hybridge audit prove --vkey audit.pub --id 0199ab… --out proof.json`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			proof, err := prove(f, e)
			if err != nil {
				return cannot(err)
			}
			return cannot(writeProof(p, proof, out))
		},
	}
	f.addDir(cmd)
	f.addKey(cmd)
	e.add(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the proof (default: standard output)")
	return cmd
}

func prove(f auditFlags, e entryFlags) (ledger.Proof, error) {
	verifier, err := f.verifier()
	if err != nil {
		return ledger.Proof{}, err
	}
	record, err := e.read(f.dir)
	if err != nil {
		return ledger.Proof{}, err
	}
	return ledger.Prove(f.dir, record, verifier)
}

func writeProof(p process, proof ledger.Proof, out string) error {
	if out == "" {
		return printJSON(p.stdout, proof)
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the proof: %w", err)
	}
	defer f.Close()
	if err := printJSON(f, proof); err != nil {
		return fmt.Errorf("writing the proof: %w", err)
	}
	return f.Close()
}

// maxProofBytes bounds a file that is read as a proof.
const maxProofBytes = 1 << 20

func newAuditVerifyProof(p process) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "verify-proof FILE",
		Short: "Check a proof, with nothing but the public key",
		Long: `Check what "hybridge audit prove" or "hybridge audit disclose" has written, and print the
entry and what is disclosed of it. FILE may be - for standard input.

` + auditExits,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("give one FILE")
			}
			verifier, err := f.verifier()
			if err != nil {
				return err
			}
			in := p.stdin
			if args[0] != "-" {
				if in, err = os.Open(args[0]); err != nil {
					return cannot(fmt.Errorf("reading the proof: %w", err))
				}
				defer in.Close()
			}
			data, err := io.ReadAll(io.LimitReader(in, maxProofBytes))
			if err != nil {
				return cannot(fmt.Errorf("reading the proof: %w", err))
			}
			proof, err := ledger.ParseProof(data)
			if err != nil {
				return cannot(err)
			}
			checkpoint, err := proof.Verify(verifier)
			if err != nil {
				return found("the proof does not hold: %w", err)
			}
			return cannot(printProved(p.stdout, proof, checkpoint, f.json))
		},
	}
	f.addKey(cmd)
	f.addJSON(cmd)
	return cmd
}

// disclosed is a withheld value that was revealed.
type disclosed struct {
	Field string `json:"field"`
	Value any    `json:"value"`
}

func disclosedOf(proof ledger.Proof) ([]disclosed, error) {
	values := []disclosed{}
	for _, text := range proof.Disclosures {
		d, err := ledger.ParseDisclosure(text)
		if err != nil {
			return nil, err
		}
		values = append(values, disclosed{d.Path, d.Value})
	}
	return values, nil
}

func printProved(w io.Writer, proof ledger.Proof, checkpoint ledger.Checkpoint, asJSON bool) error {
	values, err := disclosedOf(proof)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, map[string]any{
			"ok": true, "origin": checkpoint.Origin, "size": checkpoint.Size, "month": proof.Month, "seq": proof.Seq,
			"leaf": json.RawMessage(proof.Leaf), "disclosed": values,
		})
	}
	fmt.Fprintf(w, "entry %d of %s is under the checkpoint of %d entries:\n%s\n", proof.Seq, checkpoint.Origin, checkpoint.Size, proof.Leaf)
	for _, d := range values {
		fmt.Fprintf(w, "%s: %s\n", printable(d.Field), printable(fmt.Sprint(d.Value)))
	}
	return nil
}

func newAuditDisclose(p process) *cobra.Command {
	var f auditFlags
	var e entryFlags
	var field, out string
	cmd := &cobra.Command{
		Use:   "disclose",
		Short: "Reveal one withheld field of an entry, with its proof",
		Long: `Write the proof of an entry that reveals one field of what it withholds, and no other.
Without --field the fields are listed, and nothing is revealed.

` + auditExits,
		Example: `  hybridge audit disclose --vkey audit.pub --id 0199ab… --field actor.email --out proof.json`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			proof, err := prove(f, e)
			if err != nil {
				return cannot(err)
			}
			texts, err := ledger.Disclosures(f.dir, ledger.Position{Month: proof.Month, Seq: proof.Seq})
			if err != nil {
				return cannot(err)
			}
			var fields []string
			for _, text := range texts {
				d, err := ledger.ParseDisclosure(text)
				if err != nil {
					return cannot(err)
				}
				fields = append(fields, d.Path)
				if d.Path == field {
					proof.Disclosures = []string{text}
				}
			}
			slices.Sort(fields)
			switch {
			case field == "":
				_, err := fmt.Fprintln(p.stdout, printable(strings.Join(fields, " ")))
				return err
			case len(proof.Disclosures) == 0:
				return cannot(fmt.Errorf("entry %s/%d withholds no field %q, or its values were erased; it has: %s", proof.Month, proof.Seq, field, strings.Join(fields, " ")))
			}
			verifier, err := f.verifier()
			if err != nil {
				return err
			}
			if _, err := proof.Verify(verifier); err != nil {
				return found("what is kept of the field is not what the entry commits to: %w", err)
			}
			return cannot(writeProof(p, proof, out))
		},
	}
	f.addDir(cmd)
	f.addKey(cmd)
	e.add(cmd)
	cmd.Flags().StringVar(&field, "field", "", "`PATH` of the field: actor.email")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the proof (default: standard output)")
	return cmd
}
