// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Project is TypeScript or JavaScript that esbuild bundles, starting at one
// module.
type Project struct {
	Entrypoint string // path of the module that exports the handlers; relative to the working directory

	Minify    bool
	Sourcemap bool              // upload a source map beside the main module
	Define    map[string]string // identifier -> JavaScript expression
	External  []string          // imports left alone; order has no meaning
	Alias     map[string]string // import -> import
	Tsconfig  string            // path; empty: the tsconfig.json nearest to each file

	// NodeBuiltins says that the Worker has a compatibility flag with which "fs"
	// means "node:fs". Without it an npm package of that name is used.
	NodeBuiltins bool
}

// remedies for code that is not there because nothing has installed or built it.
const installRemedy = "install the packages before terraform plan runs (npm ci; on HCP Terraform as a pre-plan hook of the agent, " +
	"whose checkout has no node_modules), or bundle elsewhere and use prebuilt"

func (p Project) key() string {
	abs, _ := filepath.Abs(p.Entrypoint) // fails only without a working directory, and then every read does
	tsconfig := p.Tsconfig
	if tsconfig != "" {
		tsconfig, _ = filepath.Abs(tsconfig)
	}
	return keyOf("project", p.canonicalOptions(nil), p.NodeBuiltins, abs, tsconfig)
}

// canonicalOptions are the options as they enter the identity. The entrypoint is
// not among them, it is added by its name; nor is tsconfig, of which the content
// counts. An alias for a file by absolute path is named like an input.
func (p Project) canonicalOptions(in *inputs) projectOptions {
	external := append([]string(nil), p.External...)
	sort.Strings(external)
	alias := map[string]string{}
	for from, to := range p.Alias {
		if real, err := realPath(to); err == nil && filepath.IsAbs(to) && in != nil {
			at := in.place(real)
			to = "file:" + at.pkg + "/" + at.name
		}
		alias[from] = to
	}
	return projectOptions{
		Minify: p.Minify, Sourcemap: p.Sourcemap,
		Define: p.Define, External: external, Alias: alias,
	}
}

// projectOptions is marshalled into the identity: MUST NOT change within "hb1".
type projectOptions struct {
	Minify    bool              `json:"minify"`
	Sourcemap bool              `json:"sourcemap"`
	Define    map[string]string `json:"define,omitempty"`
	External  []string          `json:"external,omitempty"`
	Alias     map[string]string `json:"alias,omitempty"`
}

func (p Project) inspect(ctx context.Context, _ *Bundler) (*Code, []stamp, error) {
	out, inputs, err := p.run(ctx)
	if err != nil {
		return nil, nil, err
	}
	return out.Code, inputs.stamps(), nil
}

func (p Project) build(ctx context.Context, _ *Bundler) (*Bundle, error) {
	out, _, err := p.run(ctx)
	return out, err
}

// run bundles the project and identifies it by exactly the bytes that esbuild
// was given.
func (p Project) run(ctx context.Context) (*Bundle, *inputs, error) {
	entry, root, err := p.locate()
	if err != nil {
		return nil, nil, err
	}
	in := newInputs(root)
	modules, main, warnings, err := p.esbuild(ctx, entry, root, in)
	if err != nil {
		return nil, nil, err
	}
	if err := checkLimits(ctx, modules); err != nil {
		return nil, nil, err
	}
	tsconfig := ""
	if p.Tsconfig != "" {
		tsconfig, err = realPath(p.Tsconfig)
		if err != nil {
			return nil, nil, missingTsconfig(p.Tsconfig)
		}
	}
	names, err := in.names(tsconfig)
	if err != nil {
		return nil, nil, err
	}
	code := &Code{
		Modules:  names,
		Bundler:  bundlerVersion(),
		Builtins: in.builtinNames(),
		Warnings: warnings,
	}
	code.SHA256 = codeDigest("project", in.place(entry).name, p.canonicalOptions(in), names)
	return &Bundle{Code: code, Main: main, Modules: modules, Size: sizeOf(modules)}, in, nil
}

// locate finds the entrypoint and the project it belongs to. Both paths are
// absolute and free of symbolic links.
func (p Project) locate() (entry, root string, err error) {
	entry, err = realPath(p.Entrypoint)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(entry); err == nil && info.IsDir() {
			return "", "", &InputError{Option: "entrypoint", Text: p.Entrypoint + " is a directory",
				Remedy: "name the module that exports the handlers, e.g. " + filepath.ToSlash(filepath.Join(p.Entrypoint, "src/index.ts"))}
		}
	}
	if err != nil {
		return "", "", &InputError{Option: "entrypoint", Text: "there is no file " + p.Entrypoint,
			Remedy: "correct the path (it is relative to the directory Terraform runs in: begin it with ${path.module}); if a build step generates the file, " +
				"run that before terraform plan (on HCP Terraform as a pre-plan hook of the agent), or use prebuilt with what it generates"}
	}
	if p.Tsconfig != "" {
		if info, err := os.Stat(p.Tsconfig); err != nil || info.IsDir() {
			return "", "", missingTsconfig(p.Tsconfig)
		}
	}
	return entry, projectRoot(filepath.Dir(entry)), nil
}

func missingTsconfig(path string) error {
	return &InputError{Option: "tsconfig", Text: "there is no file " + path,
		Remedy: "correct the path, or leave tsconfig out to use the tsconfig.json nearest to each file"}
}

// projectRoot is the nearest directory upwards with a package.json, but none
// beyond the repository; without one it is dir itself.
func projectRoot(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if isFile(filepath.Join(d, "package.json")) {
			return d
		}
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil || filepath.Dir(d) == d {
			return dir
		}
	}
}

// realPath is the absolute path without symbolic links. It fails if there is
// nothing at path.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// keyOf joins parts so that different parts give different keys.
func keyOf(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil {
		// Strings, bools and maps of these always marshal.
		panic(err)
	}
	return string(b)
}

// isInNodeModules tells files of installed packages from those of the project.
func isInNodeModules(path string) bool {
	return strings.Contains(filepath.ToSlash(path), "/node_modules/")
}
