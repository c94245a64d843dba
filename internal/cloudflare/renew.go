// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Renewal is what RenewSecrets makes of two versions.
type Renewal struct {
	// Kept are the names of the secrets that only the older version has: they stay as
	// they were.
	Kept []string
	// Secrets are the SecretPrefix of those that the version will declare. Which name has
	// which digest no version tells, so these are all of each version that gives a secret.
	Secrets []string

	bindings []json.RawMessage
}

// PlanRenewal says what RenewSecrets would make, or why it cannot. It makes nothing.
func (c *Client) PlanRenewal(ctx context.Context, worker, versionID, secretsOf string) (Renewal, error) {
	old, err := c.Version(ctx, worker, versionID)
	if err != nil {
		return Renewal{}, err
	}
	current, err := c.Version(ctx, worker, secretsOf)
	if err != nil {
		return Renewal{}, err
	}
	return renewal(old, current)
}

// uncopied names what of a version cannot be copied to another one: assets are uploaded apart
// and never read back, containers and exported classes belong to Durable Objects, which a
// second upload would change.
func (v Version) uncopied() []string {
	var names []string
	for _, each := range []struct {
		name  string
		value json.RawMessage
	}{{"static assets", v.Assets}, {"containers", v.Containers}} {
		if !isEmpty(each.value) {
			names = append(names, each.name)
		}
	}
	var exports map[string]struct{ Type string }
	if !isEmpty(v.Exports) && json.Unmarshal(v.Exports, &exports) != nil {
		return append(names, "exports of an unknown form")
	}
	for _, e := range exports {
		if e.Type != "worker" { // an entrypoint is configuration alone
			return append(names, "exported Durable Objects")
		}
	}
	return names
}

func isEmpty(value json.RawMessage) bool {
	return slices.Contains([]string{"", "null", "{}", "[]"}, string(bytes.TrimSpace(value)))
}

func renewal(old, current *Version) (Renewal, error) {
	r := Renewal{bindings: []json.RawMessage{}}
	if names := old.uncopied(); len(names) > 0 {
		return r, fmt.Errorf("version %s has %s, which cannot be copied into a version with other secrets: go back to the version as it is, with its own secrets, or upload its code again",
			old.ID, strings.Join(names, " and "))
	}
	today := current.secrets()
	takes := false
	for _, raw := range old.Bindings {
		var b struct{ Name, Type string }
		if err := json.Unmarshal(raw, &b); err != nil {
			return r, fmt.Errorf("reading version %s: a binding is no object", old.ID)
		}
		if b.Type == "secret_text" || b.Type == "secret_key" {
			from := current.ID
			if today[b.Name] {
				takes = true
			} else {
				from = old.ID
				r.Kept = append(r.Kept, b.Name)
			}
			var err error
			if raw, err = json.Marshal(map[string]string{"type": "inherit", "name": b.Name, "version_id": from}); err != nil {
				return r, err
			}
		}
		r.bindings = append(r.bindings, raw)
	}
	if takes {
		r.Secrets = append(r.Secrets, current.Marking().Secrets...)
	}
	if len(r.Kept) > 0 {
		r.Secrets = append(r.Secrets, old.Marking().Secrets...)
	}
	return r, nil
}

// RenewSecrets makes a version with the content of an older one and the secrets of
// another, or none if some of that content cannot be copied, and returns the one that an earlier call has made, if there is one. A secret
// that only the older version has stays as it was. No value passes through here: the
// plane copies them.
func (c *Client) RenewSecrets(ctx context.Context, worker, versionID, secretsOf, message string, run Run) (*Version, error) {
	marker := DigestMarker(sha256.Sum256(fmt.Appendf(nil, "renewed secrets: %s %s", versionID, secretsOf)))
	if found, err := c.FindVersion(ctx, worker, marker); err != nil || found != nil {
		return found, err
	}
	old, err := c.VersionWithModules(ctx, worker, versionID)
	if err != nil {
		return nil, err
	}
	current, err := c.Version(ctx, worker, secretsOf)
	if err != nil {
		return nil, err
	}
	r, err := renewal(old, current)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		Annotations        map[string]string `json:"annotations"`
		Bindings           []json.RawMessage `json:"bindings"`
		CompatibilityDate  string            `json:"compatibility_date,omitempty"`
		CompatibilityFlags []string          `json:"compatibility_flags,omitempty"`
		Limits             json.RawMessage   `json:"limits,omitempty"`
		Placement          json.RawMessage   `json:"placement,omitempty"`
		CacheOptions       json.RawMessage   `json:"cache_options,omitempty"`
		Exports            json.RawMessage   `json:"exports,omitempty"`
		MainModule         string            `json:"main_module"`
		Modules            []Module          `json:"modules"`
	}{
		Annotations: map[string]string{AnnotationMessage: Marking{Marker: marker, Run: run, Secrets: r.Secrets, Message: message}.String()},
		Bindings:    r.bindings, CompatibilityDate: old.CompatibilityDate, CompatibilityFlags: old.CompatibilityFlags,
		Limits: old.Limits, Placement: old.Placement, CacheOptions: old.CacheOptions, Exports: old.Exports, MainModule: old.MainModule, Modules: old.Modules,
	})
	if err != nil {
		return nil, fmt.Errorf("renewing the secrets of version %s: %w", versionID, err)
	}
	return c.CreateVersion(ctx, worker, VersionUpload{Marker: marker, Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}})
}
