// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"mime"
	"path"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// Content types that clients give to parts that are not code.
const (
	sourceMapType    = "application/source-map"
	esModuleType     = "application/javascript+module"
	scriptType       = "application/javascript"
	octetStream      = "application/octet-stream"
	requirementsType = "text/x-python-requirement"
	pythonType       = "text/x-python"
)

// moduleTypes maps the content types of uploads to what workerd loads.
var moduleTypes = map[string]workerd.ModuleType{
	esModuleType:             workerd.ESModule,
	"text/javascript+module": workerd.ESModule,
	scriptType:               workerd.CommonJS,
	"text/javascript":        workerd.CommonJS,
	"application/wasm":       workerd.Wasm,
	octetStream:              workerd.Data,
	"text/plain":             workerd.Text,
	"text/html":              workerd.Text,
	"text/css":               workerd.Text,
	"text/markdown":          workerd.Text,
	"text/sql":               workerd.Text,
	"application/json":       workerd.JSON,
	"text/json":              workerd.JSON,
}

// ModuleType says how workerd loads m; ok is false for a module that is kept for
// the uploader but never loaded (a source map).
func ModuleType(m registry.Module) (t workerd.ModuleType, ok bool, err error) {
	mediaType, _, parseErr := mime.ParseMediaType(m.ContentType)
	if parseErr != nil && m.ContentType != "" {
		return "", false, refuse(CodeInvalid, "module %q has the unreadable content type %q", m.Name, m.ContentType)
	}
	switch mediaType {
	case sourceMapType:
		return "", false, nil
	case pythonType, requirementsType:
		return "", false, refuse(CodeInvalid, "module %q is Python (%s): Python Workers do not run on a self-hosted plane; deploy this Worker to the edge plane", m.Name, mediaType)
	case "":
		return "", false, refuse(CodeInvalid, "module %q has no content type: JavaScript modules need %q", m.Name, esModuleType)
	}
	if t, ok := moduleTypes[mediaType]; ok {
		return t, true, nil
	}
	return "", false, refuse(CodeInvalid, "module %q has the content type %q, which is none of a module: use %q, %q, %q, %q or %q",
		m.Name, mediaType, esModuleType, "application/wasm", "text/plain", "application/json", octetStream)
}

// guessContentType is for the parts whose client gave no content type at all.
func guessContentType(name string, main bool) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".js", ".mjs":
		return esModuleType
	case ".cjs":
		return scriptType
	case ".wasm":
		return "application/wasm"
	case ".txt", ".html", ".sql":
		return "text/plain"
	case ".json":
		return "application/json"
	case ".map":
		return sourceMapType
	case ".py":
		return pythonType
	}
	if main {
		return esModuleType
	}
	return octetStream
}
