// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// esbuild bundles the project, with the settings of wrangler 4, and records what
// it read in in. It answers with the modules, the main one first.
func (p Project) esbuild(ctx context.Context, entry, root string, in *inputs) (modules []Module, main string, warnings []Problem, err error) {
	stem := strings.TrimSuffix(filepath.Base(entry), filepath.Ext(entry))
	main = stem + ".js"
	plugin := &plugin{project: p, root: root, in: in}
	build, failed := api.Context(p.options(entry, root, stem, plugin))
	if failed != nil {
		return nil, "", nil, buildError(root, failed.Errors)
	}
	defer build.Dispose()
	stop := context.AfterFunc(ctx, build.Cancel)
	result := build.Rebuild()
	stop()
	if err := ctx.Err(); err != nil {
		return nil, "", nil, err
	}
	if plugin.err != nil {
		return nil, "", nil, plugin.err
	}
	if len(result.Errors) > 0 {
		return nil, "", nil, buildError(root, result.Errors)
	}
	for _, file := range result.OutputFiles {
		name := filepath.Base(file.Path)
		contentType := typeESModule
		if strings.HasSuffix(name, ".map") {
			contentType = typeSourceMap
		}
		modules = append(modules, memoryModule(name, contentType, file.Contents))
	}
	modules = append(modules, plugin.collected()...)
	sortModules(modules, main)
	return modules, main, problems(root, result.Warnings), nil
}

func (p Project) options(entry, root, stem string, plugin *plugin) api.BuildOptions {
	define := map[string]string{
		// Not taken from the environment: the same sources must give the same
		// version from a laptop and from CI.
		"process.env.NODE_ENV": `"production"`,
		"navigator.userAgent":  `"Cloudflare-Workers"`,
	}
	for name, expression := range p.Define {
		define[name] = expression
	}
	options := api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{{InputPath: entry, OutputPath: stem}},
		AbsWorkingDir:       root,
		Outdir:              root, // nothing is written; makes paths in source maps relative to the project
		AllowOverwrite:      true, // of the entrypoint by an output of the same name, which is not written
		Bundle:              true,
		Format:              api.FormatESModule,
		Platform:            api.PlatformBrowser,
		Conditions:          []string{"workerd", "worker", "browser"},
		Target:              api.ES2024,
		KeepNames:           true,
		Loader:              map[string]api.Loader{".js": api.LoaderJSX, ".mjs": api.LoaderJSX, ".cjs": api.LoaderJSX},
		MinifyWhitespace:    p.Minify,
		MinifyIdentifiers:   p.Minify,
		MinifySyntax:        p.Minify,
		Define:              define,
		External:            append([]string{"__STATIC_CONTENT_MANIFEST"}, p.External...),
		Alias:               p.Alias,
		LogLevel:            api.LogLevelSilent,
		Plugins:             []api.Plugin{plugin.api()},
	}
	if p.Sourcemap {
		options.Sourcemap = api.SourceMapLinked
	}
	if p.Tsconfig != "" {
		options.Tsconfig, _ = filepath.Abs(p.Tsconfig) // locate has found it
	}
	return options
}

func buildError(root string, messages []api.Message) error {
	return &BuildError{Root: root, Problems: problems(root, messages)}
}

func problems(root string, messages []api.Message) []Problem {
	var out []Problem
	for _, m := range messages {
		p := Problem{Text: m.Text}
		if at := m.Location; at != nil {
			p.File, p.Line, p.Column, p.Source = filepath.ToSlash(at.File), at.Line, at.Column+1, at.LineText
		}
		if name, ok := unresolved(m.Text); ok {
			p.Remedy = unresolvedRemedy(root, p.File, name)
		}
		for _, note := range m.Notes {
			// esbuild's notes for unresolved imports advise flags of its command line.
			if p.Remedy == "" && note.Location == nil && note.Text != "" {
				p.Remedy = note.Text
			}
		}
		out = append(out, p)
	}
	return out
}

// unresolved finds the import in esbuild's message, which has no other mark.
func unresolved(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, `Could not resolve "`)
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, `"`)
	return name, ok
}

func unresolvedRemedy(root, importer, name string) string {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") {
		return "there is no such file: correct the path, or generate the file before terraform plan runs"
	}
	if isBuiltin(name) {
		return `this is a module of Node.js: add "nodejs_compat" to compatibility_flags`
	}
	dir := root
	if importer != "" {
		dir = filepath.Dir(filepath.Join(root, filepath.FromSlash(importer)))
	}
	if !hasNodeModules(dir) {
		return "there is no node_modules directory: " + installRemedy
	}
	return "no such package is installed: add it to package.json and install it, correct the name, or list it in external if the runtime has it"
}

func hasNodeModules(dir string) bool {
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, "node_modules")); err == nil && info.IsDir() {
			return true
		}
		if filepath.Dir(d) == d {
			return false
		}
	}
}

// unreadable turns a failed read into an error that says what to do.
func unreadable(path string, err error) error {
	if strings.Contains(filepath.ToSlash(path), ".zip/") {
		return &InputError{Option: "entrypoint", Text: path + " lies in an archive of Yarn Plug'n'Play",
			Remedy: `set "nodeLinker: node-modules" in .yarnrc.yml, or bundle elsewhere and use prebuilt`}
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("reading %s: %w", path, err)
}
