// SPDX-License-Identifier: MPL-2.0

package version_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const kind = "hybridge_worker_version"

// offline is a provider whose plane does not exist: planning a version must not
// need it.
func offline(t *testing.T) *tfproto.Provider {
	t.Helper()
	p, diags := tfproto.New(t.Context(), t, provider.Server("test", func(string) string { return "" })(), tfproto.Object{
		"base_url": "http://127.0.0.1:9/client/v4", "account_id": strings.Repeat("a", 32), "api_token": strings.Repeat("t", 40),
	})
	if diags.HasError() {
		t.Fatal(diags)
	}
	return p
}

// script is the smallest configuration, with changes.
func script(more ...tfproto.Object) tfproto.Object {
	o := tfproto.Object{"worker": "api", "script": "export default {}", "compatibility_date": "2026-01-01"}
	for _, m := range more {
		maps.Copy(o, m)
	}
	return o
}

// bundled is a configuration that bundles a project.
func bundled(dir string, more ...tfproto.Object) tfproto.Object {
	return script(append([]tfproto.Object{{"script": nil, "bundle": map[string]any{"entrypoint": filepath.Join(dir, "src/index.ts")}}}, more...)...)
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"package.json": `{"name":"app"}`,
		"src/index.ts": "import { x } from './lib'; export default { fetch(): Response { return new Response(x) } }",
		"src/lib.ts":   "export const x: string = 'one'",
	})
	return dir
}

func plan(t *testing.T, config tfproto.Object) tfproto.Plan {
	t.Helper()
	planned, diags := offline(t).Plan(t.Context(), t, tfproto.State{Type: kind}, config)
	if diags.HasError() {
		t.Fatal(diags)
	}
	return planned
}

func TestDigestIsKnownInThePlanExactlyWhenAllInputsAre(t *testing.T) {
	t.Parallel()
	dir := project(t)
	for name, tc := range map[string]struct {
		config       tfproto.Object
		digest, code bool
	}{
		"all known":        {bundled(dir), true, true},
		"unknown worker":   {bundled(dir, tfproto.Object{"worker": tfproto.Unknown}), true, true},
		"unknown message":  {bundled(dir, tfproto.Object{"message": tfproto.Unknown}), true, true},
		"unknown var":      {bundled(dir, tfproto.Object{"vars": map[string]any{"A": tfproto.Unknown}}), false, true},
		"unknown vars":     {bundled(dir, tfproto.Object{"vars": tfproto.Unknown}), false, true},
		"unknown service":  {bundled(dir, tfproto.Object{"services": map[string]any{"A": map[string]any{"worker": tfproto.Unknown}}}), false, true},
		"unknown flags":    {bundled(dir, tfproto.Object{"compatibility_flags": tfproto.Unknown}), false, true},
		"unknown metadata": {bundled(dir, tfproto.Object{"version_metadata": tfproto.Unknown}), false, true},
		"unknown limits":   {bundled(dir, tfproto.Object{"limits": map[string]any{"cpu_ms": tfproto.Unknown}}), false, true},
		"unknown script":   {script(tfproto.Object{"script": tfproto.Unknown}), false, false},
		"unknown define":   {script(tfproto.Object{"script": nil, "bundle": map[string]any{"entrypoint": filepath.Join(dir, "src/index.ts"), "define": map[string]any{"A": tfproto.Unknown}}}), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			planned := plan(t, tc.config).Object
			for attribute, want := range map[string]bool{"digest": tc.digest, "code_sha256": tc.code, "modules_sha256": tc.code} {
				if got := planned[attribute] != tfproto.Unknown; got != want {
					t.Errorf("%s is known: %t, want %t", attribute, got, want)
				}
			}
			for _, attribute := range []string{"id", "number", "size", "created_on", "preview_url"} {
				if planned[attribute] != tfproto.Unknown {
					t.Errorf("%s of a new version is planned as %v", attribute, planned[attribute])
				}
			}
		})
	}
}

func TestUnknownFlagsHideCodeThatDependsOnThem(t *testing.T) {
	t.Parallel()
	dir := project(t)
	write(t, dir, map[string]string{"src/lib.ts": "import fs from 'fs'; export const x = String(fs)"})
	planned := plan(t, bundled(dir, tfproto.Object{"compatibility_flags": tfproto.Unknown})).Object
	if planned["code_sha256"] != tfproto.Unknown {
		t.Error("code_sha256 is known although which fs is meant is not")
	}
	planned = plan(t, bundled(dir, tfproto.Object{"compatibility_flags": []any{"nodejs_compat"}})).Object
	if planned["code_sha256"] == tfproto.Unknown {
		t.Error("code_sha256 is unknown although all is known")
	}
}

func TestBytesAreNotInThePlan(t *testing.T) {
	t.Parallel()
	planned := plan(t, bundled(project(t))).Object
	want := map[string]any{}
	for name := range planned["modules_sha256"].(map[string]any) {
		want[name] = true
	}
	if diff := cmp.Diff(map[string]any{"src/index.ts": true, "src/lib.ts": true}, want); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestInvalidConfigurationIsRefusedBeforeApply(t *testing.T) {
	t.Parallel()
	dir := project(t)
	broken := project(t)
	write(t, broken, map[string]string{"src/lib.ts": "export const x: = 1"})
	unresolved := project(t)
	write(t, unresolved, map[string]string{"src/lib.ts": "import { Hono } from 'hono'; export const x = Hono"})
	large := t.TempDir()
	write(t, large, map[string]string{"index.js": "export {}", "zero.bin": strings.Repeat("\x00", 65<<20)})

	for name, tc := range map[string]struct {
		config tfproto.Object
		want   []string
	}{
		"no source":           {script(tfproto.Object{"script": nil}), []string{"bundle", "prebuilt", "script"}},
		"two sources":         {bundled(dir, tfproto.Object{"script": "export default {}"}), []string{"bundle", "prebuilt", "script"}},
		"missing entrypoint":  {bundled(filepath.Join(dir, "nope")), []string{"at bundle.entrypoint", "bundle.entrypoint: there is no file", "src/index.ts", "pre-plan hook", "prebuilt"}},
		"TypeScript error":    {bundled(broken), []string{"at bundle.entrypoint", filepath.ToSlash(broken) + "/src/lib.ts:1:17", `Unexpected "="`, "export const x: = 1\n      |                 ^"}},
		"unresolved import":   {bundled(unresolved), []string{"src/lib.ts:1:22", `"hono"`, "npm ci", "pre-plan hook", "prebuilt"}},
		"over-size":           {script(tfproto.Object{"script": nil, "prebuilt": map[string]any{"directory": large, "main": "index.js"}}), []string{"at prebuilt", "65.0 MiB", "64.0 MiB", "zero.bin"}},
		"missing main":        {script(tfproto.Object{"script": nil, "prebuilt": map[string]any{"directory": dir, "main": "index.js"}}), []string{"at prebuilt.main", "index.js"}},
		"empty script":        {script(tfproto.Object{"script": " "}), []string{"at script", "empty"}},
		"date":                {script(tfproto.Object{"compatibility_date": "yesterday"}), []string{"at compatibility_date", "YYYY-MM-DD"}},
		"date in the future":  {script(tfproto.Object{"compatibility_date": "2999-01-01"}), []string{"at compatibility_date", "future"}},
		"flag":                {script(tfproto.Object{"compatibility_flags": []any{"Node JS"}}), []string{"compatibility_flags", "Node JS"}},
		"binding name":        {script(tfproto.Object{"vars": map[string]any{"A-B": "x"}}), []string{"A-B", "identifier"}},
		"JSON variable":       {script(tfproto.Object{"json_vars": map[string]any{"A": "{"}}), []string{`at json_vars["A"]`, "JSON"}},
		"raw binding":         {script(tfproto.Object{"raw_bindings": map[string]any{"A": `{"id":"x"}`}}), []string{`at raw_bindings["A"]`, "type"}},
		"raw binding list":    {script(tfproto.Object{"raw_bindings": map[string]any{"A": `[]`}}), []string{`at raw_bindings["A"]`}},
		"secret binding":      {script(tfproto.Object{"raw_bindings": map[string]any{"A": `{"type":"secret_text","text":"hunter2"}`}}), []string{`at raw_bindings["A"]`, "secret_text", "state"}},
		"two names":           {script(tfproto.Object{"raw_bindings": map[string]any{"A": `{"type":"d1","name":"B"}`}}), []string{`at raw_bindings["A"]`, `"B"`}},
		"name collision":      {script(tfproto.Object{"vars": map[string]any{"A": "x"}, "services": map[string]any{"A": map[string]any{"worker": "b"}}}), []string{`at services["A"]`, `vars["A"]`, "env.A"}},
		"metadata collision":  {script(tfproto.Object{"json_vars": map[string]any{"A": "1"}, "version_metadata": "A"}), []string{"at version_metadata", `json_vars["A"]`}},
		"null variable":       {script(tfproto.Object{"vars": map[string]any{"A": nil}}), []string{`at vars["A"]`, `vars["A"] is null`, "leave the element out"}},
		"null JSON variable":  {script(tfproto.Object{"json_vars": map[string]any{"A": nil}}), []string{`at json_vars["A"]`, "leave the element out"}},
		"null raw binding":    {script(tfproto.Object{"raw_bindings": map[string]any{"A": nil}}), []string{`at raw_bindings["A"]`, "leave the element out"}},
		"vpc collision":       {script(tfproto.Object{"vars": map[string]any{"A": "x"}, "vpc_services": map[string]any{"A": "0190a1b2-0000-4000-8000-000000000001"}}), []string{`at vpc_services["A"]`, "env.A"}},
		"no VPC service":      {script(tfproto.Object{"vpc_services": map[string]any{"A": "api"}}), []string{`vpc_services["A"]`, "hybridge_vpc_service.<name>.id"}},
		"null service":        {script(tfproto.Object{"services": map[string]any{"A": nil}}), []string{`at services["A"]`, "leave the element out"}},
		"null flag":           {script(tfproto.Object{"compatibility_flags": []any{"nodejs_compat", nil}}), []string{"at compatibility_flags", "is null", "compact("}},
		"null define":         {bundled(dir, tfproto.Object{"bundle": map[string]any{"entrypoint": "x", "define": map[string]any{"A": nil}}}), []string{`at bundle.define["A"]`, "leave the element out"}},
		"null external":       {bundled(dir, tfproto.Object{"bundle": map[string]any{"entrypoint": "x", "external": []any{nil}}}), []string{"at bundle.external", "is null"}},
		"empty limits":        {script(tfproto.Object{"limits": map[string]any{}}), []string{"at limits", "set at least one of cpu_ms, subrequests"}},
		"empty placement":     {script(tfproto.Object{"placement": map[string]any{}}), []string{"at placement", "set exactly one of mode, region, host, hostname"}},
		"two placements":      {script(tfproto.Object{"placement": map[string]any{"mode": "smart", "region": "aws:eu"}}), []string{"at placement", "mode and region", "set exactly one"}},
		"unknown plane":       {script(tfproto.Object{"plane": "paris"}), []string{"at plane", "paris"}},
		"unknown null source": {script(tfproto.Object{"script": nil, "prebuilt": map[string]any{"directory": "/nonexistent", "main": "index.js"}}), []string{"at prebuilt.directory", "/nonexistent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, diags := offline(t).Plan(t.Context(), t, tfproto.State{Type: kind}, tc.config)
			if !diags.HasError() {
				t.Fatal("the plan succeeds")
			}
			text := diags.String()
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			if n := strings.Count(text, "at raw_bindings["); n > 1 {
				t.Errorf("one mistake is reported %d times:\n%s", n, text)
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("a secret is in\n%s", text)
			}
		})
	}
}

func TestValidationLeavesTheFilesAlone(t *testing.T) {
	t.Parallel()
	// terraform validate runs in CI without node_modules and without what a build generates.
	if diags := offline(t).Validate(t.Context(), t, kind, bundled(filepath.Join(t.TempDir(), "nope"))); diags.HasError() {
		t.Error(diags)
	}
}

func TestCollisionsAreSeenBeforeValuesAreKnown(t *testing.T) {
	t.Parallel()
	diags := offline(t).Validate(t.Context(), t, kind, script(tfproto.Object{
		"vars": map[string]any{"A": tfproto.Unknown}, "json_vars": map[string]any{"A": tfproto.Unknown},
	}))
	if !strings.Contains(diags.String(), `json_vars["A"]`) {
		t.Errorf("got %q", diags)
	}
}
