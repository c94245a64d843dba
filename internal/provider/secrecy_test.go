// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// These run the built provider, as Terraform does: the plugin SDK reads the
// environment of the process, and logs go through it.
func TestTheBuiltProviderKeepsSecrets(t *testing.T) {
	t.Parallel()
	program := acctest.BuildProvider(t)
	// project is a directory with a configuration in which init was run.
	project := func(t *testing.T, config string) (*stage.Stage, string) {
		t.Helper()
		st, err := stage.Open(t.TempDir(), stage.Programs{CLI: acctest.CLI(t), Provider: program})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(st.Dir, "project")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		config = "terraform {\n  required_providers {\n    hybridge = { source = \"hybridge/hybridge\" }\n  }\n}\n" + config
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Terraform(dir, nil).Must(t.Context(), "init", "-no-color"); err != nil {
			t.Fatal(err)
		}
		return st, dir
	}

	t.Run("a token and a key enter neither state, plan nor log", func(t *testing.T) {
		plane, box := acctest.NewPlane(t), acctest.NewStrongbox(t)
		file := box.Seal(t, "token.enc.yaml", map[string]string{"token": plane.Token})
		st, dir := project(t, fmt.Sprintf(`
variable "age_key" {
  type      = string
  ephemeral = true
}

provider "hybridge" {
  base_url       = %q
  account_id     = %q
  api_token_sops = { file = %q, key = "token" }
  sops           = { age_key = var.age_key, env_allowed = false }
}

resource "hybridge_worker" "w" {
  name = "api"
}
`, plane.URL, plane.AccountID, file))
		tf := st.Terraform(dir, map[string]string{"TF_VAR_age_key": box.Key, "TF_LOG": "TRACE", "TF_LOG_PATH": filepath.Join(dir, "trace.log")})
		if _, err := tf.Must(t.Context(), "plan", "-no-color", "-out=tfplan"); err != nil {
			t.Fatal(err)
		}
		if _, err := tf.Must(t.Context(), "apply", "-no-color", "tfplan"); err != nil {
			t.Fatal(err)
		}
		if empty, out, err := tf.PlanIsEmpty(t.Context()); err != nil || !empty {
			t.Errorf("the plan after an apply is not empty: %v\n%s", err, out)
		}
		unzip(t, filepath.Join(dir, "tfplan"), filepath.Join(dir, "plan"))
		var identity string
		for line := range strings.Lines(box.Key) {
			if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
				identity = strings.TrimSpace(line)
			}
		}
		for _, secret := range []string{plane.Token, identity} {
			if found, err := canary.InFiles(dir, []string{secret}); err != nil || len(found) > 0 {
				t.Errorf("a secret was written: %v %v", found, err)
			}
		}
	})

	t.Run("a service token of Access enters neither state, plan nor log", func(t *testing.T) {
		plane, box := acctest.NewPlane(t), acctest.NewStrongbox(t)
		gate := plane.BehindAccess(t, accessSecret)
		const wrong = "canary-wr0ng-canary-wr0ng-canary-wr0ng-canary-wr0ng"
		file := box.Seal(t, "access.enc.yaml", map[string]string{"secret": accessSecret})
		st, dir := project(t, fmt.Sprintf(`
variable "age_key" {
  type      = string
  ephemeral = true
}

variable "secret" {
  type      = string
  ephemeral = true
}

provider "hybridge" {
  sops = { age_key = var.age_key, env_allowed = false }
  planes = {
    sealed = {
      base_url   = %[1]q
      account_id = %[2]q
      api_token  = %[3]q
      access     = { client_id = %[4]q, client_secret_sops = { file = %[5]q, key = "secret" } }
    }
    given = {
      base_url   = %[1]q
      account_id = %[2]q
      api_token  = %[3]q
      access     = { client_id = %[4]q, client_secret = var.secret }
    }
  }
}

resource "hybridge_worker" "w" {
  for_each = toset(["sealed", "given"])
  name     = each.key
  plane    = each.key
}
`, gate.URL, plane.AccountID, plane.Token, gate.ClientID, file))
		run := func(secret, log string) func(wantCode int, args ...string) string {
			tf := st.Terraform(dir, map[string]string{
				"TF_VAR_age_key": box.Key, "TF_VAR_secret": secret, "TF_LOG": "TRACE", "TF_LOG_PATH": filepath.Join(dir, log),
			})
			return func(wantCode int, args ...string) string {
				out, code, err := tf.Run(t.Context(), args...)
				if err != nil || code != wantCode {
					t.Fatalf("terraform %v gives %d, %v:\n%s", args, code, err, out)
				}
				return out
			}
		}
		tf := run(accessSecret, "trace.log")
		tf(0, "plan", "-no-color", "-out=tfplan")
		tf(0, "apply", "-no-color", "tfplan")
		tf(0, "plan", "-no-color", "-detailed-exitcode")
		// It is refused by a gate that repeats what it was sent, and by one that does not.
		for _, echo := range []bool{false, true} {
			gate.Echo.Store(echo)
			refused := run(wrong, fmt.Sprintf("refused-%v.log", echo))
			out := refused(0, "plan", "-no-color", "-refresh=false") + refused(1, "apply", "-no-color", "-auto-approve", "-replace=hybridge_worker.w[\"given\"]")
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("out-%v.txt", echo)), []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		unzip(t, filepath.Join(dir, "tfplan"), filepath.Join(dir, "plan"))
		for _, secret := range []string{accessSecret, wrong} {
			if found, err := canary.InFiles(dir, []string{secret}); err != nil || len(found) > 0 {
				t.Errorf("a secret was written: %v %v", found, err)
			}
		}
		if gate.Passed.Load() == 0 || gate.Refused.Load() < 2 {
			t.Errorf("%d requests passed, %d were refused", gate.Passed.Load(), gate.Refused.Load())
		}
	})

	t.Run("protocol files are refused before the first secret", func(t *testing.T) {
		const secret = "canary-0123456789-0123456789-0123456789-token"
		st, dir := project(t, fmt.Sprintf("provider \"hybridge\" {\n  api_token  = %q\n  account_id = %q\n}\nresource \"hybridge_worker\" \"w\" {\n  name = \"api\"\n}\n",
			secret, account))
		files := filepath.Join(st.Dir, "files")
		if err := os.Mkdir(files, 0o755); err != nil {
			t.Fatal(err)
		}
		tf := st.Terraform(dir, map[string]string{"TF_LOG_SDK_PROTO_DATA_DIR": files})
		for _, command := range []string{"validate", "plan"} {
			out, code, err := tf.Run(t.Context(), command, "-no-color")
			if err != nil {
				t.Fatal(err)
			}
			if code == 0 || !strings.Contains(out, "TF_LOG_SDK_PROTO_DATA_DIR") {
				t.Errorf("%s with the variable gives %d:\n%s", command, code, out)
			}
		}
		if found, err := canary.InFiles(files, []string{secret}); err != nil || len(found) > 0 {
			t.Errorf("the token was written to files: %v %v", found, err)
		}
		if _, err := st.Terraform(dir, nil).Must(t.Context(), "plan", "-no-color"); err != nil {
			t.Error(err)
		}
	})
}

// unzip unpacks a plan file, so that what it compresses is seen.
func unzip(t *testing.T, from, to string) {
	t.Helper()
	archive, err := zip.OpenReader(from)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, member := range archive.File {
		r, err := member.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			err = os.WriteFile(filepath.Join(to, fmt.Sprint(i)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
