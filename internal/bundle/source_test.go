// SPDX-License-Identifier: MPL-2.0

package bundle_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
)

var built = map[string]string{
	"index.js":            "export default {}",
	"index.js.map":        "{}",
	"README.md":           "This folder contains the built output assets",
	"lib/a.mjs":           "export const a = 1",
	"lib/old.cjs":         "module.exports = 1",
	"mod.wasm":            "\x00asm\x01\x00\x00\x00",
	"page.html":           "<p>",
	"query.sql":           "SELECT 1",
	"blob.bin":            "\x00",
	"data.json":           "{}",
	"notes.unknown":       "x",
	"nested/deep/file.js": "export {}",
}

func TestDirectoryTakesEveryModuleByExtension(t *testing.T) {
	t.Parallel()
	out := build(t, bundle.Directory{Path: tree(t, built), Main: "index.js"})
	got := map[string]string{}
	for _, m := range out.Modules {
		got[m.Name] = m.ContentType
		if text(t, m) != built[m.Name] {
			t.Errorf("%s has other content", m.Name)
		}
	}
	want := map[string]string{
		"index.js": "application/javascript+module", "lib/a.mjs": "application/javascript+module",
		"nested/deep/file.js": "application/javascript+module", "lib/old.cjs": "application/javascript",
		"mod.wasm": "application/wasm", "page.html": "text/plain", "query.sql": "text/plain",
		"blob.bin": "application/octet-stream", "data.json": "application/json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if out.Modules[0].Name != "index.js" || out.Main != "index.js" {
		t.Errorf("main module is %s and first is %s", out.Main, out.Modules[0].Name)
	}
}

func TestDirectoryGlobsSelectModules(t *testing.T) {
	t.Parallel()
	dir := tree(t, built)
	for name, tc := range map[string]struct {
		src  bundle.Directory
		want []string
	}{
		"include":             {bundle.Directory{Include: []string{"*.js", "lib/**"}}, []string{"index.js", "lib/a.mjs", "lib/old.cjs"}},
		"exclude":             {bundle.Directory{Exclude: []string{"{lib,nested}/**", "*.{wasm,html,sql,bin,json}"}}, []string{"index.js"}},
		"both":                {bundle.Directory{Include: []string{"**/*.{js,mjs}"}, Exclude: []string{"nested/**"}}, []string{"index.js", "lib/a.mjs"}},
		"source map included": {bundle.Directory{Include: []string{"index.*"}}, []string{"index.js", "index.js.map"}},
		"main with dot slash": {bundle.Directory{Main: "./index.js", Include: []string{"*.js"}}, []string{"index.js"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.src.Path = dir
			if tc.src.Main == "" {
				tc.src.Main = "index.js"
			}
			if diff := cmp.Diff(tc.want, names(inspect(t, tc.src))); diff != "" {
				t.Errorf("modules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDirectoryRefusesWhatItCannotUpload(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(tree(t, map[string]string{"secret.txt": "x"}), "secret.txt")
	escaping := tree(t, built)
	link(t, secret, filepath.Join(escaping, "page.txt"))
	dangling := tree(t, built)
	link(t, "nowhere.js", filepath.Join(dangling, "gone.js"))
	dirs := tree(t, built)
	link(t, "lib", filepath.Join(dirs, "linked.js"))

	for name, tc := range map[string]struct {
		src    bundle.Source
		option string
		want   string
	}{
		"no directory":     {bundle.Directory{Path: filepath.Join(escaping, "nope"), Main: "index.js"}, "directory", "pre-plan hook"},
		"a file":           {bundle.Directory{Path: secret, Main: "index.js"}, "directory", "no directory"},
		"escaping link":    {bundle.Directory{Path: escaping, Main: "index.js"}, "directory", "page.txt leads out of the directory"},
		"dangling link":    {bundle.Directory{Path: dangling, Main: "index.js"}, "directory", "gone.js leads nowhere"},
		"link to a folder": {bundle.Directory{Path: dirs, Main: "index.js"}, "directory", "linked.js leads to no file"},
		"no main":          {bundle.Directory{Path: tree(t, built), Main: "worker.js"}, "main", "index.js"},
		"unknown type":     {bundle.Directory{Path: tree(t, built), Main: "index.js", Include: []string{"*.js", "*.unknown"}}, "include", "notes.unknown"},
		"bad glob":         {bundle.Directory{Path: tree(t, built), Main: "index.js", Exclude: []string{"[a"}}, "exclude", `"[a"`},
		"empty script":     {bundle.Script{Text: " \n"}, "script", "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.NewBundler().Inspect(t.Context(), tc.src)
			var ie *bundle.InputError
			if !errors.As(err, &ie) || ie.Option != tc.option || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v; want an error about %s that says %q", err, tc.option, tc.want)
			}
		})
	}
}

func TestDirectoryFollowsLinksThatStayInside(t *testing.T) {
	t.Parallel()
	dir := tree(t, built)
	link(t, "a.mjs", filepath.Join(dir, "lib/b.mjs"))
	out := build(t, bundle.Directory{Path: dir, Main: "index.js"})
	for _, m := range out.Modules {
		if m.Name == "lib/b.mjs" {
			if text(t, m) != built["lib/a.mjs"] {
				t.Error("the link has other content than its target")
			}
			return
		}
	}
	t.Error("the link is missing")
}

func TestScriptIsOneModule(t *testing.T) {
	t.Parallel()
	out := build(t, bundle.Script{Text: "export default {}"})
	if len(out.Modules) != 1 || out.Main != "index.js" || text(t, out.Modules[0]) != "export default {}" {
		t.Errorf("got %+v", out)
	}
	if out.Code.SHA256 != inspect(t, bundle.Directory{Path: tree(t, map[string]string{"index.js": "export default {}"}), Main: "index.js"}).SHA256 {
		t.Error("the same module from a directory has another identity")
	}
}

func TestBuildRefusesSourcesThatWereNotPlanned(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files map[string]string
		src   func(dir string) bundle.Source
	}{
		"project":   {app, func(dir string) bundle.Source { return entry(dir) }},
		"directory": {map[string]string{"index.js": "x", "src/conf.json": "y"}, func(dir string) bundle.Source { return bundle.Directory{Path: dir, Main: "index.js"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, tc.files)
			b := bundle.NewBundler()
			planned, err := b.Inspect(t.Context(), tc.src(dir))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "src/conf.json"), `{"name":"moon!"}`)
			_, err = b.Build(t.Context(), tc.src(dir), planned)
			var changed *bundle.ChangedError
			if !errors.As(err, &changed) {
				t.Fatalf("got %v, want a ChangedError", err)
			}
			if diff := cmp.Diff([]string{"src/conf.json"}, changed.Names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if !strings.Contains(err.Error(), "plan again") {
				t.Errorf("%q does not say to plan again", err)
			}
		})
	}
}

func TestInspectNoticesEveryKindOfChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir string){
		"content of the same size at once": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "src/conf.json"), `{"name":"earth"}`) },
		"file of a package": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "node_modules/greet/lib/suffix.js"), "export const suffix = '?';")
		},
		"new file that takes precedence": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "src/tsconfig.json"), `{"compilerOptions":{"jsx":"react"}}`)
		},
		"package.json of the project": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "package.json"), `{"name":"app","sideEffects":false}`)
		},
		"tsconfig": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "tsconfig.json"), `{}`) },
		"rewritten in place, size and time kept": func(t *testing.T, dir string) {
			// What a file system with coarse time stamps shows of a quick edit.
			path := filepath.Join(dir, "src/conf.json")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, `{"name":"earth"}`)
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"replaced by rename, size and time kept": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "src/conf.json")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path+".new", `{"name":"earth"}`)
			if err := os.Chtimes(path+".new", info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, app)
			b := bundle.NewBundler()
			before, err := b.Inspect(t.Context(), entry(dir))
			if err != nil {
				t.Fatal(err)
			}
			again, err := b.Inspect(t.Context(), entry(dir))
			if err != nil {
				t.Fatal(err)
			}
			if again != before {
				t.Error("unchanged sources were inspected twice")
			}
			change(t, dir)
			after, err := b.Inspect(t.Context(), entry(dir))
			if err != nil {
				t.Fatal(err)
			}
			if after.SHA256 == before.SHA256 {
				t.Error("the change was not noticed")
			}
		})
	}
}

func TestInspectRemembersNoErrors(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"package.json": "{}", "src/index.ts": "import './later'; export default {}"})
	b := bundle.NewBundler()
	if _, err := b.Inspect(t.Context(), entry(dir)); err == nil {
		t.Fatal("a missing import is no error")
	}
	write(t, filepath.Join(dir, "src/later.ts"), "export {}")
	if _, err := b.Inspect(t.Context(), entry(dir)); err != nil {
		t.Errorf("after the file was added: %v", err)
	}
}

func TestConcurrentInspectionsShareOneResult(t *testing.T) {
	t.Parallel()
	dir := tree(t, app)
	old := time.Now().Add(-time.Hour)
	for name := range app {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	b := bundle.NewBundler()
	codes := make([]*bundle.Code, 16)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() {
			code, err := b.Inspect(t.Context(), entry(dir))
			if err != nil {
				t.Error(err)
			}
			codes[i] = code
		})
	}
	wg.Wait()
	for _, code := range codes {
		if code != codes[0] {
			t.Fatal("callers got different results for the same source")
		}
	}
}

func TestTooLargeNamesTheBiggestModules(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	noise := func(n int) string {
		data := make([]byte, n)
		if _, err := random.Read(data); err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"compressed": {
			map[string]string{"index.js": "export {}", "big.bin": noise(8 << 20), "other.bin": noise(3 << 20)},
			[]string{"gzip-compressed", "limit of 10.0 MiB", "big.bin 8.0 MiB, other.bin 3.0 MiB, index.js 9 bytes"},
		},
		"uncompressed": {
			map[string]string{"index.js": "export {}", "zero.bin": strings.Repeat("\x00", 65<<20)},
			[]string{"65.0 MiB uncompressed", "limit of 64.0 MiB", "zero.bin"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.NewBundler().Inspect(t.Context(), bundle.Directory{Path: tree(t, tc.files), Main: "index.js"})
			var large *bundle.TooLargeError
			if !errors.As(err, &large) {
				t.Fatalf("got %v, want a TooLargeError", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	big := map[string]string{"index.js": "export {}", "zero.bin": strings.Repeat("\x00", 20<<20)}
	if _, err := bundle.NewBundler().Inspect(t.Context(), bundle.Directory{Path: tree(t, big), Main: "index.js"}); err != nil {
		t.Errorf("20 MiB that compress well: %v", err)
	}
}

func TestQuickstartExampleBundlesItsFramework(t *testing.T) {
	t.Parallel()
	dir := "../../examples/quickstart"
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatalf("the example's packages are not installed (%v): run make tools", err)
	}
	out := build(t, bundle.Project{Entrypoint: filepath.Join(dir, "src/index.ts")})
	var hono bool
	for _, name := range names(out.Code) {
		hono = hono || strings.HasPrefix(name, "npm:hono@4.")
	}
	if !hono || len(out.Code.Modules) < 3 {
		t.Errorf("sources are %v; want those of the example and hono", names(out.Code))
	}
	if !strings.Contains(text(t, out.Modules[0]), "Hono") {
		t.Error("the bundle does not contain the framework")
	}
}

func BenchmarkInspectQuickstart(b *testing.B) {
	src := bundle.Project{Entrypoint: "../../examples/quickstart/src/index.ts", Minify: true}
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bundle.NewBundler().Inspect(b.Context(), src); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		bundler := bundle.NewBundler()
		for b.Loop() {
			if _, err := bundler.Inspect(b.Context(), src); err != nil {
				b.Fatal(err)
			}
		}
	})
}
