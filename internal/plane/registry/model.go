// SPDX-License-Identifier: MPL-2.0

// Package registry is the durable state of a self-hosted plane: accounts,
// tokens, Workers, versions and deployments in SQLite, module bytes as
// content-addressed files beside it, secrets encrypted at rest.
package registry

import (
	"encoding/json"
	"time"
)

// Account is a tenant of the plane.
type Account struct {
	ID        string // 32 hex digits
	Name      string
	Subdomain string // workers.dev subdomain; empty until registered
	CreatedOn time.Time
}

// Worker is a Worker's unversioned state.
type Worker struct {
	AccountID       string
	ID              string // 32 hex digits, immutable ("tag" in the scripts API)
	Name            string
	CreatedOn       time.Time
	UpdatedOn       time.Time
	DeployedOn      *time.Time // nil if never deployed
	Enabled         bool       // subdomain.enabled
	PreviewsEnabled bool       // subdomain.previews_enabled
	Logpush         bool
	Tags            []string
	Observability   json.RawMessage // as sent; nil if never sent
	TailConsumers   json.RawMessage // [{"name": ...}]; nil if never sent
}

// Module is one module of a version; its bytes are Registry.BlobPath(SHA256).
type Module struct {
	Name        string
	ContentType string // as uploaded, e.g. application/javascript+module
	SHA256      string // 64 hex digits
	Size        int64
}

// Binding is a binding as the Cloudflare API writes it, without name and type.
// In a stored version the plaintext of secret bindings lies encrypted apart;
// Fields then lacks "text". Only Registry.Secrets gives it back, to the runtime.
type Binding struct {
	Name   string
	Type   string
	Fields map[string]json.RawMessage
}

// VersionContent is what makes a version, before it has an identity. Uploads in
// every dialect are parsed into this one type.
type VersionContent struct {
	MainModule         string // empty for a service worker (BodyPart) or for assets only
	BodyPart           string // service worker syntax: the module that holds the script
	Modules            []Module
	Bindings           []Binding // sorted by name
	CompatibilityDate  string
	CompatibilityFlags []string
	UsageModel         string
	Limits             json.RawMessage // nil when unset
	Placement          json.RawMessage // nil when unset
	Annotations        map[string]string
}

// Version is an immutable version of a Worker.
type Version struct {
	VersionContent
	ID            string // UUID
	AccountID     string
	WorkerID      string
	Number        int // from 1 per Worker
	CreatedOn     time.Time
	Source        string // api, wrangler, terraform
	AuthorID      string
	AuthorEmail   string
	Handlers      []string
	NamedHandlers json.RawMessage
	Entrypoints   []string // exports that service bindings can address; nil if not known
	StartupTimeMS int
}

// Share is one version's part of a deployment.
type Share struct {
	VersionID  string
	Percentage float64
}

// Deployment is a deployment of one or two versions; the newest one is live.
type Deployment struct {
	ID          string // UUID
	WorkerID    string
	CreatedOn   time.Time
	Source      string
	Strategy    string // "percentage"
	AuthorID    string
	AuthorEmail string
	Annotations map[string]string
	Shares      []Share
}

// Rollout is a rollout that a driver has announced. It outlives its Worker, so that what
// happened can be looked up.
type Rollout struct {
	ID        string // UUID, made by the driver
	AccountID string
	WorkerID  string
	Worker    string // its name; the last one it had, if it is deleted
	CreatedOn time.Time
	UpdatedOn time.Time  // of the newest event
	EndedOn   *time.Time // nil while it goes on
	// TakenOn is when the plane has taken it over from a silent driver, who can do nothing
	// in its name from then on; nil before.
	TakenOn    *time.Time
	Plan       json.RawMessage // as it was announced
	State      string
	Base       string // id of the deployment that was live when it began, "" if none was
	Deployment string // id of the last one that it has made, "" before
	Sequence   int64  // of its newest event
	// Live is what is live of the Worker now, whoever has deployed it.
	Live []Share
}

// RolloutEvent is a change of a rollout's state.
type RolloutEvent struct {
	Sequence int64
	At       time.Time
	Event    json.RawMessage // without these two
}
