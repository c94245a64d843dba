// SPDX-License-Identifier: MPL-2.0

// Package workerd turns desired Workers into configuration and invocations of
// the workerd runtime, as values. Nothing is started here: the caller hands a
// configuration over and supervises the process.
package workerd

import (
	"encoding/json"
	"time"
)

// ModuleType is how workerd loads a module.
type ModuleType string

// The module types that a self-hosted plane accepts. The plane maps content
// types of uploads to these.
const (
	ESModule     ModuleType = "esModule"
	CommonJS     ModuleType = "commonJsModule"
	Text         ModuleType = "text"
	Data         ModuleType = "data"
	Wasm         ModuleType = "wasm"
	JSON         ModuleType = "json"
	PythonModule ModuleType = "pythonModule"
)

// Module is one module of a version. Its bytes lie in a content-addressed,
// immutable file, so a version costs no memory until it is started.
type Module struct {
	Name string     // as imported, e.g. "index.js" or "lib/a.js"
	Type ModuleType // how workerd loads it
	Path string     // absolute path of the file that holds the bytes
	Size int64      // bytes
}

// Binding is one entry of a Worker's env. Fields are the binding's members as
// the Cloudflare API names them ("text", "json", "service", "entrypoint", ...),
// without name and type. A secret_text binding carries its plaintext in
// Fields["text"]: a Binding MUST NOT be logged or written to disk.
type Binding struct {
	Name   string
	Type   string // plain_text, secret_text, json, service, vpc_service, version_metadata
	Fields map[string]json.RawMessage
}

// Version is everything that is needed to run one version of a Worker.
type Version struct {
	AccountID  string
	WorkerID   string // 32 hex digits, immutable
	WorkerName string
	ID         string // UUID of the version
	Number     int
	Tag        string // annotation workers/tag, part of version_metadata
	CreatedOn  time.Time

	MainModule         string
	Modules            []Module
	Bindings           []Binding
	CompatibilityDate  string // YYYY-MM-DD
	CompatibilityFlags []string
	// Entrypoints are the named exports that service bindings can address, as
	// Validation.Entrypoints had them. nil means not known: the runtime then finds
	// out by a validating start of its own, which costs one.
	Entrypoints []string
}

// Share is one version's part of a deployment.
type Share struct {
	VersionID  string
	Percentage float64 // 0 to 100; 0 is reached by overrides only
}

// Worker is the desired state of one Worker: where it answers and with what.
type Worker struct {
	AccountID string
	ID        string
	Name      string
	// Hosts are the exact host names, without port, at which the deployment
	// answers, e.g. "api.acme.localhost". Empty: reachable by service bindings only.
	Hosts []string
	// PreviewSuffix is "-<name>.<subdomain>.localhost" where previews are enabled,
	// else empty. The host "<first 8 hex digits of the version id>"+PreviewSuffix
	// reaches that version, deployed or not.
	PreviewSuffix string
	// Shares is the live deployment, newest version first as deployed; empty where
	// nothing is deployed. Percentages sum to 100.
	Shares []Share
}

// Validation is what a validating start of a version found out.
type Validation struct {
	// Handlers are the default export's event handlers, e.g. "fetch", "scheduled".
	Handlers []string
	// NamedHandlers maps each named export that is an entry point to its handlers.
	NamedHandlers map[string][]string
	// Entrypoints are those named exports that a service binding can address,
	// sorted; never nil after a successful validation. Store them and give them
	// back in Version.Entrypoints.
	Entrypoints []string
	StartupTime time.Duration
}

// InvalidVersionError says why workerd refuses a version. Its text is meant for
// the uploader: it holds workerd's message with module, line and column, and
// never a binding's value.
type InvalidVersionError struct {
	Message string
	Code    int // Cloudflare's error code; 0 means CodeInvalid
}

// The codes of the Cloudflare API for a version that cannot run.
const (
	CodeInvalid    = 10021 // does not start
	CodeNoHandlers = 10068 // starts, but exports nothing that could be called
)

func (e *InvalidVersionError) Error() string { return e.Message }

// VersionState is one version as the runtime sees it now.
type VersionState struct {
	WorkerID  string
	VersionID string
	State     string // "starting", "ready", "draining", "backing-off", "crash-loop"
	PID       int
	Restarts  int
	LastError string // the last lines of stderr; never a binding's value
}
