// SPDX-License-Identifier: MPL-2.0

package function_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

const canary = "hunter2-hunter2-hunter2"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func call(t *testing.T, name string, arguments ...any) any {
	t.Helper()
	got, failure := tfproto.Call(t.Context(), t, provider.Server("test", acctest.NoEnv)(), name, arguments...)
	if failure != nil {
		t.Fatalf("%s: %s", name, failure.Text)
	}
	return got
}

func TestAFingerprintIsTheDigestOfTheCiphertext(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	for _, name := range []string{"s.yaml", "s.json", "s.env"} {
		path := box.Seal(t, name, map[string]string{"a": canary, "b": "x"})
		file, err := sealed.Read(path, "")
		if err != nil {
			t.Fatal(err)
		}
		digest := func(key ...string) string {
			d, err := file.Digest(key)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		sum := sha256.Sum256([]byte("b " + digest("b") + "\na " + digest("a") + "\n"))
		text := read(t, path)
		for _, tt := range []struct {
			keys []any
			want string
		}{
			{nil, digest()}, {[]any{"a"}, digest("a")}, {[]any{`["b"]`}, digest("b")}, {[]any{"b", "a"}, hex.EncodeToString(sum[:])},
		} {
			if got := call(t, "sops_fingerprint", append([]any{text}, tt.keys...)...); got != tt.want {
				t.Errorf("%s: fingerprint of %v is %v, want %v", name, tt.keys, got, tt.want)
			}
		}
		if call(t, "sops_fingerprint", text, "a", "b") == call(t, "sops_fingerprint", text, "b", "a") {
			t.Error("the order of the keys does not count")
		}
		if got := call(t, "sops_keys", text); !cmp.Equal(got, []any{"a", "b"}) {
			t.Errorf("%s: keys are %v", name, got)
		}
	}
}

func TestErrorsNameTheArgument(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	text := read(t, box.Seal(t, "s.yaml", map[string]string{"a": "x", "empty": ""}))
	for name, tt := range map[string]struct {
		function string
		args     []any
		argument int64
		want     string
	}{
		"no SOPS file":      {"sops_fingerprint", []any{"a: " + canary}, 0, "no SOPS metadata"},
		"not YAML":          {"sops_keys", []any{"{" + canary}, 0, "cannot be parsed"},
		"unknown key":       {"sops_fingerprint", []any{text, "a", "c"}, 2, "it has a, empty"},
		"bad path":          {"sops_fingerprint", []any{text, "a..b"}, 1, "key path cannot be read"},
		"empty path":        {"sops_fingerprint", []any{text, ""}, 1, "without a key it is about the whole file"},
		"empty value":       {"sops_fingerprint", []any{text, "empty"}, 1, "does not encrypt empty values"},
		"value in the open": {"sops_fingerprint", []any{strings.Replace(text, "empty: \"\"", "empty: "+canary, 1), "empty"}, 1, "in the clear"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, failure := tfproto.Call(t.Context(), t, provider.Server("test", acctest.NoEnv)(), tt.function, tt.args...)
			if failure == nil {
				t.Fatal("there is no error")
			}
			if failure.FunctionArgument == nil || *failure.FunctionArgument != tt.argument || !strings.Contains(failure.Text, tt.want) {
				t.Errorf("got argument %v: %s; want argument %d: ... %s", failure.FunctionArgument, failure.Text, tt.argument, tt.want)
			}
			if strings.Contains(failure.Text, canary) {
				t.Errorf("the error repeats a value: %s", failure.Text)
			}
		})
	}
}

func TestTerraformCallsTheFunctions(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	path := box.Seal(t, "s.yaml", map[string]string{"a": "x", "b": "y"})
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{{
		Config: fmt.Sprintf(`
terraform {
  required_providers {
    hybridge = { source = "hashicorp/hybridge" } # where terraform-plugin-testing puts it
  }
}
output "keys" { value = join(" ", provider::hybridge::sops_keys(file(%[1]q))) }
output "whole" { value = provider::hybridge::sops_fingerprint(file(%[1]q)) }
output "all" { value = provider::hybridge::sops_fingerprint(file(%[1]q), provider::hybridge::sops_keys(file(%[1]q))...) }
`, path),
		Check: resource.ComposeTestCheckFunc(
			resource.TestCheckOutput("keys", "a b"),
			resource.TestCheckOutput("whole", fmt.Sprint(call(t, "sops_fingerprint", read(t, path)))),
			resource.TestCheckOutput("all", fmt.Sprint(call(t, "sops_fingerprint", read(t, path)))),
		),
	}}})
}
