// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"sort"
	"strings"
)

// Content types of modules, as the Cloudflare API names them.
const (
	typeESModule  = "application/javascript+module"
	typeCommonJS  = "application/javascript"
	typeWasm      = "application/wasm"
	typeText      = "text/plain"
	typeData      = "application/octet-stream"
	typeJSON      = "application/json"
	typePython    = "text/x-python"
	typeSourceMap = "application/source-map"
)

// typesByExtension are wrangler's default module rules and what its --outdir
// writes. A .js file of a module Worker is an ES module.
var typesByExtension = map[string]string{
	".js":   typeESModule,
	".mjs":  typeESModule,
	".cjs":  typeCommonJS,
	".wasm": typeWasm,
	".txt":  typeText,
	".html": typeText,
	".sql":  typeText,
	".bin":  typeData,
	".json": typeJSON,
	".py":   typePython,
	".map":  typeSourceMap,
}

// Module is one module of a version. Its bytes are opened when they are needed
// and may be opened any number of times.
type Module struct {
	Name        string // as imported, without a leading "./"
	ContentType string
	Size        int64
	SHA256      string

	data []byte // the content, or
	path string // the file that has it
}

func memoryModule(name, contentType string, data []byte) Module {
	return Module{Name: name, ContentType: contentType, Size: int64(len(data)), SHA256: hashBytes(data), data: data}
}

// Open reads the module. If the bytes are not those that SHA256 names, the
// reader fails with a *ChangedError instead of ending.
func (m Module) Open() (io.ReadCloser, error) {
	if m.path == "" {
		return io.NopCloser(bytes.NewReader(m.data)), nil
	}
	f, err := os.Open(m.path)
	if err != nil {
		return nil, fmt.Errorf("opening module %s: %w", m.Name, err)
	}
	return &verifier{file: f, module: m, hash: sha256.New()}, nil
}

// verifier passes a file through and replaces its end by an error if the
// content is not the expected one.
type verifier struct {
	file   *os.File
	module Module
	hash   hash.Hash
	read   int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.file.Read(p)
	v.hash.Write(p[:n])
	v.read += int64(n)
	if v.read > v.module.Size {
		return 0, &ChangedError{Names: []string{v.module.Name}}
	}
	if err == io.EOF && (v.read != v.module.Size || hex.EncodeToString(v.hash.Sum(nil)) != v.module.SHA256) {
		return n, &ChangedError{Names: []string{v.module.Name}}
	}
	return n, err
}

func (v *verifier) Close() error { return v.file.Close() }

// sortModules puts the main module first and the others in order of name.
func sortModules(modules []Module, main string) {
	sort.Slice(modules, func(i, j int) bool {
		a, b := modules[i].Name, modules[j].Name
		if (a == main) != (b == main) {
			return a == main
		}
		return a < b
	})
}

func sizeOf(modules []Module) int64 {
	var n int64
	for _, m := range modules {
		n += m.Size
	}
	return n
}

func extension(name string) string { return strings.ToLower(path.Ext(name)) }
