// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// rolloutConfig deploys one Worker, at once or in steps without bake times, so that what
// is measured is what Hybridge itself adds.
const rolloutConfig = `terraform {
  required_providers {
    hybridge = { source = "hybridge/hybridge" }
  }
}

variable "text" {}
variable "rollout" {
  type = bool
}

resource "hybridge_worker" "w" {
  name      = "rollout"
  subdomain = { enabled = true, previews_enabled = true }
}

resource "hybridge_worker_version" "w" {
  worker             = hybridge_worker.w.name
  compatibility_date = "2026-01-01"
  script             = "export default { fetch() { return new Response('${var.text}') } }"
  lifecycle { create_before_destroy = true }
}

resource "hybridge_worker_deployment" "w" {
  worker     = hybridge_worker.w.name
  version_id = hybridge_worker_version.w.id
  rollout = var.rollout ? {
    steps = [for p in [0, 10, 50] : { percentage = p, gates = ["health"] }]
    gates = { health = { http = { path = "/", body_contains = "good", every = "100ms", failures = 1, timeout = "5s" } } }
  } : null
}
`

// benchRollouts compares a deployment at once with the same in three gated steps, and with
// one that its first gate stops.
func benchRollouts(ctx context.Context, s settings) error {
	p, err := startPlane(ctx, s, "rollout-plane")
	if err != nil {
		return err
	}
	defer p.stop()
	dir := filepath.Join(s.stage.Dir, "rollouts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(rolloutConfig), 0o600); err != nil {
		return err
	}
	env := p.Env()
	env["CLOUDFLARE_BASE_URL"] = p.counted
	tf := terraformRun{Terraform: s.stage.Terraform(dir, env), plane: p}
	if _, err := tf.do(ctx, "init", "-input=false"); err != nil {
		return err
	}
	args := func(command, text string, steps bool) []string {
		args := []string{command, "-input=false", "-no-color", "-var=text=" + text, fmt.Sprintf("-var=rollout=%t", steps)}
		if command != "plan" {
			args = append(args, "-auto-approve")
		}
		return args
	}
	if _, err := tf.do(ctx, args("apply", "good 0", false)...); err != nil {
		return err
	}
	fmt.Println("One Worker, no bake times: what the steps, gates and their reports add.")
	fmt.Println("\n| run | wall | requests |\n|---|---|---|")
	var direct measured
	for _, run := range []struct {
		name, text string
		steps      bool
	}{
		{"apply, deployed at once", "good 1", false},
		{"apply, steps 0, 10, 50, 100 % with an HTTP gate each", "good 2", true},
	} {
		m, err := tf.do(ctx, args("apply", run.text, run.steps)...)
		if err != nil {
			return err
		}
		if direct.requests == 0 {
			direct = m
		}
		fmt.Printf("| %s | %.2f s (%.1f x) | %d |\n", run.name, m.wall.Seconds(), m.wall.Seconds()/direct.wall.Seconds(), m.requests)
	}
	m, err := tf.do(ctx, args("apply", "bad", true)...)
	if err == nil || !strings.Contains(err.Error(), "Rollout was rolled back") {
		return fmt.Errorf("a bad version was to be rolled back, but: %w", err)
	}
	fmt.Printf("| apply, stopped by the gate at 0 %% | %.2f s (%.1f x) | %d |\n", m.wall.Seconds(), m.wall.Seconds()/direct.wall.Seconds(), m.requests)
	if m, err = tf.do(ctx, args("plan", "bad", true)...); err != nil {
		return err
	}
	fmt.Printf("| plan after it | %.2f s | %d |\n", m.wall.Seconds(), m.requests)
	_, err = tf.do(ctx, args("destroy", "bad", true)...)
	return err
}
