// SPDX-License-Identifier: MPL-2.0

// Command bench measures what `make bench` reports: Terraform runs over many
// Workers, the provider's start, the way from an upload to its first answer,
// and the ingress beside a direct connection to workerd. It uses the built
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
	"path/filepath"
	"strings"
	"syscall"
)

// settings are the flags that the sections share.
type settings struct {
	provider  string // path of the provider binary
	hybridge  string // path of the hybridge binary
	terraform string // path of terraform or tofu
	workers   int    // Workers in the Terraform section
	work      string // a directory of this run, removed at its end
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
	flag.StringVar(&s.provider, "provider", "bin/terraform-provider-hybridge", "the provider `binary`")
	flag.StringVar(&s.hybridge, "hybridge", "bin/hybridge", "the hybridge `binary`")
	flag.StringVar(&s.terraform, "terraform", "terraform", "terraform or tofu, a `path` or a name on PATH")
	flag.IntVar(&s.workers, "workers", 50, "Workers in the terraform section")
	flag.StringVar(&only, "only", "start,terraform,upload,ingress,switches", "comma-separated `sections` to run")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	for _, path := range []*string{&s.provider, &s.hybridge} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err != nil {
			return fmt.Errorf("%w: run `make build` first", err)
		}
		*path = abs
	}
	work, err := os.MkdirTemp("", "hybridge-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	s.work = work

	sections := map[string]func(context.Context, settings) error{
		"start":     benchStart,
		"terraform": benchTerraform,
		"upload":    benchUpload,
		"ingress":   benchIngress,
		"switches":  benchSwitches,
	}
	for name := range strings.SplitSeq(only, ",") {
		section, ok := sections[name]
		if !ok {
			return fmt.Errorf("no section %q: there are start, terraform, upload, ingress, switches", name)
		}
		fmt.Printf("\n## %s\n\n", name)
		if err := section(ctx, s); err != nil {
			return fmt.Errorf("section %s: %w", name, err)
		}
	}
	return nil
}
