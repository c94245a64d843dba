// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
)

// RenewSecrets makes a version with the content of an older one and the secrets of
// another, and returns the one that an earlier call has made, if there is one. A secret
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
	today := current.secrets()
	bindings := []json.RawMessage{}
	for _, raw := range old.Bindings {
		var b struct{ Name, Type string }
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, fmt.Errorf("reading version %s of Worker %q: a binding is no object", versionID, worker)
		}
		if b.Type == "secret_text" || b.Type == "secret_key" {
			from := versionID
			if today[b.Name] {
				from = secretsOf
			}
			if raw, err = json.Marshal(map[string]string{"type": "inherit", "name": b.Name, "version_id": from}); err != nil {
				return nil, err
			}
		}
		bindings = append(bindings, raw)
	}
	body, err := json.Marshal(struct {
		Annotations        map[string]string `json:"annotations"`
		Bindings           []json.RawMessage `json:"bindings"`
		CompatibilityDate  string            `json:"compatibility_date,omitempty"`
		CompatibilityFlags []string          `json:"compatibility_flags,omitempty"`
		Limits             json.RawMessage   `json:"limits,omitempty"`
		Placement          json.RawMessage   `json:"placement,omitempty"`
		MainModule         string            `json:"main_module"`
		Modules            []Module          `json:"modules"`
	}{
		Annotations: map[string]string{AnnotationMessage: Marking{Marker: marker, Run: run, Secrets: current.Marking().Secrets, Message: message}.String()},
		Bindings:    bindings, CompatibilityDate: old.CompatibilityDate, CompatibilityFlags: old.CompatibilityFlags,
		Limits: old.Limits, Placement: old.Placement, MainModule: old.MainModule, Modules: old.Modules,
	})
	if err != nil {
		return nil, fmt.Errorf("renewing the secrets of version %s: %w", versionID, err)
	}
	return c.CreateVersion(ctx, worker, VersionUpload{Marker: marker, Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}})
}
