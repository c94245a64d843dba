// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// secretCount is how many secrets one file has; the Workers share them out.
const secretCount = 200

// benchSecrets compares Workers with plain variables to the same Workers with
// secrets from one SOPS file, and says what opening such a file takes.
func benchSecrets(ctx context.Context, s settings) error {
	p, err := startPlane(ctx, s, "secrets-plane")
	if err != nil {
		return err
	}
	defer p.stop()
	key, recipient, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		return err
	}
	text, err := secretFile(recipient)
	if err != nil {
		return err
	}
	if err := timeFile(ctx, text, key); err != nil {
		return err
	}
	fmt.Printf("\n%d Workers with %d values each; 3 resources a Worker\n\n", s.workers, secretCount/s.workers)
	fmt.Println("| values | run | wall | requests | peak RSS of the provider |\n|---|---|---|---|---|")
	for _, kind := range []string{"vars", "secrets"} {
		dir := filepath.Join(s.stage.Dir, "with-"+kind)
		if err := writeSecretWorkers(dir, s.workers, kind); err != nil {
			return err
		}
		for name, data := range map[string][]byte{"secrets.enc.yaml": text, "key.txt": []byte(key.Reveal())} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return err
			}
		}
		env := p.Env()
		env["CLOUDFLARE_BASE_URL"] = p.counted
		tf := terraformRun{Terraform: s.stage.Terraform(dir, env), plane: p}
		if _, err := tf.do(ctx, "init", "-input=false"); err != nil {
			return err
		}
		for _, step := range []struct {
			name string
			args []string
		}{
			{"first plan", []string{"plan", "-input=false", "-out=tfplan"}},
			{"apply", []string{"apply", "-input=false", "tfplan"}},
			{"no-op plan", []string{"plan", "-input=false", "-detailed-exitcode"}},
		} {
			m, err := tf.do(ctx, step.args...)
			if err != nil {
				return err
			}
			fmt.Printf("| %s | %s | %.1f s | %d | %.0f MB |\n", kind, step.name, m.wall.Seconds(), m.requests, float64(m.peak)/1e6)
		}
		if _, err := tf.do(ctx, "destroy", "-auto-approve", "-input=false"); err != nil {
			return err
		}
	}
	return nil
}

func secretFile(recipient string) ([]byte, error) {
	to, err := sealed.AgeRecipients(recipient)
	if err != nil {
		return nil, err
	}
	var entries []sealed.Entry
	for i := range secretCount {
		entries = append(entries, sealed.Entry{Name: fmt.Sprintf("s%03d", i), Value: sealed.NewSecret(fmt.Sprintf("value-%032d", i))})
	}
	return sealed.Seal("secrets.enc.yaml", sealed.YAML, entries, to, time.Now())
}

// timeFile measures what a process pays for the file, once.
func timeFile(ctx context.Context, text []byte, key sealed.Secret) error {
	begin := time.Now()
	f, err := sealed.Parse("secrets.enc.yaml", sealed.YAML, text)
	if err != nil {
		return err
	}
	parsed := time.Since(begin)
	begin = time.Now()
	store := sealed.NewStore(sealed.Identities{AgeKey: key})
	if _, err := store.Open(ctx, f); err != nil {
		return err
	}
	opened := time.Since(begin)
	begin = time.Now()
	for range secretCount {
		if _, err := store.Open(ctx, f); err != nil {
			return err
		}
	}
	fmt.Printf("a file of %d values, %d kB: reading it %.1f ms, opening it %.1f ms, asking for it %d times more %.2f ms\n",
		secretCount, len(text)/1000, ms(parsed), ms(opened), secretCount, ms(time.Since(begin)))
	return nil
}

// writeSecretWorkers writes a configuration of n Workers, each with its share of
// the values as kind: vars or secrets.
func writeSecretWorkers(dir string, n int, kind string) error {
	value := `"value-${format("%032d", i)}"`
	if kind == "secrets" {
		value = `{ sops_file = "${path.module}/secrets.enc.yaml", key = format("s%03d", i) }`
	}
	config := fmt.Sprintf(`terraform {
  required_providers {
    hybridge = { source = "hybridge/hybridge" }
  }
}

provider "hybridge" {
  sops = { age_key_file = "${path.module}/key.txt" }
}

locals {
  each    = %d
  workers = { for w in range(%d) : "bench-${w}" => range(w * local.each, (w + 1) * local.each) }
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
  script             = "export default { fetch(_, env) { return new Response(Object.keys(env).join()) } }"
  %s = { for i in each.value : "S_${i}" => %s }
  lifecycle { create_before_destroy = true }
}

resource "hybridge_worker_deployment" "w" {
  for_each   = local.workers
  worker     = hybridge_worker.w[each.key].name
  version_id = hybridge_worker_version.w[each.key].id
}
`, secretCount/n, n, kind, value)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "main.tf"), []byte(config), 0o600)
}
