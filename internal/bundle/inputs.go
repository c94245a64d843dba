// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
)

// inputs collects what a bundle is made from while esbuild reads it, and gives
// it names that do not depend on the machine.
type inputs struct {
	root string // of the project: absolute, no symbolic links

	mu       sync.Mutex
	files    map[string]input    // by absolute path
	builtins map[string]struct{} // Node.js modules imported without "node:"

	manifests map[string]*manifest // by directory; used after esbuild has ended
}

type input struct {
	sha256 string
	stamp  stamp
}

func newInputs(root string) *inputs {
	return &inputs{root: root, files: map[string]input{}, builtins: map[string]struct{}{}, manifests: map[string]*manifest{}}
}

// load reads a file and records what was read.
func (in *inputs) load(path string) ([]byte, error) {
	data, sum, s, err := readFile(path)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.files[path] = input{sha256: sum, stamp: s}
	return data, nil
}

func (in *inputs) builtin(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.builtins[name] = struct{}{}
}

func (in *inputs) builtinNames() []string {
	var names []string
	for name := range in.builtins {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// stamps describes everything that decides what esbuild reads: the files, the
// package.json files, and the project's directories, in which a new file could
// take precedence.
func (in *inputs) stamps() []stamp {
	var stamps []stamp
	dirs := map[string]struct{}{in.root: {}, filepath.Join(in.root, "node_modules"): {}}
	for path, f := range in.files {
		stamps = append(stamps, f.stamp)
		if isInNodeModules(path) {
			continue
		}
		for dir := filepath.Dir(path); within(in.root, dir); dir = filepath.Dir(dir) {
			dirs[dir] = struct{}{}
		}
		dirs[filepath.Dir(path)] = struct{}{} // outside of the project
	}
	for _, m := range in.manifests {
		if m != nil {
			stamps = append(stamps, m.stamp)
		}
	}
	for dir := range dirs {
		stamps = append(stamps, pathStamp(dir))
	}
	return stamps
}

// names is the identity of all inputs by name. tsconfig is the file that is used
// for every source, or empty for the one nearest to each.
func (in *inputs) names(tsconfig string) (map[string]string, error) {
	if err := in.addConfiguration(tsconfig); err != nil {
		return nil, err
	}
	names := map[string]string{}
	parts := map[string][]string{} // of npm packages and of names that two files share
	for path, f := range in.files {
		at := in.place(path)
		name := at.name
		if at.pkg != "" {
			name = at.pkg
		}
		names[name] = f.sha256
		parts[name] = append(parts[name], at.name+"\x00"+f.sha256)
	}
	for name, list := range parts {
		// Two copies of one version, as npm nests them, are one.
		slices.Sort(list)
		list = slices.Compact(list)
		if len(list) == 1 && !strings.HasPrefix(name, npmPrefix) {
			continue
		}
		h := sha256.New()
		for _, part := range list {
			fmt.Fprintf(h, "%s\n", part)
		}
		names[name] = hex.EncodeToString(h.Sum(nil))
	}
	return names, nil
}

// npmPrefix begins the name of an installed package, workspacePrefix that of a
// file of another package of the workspace.
const (
	npmPrefix       = "npm:"
	workspacePrefix = "workspace:"
)

// location is a file's name: within an npm package if pkg is set, else within
// the project.
type location struct{ pkg, name string }

func (in *inputs) place(path string) location {
	slashed := filepath.ToSlash(path)
	if i := strings.LastIndex(slashed, "/node_modules/"); i >= 0 {
		rest := slashed[i+len("/node_modules/"):]
		name, file, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(name, "@") {
			var scoped string
			scoped, file, _ = strings.Cut(file, "/")
			name += "/" + scoped
		}
		dir := filepath.FromSlash(slashed[:i+len("/node_modules/")] + name)
		return location{pkg: npmPrefix + name + "@" + in.manifest(dir).version(), name: file}
	}
	if rel, err := filepath.Rel(in.root, path); err == nil && !strings.HasPrefix(rel, "..") {
		return location{name: filepath.ToSlash(rel)}
	}
	// Outside of the project: another package of the workspace, or one linked in
	// from anywhere. Where it lies on this machine means nothing.
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if within(dir, in.root) {
			break
		}
		if m := in.manifest(dir); m != nil && m.Name != "" {
			rel, err := filepath.Rel(dir, path)
			if err == nil {
				return location{name: workspacePrefix + m.Name + "/" + filepath.ToSlash(rel)}
			}
		}
		if filepath.Dir(dir) == dir {
			break
		}
	}
	if rel, err := filepath.Rel(in.root, path); err == nil {
		return location{name: filepath.ToSlash(rel)}
	}
	return location{name: slashed}
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// manifest is what esbuild heeds in a package.json. Members keep their text:
// the order of conditions in "exports" has a meaning.
type manifest struct {
	Name        string          `json:"name,omitempty"`
	Version     string          `json:"version,omitempty"`
	Type        json.RawMessage `json:"type,omitempty"`
	Main        json.RawMessage `json:"main,omitempty"`
	Module      json.RawMessage `json:"module,omitempty"`
	Browser     json.RawMessage `json:"browser,omitempty"`
	Exports     json.RawMessage `json:"exports,omitempty"`
	Imports     json.RawMessage `json:"imports,omitempty"`
	SideEffects json.RawMessage `json:"sideEffects,omitempty"`

	stamp stamp
}

func (m *manifest) version() string {
	if m == nil || m.Version == "" {
		return "0.0.0"
	}
	return m.Version
}

// digest is over what esbuild heeds, without the version: it is part of the name
// of a package, and of no consequence in the project's own. Empty if there is
// nothing.
func (m *manifest) digest() string {
	heeded := *m
	heeded.Version = ""
	if heeded.Exports == nil {
		heeded.Name = "" // only a package with exports can import itself by name
	}
	text, err := json.Marshal(heeded) // compacts the raw members
	if err != nil || string(text) == "{}" {
		return ""
	}
	return hashBytes(text)
}

// manifest is the package.json in dir, or nil. An unreadable one is esbuild's to
// complain about.
func (in *inputs) manifest(dir string) *manifest {
	if m, ok := in.manifests[dir]; ok {
		return m
	}
	in.manifests[dir] = nil
	data, _, s, err := readFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return nil
	}
	var m manifest
	if json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &m) != nil {
		return nil
	}
	m.stamp = s
	in.manifests[dir] = &m
	return &m
}

// addConfiguration adds the package.json and tsconfig.json files that esbuild
// looked at besides the sources.
func (in *inputs) addConfiguration(tsconfig string) error {
	dirs := map[string]struct{}{}
	for path := range in.files {
		dirs[filepath.Dir(path)] = struct{}{}
	}
	configs := map[string]struct{}{}
	if tsconfig != "" {
		configs[tsconfig] = struct{}{}
	}
	for dir := range dirs {
		if m, at := in.enclosingManifest(dir); m != nil {
			if sum := m.digest(); sum != "" {
				in.files[filepath.Join(at, "package.json")] = input{sha256: sum, stamp: m.stamp}
			}
		}
		if tsconfig == "" && !isInNodeModules(dir+string(filepath.Separator)) {
			if path := enclosingTsconfig(dir); path != "" {
				configs[path] = struct{}{}
			}
		}
	}
	seen := map[string]struct{}{}
	for path := range configs {
		if err := in.addTsconfig(path, seen); err != nil {
			return err
		}
	}
	return nil
}

// enclosingManifest is the package.json that governs dir and where it lies.
func (in *inputs) enclosingManifest(dir string) (*manifest, string) {
	for d := dir; ; d = filepath.Dir(d) {
		if m := in.manifest(d); m != nil {
			return m, d
		}
		if filepath.Base(d) == "node_modules" || filepath.Dir(d) == d {
			return nil, ""
		}
	}
}

// enclosingTsconfig is the configuration that esbuild uses for files in dir.
func enclosingTsconfig(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		for _, name := range []string{"tsconfig.json", "jsconfig.json"} {
			if path := filepath.Join(d, name); isFile(path) {
				return path
			}
		}
		if filepath.Dir(d) == d {
			return ""
		}
	}
}
