// SPDX-License-Identifier: MPL-2.0

package bundle_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func inspect(t *testing.T, src bundle.Source) *bundle.Code {
	t.Helper()
	code, err := bundle.NewBundler().Inspect(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func build(t *testing.T, src bundle.Source) *bundle.Bundle {
	t.Helper()
	b := bundle.NewBundler()
	code, err := b.Inspect(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Build(t.Context(), src, code)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(t *testing.T, m bundle.Module) string {
	t.Helper()
	r, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func entry(dir string) bundle.Project {
	return bundle.Project{Entrypoint: filepath.Join(dir, "src/index.ts")}
}

func names(code *bundle.Code) []string { return slices.Sorted(maps.Keys(code.Modules)) }

// app is a project with a package, a JSON import and a text module.
var app = map[string]string{
	"package.json":                       `{"name":"app","version":"1.2.3","scripts":{"dev":"x"},"dependencies":{"greet":"1.0.0"}}`,
	"tsconfig.json":                      "{\n // strict\n \"compilerOptions\": {\"strict\": true, \"types\": [\"x\"],},\n}",
	"src/index.ts":                       "import { greet } from 'greet';\nimport conf from './conf.json';\nimport page from './page.html';\nexport default { fetch(): Response { return new Response(greet(conf.name) + page) } };\n",
	"src/conf.json":                      `{"name":"world"}`,
	"src/page.html":                      "<p>hi</p>",
	"node_modules/greet/package.json":    `{"name":"greet","version":"1.0.0","exports":{".":{"workerd":"./workerd.js","default":"./node.js"}}}`,
	"node_modules/greet/workerd.js":      "import {suffix} from './lib/suffix.js'; export const greet = (n) => 'workerd ' + n + suffix;",
	"node_modules/greet/lib/suffix.js":   "export const suffix = '!';",
	"node_modules/greet/node.js":         "export const greet = (n) => 'node ' + n;",
	"node_modules/unused/package.json":   `{"name":"unused","version":"1.0.0"}`,
	"node_modules/unused/index.js":       "export const x = 1",
	"node_modules/.package-lock.json":    "{}",
	"node_modules/greet/CHANGELOG.md":    "x",
	"node_modules/greet/unused.js":       "x",
	"node_modules/greet/lib/unused.d.ts": "x",
}

func TestProjectBundlesTypeScriptWithPackagesAndSeparateModules(t *testing.T) {
	t.Parallel()
	out := build(t, entry(tree(t, app)))
	if out.Main != "index.js" || len(out.Modules) != 2 {
		t.Fatalf("main %q, %d modules; want index.js and the page", out.Main, len(out.Modules))
	}
	main, page := out.Modules[0], out.Modules[1]
	code := text(t, main)
	if !strings.Contains(code, "workerd ") || strings.Contains(code, "node ") {
		t.Errorf("the workerd condition was not used:\n%s", code)
	}
	if !strings.Contains(code, `from "./`+page.Name+`"`) {
		t.Errorf("main module does not import %s:\n%s", page.Name, code)
	}
	if !strings.HasSuffix(page.Name, "-page.html") || page.ContentType != "text/plain" || text(t, page) != "<p>hi</p>" {
		t.Errorf("page is %s (%s)", page.Name, page.ContentType)
	}
	if main.ContentType != "application/javascript+module" {
		t.Errorf("main has type %s", main.ContentType)
	}
	if out.Size != main.Size+page.Size {
		t.Errorf("size %d is not the sum of the modules", out.Size)
	}
}

func TestProjectIdentityNamesFilesAndCollapsesPackages(t *testing.T) {
	t.Parallel()
	code := inspect(t, entry(tree(t, app)))
	want := []string{"npm:greet@1.0.0", "src/conf.json", "src/index.ts", "src/page.html", "tsconfig.json"}
	if diff := cmp.Diff(want, names(code)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(code.Bundler, "esbuild") { // test binaries know no versions
		t.Errorf("bundler is %q, want esbuild", code.Bundler)
	}
}

func TestIdentityIsTheSameInEveryCheckout(t *testing.T) {
	t.Parallel()
	npm := tree(t, app)
	want := inspect(t, entry(npm))

	pnpm := t.TempDir()
	store := "node_modules/.pnpm/greet@1.0.0/node_modules/greet"
	for name, content := range app {
		if rest, ok := strings.CutPrefix(name, "node_modules/greet/"); ok {
			name = store + "/" + rest
		}
		write(t, filepath.Join(pnpm, name), content)
	}
	link(t, ".pnpm/greet@1.0.0/node_modules/greet", filepath.Join(pnpm, "node_modules/greet"))

	outside := tree(t, app)
	elsewhere := filepath.Join(t.TempDir(), "cache/node_modules")
	if err := os.MkdirAll(filepath.Dir(elsewhere), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(outside, "node_modules"), elsewhere); err != nil {
		t.Fatal(err)
	}
	link(t, elsewhere, filepath.Join(outside, "node_modules"))

	linked := filepath.Join(t.TempDir(), "link")
	link(t, tree(t, app), linked)

	touched := tree(t, app)
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(touched, "src/index.ts"), old, old); err != nil {
		t.Fatal(err)
	}

	for name, dir := range map[string]string{
		"another path": tree(t, app), "pnpm": pnpm, "node_modules linked in": outside,
		"checkout behind a link": linked, "other timestamps": touched,
	} {
		if diff := cmp.Diff(want, inspect(t, entry(dir))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWorkspacePackageIsNamedByItsNameWhereverItLies(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"package.json":                  `{"name":"mono","workspaces":["apps/*","packages/*"]}`,
		"apps/api/package.json":         `{"name":"api"}`,
		"apps/api/src/index.ts":         "import {x} from '@acme/shared'; export default {fetch() {return new Response(x)}}",
		"packages/shared/package.json":  `{"name":"@acme/shared","version":"0.1.0","main":"src/shared.ts"}`,
		"packages/shared/src/shared.ts": "export const x: string = 'shared'",
	}
	mono := tree(t, files)
	link(t, "../../packages/shared", filepath.Join(mono, "node_modules/@acme/shared"))
	project := bundle.Project{Entrypoint: filepath.Join(mono, "apps/api/src/index.ts")}
	want := inspect(t, project)
	if diff := cmp.Diff([]string{"src/index.ts", "workspace:@acme/shared/package.json", "workspace:@acme/shared/src/shared.ts"}, names(want)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}

	// npm link: the same package from quite another place.
	shared := tree(t, map[string]string{
		"package.json":  files["packages/shared/package.json"],
		"src/shared.ts": files["packages/shared/src/shared.ts"],
	})
	api := tree(t, map[string]string{"package.json": files["apps/api/package.json"], "src/index.ts": files["apps/api/src/index.ts"]})
	link(t, shared, filepath.Join(api, "node_modules/@acme/shared"))
	if diff := cmp.Diff(want, inspect(t, entry(api))); diff != "" {
		t.Errorf("linked package (-want +got):\n%s", diff)
	}
}

func TestIdentityFollowsWhatMattersAndNothingElse(t *testing.T) {
	t.Parallel()
	base := inspect(t, entry(tree(t, app)))
	with := func(name, content string) *bundle.Code {
		files := maps.Clone(app)
		files[name] = content
		return inspect(t, entry(tree(t, files)))
	}
	for name, changed := range map[string]*bundle.Code{
		"source":             with("src/conf.json", `{"name":"moon"}`),
		"text module":        with("src/page.html", "<p>ho</p>"),
		"file of a package":  with("node_modules/greet/lib/suffix.js", "export const suffix = '?';"),
		"package version":    with("node_modules/greet/package.json", strings.Replace(app["node_modules/greet/package.json"], "1.0.0", "1.0.1", 1)),
		"compiler option":    with("tsconfig.json", `{"compilerOptions":{"strict":false}}`),
		"package of type":    with("package.json", `{"name":"app","sideEffects":false}`),
		"extended tsconfig":  with("tsconfig.json", `{"extends":"./base.json","compilerOptions":{"strict":true}}`),
		"nearer tsconfig":    with("src/tsconfig.json", `{"compilerOptions":{"jsxFactory":"h"}}`),
		"other conditions":   with("node_modules/greet/package.json", strings.Replace(app["node_modules/greet/package.json"], `"default"`, `"import"`, 1)),
		"shadowing resource": with("src/conf.json", `{"name":"world" }`),
	} {
		if changed.SHA256 == base.SHA256 {
			t.Errorf("%s: a change keeps the identity", name)
		}
	}
	for name, same := range map[string]*bundle.Code{
		"scripts and dependencies": with("package.json", `{"name":"app2","version":"9.9.9","devDependencies":{"vitest":"1"}}`),
		"type checker's options":   with("tsconfig.json", `{"include":["src"],"compilerOptions":{"types":["y"],"strict":true}}`),
		"file that is not used":    with("src/unused.ts", "throw 1"),
		"unused file of a package": with("node_modules/greet/unused.js", "y"),
		"package that is not used": with("node_modules/unused/index.js", "y"),
	} {
		if diff := cmp.Diff(base, same); diff != "" {
			t.Errorf("%s changes the identity (-want +got):\n%s", name, diff)
		}
	}
}

func TestExtendedTsconfigIsPartOfTheIdentity(t *testing.T) {
	t.Parallel()
	identity := func(factory string) *bundle.Code {
		files := maps.Clone(app)
		files["tsconfig.json"] = `{"extends": ["@tsconfig/worker/base", "./local"]}`
		files["local.json"] = `{"compilerOptions":{"strict":true}}`
		files["node_modules/@tsconfig/worker/package.json"] = `{"name":"@tsconfig/worker","version":"2.0.0"}`
		files["node_modules/@tsconfig/worker/base.json"] = `{"compilerOptions":{"jsxFactory":"` + factory + `"}}`
		return inspect(t, entry(tree(t, files)))
	}
	a, b := identity("h"), identity("g")
	want := []string{"local.json", "npm:@tsconfig/worker@2.0.0", "npm:greet@1.0.0", "src/conf.json", "src/index.ts", "src/page.html", "tsconfig.json"}
	if diff := cmp.Diff(want, names(a)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if a.SHA256 == b.SHA256 {
		t.Error("a change in a base configuration from npm keeps the identity")
	}
}

func TestEveryOptionIsPartOfTheIdentity(t *testing.T) {
	t.Parallel()
	files := maps.Clone(app)
	files["other.json"] = `{"compilerOptions":{"strict":true,"jsxFactory":"h"}}`
	files["src/other.ts"] = app["src/index.ts"]
	dir := tree(t, files)
	seen := map[string]string{}
	for name, change := range map[string]func(*bundle.Project){
		"none":       func(*bundle.Project) {},
		"minify":     func(p *bundle.Project) { p.Minify = true },
		"sourcemap":  func(p *bundle.Project) { p.Sourcemap = true },
		"define":     func(p *bundle.Project) { p.Define = map[string]string{"A": "1"} },
		"external":   func(p *bundle.Project) { p.External = []string{"x"} },
		"alias":      func(p *bundle.Project) { p.Alias = map[string]string{"x": "greet"} },
		"tsconfig":   func(p *bundle.Project) { p.Tsconfig = filepath.Join(dir, "other.json") },
		"entrypoint": func(p *bundle.Project) { p.Entrypoint = filepath.Join(dir, "src/other.ts") },
	} {
		p := entry(dir)
		change(&p)
		sum := inspect(t, p).SHA256
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have the same identity", name, other)
		}
		seen[sum] = name
	}
	one, two := entry(dir), entry(dir)
	one.External, two.External = []string{"a", "b"}, []string{"b", "a"}
	if inspect(t, one).SHA256 != inspect(t, two).SHA256 {
		t.Error("the order of external changes the identity")
	}
}

func TestAliasByAbsolutePathDoesNotTieTheIdentityToTheCheckout(t *testing.T) {
	t.Parallel()
	aliased := func() *bundle.Code {
		files := maps.Clone(app)
		files["src/shim.ts"] = "export const greet = (n: string) => 'shim ' + n"
		dir := tree(t, files)
		p := entry(dir)
		p.Alias = map[string]string{"greet": filepath.Join(dir, "src/shim.ts")}
		return inspect(t, p)
	}
	one, two := aliased(), aliased()
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("two checkouts differ:\n%s", diff)
	}
	if !slices.Contains(names(one), "src/shim.ts") {
		t.Errorf("the alias was not used: %v", names(one))
	}
}

func TestNodeBuiltinsComeFromTheRuntimeOnlyWithTheFlag(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"package.json":                     `{"name":"app"}`,
		"src/index.ts":                     "import events from 'events';\nimport { AsyncLocalStorage } from 'node:async_hooks';\nimport { WorkerEntrypoint } from 'cloudflare:workers';\nimport legacy from './legacy.cjs';\nexport default { fetch() { return new Response(String([events, AsyncLocalStorage, WorkerEntrypoint, legacy])) } }",
		"src/legacy.cjs":                   "const path = require('node:path'); module.exports = path.sep",
		"node_modules/events/package.json": `{"name":"events","version":"3.3.0","main":"events.js"}`,
		"node_modules/events/events.js":    "module.exports = 'from npm'",
	})
	project := entry(dir)
	npm := build(t, project)
	if got := text(t, npm.Modules[0]); !strings.Contains(got, "from npm") {
		t.Errorf("without the flag the npm package must be used:\n%s", got)
	}
	project.NodeBuiltins = true
	runtime := build(t, project)
	got := text(t, runtime.Modules[0])
	for _, want := range []string{`from "node:events"`, `from "node:async_hooks"`, `from "cloudflare:workers"`, `from "node:path"`} {
		if !strings.Contains(got, want) {
			t.Errorf("bundle lacks an import %s:\n%s", want, got)
		}
	}
	if strings.Contains(got, "from npm") || strings.Contains(got, "Dynamic require") {
		t.Errorf("bundle has the npm package or a require:\n%s", got)
	}
	shared := bundle.NewBundler()
	for _, flag := range []bool{false, true} {
		project.NodeBuiltins = flag
		code, err := shared.Inspect(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		if _, used := code.Modules["npm:events@3.3.0"]; used == flag {
			t.Errorf("one Bundler mixes up the sources with and without the flag: %v", names(code))
		}
	}
	if diff := cmp.Diff([]string{"events"}, runtime.Code.Builtins); diff != "" {
		t.Errorf("builtins (-want +got):\n%s", diff)
	}
}

func TestWasmWithAndWithoutModuleQueryIsOneSeparateModule(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"src/index.ts":                    "import a from './add.wasm'; import b from './add.wasm?module'; import d from 'pkg/data.bin';\nexport default { fetch() { return new Response(String([a, b, d])) } }",
		"src/add.wasm":                    "\x00asm\x01\x00\x00\x00",
		"node_modules/pkg/package.json":   `{"name":"pkg","version":"1.0.0","exports":{"./data.bin":"./files/data.bin"}}`,
		"node_modules/pkg/files/data.bin": "\x00\x01",
	})
	out := build(t, entry(dir))
	got := map[string]string{}
	for _, m := range out.Modules[1:] {
		_, name, _ := strings.Cut(m.Name, "-")
		got[name] = m.ContentType
	}
	want := map[string]string{"add.wasm": "application/wasm", "data.bin": "application/octet-stream"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("separate modules (-want +got):\n%s", diff)
	}
}

func TestSourcemapIsAModuleAndTellsNoPathOfTheMachine(t *testing.T) {
	t.Parallel()
	dir := tree(t, app)
	project := entry(dir)
	project.Sourcemap = true
	out := build(t, project)
	for _, m := range out.Modules {
		if strings.Contains(text(t, m), filepath.Base(dir)) {
			t.Errorf("%s names the directory of the checkout", m.Name)
		}
	}
	if m := out.Modules[len(out.Modules)-1]; m.Name != "index.js.map" || m.ContentType != "application/source-map" {
		t.Errorf("last module is %s (%s), want the source map", m.Name, m.ContentType)
	}
}

func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files  map[string]string
		want   bundle.Problem
		remedy string
	}{
		"syntax": {
			files: map[string]string{"package.json": "{}", "src/index.ts": "export default {\n\tfetch(): Response { return nw Response() }\n}"},
			want:  bundle.Problem{File: "src/index.ts", Line: 2, Column: 32, Source: "\tfetch(): Response { return nw Response() }", Text: `Expected ";" but found "Response"`},
		},
		"packages not installed": {
			files:  map[string]string{"package.json": "{}", "src/index.ts": "import { Hono } from 'hono'\nexport default new Hono()"},
			want:   bundle.Problem{File: "src/index.ts", Line: 1, Column: 22, Source: "import { Hono } from 'hono'", Text: `Could not resolve "hono"`},
			remedy: "npm ci; on HCP Terraform as a pre-plan hook",
		},
		"package unknown": {
			files:  map[string]string{"package.json": "{}", "src/index.ts": "import 'honno'", "node_modules/hono/package.json": "{}"},
			want:   bundle.Problem{File: "src/index.ts", Line: 1, Column: 8, Source: "import 'honno'", Text: `Could not resolve "honno"`},
			remedy: "add it to package.json",
		},
		"file missing": {
			files:  map[string]string{"package.json": "{}", "src/index.ts": "import './nope'"},
			want:   bundle.Problem{File: "src/index.ts", Line: 1, Column: 8, Source: "import './nope'", Text: `Could not resolve "./nope"`},
			remedy: "correct the path",
		},
		"text module missing": {
			files:  map[string]string{"package.json": "{}", "src/index.ts": "import x from './nope.txt'; export default x"},
			want:   bundle.Problem{File: "src/index.ts", Line: 1, Column: 15, Source: "import x from './nope.txt'; export default x", Text: `Could not resolve "./nope.txt"`},
			remedy: "correct the path",
		},
		"wasm module missing": {
			files:  map[string]string{"package.json": "{}", "src/index.ts": "import x from './nope.wasm?module'; export default x"},
			want:   bundle.Problem{File: "src/index.ts", Line: 1, Column: 15, Source: "import x from './nope.wasm?module'; export default x", Text: `Could not resolve "./nope.wasm"`},
			remedy: "correct the path",
		},
		"Node.js module": {
			files:  map[string]string{"package.json": "{}", "src/index.ts": "import 'fs'"},
			want:   bundle.Problem{File: "src/index.ts", Line: 1, Column: 8, Source: "import 'fs'", Text: `Could not resolve "fs"`},
			remedy: `"nodejs_compat"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.NewBundler().Inspect(t.Context(), entry(tree(t, tc.files)))
			var be *bundle.BuildError
			if !errors.As(err, &be) {
				t.Fatalf("got %v, want a BuildError", err)
			}
			got := be.Problems[0]
			if !strings.Contains(got.Remedy, tc.remedy) {
				t.Errorf("remedy %q does not say %q", got.Remedy, tc.remedy)
			}
			got.Remedy = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingEntrypointNamesTheRemedies(t *testing.T) {
	t.Parallel()
	_, err := bundle.NewBundler().Inspect(t.Context(), entry(t.TempDir()))
	var ie *bundle.InputError
	if !errors.As(err, &ie) || ie.Option != "entrypoint" {
		t.Fatalf("got %v, want an InputError about the entrypoint", err)
	}
	for _, want := range []string{"src/index.ts", "path.module", "pre-plan hook", "prebuilt"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
}

func TestExcerptMarksTheColumn(t *testing.T) {
	t.Parallel()
	p := bundle.Problem{Line: 12, Column: 4, Source: "\tab c"}
	if got, want := p.Excerpt(), "   12 | \tab c\n      | \t  ^"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
