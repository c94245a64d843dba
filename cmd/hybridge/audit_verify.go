// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

func newAuditVerify(p process) *cobra.Command {
	var f auditFlags
	var since string
	var kept []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify a whole ledger, and name the first bad entry",
		Long: `Read a whole ledger and compare its entries, its tree, its signed checkpoints, what is
kept beside the entries, and the chain of months. It changes nothing, and the ledger may
grow meanwhile.

An older copy of a ledger is as good as any, by itself. That a ledger was rolled back is
found with --checkpoint, or by "hybridge audit check-copy".

` + auditExits,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			verifier, err := f.verifier()
			if err != nil {
				return err
			}
			o := ledger.VerifyOptions{Verifier: verifier, Since: since}
			for _, path := range kept {
				c, err := readCopy(path, verifier)
				if err != nil {
					return err
				}
				o.Known = append(o.Known, c.checkpoints...)
			}
			r, err := ledger.Verify(f.dir, o)
			if err != nil {
				return cannot(err)
			}
			return printVerified(p.stdout, r, f.json)
		},
	}
	f.addDir(cmd)
	f.addKey(cmd)
	f.addJSON(cmd)
	cmd.Flags().StringVar(&since, "since", "", "oldest `MONTH` that has to be there (default: the very first one)")
	cmd.Flags().StringArrayVar(&kept, "checkpoint", nil, "`FILE` with checkpoints that somebody else has kept; may be repeated")
	return cmd
}

func printVerified(w io.Writer, r *ledger.Report, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, r); err != nil {
			return err
		}
	} else {
		for _, m := range r.Months {
			fmt.Fprintf(w, "%s: %d entries, %d of them under %d checkpoints; %d with withheld values", m.Month, m.Entries, m.Signed, m.Checkpoints, m.Withheld)
			if m.Erased > 0 {
				fmt.Fprintf(w, ", %d erased", m.Erased)
			}
			fmt.Fprintln(w)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(w, "note: %s\n", n)
		}
		for _, finding := range r.Findings {
			fmt.Fprintln(w, finding)
		}
		if r.OK {
			fmt.Fprintf(w, "%d entries: no findings\n", r.Entries)
		}
	}
	if r.OK {
		return nil
	}
	return found("the first bad entry is %s/%d", r.Findings[0].Month, r.Findings[0].Entry)
}

func newAuditCheckCopy(p process) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "check-copy COPY...",
		Short: "Hold a ledger against what somebody else has kept of it",
		Long: `Verify a ledger, and that it still holds what the COPYs hold. A COPY is

  * a checkpoint, as "hybridge audit checkpoint" prints it
  * a directory: an older copy of the ledger
  * lines of JSON, with "checkpoint", or with "month", "seq" and "leaf", as
    "hybridge audit log --json" prints them

That finds a ledger that was rolled back to an older state, or written anew with the
right key, which the ledger alone cannot tell.

` + auditExits,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("give at least one COPY")
			}
			verifier, err := f.verifier()
			if err != nil {
				return err
			}
			var all copied
			for _, path := range args {
				c, err := readCopy(path, verifier)
				if err != nil {
					return err
				}
				all.checkpoints = append(all.checkpoints, c.checkpoints...)
				all.records = append(all.records, c.records...)
			}
			r, err := ledger.Verify(f.dir, ledger.VerifyOptions{Verifier: verifier, Known: all.checkpoints})
			if err != nil {
				return cannot(err)
			}
			for _, c := range all.records {
				record, err := ledger.Get(f.dir, c.Position)
				var damage *ledger.DamageError
				switch {
				case errors.Is(err, ledger.ErrNotFound) || errors.As(err, &damage):
					r.Findings = append(r.Findings, ledger.Finding{Month: c.Month, Entry: c.Seq, What: "the copy has it, and the ledger does not"})
				case err != nil:
					return cannot(err)
				case !bytes.Equal(record.Leaf, c.Leaf):
					r.Findings = append(r.Findings, ledger.Finding{Month: c.Month, Entry: c.Seq, What: "the copy has another one"})
				}
			}
			r.OK = len(r.Findings) == 0
			if !f.json {
				fmt.Fprintf(p.stdout, "%s and %s in the copies\n", counted(len(all.checkpoints), "checkpoint"), strings.Replace(counted(len(all.records), "entry"), "entrys", "entries", 1))
			}
			return printVerified(p.stdout, r, f.json)
		},
	}
	f.addDir(cmd)
	f.addKey(cmd)
	f.addJSON(cmd)
	return cmd
}

// copied is what somebody else has kept.
type copied struct {
	checkpoints []ledger.Checkpoint
	records     []ledger.Record
}

// maxCopyLine bounds a line of a copy.
const maxCopyLine = 1 << 20

// readCopy reads a copy. A checkpoint in it that the key has not signed is an error:
// it says nothing about the ledger.
func readCopy(path string, verifier note.Verifier) (copied, error) {
	var c copied
	info, err := os.Stat(path)
	if err != nil {
		return c, cannot(fmt.Errorf("reading the copy: %w", err))
	}
	if info.IsDir() {
		return readCopiedLedger(path, verifier)
	}
	f, err := os.Open(path)
	if err != nil {
		return c, cannot(fmt.Errorf("reading the copy: %w", err))
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if b, err := r.Peek(1); err != nil || b[0] != '{' {
		text, err := io.ReadAll(io.LimitReader(r, maxCopyLine))
		if err != nil {
			return c, cannot(err)
		}
		checkpoint, err := ledger.ParseCheckpoint(string(text), verifier)
		if err != nil {
			return c, cannot(fmt.Errorf("reading the copy %s: it is no checkpoint of this ledger: %w", path, err))
		}
		c.checkpoints = append(c.checkpoints, checkpoint)
		return c, nil
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCopyLine)
	for n := 1; lines.Scan(); n++ {
		var line struct {
			Checkpoint string          `json:"checkpoint"`
			Month      string          `json:"month"`
			Seq        *int64          `json:"seq"`
			Leaf       json.RawMessage `json:"leaf"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return c, cannot(fmt.Errorf("reading the copy %s: line %d is no JSON", path, n))
		}
		if line.Checkpoint != "" {
			checkpoint, err := ledger.ParseCheckpoint(line.Checkpoint, verifier)
			if err != nil {
				return c, cannot(fmt.Errorf("reading the copy %s: the checkpoint in line %d: %w", path, n, err))
			}
			c.checkpoints = append(c.checkpoints, checkpoint)
		}
		if line.Leaf != nil && line.Seq != nil {
			c.records = append(c.records, ledger.Record{Position: ledger.Position{Month: line.Month, Seq: *line.Seq}, Leaf: bytes.Clone(line.Leaf)})
		}
	}
	if err := lines.Err(); err != nil {
		return c, cannot(fmt.Errorf("reading the copy %s: %w", path, err))
	}
	if len(c.checkpoints)+len(c.records) == 0 {
		return c, cannot(fmt.Errorf("reading the copy %s: it has neither checkpoints nor entries", path))
	}
	return c, nil
}

// readCopiedLedger takes the last checkpoint of each month of an older copy: the tree
// under it holds everything before.
func readCopiedLedger(dir string, verifier note.Verifier) (copied, error) {
	var c copied
	months, err := ledger.Months(dir)
	if err == nil && len(months) == 0 {
		err = errors.New("it is no ledger")
	}
	if err != nil {
		return c, cannot(fmt.Errorf("reading the copy %s: %w", dir, err))
	}
	for _, m := range months {
		checkpoint, err := ledger.LastCheckpoint(dir, m, verifier)
		if err != nil {
			return c, cannot(fmt.Errorf("reading the copy %s: %w", dir, err))
		}
		c.checkpoints = append(c.checkpoints, checkpoint)
	}
	return c, nil
}
