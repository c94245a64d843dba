// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// moduleSize is the size of each of a Worker's two modules, in bytes.
const moduleSize = 200_000

// benchTerraform applies, plans and changes many Workers at once and reports
// wall time, requests, the provider's peak memory and the size of the state.
func benchTerraform(ctx context.Context, s settings) error {
	p, err := startPlane(ctx, s, "terraform-plane")
	if err != nil {
		return err
	}
	defer p.stop()
	dir := filepath.Join(s.stage.Dir, "terraform")
	if err := writeWorkers(dir, s.workers); err != nil {
		return err
	}
	env := p.Env()
	env["CLOUDFLARE_BASE_URL"] = p.counted
	tf := terraformRun{Terraform: s.stage.Terraform(dir, env), plane: p}
	if _, err := tf.do(ctx, "init", "-input=false"); err != nil {
		return err
	}
	fmt.Printf("%d Workers, two modules of %d kB each; 3 resources a Worker\n\n", s.workers, moduleSize/1000)
	fmt.Println("| run | wall | requests | peak RSS of the provider |\n|---|---|---|---|")
	steps := []struct {
		name string
		args []string
	}{
		{"apply", []string{"apply", "-auto-approve", "-input=false"}},
		{"no-op plan", []string{"plan", "-input=false", "-detailed-exitcode"}},
		{"apply, one variable changed in all", []string{"apply", "-auto-approve", "-input=false", "-var=greeting=two"}},
		{"no-op plan", []string{"plan", "-input=false", "-detailed-exitcode", "-var=greeting=two"}},
	}
	var state int64
	for _, step := range steps {
		m, err := tf.do(ctx, step.args...)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.1f s | %d | %.0f MB |\n", step.name, m.wall.Seconds(), m.requests, float64(m.peak)/1e6)
		if info, err := os.Stat(filepath.Join(dir, "terraform.tfstate")); err == nil {
			state = info.Size()
		}
	}
	fmt.Printf("\nstate: %.0f kB; N + 5 = %d requests\n", float64(state)/1000, s.workers+5)
	_, err = tf.do(ctx, "destroy", "-auto-approve", "-input=false", "-var=greeting=two")
	return err
}

// writeWorkers writes a configuration of n Workers and their modules.
func writeWorkers(dir string, n int) error {
	const config = `terraform {
  required_providers {
    hybridge = { source = "hybridge/hybridge" }
  }
}

variable "greeting" {
  default = "one"
}

locals {
  workers = toset([for i in range(%d) : "bench-${i}"])
}

resource "hybridge_worker" "w" {
  for_each  = local.workers
  name      = each.key
  subdomain = { enabled = true }
}

resource "hybridge_worker_version" "w" {
  for_each           = local.workers
  worker             = hybridge_worker.w[each.key].name
  compatibility_date = "2026-01-01"
  prebuilt           = { directory = "${path.module}/code/${each.key}", main = "index.js" }
  vars               = { GREETING = var.greeting }
  lifecycle { create_before_destroy = true }
}

resource "hybridge_worker_deployment" "w" {
  for_each   = local.workers
  worker     = hybridge_worker.w[each.key].name
  version_id = hybridge_worker_version.w[each.key].id
}
`
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), fmt.Appendf(nil, config, n), 0o600); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{1})
	for i := range n {
		code := filepath.Join(dir, "code", fmt.Sprintf("bench-%d", i))
		if err := os.MkdirAll(code, 0o700); err != nil {
			return err
		}
		main := fmt.Sprintf("import { size } from './lib.js'\nexport default { fetch(_, env) { return new Response(env.GREETING + ' %d ' + size) } }\n", i)
		for name, head := range map[string]string{"index.js": main, "lib.js": fmt.Sprintf("export const size = %d\n", moduleSize)} {
			if err := os.WriteFile(filepath.Join(code, name), padded(head, random), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// padded is head and comments that hardly compress, up to moduleSize bytes.
func padded(head string, random *rand.ChaCha8) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for b.Len() < moduleSize {
		fmt.Fprintf(&b, "// %016x%016x%016x%016x\n", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
	}
	return b.Bytes()[: moduleSize-1 : moduleSize-1]
}

// terraformRun is terraform in one directory against one plane.
type terraformRun struct {
	*stage.Terraform
	plane *plane
}

// measured is what one command cost.
type measured struct {
	wall     time.Duration
	requests int64
	peak     int64 // bytes: the largest high-water mark of any provider process
}

// do runs one command and fails unless it exits with 0.
func (t terraformRun) do(ctx context.Context, args ...string) (measured, error) {
	before, begin := t.plane.count.Load(), time.Now()
	peak := make(chan int64)
	done := make(chan struct{})
	go func() { peak <- watchPeak(done) }()
	_, err := t.Must(ctx, args...)
	m := measured{wall: time.Since(begin), requests: t.plane.count.Load() - before}
	close(done)
	m.peak = <-peak
	return m, err
}

// watchPeak polls the providers below this process and returns the largest
// high-water mark seen, in bytes. It never falls, so the last look before the end
// of a process misses at most what it grew in one interval.
func watchPeak(done <-chan struct{}) int64 {
	var peak int64
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return peak
		case <-tick.C:
			pids, _ := stage.Descendants(os.Getpid())
			for _, pid := range pids {
				if program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); strings.Contains(program, "terraform-provider-") {
					peak = max(peak, highWater(pid))
				}
			}
		}
	}
}

// highWater is the peak resident set of a process in bytes, 0 when it is gone.
func highWater(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}
