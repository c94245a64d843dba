// SPDX-License-Identifier: MPL-2.0

// Command bench measures what `make bench` reports: Terraform runs over many
// Workers, the provider's start, the way from an upload to its first answer,
// the ingress beside a direct connection to workerd, and the audit ledger. It uses the built
// programs, real terraform and real workerd, and talks to loopback only.
//
// Every ratio is taken within one run, because absolute figures of a shared
// machine are noise.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// settings are the flags that the sections share.
type settings struct {
	programs stage.Programs
	stage    *stage.Stage
	workers  int // Workers in the terraform section
	entries  int // of the ledger that is verified
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var s settings
	var only string
	flag.StringVar(&s.programs.Provider, "provider", "bin/terraform-provider-hybridge", "the provider `binary`")
	flag.StringVar(&s.programs.Hybridge, "hybridge", "bin/hybridge", "the hybridge `binary`")
	flag.StringVar(&s.programs.CLI, "cli", "", "`path` of terraform or tofu (default: as `make test` finds it)")
	flag.IntVar(&s.workers, "workers", 50, "Workers in the sections terraform and secrets")
	flag.IntVar(&s.entries, "entries", 1_000_000, "entries in the section ledger, if a minute suffices to make them")
	flag.StringVar(&only, "only", "start,terraform,secrets,rollouts,upload,ingress,switches,ledger", "comma-separated `sections` to run")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	var err error
	if s.programs, err = s.programs.Locate(ctx, "."); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "hybridge-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if s.stage, err = stage.Open(work, s.programs); err != nil {
		return err
	}

	sections := map[string]func(context.Context, settings) error{
		"start":     benchStart,
		"terraform": benchTerraform,
		"secrets":   benchSecrets,
		"rollouts":  benchRollouts,
		"upload":    benchUpload,
		"ingress":   benchIngress,
		"switches":  benchSwitches,
		"ledger":    benchLedger,
	}
	for name := range strings.SplitSeq(only, ",") {
		section, ok := sections[name]
		if !ok {
			return fmt.Errorf("no section %q: there are start, terraform, secrets, rollouts, upload, ingress, switches, ledger", name)
		}
		fmt.Printf("\n## %s\n\n", name)
		if err := section(ctx, s); err != nil {
			return fmt.Errorf("section %s: %w", name, err)
		}
	}
	return nil
}
