// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"path/filepath"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

// plugin connects esbuild with this package: files are read through inputs,
// modules that are not JavaScript are kept apart, the runtime's own modules are
// left alone.
type plugin struct {
	project Project
	root    string
	in      *inputs

	mu      sync.Mutex
	modules map[string]Module // by name
	err     error             // the first that is no fault of the sources
}

// hashedPrefix is how many hex digits of its content's hash the name of a
// separate module starts with. As with wrangler the name says the content; 64
// bits suffice to tell modules of one version apart.
const hashedPrefix = 16

// resolving marks our own question to esbuild's resolver, so that it is not
// answered by us again.
type resolving struct{}

const nodeRequire = "node-require"

func (p *plugin) api() api.Plugin {
	p.modules = map[string]Module{}
	return api.Plugin{Name: "hybridge", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `^(node|cloudflare|workerd):`}, p.resolveRuntime)
		build.OnResolve(api.OnResolveOptions{Filter: builtinFilter}, p.resolveBuiltin)
		build.OnResolve(api.OnResolveOptions{Filter: `\.(wasm|wasm\?module|txt|html|sql|bin)$`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			return p.resolveModule(build, args)
		})
		build.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: nodeRequire}, loadRequired)
		build.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: "file"}, p.loadFile)
	}}
}

// resolveRuntime leaves what the runtime has to the runtime.
func (p *plugin) resolveRuntime(args api.OnResolveArgs) (api.OnResolveResult, error) {
	if _, aliased := p.project.Alias[args.Path]; aliased {
		return api.OnResolveResult{}, nil
	}
	if args.Kind == api.ResolveJSRequireCall {
		// An ES module has no require: import it and hand that over.
		return api.OnResolveResult{Path: args.Path, Namespace: nodeRequire}, nil
	}
	return api.OnResolveResult{Path: args.Path, External: true}, nil
}

func loadRequired(args api.OnLoadArgs) (api.OnLoadResult, error) {
	contents := "import * as all from " + quoted(args.Path) + ";\nmodule.exports = all.default ?? all;\n"
	return api.OnLoadResult{Contents: &contents, Loader: api.LoaderJS}, nil
}

// resolveBuiltin decides what "fs" means: with nodejs_compat the runtime's
// module; without it the npm package of that name, if one is installed.
func (p *plugin) resolveBuiltin(args api.OnResolveArgs) (api.OnResolveResult, error) {
	if _, ours := args.PluginData.(resolving); ours || !p.project.NodeBuiltins {
		return api.OnResolveResult{}, nil
	}
	if _, aliased := p.project.Alias[args.Path]; aliased {
		return api.OnResolveResult{}, nil
	}
	p.in.builtin(args.Path)
	args.Path = "node:" + args.Path
	return p.resolveRuntime(args)
}

// resolveModule keeps a WebAssembly, text or data file out of the bundle, as a
// module of its own that the bundle imports.
func (p *plugin) resolveModule(build api.PluginBuild, args api.OnResolveArgs) (api.OnResolveResult, error) {
	if _, ours := args.PluginData.(resolving); ours || args.Kind == api.ResolveEntryPoint {
		return api.OnResolveResult{}, nil
	}
	found := build.Resolve(strings.TrimSuffix(args.Path, "?module"), api.ResolveOptions{
		Importer: args.Importer, Namespace: args.Namespace, ResolveDir: args.ResolveDir,
		Kind: args.Kind, PluginData: resolving{},
	})
	if len(found.Errors) > 0 || found.External || found.Namespace != "file" {
		// esbuild asks again, without us, and says what it thinks of it.
		if strings.HasSuffix(args.Path, "?module") {
			return api.OnResolveResult{Errors: found.Errors, Path: found.Path, External: found.External, Namespace: found.Namespace}, nil
		}
		return api.OnResolveResult{}, nil
	}
	data, err := p.in.load(found.Path)
	if err != nil {
		return api.OnResolveResult{}, p.fail(unreadable(found.Path, err))
	}
	module := memoryModule("", typesByExtension[extension(filepath.Base(found.Path))], data)
	module.Name = module.SHA256[:hashedPrefix] + "-" + filepath.Base(found.Path)
	p.mu.Lock()
	p.modules[module.Name] = module
	p.mu.Unlock()
	return api.OnResolveResult{Path: "./" + module.Name, External: true}, nil
}

// loadFile gives esbuild the bytes that are hashed.
func (p *plugin) loadFile(args api.OnLoadArgs) (api.OnLoadResult, error) {
	data, err := p.in.load(args.Path)
	if err != nil {
		return api.OnLoadResult{}, p.fail(unreadable(args.Path, err))
	}
	contents := string(data)
	loader := api.LoaderDefault
	switch args.With["type"] {
	case "json":
		loader = api.LoaderJSON
	case "text":
		loader = api.LoaderText
	case "bytes":
		loader = api.LoaderBinary
	}
	return api.OnLoadResult{Contents: &contents, Loader: loader, ResolveDir: filepath.Dir(args.Path)}, nil
}

func (p *plugin) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	return err
}

func (p *plugin) collected() []Module {
	modules := make([]Module, 0, len(p.modules))
	for _, m := range p.modules {
		modules = append(modules, m)
	}
	return modules
}

// quoted is s as a JavaScript string. JSON's form is one.
func quoted(s string) string { return string(marshal(s)) }
