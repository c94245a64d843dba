// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"encoding/json"
	"io"
	"time"
)

// Annotation names that versions and deployments share.
const (
	AnnotationMessage     = "workers/message"
	AnnotationTag         = "workers/tag"
	AnnotationTriggeredBy = "workers/triggered_by"
)

// Version is an immutable version of a Worker, without its bytes.
type Version struct {
	ID                 string            `json:"id"`
	Number             int64             `json:"number"`
	CreatedOn          time.Time         `json:"created_on"`
	URLs               []string          `json:"urls"`
	Annotations        map[string]string `json:"annotations"`
	Source             string            `json:"source"`
	AuthorEmail        string            `json:"author_email"`
	MainModule         string            `json:"main_module"`
	CompatibilityDate  string            `json:"compatibility_date"`
	CompatibilityFlags []string          `json:"compatibility_flags"`
	Bindings           []json.RawMessage `json:"bindings"`
	Limits             json.RawMessage   `json:"limits"`
	Placement          json.RawMessage   `json:"placement"`
	CacheOptions       json.RawMessage   `json:"cache_options"`
	StartupTimeMS      int64             `json:"startup_time_ms"`
	// MigrationTag names the last migration of Durable Objects when the version was
	// deployed; empty before its first deployment and for a Worker without migrations.
	MigrationTag string   `json:"migration_tag"`
	Modules      []Module `json:"modules"` // only where asked for

	// What a version has besides and cannot always be copied to another, see RenewSecrets.
	Assets     json.RawMessage `json:"assets"`
	Containers json.RawMessage `json:"containers"`
	Exports    json.RawMessage `json:"exports"`
}

// Module is one module of a version, as the API sends it.
type Module struct {
	Name          string `json:"name"`
	ContentType   string `json:"content_type"`
	ContentBase64 []byte `json:"content_base64"` // the bytes; decoded from base64
}

// Marking reads what Hybridge wrote into the version's message.
func (v Version) Marking() Marking { return ParseMarker(v.Annotations[AnnotationMessage]) }

// Marker returns the marker of ours that the version carries, without the
// user's message; empty if it was not uploaded by Hybridge.
func (v Version) Marker() string { return ParseMarker(v.Annotations[AnnotationMessage]).Marker }

// Message returns the user's message.
func (v Version) Message() string { return ParseMarker(v.Annotations[AnnotationMessage]).Message }

// Tag returns the user's tag.
func (v Version) Tag() string { return v.Annotations[AnnotationTag] }

// PreviewURL is the first URL that always points to this version; empty if there
// is none.
func (v Version) PreviewURL() string {
	if len(v.URLs) == 0 {
		return ""
	}
	return v.URLs[0]
}

// VersionUpload is a version to be created.
type VersionUpload struct {
	// Marker is what the body's workers/message annotation starts with
	// ("hb1:..." or "hb1d:..."). After an answer got lost it finds the version.
	Marker string
	// Body opens the JSON body anew for each attempt and says its length in
	// bytes, or -1 if unknown. It is streamed, never held in memory.
	Body func() (io.ReadCloser, int64, error)
}
