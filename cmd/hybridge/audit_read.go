// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/audit"
	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

// selectFlags say which entries to read.
type selectFlags struct {
	from, to string
	types    []string
}

func (f *selectFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "from this `TIME` on: 2026-11-25, RFC 3339, or 24h for the last day")
	cmd.Flags().StringVar(&f.to, "to", "", "until before this `TIME`")
	cmd.Flags().StringSliceVar(&f.types, "type", nil, "only events of these `TYPES`; a pattern like deployment.* is one")
}

// selection is what the flags mean.
type selection struct {
	from, to time.Time
	types    []string
}

func (f *selectFlags) parse() (selection, error) {
	s := selection{types: f.types}
	var err error
	if s.from, err = parseTime(f.from); err == nil {
		s.to, err = parseTime(f.to)
	}
	for _, t := range f.types {
		if _, bad := path.Match(t, ""); bad != nil {
			return s, usageError("--type %q is no pattern", t)
		}
	}
	return s, err
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	return time.Time{}, usageError("%q is no time: give 2026-11-25, 2026-11-25T08:00:00Z, or 24h for how long ago", text)
}

func (s selection) takes(l audit.Leaf) bool {
	if !s.from.IsZero() && l.Time.Before(s.from) || !s.to.IsZero() && !l.Time.Before(s.to) {
		return false
	}
	for _, t := range s.types {
		if ok, _ := path.Match(t, l.Type); ok {
			return true
		}
	}
	return len(s.types) == 0
}

// start is a position before which no entry is from then on: entries of a month are
// in the log of that month, or of a later one if a clock went back.
func (s selection) start() ledger.Position {
	if s.from.IsZero() {
		return ledger.Position{}
	}
	return ledger.Position{Month: s.from.UTC().AddDate(0, 0, -1).Format("2006-01")}
}

// each calls f with every entry from a position on that there is now.
func each(r *ledger.Reader, f func(ledger.Record, audit.Leaf) error) error {
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l, err := audit.ParseLeaf(record.Leaf)
		if err == nil {
			err = f(record, l)
		}
		if err != nil {
			return fmt.Errorf("entry %s: %w", record.Position, err)
		}
	}
}

func newAuditLog(p process) *cobra.Command {
	var f auditFlags
	var s selectFlags
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Print the entries of a ledger",
		Long: `Print the entries of a ledger, oldest first. What is withheld is not in them. Nothing is
verified: see "hybridge audit verify".`,
		Example: `  hybridge audit log --from 24h --type 'deployment.*'
  hybridge audit log --json | jq -r 'select(.leaf.data.outcome == "failure").leaf.id'`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			return cannot(printLog(p.stdout, ledger.NewReader(f.dir, selected.start()), selected, f.json))
		},
	}
	f.addDir(cmd)
	f.addJSON(cmd)
	s.add(cmd)
	return cmd
}

func printLog(out io.Writer, r *ledger.Reader, s selection, asJSON bool) error {
	defer r.Close()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	err := each(r, func(record ledger.Record, l audit.Leaf) error {
		if !s.takes(l) {
			return nil
		}
		if asJSON {
			return printRecord(out, record)
		}
		printEntry(w, record, l)
		return nil
	})
	return errors.Join(err, w.Flush())
}

// printRecord prints an entry with its exact bytes, so that it can be held against the
// ledger again.
func printRecord(w io.Writer, record ledger.Record) error {
	return printLine(w, struct {
		Month string          `json:"month"`
		Seq   int64           `json:"seq"`
		Leaf  json.RawMessage `json:"leaf"`
	}{record.Month, record.Seq, record.Leaf})
}

func printEntry(w io.Writer, record ledger.Record, l audit.Leaf) {
	subject := l.Subject
	if subject == "" {
		subject = strings.Trim(strings.Join([]string{l.Text("target.plane"), l.Text("target.kind"), l.Text("target.name")}, "/"), "/")
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", record.Position, l.Time.UTC().Format(time.RFC3339), printable(l.Type),
		printable(subject), printable(l.Text("outcome")), printable(l.ID))
}

// tailPoll is how often tail looks for new entries.
const tailPoll = 200 * time.Millisecond

func newAuditTail(p process) *cobra.Command {
	var f auditFlags
	var s selectFlags
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Print the newest entries of a ledger, and those to come",
		Example: `  hybridge audit tail --follow --type 'rollout.*'`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			ctx, stop := untilSignal()
			defer stop()
			return cannot(tail(ctx, p.stdout, f, selected, lines, follow))
		},
	}
	f.addDir(cmd)
	f.addJSON(cmd)
	s.add(cmd)
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "`NUMBER` of entries that are there already")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more, until a signal")
	return cmd
}

func tail(ctx context.Context, out io.Writer, f auditFlags, s selection, lines int, follow bool) error {
	r := ledger.NewReader(f.dir, s.start())
	defer r.Close()
	type line struct {
		record ledger.Record
		leaf   audit.Leaf
	}
	var newest []line
	take := func(record ledger.Record, l audit.Leaf) error {
		if s.takes(l) {
			newest = append(newest, line{record, l})
			if len(newest) > lines {
				newest = newest[1:]
			}
		}
		return nil
	}
	for {
		if err := each(r, take); err != nil {
			return err
		}
		for _, n := range newest {
			if f.json {
				if err := printRecord(out, n.record); err != nil {
					return err
				}
				continue
			}
			w := tabwriter.NewWriter(out, 24, 0, 2, ' ', 0)
			printEntry(w, n.record, n.leaf)
			if err := w.Flush(); err != nil {
				return err
			}
		}
		newest, lines = nil, 1<<30
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tailPoll):
		}
	}
}

func newAuditReport(p process) *cobra.Command {
	var f auditFlags
	var s selectFlags
	var asCSV bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "List changes: what, in which run, by whom, and how it ended",
		Long: `List the changes of a time, one in a line: time, plane, what was changed, digests before
and after, outcome, run, commit, actor, approver, gates, rollback. A change without a
result is "unfinished": whoever made it ended in between.`,
		Example: `  hybridge audit report --from 2026-11-01 --to 2026-12-01 --csv > november.csv`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			if asCSV && f.json {
				return usageError("give either --csv or --json")
			}
			report := audit.Report{From: selected.from, To: selected.to}
			r := ledger.NewReader(f.dir, selected.start())
			defer r.Close()
			err = each(r, func(_ ledger.Record, l audit.Leaf) error { report.Add(l); return nil })
			if err != nil {
				return cannot(err)
			}
			return cannot(printChanges(p.stdout, report.Changes(), asCSV, f.json))
		},
	}
	f.addDir(cmd)
	f.addJSON(cmd)
	s.add(cmd)
	_ = cmd.Flags().MarkHidden("type") // results have other types than intents
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV")
	return cmd
}

func printChanges(out io.Writer, changes []audit.Change, asCSV, asJSON bool) error {
	switch {
	case asJSON:
		return printJSON(out, changes)
	case asCSV:
		w := csv.NewWriter(out)
		if err := w.Write(audit.ChangeColumns); err != nil {
			return err
		}
		for _, c := range changes {
			row := c.Row()
			for i, cell := range row {
				row[i] = inert(cell)
			}
			if err := w.Write(row); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Time.UTC().Format(time.RFC3339), printable(c.Action), printable(c.Kind+" "+c.Name),
			printable(c.Plane), printable(c.Outcome), printable(strings.TrimSpace(c.RunSystem+" "+c.Run)), printable(strings.Join(c.Gates, " ")))
	}
	return w.Flush()
}

// inert keeps a spreadsheet from taking a text for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
