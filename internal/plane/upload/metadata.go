// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// defaultCompatibilityDate is what Cloudflare assumes where a script names none.
const defaultCompatibilityDate = "2021-11-02"

// Upload is a parsed upload: a version's content, and around it what the API lets
// a client send along. Its bindings may still need Resolve.
type Upload struct {
	Content registry.VersionContent
	// Keep lists the types of bindings to carry over from the latest version.
	Keep []string
	// Settings are the unversioned ones; they count in a full upload only.
	Settings Settings
	// Migrates says that the upload changes Durable Object classes.
	Migrates bool
	// Given tells which versioned members the metadata held, for a patch.
	Given Given
}

// Given tells which versioned members a patch names; the others stay as they are.
type Given struct {
	Bindings, CompatibilityDate, CompatibilityFlags, UsageModel, Limits, Placement, Annotations bool
}

// Versioned says whether a patch changes anything that belongs to a version.
func (g Given) Versioned() bool { return g != Given{} && g != Given{Annotations: true} }

// Settings are a Worker's unversioned settings as far as a request named them;
// nil means not named.
type Settings struct {
	Logpush       *bool
	Tags          *[]string        // points to nil where the client sent null
	Observability *json.RawMessage // points to nil where the client sent null
	TailConsumers *json.RawMessage // as the registry keeps them: [{"name": ...}]
}

// member is an optional JSON member that tells absent from null.
type member struct {
	raw json.RawMessage
	set bool
}

func (m *member) UnmarshalJSON(b []byte) error {
	m.set = true
	if !bytes.Equal(b, []byte("null")) {
		m.raw = bytes.Clone(b)
	}
	return nil
}

// metadata is the JSON part of an upload, as all dialects together write it.
type metadata struct {
	MainModule         string            `json:"main_module"`
	BodyPart           string            `json:"body_part"`
	Bindings           member            `json:"bindings"`
	CompatibilityDate  *string           `json:"compatibility_date"`
	CompatibilityFlags *[]string         `json:"compatibility_flags"`
	KeepBindings       *[]string         `json:"keep_bindings"`
	Annotations        map[string]string `json:"annotations"`
	UsageModel         *string           `json:"usage_model"`
	Limits             member            `json:"limits"`
	Placement          member            `json:"placement"`
	Logpush            *bool             `json:"logpush"`
	Tags               member            `json:"tags"`
	Observability      member            `json:"observability"`
	TailConsumers      member            `json:"tail_consumers"`
	Assets             member            `json:"assets"`
	Migrations         member            `json:"migrations"`
	Exports            member            `json:"exports"`
	Containers         member            `json:"containers"`
}

// ParseMetadata reads the JSON part of an upload or of a settings patch. Code is
// not looked at; Upload.Content.MainModule and BodyPart are what the client wrote.
func ParseMetadata(data []byte) (*Upload, error) {
	var m metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, refuse(CodeBadBody, "the metadata is no valid JSON of its kind: %s", jsonProblem(err))
	}
	u := &Upload{Content: registry.VersionContent{MainModule: m.MainModule, BodyPart: m.BodyPart, Annotations: m.Annotations}}
	u.Given = Given{
		Bindings: m.Bindings.set, CompatibilityDate: m.CompatibilityDate != nil, CompatibilityFlags: m.CompatibilityFlags != nil,
		UsageModel: m.UsageModel != nil, Limits: m.Limits.set, Placement: m.Placement.set, Annotations: m.Annotations != nil,
	}
	if err := m.unsupported(u); err != nil {
		return nil, err
	}
	c := &u.Content
	var err error
	if c.Bindings, err = ParseBindings(m.Bindings.raw); err != nil {
		return nil, err
	}
	if c.CompatibilityDate, err = compatibilityDate(m.CompatibilityDate); err != nil {
		return nil, err
	}
	if m.CompatibilityFlags != nil {
		c.CompatibilityFlags = *m.CompatibilityFlags
	}
	c.UsageModel = "standard" // the only one left; clients still send others
	c.Limits = emptyToNil(m.Limits.raw)
	c.Placement = emptyToNil(m.Placement.raw)
	u.Keep = defaultKeep
	if m.KeepBindings != nil {
		u.Keep = *m.KeepBindings
	}
	if u.Settings, err = m.settings(); err != nil {
		return nil, err
	}
	return u, nil
}

// ParseSettings reads unversioned settings from a JSON body.
func ParseSettings(data []byte) (Settings, error) {
	var m metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return Settings{}, refuse(CodeBadBody, "the body is no valid JSON of its kind: %s", jsonProblem(err))
	}
	return m.settings()
}

func (m *metadata) settings() (Settings, error) {
	s := Settings{Logpush: m.Logpush}
	if m.Tags.set {
		var tags []string
		if m.Tags.raw != nil {
			if err := json.Unmarshal(m.Tags.raw, &tags); err != nil {
				return s, refuse(CodeBadBody, "tags must be a list of strings or null")
			}
		}
		s.Tags = &tags
	}
	if m.Observability.set {
		if m.Observability.raw != nil && m.Observability.raw[0] != '{' {
			return s, refuse(CodeBadBody, "observability must be an object or null")
		}
		s.Observability = &m.Observability.raw
	}
	if m.TailConsumers.set {
		consumers, err := storedTailConsumers(m.TailConsumers.raw)
		if err != nil {
			return s, err
		}
		s.TailConsumers = &consumers
	}
	return s, nil
}

// unsupported refuses what a self-hosted plane cannot run, rather than run a
// Worker that lacks a part of itself.
func (m *metadata) unsupported(u *Upload) error {
	if emptyToNil(m.Assets.raw) != nil {
		return refuse(CodeInvalid, "static assets are not supported on this plane: deploy this Worker to the edge plane, or leave assets out")
	}
	if c := bytes.TrimSpace(m.Containers.raw); len(c) > 0 && !bytes.Equal(c, []byte("[]")) {
		return refuse(CodeInvalid, "containers are not supported on this plane: deploy this Worker to the edge plane, or leave containers out")
	}
	u.Migrates = emptyToNil(m.Migrations.raw) != nil || exportsDurableObjects(m.Exports.raw)
	return nil
}

// exportsDurableObjects says whether a map of exports manages Durable Object
// classes; a map of plain entry points needs nothing of the plane.
func exportsDurableObjects(raw json.RawMessage) bool {
	var exports map[string]struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(raw, &exports) != nil {
		return false
	}
	for _, e := range exports {
		if e.Type != "worker" {
			return true
		}
	}
	return false
}

// storedTailConsumers turns {"service": ...} into the registry's {"name": ...}.
func storedTailConsumers(raw json.RawMessage) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	var in []struct {
		Service string `json:"service"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, refuse(CodeBadBody, "tail_consumers must be a list of {service} or null")
	}
	type consumer struct {
		Name string `json:"name"`
	}
	out := make([]consumer, len(in))
	for i, c := range in {
		if c.Service == "" {
			return nil, refuse(CodeInvalid, "tail_consumers[%d] names no service", i)
		}
		out[i].Name = c.Service
	}
	return json.Marshal(out)
}

func compatibilityDate(date *string) (string, error) {
	if date == nil || *date == "" {
		return defaultCompatibilityDate, nil
	}
	if _, err := time.Parse(time.DateOnly, *date); err != nil {
		return "", refuse(CodeInvalid, "compatibility_date %q is no date: write it as YYYY-MM-DD", *date)
	}
	return *date, nil
}

// emptyToNil makes null, {} and absence one: the official provider shows a diff
// where {} comes back for something that was never set.
func emptyToNil(raw json.RawMessage) json.RawMessage {
	switch strings.Join(strings.Fields(string(raw)), "") {
	case "", "null", "{}":
		return nil
	}
	return raw
}

// jsonProblem says what is wrong with JSON, without quoting values from it.
func jsonProblem(err error) string {
	switch e := err.(type) { //nolint:errorlint // encoding/json wraps none of these
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("member %q must be %s, not %s", e.Field, e.Type, strings.SplitN(e.Value, " ", 2)[0])
	case *json.SyntaxError:
		return fmt.Sprintf("syntax error at byte %d", e.Offset)
	}
	return "it cannot be read"
}
