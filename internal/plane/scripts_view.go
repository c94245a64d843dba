// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const usageModel = "standard" // the only one that is left

// script is a Worker with the version that the scripts API shows for it.
type script struct {
	worker registry.Worker
	// shown is the live version with the largest share, else the latest one; nil
	// where there is none.
	shown *registry.Version
	// deployedFrom is the source of the live deployment; "unknown" without one.
	deployedFrom string
}

// findScript is findWorker with the version that is to be shown.
func (p *Plane) findScript(r *request) (script, error) {
	w, err := p.worker(r)
	if err != nil {
		return script{}, err
	}
	return p.scriptOf(r.Context(), w)
}

func (p *Plane) scriptOf(ctx context.Context, w registry.Worker) (script, error) {
	s := script{worker: w, deployedFrom: "unknown"}
	d, live, err := p.reg.LiveDeployment(ctx, w.ID)
	if err != nil {
		return script{}, err
	}
	var v registry.Version
	if live {
		s.deployedFrom = d.Source
		v, err = p.reg.Version(ctx, w.ID, largestShare(d.Shares))
	} else {
		v, err = p.reg.LatestVersion(ctx, w.ID)
	}
	if errors.Is(err, registry.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return script{}, err
	}
	s.shown = &v
	return s, nil
}

func largestShare(shares []registry.Share) string {
	var largest registry.Share
	for i, s := range shares {
		if i == 0 || s.Percentage > largest.Percentage {
			largest = s
		}
	}
	return largest.VersionID
}

// version returns the shown version, or 10222 where there is none.
func (s script) version() (registry.Version, error) {
	if s.shown == nil {
		return registry.Version{}, noVersions()
	}
	return *s.shown, nil
}

func noVersions() *Error {
	return fail(404, codeNoVersions, "This Worker has no versions, which means this Worker has no content or versioned settings.")
}

// object is a JSON object of the API whose optional members come and go.
type object map[string]any

// view is how lists, uploads and services show a script.
func (s script) view() object {
	w := s.worker
	o := object{
		"id": w.Name, "tag": w.ID, "tags": w.Tags, "created_on": stamp(w.CreatedOn), "modified_on": stamp(w.UpdatedOn),
		"usage_model": usageModel, "logpush": w.Logpush, "observability": w.Observability, "tail_consumers": tailConsumers(w.TailConsumers),
		"has_assets": false, "has_modules": false, "handlers": []string{}, "last_deployed_from": s.deployedFrom, "etag": "",
	}
	v := s.shown
	if v == nil {
		return o
	}
	if v.CreatedOn.After(w.UpdatedOn) {
		o["modified_on"] = stamp(v.CreatedOn)
	}
	o["etag"] = contentETag(*v)
	o["has_modules"] = v.MainModule != ""
	o["handlers"] = orEmpty(v.Handlers)
	if v.NamedHandlers != nil {
		o["named_handlers"] = v.NamedHandlers
	}
	o["compatibility_date"] = v.CompatibilityDate
	o["compatibility_flags"] = orEmpty(v.CompatibilityFlags)
	if v.Limits != nil {
		o["limits"] = v.Limits
	}
	if v.Placement != nil {
		o["placement"] = v.Placement
		if mode := placementMode(v.Placement); mode != "" {
			o["placement_mode"] = mode
		}
	}
	return o
}

// settingsView is the versioned and the unversioned settings together. What was
// never set is left out: the official provider shows a diff for an empty limits.
func (s script) settingsView() object {
	o := scriptSettingsView(s.worker)
	o["usage_model"] = usageModel
	o["bindings"] = []any{}
	o["compatibility_flags"] = []string{}
	v := s.shown
	if v == nil {
		return o
	}
	o["bindings"] = bindingsJSON(v.Bindings)
	o["compatibility_date"] = v.CompatibilityDate
	o["compatibility_flags"] = orEmpty(v.CompatibilityFlags)
	o["annotations"] = v.Annotations
	if v.Limits != nil {
		o["limits"] = v.Limits
	}
	if v.Placement != nil {
		o["placement"] = v.Placement
	}
	return o
}

func scriptSettingsView(w registry.Worker) object {
	return object{"logpush": w.Logpush, "observability": w.Observability, "tags": w.Tags, "tail_consumers": tailConsumers(w.TailConsumers)}
}

// versionView is a version as the scripts API shows it.
func (p *Plane) versionView(r *request, w registry.Worker, v registry.Version, full bool) object {
	preview := w.PreviewsEnabled && r.account.Subdomain != ""
	o := object{
		"id": v.ID, "number": v.Number, "annotations": orEmptyMap(v.Annotations),
		"metadata": object{
			"created_on": stamp(v.CreatedOn), "modified_on": stamp(v.CreatedOn), "source": v.Source,
			"author_id": v.AuthorID, "author_email": v.AuthorEmail,
			// The document has the first spelling, wrangler reads the second.
			"hasPreview": preview, "has_preview": preview,
		},
	}
	if !full {
		return o
	}
	scriptPart := object{"etag": contentETag(v), "handlers": orEmpty(v.Handlers), "last_deployed_from": v.Source}
	if v.NamedHandlers != nil {
		scriptPart["named_handlers"] = v.NamedHandlers
	}
	if mode := placementMode(v.Placement); mode != "" {
		scriptPart["placement_mode"] = mode
	}
	run := object{"compatibility_date": v.CompatibilityDate, "compatibility_flags": orEmpty(v.CompatibilityFlags), "usage_model": usageModel}
	if v.Limits != nil {
		run["limits"] = v.Limits
	}
	o["startup_time_ms"] = v.StartupTimeMS
	o["resources"] = object{"bindings": bindingsJSON(v.Bindings), "script": scriptPart, "script_runtime": run}
	return o
}

// tailConsumers turns the registry's {"name"} into the {"service"} of the scripts API.
func tailConsumers(raw json.RawMessage) any {
	out := []object{}
	for _, name := range tailConsumerNames(raw) {
		out = append(out, object{"service": name})
	}
	if raw == nil {
		return nil
	}
	return out
}

func tailConsumerNames(raw json.RawMessage) []string {
	var in []struct {
		Name string `json:"name"`
	}
	if raw == nil || json.Unmarshal(raw, &in) != nil {
		return nil
	}
	out := make([]string, len(in))
	for i, c := range in {
		out[i] = c.Name
	}
	return out
}

func placementMode(raw json.RawMessage) string {
	var p struct {
		Mode string `json:"mode"`
	}
	if raw == nil || json.Unmarshal(raw, &p) != nil {
		return ""
	}
	return p.Mode
}

// contentETag identifies a version's code.
func contentETag(v registry.Version) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", v.MainModule, v.BodyPart)
	for _, m := range v.Modules {
		fmt.Fprintf(h, "%q %q %s\n", m.Name, m.ContentType, m.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orEmptyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
