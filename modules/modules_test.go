// SPDX-License-Identifier: MPL-2.0

// Package modules_test applies the modules, from a local path and from a registry, on real
// self-hosted planes, and proves what they refuse before anything is asked of one.
package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

func TestModulesHaveTheStandardStructure(t *testing.T) {
	t.Parallel()
	mains, err := filepath.Glob("*/main.tf")
	if err != nil || len(mains) < 4 {
		t.Fatalf("there are the modules %v: %v", mains, err)
	}
	for _, main := range mains {
		module := filepath.Dir(main)
		for _, file := range []string{"README.md", "variables.tf", "outputs.tf", "versions.tf"} {
			if _, err := os.Stat(filepath.Join(module, file)); err != nil {
				t.Error(err)
			}
		}
		readme, err := os.ReadFile(filepath.Join(module, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"variables.tf", "outputs.tf"} {
			parsed, diags := hclparse.NewParser().ParseHCLFile(filepath.Join(module, file))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			content, _, diags := parsed.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
				{Type: "variable", LabelNames: []string{"name"}}, {Type: "output", LabelNames: []string{"name"}},
			}})
			if diags.HasErrors() || len(content.Blocks) == 0 {
				t.Fatalf("%s/%s: %v", module, file, diags)
			}
			for _, block := range content.Blocks {
				attributes, _ := block.Body.JustAttributes()
				if attributes["description"] == nil {
					t.Errorf("%s: %s %s has no description", module, block.Type, block.Labels[0])
				}
				if !strings.Contains(string(readme), "`"+block.Labels[0]+"`") {
					t.Errorf("the README of %s does not name the %s %s", module, block.Type, block.Labels[0])
				}
			}
		}
	}
}

func TestWorkerRefusesBadInput(t *testing.T) {
	t.Parallel()
	st, err := stage.Open(t.TempDir(), programs)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(st.Dir, "worker")
	if err := stage.CopyTree(dir, "worker"); err != nil {
		t.Fatal(err)
	}
	nowhere := map[string]string{ // an address that refuses every connection
		"CLOUDFLARE_BASE_URL":   "http://127.0.0.1:1/client/v4",
		"CLOUDFLARE_API_TOKEN":  strings.Repeat("0", 40),
		"CLOUDFLARE_ACCOUNT_ID": strings.Repeat("0", 32),
	}
	tf := st.Terraform(dir, nowhere)
	if _, err := tf.Must(t.Context(), "init", "-no-color"); err != nil {
		t.Fatal(err)
	}
	good := map[string]string{"name": "api", "compatibility_date": "2026-11-01", "script": "export default {}"}
	for name, test := range map[string]struct {
		variables map[string]string
		want      string // empty: the plan succeeds
	}{
		"good input":              {nil, ""},
		"name in capitals":        {map[string]string{"name": "API"}, "A Worker's name has 1 to 63 lower-case letters"},
		"date in words":           {map[string]string{"compatibility_date": "today"}, "written as YYYY-MM-DD"},
		"two sources of code":     {map[string]string{"bundle": `{ entrypoint = "index.js" }`}, "exactly one source of code"},
		"secrets":                 {map[string]string{"secrets_wo": `{ A = "a-secret-value" }`, "secrets_wo_versions": `{ A = "1" }`}, ""},
		"secret without version":  {map[string]string{"secrets_wo": `{ A = "a-secret-value" }`}, "needs its entry in secrets_wo_versions"},
		"version without secret":  {map[string]string{"secrets_wo_versions": `{ A = "1" }`}, "it has no value"},
		"version id that is none": {map[string]string{"live_version_id": "latest"}, "A version id is a UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"plan", "-no-color"}
			for _, variables := range []map[string]string{good, test.variables} {
				for variable, value := range variables {
					args = append(args, "-var="+variable+"="+value)
				}
			}
			out, code, err := tf.Run(t.Context(), args...)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" && code != 0 || test.want != "" && code == 0 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(out, "│", "")), " "), test.want) {
				t.Errorf("the output does not say %q:\n%s", test.want, out)
			}
			if strings.Contains(out, "a-secret-value") {
				t.Errorf("the output holds a secret:\n%s", out)
			}
		})
	}
}
