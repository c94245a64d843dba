// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/hybridge/terraform-provider-hybridge/internal/audit"
	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

const (
	ledgerDuration = 4 * time.Second
	ledgerFill     = time.Minute // bounds how long entries are made for verify and export
	fillCallers    = 1024
)

// benchLedger measures appends that are durable before they return, and verify and
// export of a large ledger. Beside them stands what the disk itself takes for one
// fdatasync, within the same run.
func benchLedger(ctx context.Context, s settings) error {
	dir := filepath.Join(s.stage.Dir, "ledgers")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	bare, err := bareSyncs(filepath.Join(dir, "bare"))
	if err != nil {
		return err
	}
	b, err := newLedgerBench(dir)
	if err != nil {
		return err
	}
	fmt.Printf("| | appends/s | p50 | p99 |\n|---|---|---|---|\n")
	printLatencies("a bare write and fdatasync", bare)
	for _, callers := range []int{1, 64, 256} {
		l, err := b.open(fmt.Sprintf("closed-%d", callers))
		if err != nil {
			return err
		}
		latencies, err := b.closed(ctx, []*ledger.Ledger{l}, callers)
		if err := errors.Join(err, l.Close()); err != nil {
			return err
		}
		printLatencies(fmt.Sprintf("%d callers", callers), latencies)
	}
	for _, rate := range []int{100, 1000} {
		l, err := b.open(fmt.Sprintf("open-%d", rate))
		if err != nil {
			return err
		}
		latencies, err := b.openLoop(ctx, l, rate)
		if err := errors.Join(err, l.Close()); err != nil {
			return err
		}
		printLatencies(fmt.Sprintf("open loop at %d/s", rate), latencies)
	}
	// Several openings of one ledger contend like processes: the lock belongs to an open file.
	for _, openings := range []int{2, 4} {
		var ledgers []*ledger.Ledger
		for range openings {
			l, err := b.open(fmt.Sprintf("shared-%d", openings))
			if err != nil {
				return err
			}
			ledgers = append(ledgers, l)
		}
		latencies, err := b.closed(ctx, ledgers, openings)
		for _, l := range ledgers {
			err = errors.Join(err, l.Close())
		}
		if err != nil {
			return err
		}
		printLatencies(fmt.Sprintf("%d writers of one ledger, 1 caller each", openings), latencies)
	}
	return b.large(ctx, s.entries)
}

func printLatencies(name string, latencies []time.Duration) {
	slices.Sort(latencies)
	n := len(latencies)
	if n == 0 {
		fmt.Printf("| %s | none | | |\n", name)
		return
	}
	fmt.Printf("| %s | %.0f | %.2f ms | %.1f ms |\n", name, float64(n)/ledgerDuration.Seconds(), ms(latencies[n/2]), ms(latencies[n*99/100]))
}

func bareSyncs(path string) ([]time.Duration, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var latencies []time.Duration
	line := make([]byte, 600)
	for end := time.Now().Add(ledgerDuration); time.Now().Before(end); {
		start := time.Now()
		if _, err := f.Write(line); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(start))
	}
	return latencies, nil
}

type ledgerBench struct {
	dir      string
	signer   note.Signer
	verifier note.Verifier
	redactor audit.Redactor
}

func newLedgerBench(dir string) (*ledgerBench, error) {
	secret, public, err := note.GenerateKey(rand.Reader, "audit.example/bench")
	if err != nil {
		return nil, err
	}
	b := &ledgerBench{dir: dir}
	if b.signer, err = note.NewSigner(secret); err != nil {
		return nil, err
	}
	if b.verifier, err = note.NewVerifier(public); err != nil {
		return nil, err
	}
	key := make([]byte, audit.MinTokenKeyBytes)
	_, _ = rand.Read(key)
	b.redactor, err = audit.NewRedactor(key, "2026")
	return b, err
}

func (b *ledgerBench) open(name string) (*ledger.Ledger, error) {
	return ledger.Open(ledger.Config{Dir: filepath.Join(b.dir, name), Signer: b.signer, Verifier: b.verifier})
}

// record records what a provider does before a change.
func (b *ledgerBench) record(ctx context.Context, l *ledger.Ledger) (time.Duration, error) {
	start := time.Now()
	_, err := audit.File{Ledger: l, Redactor: b.redactor}.Record(ctx, audit.Event{
		Source: "/provider", Subject: "deployment/api",
		Data: audit.ChangeIntent{
			Action: "update", Target: audit.Target{Plane: "paris", Account: "0123456789abcdef0123456789abcdef", Kind: audit.KindDeployment, Name: "api"},
			Before: "sha256:0f3a5c7e9b1d2f4a6c8e0b2d4f6a8c0e", After: "sha256:1f3a5c7e9b1d2f4a6c8e0b2d4f6a8c0e",
			Actor: audit.Actor{Kind: "ci", Name: "Eve", Email: "eve@example.com", IP: "192.0.2.7"},
			Run:   audit.Run{System: "hcp", ID: "run-CZcmD7eagjhyX0vN", Workspace: "prod", Commit: "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"},
		},
	})
	return time.Since(start), err
}

// closed lets callers, spread over ledgers, append one after another.
func (b *ledgerBench) closed(ctx context.Context, ledgers []*ledger.Ledger, callers int) ([]time.Duration, error) {
	var wg sync.WaitGroup
	all, errs := make([][]time.Duration, callers), make([]error, callers)
	end := time.Now().Add(ledgerDuration)
	for c := range callers {
		wg.Go(func() {
			for time.Now().Before(end) {
				d, err := b.record(ctx, ledgers[c%len(ledgers)])
				if err != nil {
					errs[c] = err
					return
				}
				all[c] = append(all[c], d)
			}
		})
	}
	wg.Wait()
	return slices.Concat(all...), errors.Join(errs...)
}

// openLoop appends at a rate, whether or not those before have returned. Latencies
// count from when an append was due.
func (b *ledgerBench) openLoop(ctx context.Context, l *ledger.Ledger, rate int) ([]time.Duration, error) {
	n := int(ledgerDuration.Seconds() * float64(rate))
	latencies, errs := make([]time.Duration, n), make([]error, n)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		wg.Go(func() {
			_, errs[i] = b.record(ctx, l)
			latencies[i] = time.Since(due)
		})
	}
	wg.Wait()
	return latencies, errors.Join(errs...)
}

// large fills a ledger and measures what an auditor does with it.
func (b *ledgerBench) large(ctx context.Context, entries int) error {
	l, err := b.open("large")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var begun, done atomic.Int64
	errs := make([]error, fillCallers)
	start, used := time.Now(), cpu()
	for c := range fillCallers {
		wg.Go(func() {
			for time.Since(start) < ledgerFill && begun.Add(1) <= int64(entries) {
				if _, errs[c] = b.record(ctx, l); errs[c] != nil {
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	filled := time.Since(start)
	if err := errors.Join(errors.Join(errs...), l.Close()); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "large")
	fmt.Printf("\n%d entries by %d callers: %.0f/s, %.0f µs of CPU each with their redaction\n\n", done.Load(), fillCallers,
		float64(done.Load())/filled.Seconds(), float64((cpu()-used).Microseconds())/float64(done.Load()))

	runtime.GC()
	sample := newHeapSample()
	start, used = time.Now(), cpu()
	report, err := ledger.Verify(dir, ledger.VerifyOptions{Verifier: b.verifier})
	took, heap := time.Since(start), sample.stop()
	if err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("the ledger has findings: %v", report.Findings)
	}
	month := report.Months[len(report.Months)-1]
	fmt.Printf("| | took | CPU | entries/s | heap at most |\n|---|---|---|---|---|\n")
	fmt.Printf("| verify %d entries, %d checkpoints | %.2f s | %.2f s | %.0f | %.1f MB |\n", report.Entries, month.Checkpoints, took.Seconds(), (cpu() - used).Seconds(), float64(report.Entries)/took.Seconds(), heap)
	sample, start, used = newHeapSample(), time.Now(), cpu()
	if _, err := ledger.Export(dir, month.Month, filepath.Join(b.dir, "tiles"), b.verifier); err != nil {
		return err
	}
	took, heap = time.Since(start), sample.stop()
	fmt.Printf("| export | %.2f s | %.2f s | %.0f | %.1f MB |\n", took.Seconds(), (cpu() - used).Seconds(), float64(month.Entries)/took.Seconds(), heap)
	start = time.Now()
	record, err := ledger.Get(dir, ledger.Position{Month: month.Month, Seq: month.Entries / 2})
	if err != nil {
		return err
	}
	if _, err := ledger.Prove(dir, record, b.verifier); err != nil {
		return err
	}
	fmt.Printf("\nprove one entry: %.1f ms\n", ms(time.Since(start)))
	start = time.Now()
	if l, err = b.open("large"); err != nil {
		return err
	}
	fmt.Printf("open it: %.1f ms\n", ms(time.Since(start)))
	return l.Close()
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heapSample watches the heap.
type heapSample struct {
	end  chan struct{}
	most chan uint64
}

func newHeapSample() heapSample {
	s := heapSample{make(chan struct{}), make(chan uint64, 1)}
	go func() {
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-s.end:
				s.most <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return s
}

// stop gives the most that was seen, in MB.
func (s heapSample) stop() float64 {
	close(s.end)
	return float64(<-s.most) / 1e6
}
