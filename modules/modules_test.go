// SPDX-License-Identifier: MPL-2.0

// Package modules_test applies the modules, from a local path and from a registry, on real
// self-hosted planes, and proves what they refuse before anything is asked of one.
package modules_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/schemajson"
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
		"good input":                 {nil, ""},
		"name in capitals":           {map[string]string{"name": "API"}, "A Worker's name has 1 to 255 lower-case letters"},
		"a name too long for a host": {map[string]string{"name": strings.Repeat("a", 64)}, "at most 63 characters"},
		"a long name without a host": {map[string]string{"name": strings.Repeat("a", 64), "workers_dev": `{ enabled = false, previews_enabled = false }`}, ""},
		"date in words":              {map[string]string{"compatibility_date": "today"}, "written as YYYY-MM-DD"},
		"two sources of code":        {map[string]string{"bundle": `{ entrypoint = "index.js" }`}, "exactly one source of code"},
		"secrets":                    {map[string]string{"secrets_wo": `{ A = "a-secret-value" }`, "secrets_wo_versions": `{ A = "1" }`}, ""},
		"secret without version":     {map[string]string{"secrets_wo": `{ A = "a-secret-value" }`}, "needs its entry in secrets_wo_versions"},
		"version without secret":     {map[string]string{"secrets_wo_versions": `{ A = "1" }`}, "it has no value"},
		"version id that is none":    {map[string]string{"live_version_id": "latest"}, "A version id is a UUID"},
		"a gate without previews":    {map[string]string{"workers_dev": `{ previews_enabled = false }`, "rollout": `{ final_gates = ["h"], gates = { h = { http = { path = "/" } } } }`}, "ask the preview URL of a version: h."},
		"a gate by header":           {map[string]string{"workers_dev": `{ previews_enabled = false }`, "rollout": `{ final_gates = ["h"], gates = { h = { http = { path = "/", version_header = "X-Version" } } } }`}, ""},
		"a rejection that passes":    {map[string]string{"on_rejected": "ignore"}, `must be one of`},
		"secrets of no time":         {map[string]string{"rollback_secrets": "todays"}, `rollback_secrets is "version" or "current"`},

		"a gate that judges":        {map[string]string{"rollout": `{ steps = [{ percentage = 0, gates = ["h"] }, { percentage = 10, bake_time = "1m" }], gates = { h = { http = { path = "/", body_contains = "ok" } } } }`}, ""},
		"nulls":                     {map[string]string{"rollout": `{ steps = null, gates = null }`, "workers_dev": `{ enabled = null }`, "services": "null"}, ""},
		"a gate that looks away":    {map[string]string{"rollout": `{ steps = [{ percentage = 0, gates = ["h"] }], gates = { h = { http = { path = "/", body_contain = "ok" } } } }`}, `rollout.gates["h"].http has no body_contain, only body_contains,`},
		"a rollout without steps":   {map[string]string{"rollout": `{ setps = [{ percentage = 10 }] }`}, "rollout has no setps, only"},
		"a step without gates":      {map[string]string{"rollout": `{ steps = [{ percentage = 5 }, { percentage = 10, gate = ["h"] }] }`}, "rollout.steps[1] has no gate, only bake_time, gates, percentage."},
		"a kind of gate":            {map[string]string{"rollout": `{ gates = { h = { htpp = { path = "/" } } } }`}, `rollout.gates["h"] has no htpp,`},
		"metrics that look away":    {map[string]string{"rollout": `{ gates = { m = { metrics = { max_p99 = "1s", max_failures = 1 } } } }`}, `rollout.gates["m"].metrics has no max_failures,`},
		"a signing secret":          {map[string]string{"rollout": `{ gates = { w = { webhook = { url = "https://a.example", signing_secret = { sopsfile = "x" } } } } }`}, `rollout.gates["w"].webhook.signing_secret has no sopsfile,`},
		"workers_dev that stays on": {map[string]string{"workers_dev": `{ enabld = false }`}, "workers_dev has no enabld, only enabled, previews_enabled."},
		"an option of the bundle":   {map[string]string{"script": "", "bundle": `{ entrypoint = "index.js", minfy = true }`}, "bundle has no minfy,"},
		"a service's entrypoint":    {map[string]string{"services": `{ API = { worker = "api", entypoint = "Admin" } }`}, `services["API"] has no entypoint,`},
		"a secret's key":            {map[string]string{"secrets": `{ A = { sops_file = "prod.enc.yaml", kye = "a" } }`}, `secrets["A"] has no kye,`},
		"logs that are not kept":    {map[string]string{"observability": `{ enabled = true, logs = { persit = true } }`}, "observability.logs has no persit,"},
	} {
		t.Run(name, func(t *testing.T) {
			variables := maps.Clone(good)
			maps.Copy(variables, test.variables)
			args := []string{"plan", "-no-color"}
			for variable, value := range variables {
				if value != "" {
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

// TestWorkerKnowsTheMembersOfTheResources: what the module takes for mistyped is what
// the resources do not have.
func TestWorkerKnowsTheMembersOfTheResources(t *testing.T) {
	t.Parallel()
	text, err := schemajson.Marshal(t.Context(), "hybridge", provider.Server("test", os.Getenv)())
	if err != nil {
		t.Fatal(err)
	}
	type attributes map[string]struct {
		Nested *struct {
			Mode       string          `json:"nesting_mode"`
			Attributes json.RawMessage `json:"attributes"`
		} `json:"nested_type"`
	}
	var all struct {
		Providers map[string]struct {
			Resources map[string]struct {
				Block struct{ Attributes attributes }
			} `json:"resource_schemas"`
		} `json:"provider_schemas"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	var walk func(at string, a attributes)
	walk = func(at string, a attributes) {
		for name, attribute := range a {
			if attribute.Nested == nil {
				continue
			}
			var members attributes
			if err := json.Unmarshal(attribute.Nested.Attributes, &members); err != nil {
				t.Fatal(err)
			}
			here := at + name
			if attribute.Nested.Mode != "single" {
				here += "[*]"
			}
			want[here] = slices.Sorted(maps.Keys(members))
			walk(here+".", members)
		}
	}
	for _, p := range all.Providers {
		for _, kind := range []string{"hybridge_worker", "hybridge_worker_version", "hybridge_worker_deployment"} {
			walk("", p.Resources[kind].Block.Attributes)
		}
	}
	// The module has its own names, and its own way to hand values over.
	want["workers_dev"] = want["subdomain"]
	want["secrets[*]"] = []string{"key", "sops_file"}
	delete(want, "subdomain")
	delete(want, "timeouts")

	file, diags := hclparse.NewParser().ParseHCLFile(filepath.Join("worker", "members.tf"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	content, _, diags := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "locals"}}})
	if diags.HasErrors() || len(content.Blocks) != 1 {
		t.Fatal("members.tf does not have its locals")
	}
	locals, _ := content.Blocks[0].Body.JustAttributes()
	value, diags := locals["members"].Expr.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got := map[string][]string{}
	for at, names := range value.AsValueMap() {
		for _, name := range names.AsValueSlice() {
			got[at] = append(got[at], name.AsString())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members.tf (-what the resources have +what it has):\n%s", diff)
	}
}
