// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

func TestValidationReportsWhatAVersionExports(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for name, c := range map[string]struct {
		source string
		want   workerd.Validation
	}{
		"handlers": {
			source: `export default { fetch() {}, async scheduled() {}, queue() {}, other() {} };`,
			want:   workerd.Validation{Handlers: []string{"fetch", "scheduled", "queue"}, Entrypoints: []string{}},
		},
		"classes and objects": {
			source: `import { WorkerEntrypoint, DurableObject } from "cloudflare:workers";
				export class Admin extends WorkerEntrypoint { fetch() {} ban() {} }
				export class Counter extends DurableObject {}
				export class Old { constructor(state) {} fetch() {} }
				export const named = { fetch() {} };
				export const limit = 3;
				export function tool() {}
				export default class extends WorkerEntrypoint { fetch() {} }`,
			want: workerd.Validation{
				Handlers: []string{"fetch"},
				NamedHandlers: map[string][]string{
					"Admin": {"class"}, "Counter": {"class"}, "Old": {"class"}, "named": {"fetch"},
				},
				Entrypoints: []string{"Admin", "named"},
			},
		},
		"RPC alone": {
			source: `import { WorkerEntrypoint } from "cloudflare:workers"; export default class extends WorkerEntrypoint { add() {} }`,
			want:   workerd.Validation{Handlers: []string{"class"}, Entrypoints: []string{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.fleet.Validate(t.Context(), workerdtest.Script(t, "v", c.source))
			if err != nil {
				t.Fatal(err)
			}
			if got.StartupTime <= 0 {
				t.Errorf("StartupTime = %v", got.StartupTime)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(workerd.Validation{}, "StartupTime"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("validation (-want +got):\n%s", diff)
			}
			if got.Entrypoints == nil {
				t.Error("Entrypoints is nil, which means not known")
			}
		})
	}
}

func TestValidationSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ok := "\nexport default { fetch() {} };"
	for name, c := range map[string]struct {
		sources map[string]string
		change  func(*workerd.Version)
		want    []string
		code    int
	}{
		"syntax": {
			sources: map[string]string{"index.js": "export default {\n  fetch() { return new Respo nse() }\n};"},
			want:    []string{"Uncaught SyntaxError: Unexpected identifier 'nse'", "at index.js:2:"},
		},
		"syntax in another module": {
			sources: map[string]string{"index.js": `import "./lib/a.js";` + ok, "lib/a.js": "\nlet x = ;"},
			want:    []string{"SyntaxError", "at lib/a.js:2:8"},
		},
		"exception": {
			sources: map[string]string{"index.js": "function f() { throw new Error('no luck'); }\nf();" + ok},
			want:    []string{"Uncaught Error: no luck", "at index.js:1:", "at index.js:2:1"},
		},
		"missing module": {
			sources: map[string]string{"index.js": `import "./nope.js";` + ok},
			want:    []string{`No such module "nope.js"`, `imported from "index.js"`},
		},
		"missing main module": {
			sources: map[string]string{"other.js": ok},
			want:    []string{`No such module "index.js"`},
		},
		"main module is no module": {
			sources: map[string]string{"index.js": ok},
			change:  func(v *workerd.Version) { v.Modules[0].Type = workerd.CommonJS },
			want:    []string{`"index.js" must be an ES module`},
		},
		"I/O in the global scope": {
			sources: map[string]string{"index.js": `await fetch("http://127.0.0.1:1/");` + ok},
			want:    []string{"Disallowed operation called within global scope", "at index.js:1:"},
		},
		"never settles": {
			sources: map[string]string{"index.js": `await new Promise(() => {});` + ok},
			want:    []string{"Top-level await in module is unsettled"},
		},
		"unknown flag": {
			sources: map[string]string{"index.js": ok},
			change:  func(v *workerd.Version) { v.CompatibilityFlags = []string{"no_such_flag"} },
			want:    []string{"No such compatibility flag: no_such_flag"},
		},
		"experimental flag": {
			sources: map[string]string{"index.js": ok},
			change:  func(v *workerd.Version) { v.CompatibilityFlags = []string{"service_binding_extra_handlers"} },
			want:    []string{"service_binding_extra_handlers is experimental", "A self-hosted plane does not run experimental features."},
		},
		"date in the future": {
			sources: map[string]string{"index.js": ok},
			change:  func(v *workerd.Version) { v.CompatibilityDate = "2999-01-01" },
			want:    []string{`compatibility date "2999-01-01"`},
		},
		"nothing exported": {
			sources: map[string]string{"index.js": "export const x = 1;"},
			want:    []string{"has no registered event handlers"},
			code:    workerd.CodeNoHandlers,
		},
		"empty default export": {
			sources: map[string]string{"index.js": "export default {};"},
			want:    []string{"has no registered event handlers"},
			code:    workerd.CodeNoHandlers,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := workerdtest.Version(t, "v", c.sources)
			if c.change != nil {
				c.change(&v)
			}
			_, err := s.fleet.Validate(t.Context(), v)
			var invalid *workerd.InvalidVersionError
			if !errors.As(err, &invalid) {
				t.Fatalf("error %v, want an InvalidVersionError", err)
			}
			for _, want := range c.want {
				if !strings.Contains(invalid.Message, want) {
					t.Errorf("message %q, want it to contain %q", invalid.Message, want)
				}
			}
			for _, never := range []string{"service main", "__hybridge", "/proc", v.Modules[0].Path, "--experimental"} {
				if strings.Contains(invalid.Message, never) {
					t.Errorf("message %q shows %q, which says nothing to an uploader", invalid.Message, never)
				}
			}
			if invalid.Code != c.code {
				t.Errorf("code %d, want %d", invalid.Code, c.code)
			}
		})
	}
}

func TestAnEndlessLoopAtStartupIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *fleet.Config) { c.Limits.ValidationCPU = 300 * time.Millisecond })
	_, err := s.fleet.Validate(t.Context(), workerdtest.Script(t, "v", "while (true) {}\nexport default { fetch() {} };"))
	var invalid *workerd.InvalidVersionError
	if !errors.As(err, &invalid) || !strings.Contains(invalid.Message, "Script startup exceeded CPU time limit") {
		t.Fatalf("error %v, want one about the CPU time limit", err)
	}
}

func TestTooMuchMemoryAtStartupIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *fleet.Config) { c.Limits.HeapMiB, c.Limits.ValidationCPU = 24, 30*time.Second })
	_, err := s.fleet.Validate(t.Context(), workerdtest.Script(t, "v", "const a = []; for (;;) a.push({ a });\nexport default { fetch() {} };"))
	var invalid *workerd.InvalidVersionError
	if !errors.As(err, &invalid) || !strings.Contains(invalid.Message, "memory limit of 24 MiB") {
		t.Fatalf("error %v, want one about the memory limit", err)
	}
}

func TestValidationHasNeitherSecretsNorNetwork(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "v", `import { env } from "cloudflare:workers";
		throw new Error("the token is " + env.TOKEN + ", the name is " + env.NAME);`,
		workerdtest.Binding("TOKEN", "secret_text", "text", "tok-123456"),
		workerdtest.Binding("NAME", "plain_text", "text", "paris"),
		workerdtest.Binding("OTHER", "service", "service", "not-deployed"))
	_, err := s.fleet.Validate(t.Context(), v)
	if err == nil || strings.Contains(err.Error(), "tok-123456") || !strings.Contains(err.Error(), "the name is paris") {
		t.Errorf("error %v, want the name but not the token", err)
	}
}

func TestServiceWorkerSyntaxRuns(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "sw", `addEventListener("fetch", (e) => e.respondWith(new Response("sw " + NAME)));`,
		workerdtest.Binding("NAME", "plain_text", "text", "paris"))
	v.MainModule = ""
	got, err := s.fleet.Validate(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fetch"}, got.Handlers); diff != "" {
		t.Error(diff)
	}
	s.deploy(v)
	s.want("sw", "/", "sw paris")
}
