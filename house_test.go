// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPackagesAreNamedAfterTheirSubject(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Name}} {{.ImportPath}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains([]string{"util", "utils", "helper", "helpers", "common", "types", "misc"}, name) {
			t.Errorf("%s: the name %q says nothing about its subject", path, name)
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
