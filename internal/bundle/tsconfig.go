// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"encoding/json"
	"path/filepath"

	"github.com/tailscale/hujson"
)

// tsconfigKeys are the compiler options that esbuild 0.28 heeds. The others
// ("types", "lib", "include", ...) concern the type checker, which does not run:
// a change to them makes no new version.
var tsconfigKeys = []string{
	"alwaysStrict", "baseUrl", "experimentalDecorators", "importsNotUsedAsValues",
	"jsx", "jsxFactory", "jsxFragmentFactory", "jsxImportSource", "paths",
	"preserveValueImports", "strict", "target", "useDefineForClassFields", "verbatimModuleSyntax",
}

// addTsconfig adds a configuration and those it extends.
func (in *inputs) addTsconfig(path string, seen map[string]struct{}) error {
	if _, ok := seen[path]; ok {
		return nil
	}
	seen[path] = struct{}{}
	data, sum, s, err := readFile(path)
	if err != nil {
		return err
	}
	heeded, extends, ok := heededTsconfig(data)
	if ok {
		sum = hashBytes(heeded)
	}
	in.files[path] = input{sha256: sum, stamp: s}
	for _, base := range extends {
		if at := findTsconfigBase(filepath.Dir(path), base); at != "" {
			if err := in.addTsconfig(at, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// heededTsconfig reduces a tsconfig.json (with comments and trailing commas) to
// what esbuild heeds. It gives up on text that it does not understand.
func heededTsconfig(data []byte) (heeded []byte, extends []string, ok bool) {
	standard, err := hujson.Standardize(data)
	if err != nil {
		return nil, nil, false
	}
	var file struct {
		Extends         json.RawMessage            `json:"extends"`
		CompilerOptions map[string]json.RawMessage `json:"compilerOptions"`
	}
	if err := json.Unmarshal(standard, &file); err != nil {
		return nil, nil, false
	}
	var one string
	if json.Unmarshal(file.Extends, &one) == nil && one != "" {
		extends = []string{one}
	} else {
		_ = json.Unmarshal(file.Extends, &extends) // absent, or esbuild warns about it
	}
	kept := map[string]json.RawMessage{}
	for _, key := range tsconfigKeys {
		if value, ok := file.CompilerOptions[key]; ok {
			kept[key] = value
		}
	}
	heeded, err = json.Marshal(map[string]any{"extends": extends, "compilerOptions": kept})
	return heeded, extends, err == nil
}

// findTsconfigBase finds the file that "extends" names, or "". It knows the ways
// that are in use; esbuild warns about a base that it does not find.
func findTsconfigBase(dir, base string) string {
	relative := base == "." || base == ".." || filepath.IsAbs(base) ||
		len(base) > 1 && (base[:2] == "./" || len(base) > 2 && base[:3] == "../")
	if relative {
		if !filepath.IsAbs(base) {
			base = filepath.Join(dir, filepath.FromSlash(base))
		}
		return firstFile(base, base+".json", filepath.Join(base, "tsconfig.json"))
	}
	for d := dir; ; d = filepath.Dir(d) {
		at := filepath.Join(d, "node_modules", filepath.FromSlash(base))
		if found := firstFile(filepath.Join(at, "tsconfig.json"), at, at+".json"); found != "" {
			return found
		}
		if filepath.Dir(d) == d {
			return ""
		}
	}
}

// firstFile is the first of the paths at which there is a file, without
// symbolic links, or "".
func firstFile(paths ...string) string {
	for _, path := range paths {
		if !isFile(path) {
			continue
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
	}
	return ""
}
