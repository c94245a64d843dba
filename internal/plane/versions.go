// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/jsonupload"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// The beta API's versions of a Worker.
const (
	versionsPath = workerPath + "/versions"
	versionPath  = versionsPath + "/{version}"
)

func (p *Plane) versionsRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: versionsPath, permission: scriptsRead, handle: p.listVersions},
		{method: http.MethodPost, pattern: versionsPath, permission: scriptsWrite, maxBody: uploadMaxBody, handle: p.postVersion},
		{method: http.MethodGet, pattern: versionPath, permission: scriptsRead, handle: p.getVersion},
		{method: http.MethodDelete, pattern: versionPath, permission: scriptsWrite, handle: p.deleteVersion},
		{method: http.MethodPatch, pattern: versionsPath + "/latest", permission: scriptsWrite, handle: p.patchLatestVersion},
	}
}

func (p *Plane) listVersions(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	number, perPage, err := r.pageParams()
	if err != nil {
		return nil, err
	}
	list, total, err := p.reg.Versions(r.Context(), w.ID, r.flag("deployable"), perPage, (number-1)*perPage)
	if err != nil {
		return nil, err
	}
	out := make([]versionJSON, len(list))
	for i, v := range list {
		out[i] = p.versionJSON(r.account, w, v)
	}
	return page(out, newPageInfo(number, perPage, len(out), total)), nil
}

// version is the version that the path names, or 100146.
func (p *Plane) versionOf(r *request, w registry.Worker) (registry.Version, error) {
	v, err := p.reg.Version(r.Context(), w.ID, r.param("version"))
	return v, orElse(err, versionNotFound(r.param("version")))
}

func (p *Plane) getVersion(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	v, err := p.versionOf(r, w)
	if err != nil {
		return nil, err
	}
	out := p.versionJSON(r.account, w, v)
	if !slices.Contains(strings.Split(r.URL.Query().Get("include"), ","), "modules") {
		return ok(out), nil
	}
	return p.withModules(out, v.Modules)
}

// withModules answers a version with its modules' bytes, streamed: they may be
// megabytes.
func (p *Plane) withModules(v versionJSON, modules []registry.Module) (*reply, error) {
	// The envelope and the version end with "}}"; modules go in before that.
	head, err := json.Marshal(envelope{Success: true, Errors: []any{}, Messages: []any{}, Result: v})
	if err != nil {
		return nil, err
	}
	rep := &reply{raw: func(w http.ResponseWriter) error {
		return p.writeModules(w, head[:len(head)-2], modules)
	}}
	return rep.with("Content-Type", "application/json"), nil
}

func (p *Plane) writeModules(w io.Writer, head []byte, modules []registry.Module) error {
	if _, err := w.Write(append(head, `,"modules":[`...)); err != nil {
		return err
	}
	for i, m := range modules {
		members, err := json.Marshal(map[string]string{"name": m.Name, "content_type": m.ContentType})
		if err != nil {
			return err
		}
		comma := ","
		if i == 0 {
			comma = ""
		}
		if _, err := io.WriteString(w, comma+string(members[:len(members)-1])+`,"content_base64":"`); err != nil {
			return err
		}
		enc := base64.NewEncoder(base64.StdEncoding, w)
		if err := errors.Join(p.copyBlob(enc, m.SHA256), enc.Close()); err != nil {
			return err
		}
		if _, err := io.WriteString(w, `"}`); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, `]}}`)
	return err
}

func (p *Plane) postVersion(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	content, err := p.readJSONUpload(r)
	if err != nil {
		return nil, err
	}
	v, err := p.createVersion(r.Context(), w, content, versionOptions{actor: r.actor(), triggeredBy: "upload"})
	if err != nil {
		return nil, err
	}
	if r.flag("deploy") {
		if err := p.deployVersion(r, w, v, "upload", nil); err != nil {
			return nil, err
		}
	}
	return ok(p.versionJSON(r.account, w, v)), nil
}

// readJSONUpload reads the JSON dialect; modules go to the blobs as they come in.
func (p *Plane) readJSONUpload(r *request) (registry.VersionContent, error) {
	metadata, modules, err := jsonupload.Read(r.Body, p.reg, upload.DefaultLimits)
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return registry.VersionContent{}, bodyError(err)
		}
		return registry.VersionContent{}, err
	}
	u, err := upload.ParseMetadata(metadata)
	if err != nil {
		return registry.VersionContent{}, err
	}
	if err := u.CheckDeployable(); err != nil {
		return registry.VersionContent{}, err
	}
	u.Content.Modules = modules
	return u.Content, nil
}

func (p *Plane) deleteVersion(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	// Under the Worker's lock: a deployment that is under way may be starting it.
	w, ctx, done, err := p.beginSwitch(r.Context(), w)
	if err != nil {
		return nil, err
	}
	defer done()
	err = p.reg.DeleteVersion(ctx, w.ID, r.param("version"))
	if errors.Is(err, registry.ErrVersionLive) {
		return nil, fail(http.StatusBadRequest, codeVersionLive, "Version %s is live: deploy another version of the Worker %q before you delete it.", r.param("version"), w.Name)
	}
	return ok(nil), orElse(err, versionNotFound(r.param("version")))
}

// patchLatestVersion makes an undeployed version out of the latest one with other
// variables and secrets: a merge patch of its env.
func (p *Plane) patchLatestVersion(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	var body struct {
		Env         map[string]map[string]json.RawMessage `json:"env"`
		Annotations map[string]string                     `json:"annotations"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	v, err := p.amendVersion(r.Context(), w, versionOptions{actor: r.actor(), triggeredBy: "secret"}, func(latest registry.Version) (registry.VersionContent, error) {
		c := latest.VersionContent
		c.Annotations = body.Annotations
		var err error
		c.Bindings, err = patchBindings(c.Bindings, body.Env)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	return ok(p.versionJSON(r.account, w, v)), nil
}

// patchBindings replaces, adds and (null) removes bindings by name.
func patchBindings(bindings []registry.Binding, env map[string]map[string]json.RawMessage) ([]registry.Binding, error) {
	entries := make([]map[string]json.RawMessage, 0, len(env))
	for name, members := range env {
		if members == nil {
			continue
		}
		entry := map[string]json.RawMessage{}
		for k, v := range members {
			entry[k] = v
		}
		var err error
		if entry["name"], err = json.Marshal(name); err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	raw, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	out, err := upload.ParseBindings(raw)
	if err != nil {
		return nil, err
	}
	for _, b := range bindings {
		if _, named := env[b.Name]; !named {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b registry.Binding) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// versionJSON is a version as the beta API shows it.
type versionJSON struct {
	ID                 string            `json:"id"`
	Number             int               `json:"number"`
	CreatedOn          stamp             `json:"created_on"`
	URLs               []string          `json:"urls"`
	Annotations        map[string]string `json:"annotations"`
	Bindings           []map[string]any  `json:"bindings"`
	CompatibilityDate  string            `json:"compatibility_date"`
	CompatibilityFlags []string          `json:"compatibility_flags"`
	Limits             json.RawMessage   `json:"limits,omitempty"`
	MainModule         string            `json:"main_module,omitempty"`
	Placement          json.RawMessage   `json:"placement,omitempty"`
	Source             string            `json:"source"`
	StartupTimeMS      int               `json:"startup_time_ms"`
	UsageModel         string            `json:"usage_model,omitempty"`
}

func (p *Plane) versionJSON(a registry.Account, w registry.Worker, v registry.Version) versionJSON {
	out := versionJSON{
		ID: v.ID, Number: v.Number, CreatedOn: stamp(v.CreatedOn), URLs: []string{}, Annotations: v.Annotations, Bindings: bindingsJSON(v.Bindings),
		CompatibilityDate: v.CompatibilityDate, CompatibilityFlags: append([]string{}, v.CompatibilityFlags...), Limits: v.Limits,
		MainModule: v.MainModule, Placement: v.Placement, Source: v.Source, StartupTimeMS: v.StartupTimeMS, UsageModel: v.UsageModel,
	}
	if url := p.previewURL(a, w.Name, v.ID); w.PreviewsEnabled && url != "" {
		out.URLs = append(out.URLs, url)
	}
	return out
}

// bindingsJSON writes bindings as the API has them, in the order they are in. What
// it is given has no secrets: the registry keeps them apart.
func bindingsJSON(bindings []registry.Binding) []map[string]any {
	out := make([]map[string]any, len(bindings))
	for i, b := range bindings {
		out[i] = map[string]any{"name": b.Name, "type": b.Type}
		for k, v := range b.Fields {
			out[i][k] = v
		}
	}
	return out
}
