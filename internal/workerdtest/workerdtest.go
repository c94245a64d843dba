// SPDX-License-Identifier: MPL-2.0

// Package workerdtest gives tests the real workerd and versions to run on it.
package workerdtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// CompatibilityDate is the date of versions that do not say another one.
const CompatibilityDate = "2025-09-01"

// packages are the npm packages that hold the binary, by platform.
var packages = map[string]string{
	"linux/amd64":  "workerd-linux-64",
	"linux/arm64":  "workerd-linux-arm64",
	"darwin/amd64": "workerd-darwin-64",
	"darwin/arm64": "workerd-darwin-arm64",
}

// Path returns the workerd binary that tools/workerd pins. A missing one fails
// the test: these tests are the proof, so they are never skipped.
func Path(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		t.Fatal("no go.mod above the working directory: run the test inside the repository")
	}
	path := filepath.Join(dir, "tools", "workerd", "node_modules", "@cloudflare",
		packages[runtime.GOOS+"/"+runtime.GOARCH], "bin", "workerd")
	found, err := workerd.Find(path, os.Getenv)
	if err != nil {
		t.Fatalf("workerd is not installed; run \"make tools\": %v", err)
	}
	return found
}

// moduleTypes are the types of modules by the ends of their names.
var moduleTypes = map[string]workerd.ModuleType{
	".js": workerd.ESModule, ".mjs": workerd.ESModule, ".cjs": workerd.CommonJS, ".txt": workerd.Text,
	".bin": workerd.Data, ".wasm": workerd.Wasm, ".json": workerd.JSON, ".py": workerd.PythonModule,
}

// Version makes a version of the Worker from sources by module name; the type
// of each is told by the end of its name. The main module is "index.js". Two
// calls make two versions, of one Worker if name is the same.
func Version(t testing.TB, name string, sources map[string]string, bindings ...workerd.Binding) workerd.Version {
	t.Helper()
	id := uuid.New()
	v := workerd.Version{
		AccountID:         AccountID,
		WorkerID:          WorkerID(name),
		WorkerName:        name,
		ID:                id.String(),
		Number:            1,
		CreatedOn:         time.Now(),
		MainModule:        "index.js",
		Bindings:          bindings,
		CompatibilityDate: CompatibilityDate,
	}
	dir := t.TempDir()
	for module, source := range sources {
		sum := sha256.Sum256([]byte(source))
		path := filepath.Join(dir, hex.EncodeToString(sum[:]))
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		typ, ok := moduleTypes[filepath.Ext(module)]
		if !ok {
			t.Fatalf("module %q: no module type has this extension", module)
		}
		v.Modules = append(v.Modules, workerd.Module{Name: module, Type: typ, Path: path, Size: int64(len(source))})
	}
	sort.Slice(v.Modules, func(i, j int) bool { return v.Modules[i].Name < v.Modules[j].Name })
	return v
}

// AccountID is the account of all versions.
const AccountID = "0123456789abcdef0123456789abcdef"

// WorkerID is the id of the Worker with that name.
func WorkerID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// Script makes a version whose only module is source.
func Script(t testing.TB, name, source string, bindings ...workerd.Binding) workerd.Version {
	t.Helper()
	return Version(t, name, map[string]string{"index.js": source}, bindings...)
}

// Answer is the source of a Worker that answers every request with text.
func Answer(text string) string {
	return "export default { fetch() { return new Response(" + quote(text) + "); } };\n"
}

// Host is where Worker answers.
func Host(name string) string { return name + ".test.localhost" }

// Worker is the Worker with v as its only live version, at Host(name), with
// previews enabled.
func Worker(v workerd.Version) workerd.Worker {
	return workerd.Worker{
		AccountID: v.AccountID, ID: v.WorkerID, Name: v.WorkerName,
		Hosts: []string{Host(v.WorkerName)}, PreviewSuffix: "-" + Host(v.WorkerName),
		Shares: []workerd.Share{{VersionID: v.ID, Percentage: 100}},
	}
}

// Binding makes a binding from a type and alternating names and values of members.
func Binding(name, typ string, members ...any) workerd.Binding {
	b := workerd.Binding{Name: name, Type: typ, Fields: map[string]json.RawMessage{}}
	for i := 0; i+1 < len(members); i += 2 {
		raw, err := json.Marshal(members[i+1])
		if err != nil {
			panic(err) // a test's own literal
		}
		b.Fields[members[i].(string)] = raw
	}
	return b
}

// SocketDir returns a directory whose path is short enough for unix sockets,
// which that of t.TempDir often is not.
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func quote(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always is JSON
	}
	return strings.ReplaceAll(string(raw), "\u2028", `\u2028`)
}
