// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// Directory is what another tool built, e.g. wrangler deploy --dry-run --outdir:
// every file in it is a module, named by its path.
type Directory struct {
	Path    string
	Main    string   // the module that exports the handlers
	Include []string // globs; empty: every file of a known type
	Exclude []string // globs; taken away from Include
}

// notModules are left out unless Include names them: source maps, which no
// runtime needs, and what wrangler writes for people.
var notModules = []string{"**/*.map", "README.md"}

func (d Directory) key() string {
	abs, _ := filepath.Abs(d.Path) // fails only without a working directory, and then every read does
	return keyOf("directory", abs, d.Main, d.Include, d.Exclude)
}

func (d Directory) inspect(ctx context.Context, b *Bundler) (*Code, []stamp, error) {
	out, stamps, err := d.run(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	return out.Code, stamps, nil
}

func (d Directory) build(ctx context.Context, b *Bundler) (*Bundle, error) {
	out, _, err := d.run(ctx, b)
	return out, err
}

func (d Directory) run(ctx context.Context, b *Bundler) (*Bundle, []stamp, error) {
	root, err := realPath(d.Path)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(root); err == nil && !info.IsDir() {
			return nil, nil, &InputError{Option: "directory", Text: d.Path + " is no directory", Remedy: "name the directory that the build writes"}
		}
	}
	if err != nil {
		return nil, nil, &InputError{Option: "directory", Text: "there is no directory " + d.Path,
			Remedy: "build before terraform plan runs (on HCP Terraform as a pre-plan hook of the agent), or correct the path (it is relative to the directory Terraform runs in: begin it with ${path.module})"}
	}
	names, stamps, err := d.list(ctx, root)
	if err != nil {
		return nil, nil, err
	}
	var modules []Module
	sums := map[string]string{}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		info, err := os.Stat(path)
		if err != nil {
			return nil, nil, fmt.Errorf("reading module %s: %w", name, err)
		}
		read := time.Now()
		sum, err := b.hashCached(path, info)
		if err != nil {
			return nil, nil, fmt.Errorf("reading module %s: %w", name, err)
		}
		stamps = append(stamps, fileStamp(path, info, sum, read))
		contentType := typesByExtension[extension(name)]
		if contentType == "" {
			return nil, nil, &InputError{Option: "include", Text: "module " + name + " has an extension of no known module type",
				Remedy: "rename it (.js, .mjs, .cjs, .wasm, .txt, .html, .sql, .bin, .json, .py), or exclude it"}
		}
		sums[name] = sum
		modules = append(modules, Module{Name: name, ContentType: contentType, Size: info.Size(), SHA256: sum, path: path})
	}
	main := strings.TrimPrefix(d.Main, "./")
	if _, ok := sums[main]; !ok {
		return nil, nil, d.missingMain(names)
	}
	sortModules(modules, main)
	if err := checkLimits(ctx, modules); err != nil {
		return nil, nil, err
	}
	code := &Code{SHA256: codeDigest("modules", main, nil, sums), Modules: sums}
	return &Bundle{Code: code, Main: main, Modules: modules, Size: sizeOf(modules)}, stamps, nil
}

func (d Directory) missingMain(names []string) error {
	has := "it has no modules"
	if len(names) > 0 {
		has = "it has " + listed(names)
	}
	return &InputError{Option: "main", Text: fmt.Sprintf("there is no module %s among those of %s (%s)", d.Main, d.Path, has),
		Remedy: "name one of them, or correct include and exclude"}
}

// list finds the modules, sorted. Symbolic links are followed to files only, and
// only within the directory.
func (d Directory) list(ctx context.Context, root string) (names []string, stamps []stamp, err error) {
	for option, globs := range map[string][]string{"include": d.Include, "exclude": d.Exclude} {
		for _, glob := range globs {
			if !doublestar.ValidatePattern(glob) {
				return nil, nil, &InputError{Option: option, Text: fmt.Sprintf("%q is no valid glob", glob), Remedy: "use *, **, ?, [a-z] and {a,b}"}
			}
		}
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entry.IsDir() {
			stamps = append(stamps, pathStamp(path))
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !d.selected(name) {
			return nil
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			if err := checkLink(root, path, name); err != nil {
				return err
			}
		} else if !entry.Type().IsRegular() {
			return nil
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	sort.Strings(names)
	return names, stamps, nil
}

// selected tells whether a file is a module of the version.
func (d Directory) selected(name string) bool {
	if matchAny(d.Exclude, name) {
		return false
	}
	if len(d.Include) > 0 {
		return matchAny(d.Include, name)
	}
	return !matchAny(notModules, name) && typesByExtension[extension(name)] != ""
}

func matchAny(globs []string, name string) bool {
	for _, glob := range globs {
		if doublestar.MatchUnvalidated(glob, name) {
			return true
		}
	}
	return false
}

// checkLink refuses what could upload a file from elsewhere on the machine.
func checkLink(root, path, name string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return &InputError{Option: "directory", Text: "the symbolic link " + name + " leads nowhere", Remedy: "remove it, or exclude it"}
	}
	if !within(root, target) {
		return &InputError{Option: "directory", Text: "the symbolic link " + name + " leads out of the directory", Remedy: "copy the file into the directory, or exclude the link"}
	}
	if !isFile(target) {
		return &InputError{Option: "directory", Text: "the symbolic link " + name + " leads to no file", Remedy: "copy the directory, or exclude the link"}
	}
	return nil
}
