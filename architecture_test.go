// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hybridge/terraform-provider-hybridge"

// listedPackage is what `go list -json` says of a package.
type listedPackage struct {
	ImportPath string
	Name       string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Name,Imports,Deps"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, &stderr)
	}
	var all []listedPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below says whether an import path is pkg or lies in it.
func below(path, pkg string) bool {
	return path == pkg || strings.HasPrefix(path, pkg+"/")
}

func TestProviderBinaryLinksNothingOfAPlane(t *testing.T) {
	t.Parallel()
	provider := list(t, ".")[0]
	for _, dep := range provider.Deps {
		for _, banned := range []string{
			"modernc.org/sqlite",
			"filippo.io/age",
			"github.com/spf13/cobra",
			module + "/internal/plane",
			module + "/internal/fleet",
			module + "/internal/agent",
			module + "/internal/supervise",
			"net/http/httptest",
		} {
			if below(dep, banned) {
				t.Errorf("the provider binary links %s", dep)
			}
		}
	}
}

func TestProviderStartsNoProcess(t *testing.T) {
	t.Parallel()
	provider := list(t, ".")[0]
	var ours []string
	for _, dep := range provider.Deps {
		if below(dep, module) {
			ours = append(ours, dep)
		}
	}
	for _, p := range list(t, append([]string{"."}, ours...)...) {
		if slices.Contains(p.Imports, "os/exec") {
			t.Errorf("%s, which is part of the provider, imports os/exec", p.ImportPath)
		}
	}
}

func TestTerraformTypesStopAtTheBorder(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		if p.ImportPath == module || below(p.ImportPath, module+"/internal/provider") {
			continue
		}
		for _, path := range p.Imports {
			if strings.HasPrefix(path, "github.com/hashicorp/terraform-plugin") {
				t.Errorf("%s imports %s; only internal/provider may", p.ImportPath, path)
			}
		}
	}
}

func TestClientAndPlaneShareNoTypes(t *testing.T) {
	t.Parallel()
	apart := map[string][]string{
		module + "/internal/cloudflare": {module + "/internal/plane", module + "/internal/provider"},
		module + "/internal/plane":      {module + "/internal/cloudflare", module + "/internal/provider", module + "/internal/bundle"},
	}
	for _, p := range list(t, "./internal/...") {
		for part, banned := range apart {
			if !below(p.ImportPath, part) {
				continue
			}
			for _, dep := range p.Deps {
				if slices.ContainsFunc(banned, func(b string) bool { return below(dep, b) }) {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
		}
	}
}

func TestPackagesAreNamedAfterTheirSubject(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		if slices.Contains([]string{"util", "utils", "helper", "helpers", "common", "types", "misc"}, p.Name) {
			t.Errorf("%s: the name %q says nothing about its subject", p.ImportPath, p.Name)
		}
	}
}

func TestEveryFileHasOneSubjectAndALicence(t *testing.T) {
	t.Parallel()
	const limit = 500
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != "." && (name == "node_modules" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(data, []byte("// SPDX-License-Identifier: MPL-2.0\n")) {
			t.Errorf("%s does not begin with its SPDX line", path)
		}
		if lines := bytes.Count(data, []byte("\n")); lines > limit && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines; a file above %d has more than one subject", path, lines, limit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
