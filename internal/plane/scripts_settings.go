// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

func (p *Plane) getSettings(r *request) (*reply, error) {
	s, err := p.findScript(r)
	if err != nil {
		return nil, err
	}
	return ok(s.settingsView()), nil
}

// patchSettings changes the settings that the patch names. If any belongs to a
// version, a version is made out of the latest one and deployed.
func (p *Plane) patchSettings(r *request) (*reply, error) {
	u, err := upload.ParsePatch(r.Header.Get("Content-Type"), r.Body, upload.DefaultLimits)
	if err == nil {
		err = u.CheckDeployable()
	}
	if err != nil {
		return nil, err
	}
	if !u.Given.Versioned() {
		w, err := p.worker(r)
		if err != nil {
			return nil, err
		}
		return p.settingsAfter(r, w, u.Settings)
	}
	return p.editLatest(r, codeSettingsNotLive, triggeredByUpload, func(c *registry.VersionContent) error {
		patchContent(c, u)
		return nil
	}, func(w registry.Worker, _ registry.Version) (*reply, error) { return p.settingsAfter(r, w, u.Settings) })
}

// patchContent puts what the patch names into c.
func patchContent(c *registry.VersionContent, u *upload.Upload) {
	if u.Given.Bindings {
		c.Bindings = u.Content.Bindings
	}
	if u.Given.CompatibilityDate {
		c.CompatibilityDate = u.Content.CompatibilityDate
	}
	if u.Given.CompatibilityFlags {
		c.CompatibilityFlags = u.Content.CompatibilityFlags
	}
	if u.Given.Limits {
		c.Limits = u.Content.Limits
	}
	if u.Given.Placement {
		c.Placement = u.Content.Placement
	}
	c.Annotations = u.Content.Annotations
}

func (p *Plane) settingsAfter(r *request, w registry.Worker, s upload.Settings) (*reply, error) {
	w, err := p.applySettings(r.Context(), w, s)
	if err != nil {
		return nil, err
	}
	shown, err := p.scriptOf(r.Context(), w)
	if err != nil {
		return nil, err
	}
	return ok(shown.settingsView()), nil
}

// applySettings stores the unversioned settings that s names.
func (p *Plane) applySettings(ctx context.Context, w registry.Worker, s upload.Settings) (registry.Worker, error) {
	if s == (upload.Settings{}) {
		return p.reg.Worker(ctx, w.AccountID, w.ID)
	}
	return p.updateWorker(ctx, w.ID, func(w *registry.Worker) error {
		if s.Logpush != nil {
			w.Logpush = *s.Logpush
		}
		if s.Tags != nil {
			w.Tags = *s.Tags
		}
		if s.Observability != nil {
			w.Observability = *s.Observability
		}
		if s.TailConsumers != nil {
			w.TailConsumers = *s.TailConsumers
		}
		return nil
	})
}

func (p *Plane) getScriptSettings(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	return ok(scriptSettingsView(w)), nil
}

func (p *Plane) patchScriptSettings(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	s, err := upload.ParseSettings(body)
	if err != nil {
		return nil, err
	}
	if w, err = p.applySettings(r.Context(), w, s); err != nil {
		return nil, err
	}
	return ok(scriptSettingsView(w)), nil
}

func (p *Plane) getUsageModel(r *request) (*reply, error) {
	if _, err := p.worker(r); err != nil {
		return nil, err
	}
	return ok(object{"usage_model": usageModel}), nil
}

// putUsageModel takes any model that Cloudflare has had: they all mean the same now.
func (p *Plane) putUsageModel(r *request) (*reply, error) {
	if err := r.decode(&struct{}{}); err != nil {
		return nil, err
	}
	return p.getUsageModel(r)
}

func (p *Plane) getSchedules(r *request) (*reply, error) {
	if _, err := p.worker(r); err != nil {
		return nil, err
	}
	return ok(object{"schedules": []any{}}), nil
}

// putSchedules takes an empty list only: a schedule that never fires would be worse
// than an error.
func (p *Plane) putSchedules(r *request) (*reply, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, fail(http.StatusBadRequest, codeBadBody, "The request body must be a JSON array of {cron}.")
		}
	}
	if len(list) > 0 {
		return nil, invalid("Cron triggers are not supported on this plane: remove the schedules of this Worker, or deploy it to the edge plane.")
	}
	return p.getSchedules(r)
}
