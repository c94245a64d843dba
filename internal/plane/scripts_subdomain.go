// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"errors"
	"net/http"
	"regexp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Codes about workers.dev subdomains.
const (
	codeSubdomainTaken = 10031
	codeSubdomainFree  = 10032
	codeNoSubdomain    = 10063
)

// apiDateHeader dates a client's idea of the subdomain endpoint; from previewsFollow
// on, an omitted previews_enabled means the value of enabled.
const (
	apiDateHeader  = "Cloudflare-Workers-Script-Api-Date"
	previewsFollow = "2025-08-01"
)

var subdomainLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func subdomainView(w registry.Worker) object {
	return object{"enabled": w.Enabled, "previews_enabled": w.PreviewsEnabled}
}

func (p *Plane) getScriptSubdomain(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	return ok(subdomainView(w)), nil
}

func (p *Plane) postScriptSubdomain(r *request) (*reply, error) {
	var body struct {
		Enabled         *bool `json:"enabled"`
		PreviewsEnabled *bool `json:"previews_enabled"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if body.Enabled == nil {
		return nil, fail(http.StatusBadRequest, codeBadBody, `The request body must have "enabled".`)
	}
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	if *body.Enabled && r.account.Subdomain == "" {
		return nil, fail(http.StatusBadRequest, codeNoSubdomain, "You need a workers.dev subdomain in order to proceed: register one with PUT workers/subdomain.")
	}
	if body.PreviewsEnabled == nil && r.Header.Get(apiDateHeader) >= previewsFollow {
		body.PreviewsEnabled = body.Enabled
	}
	w, err = p.updateWorker(r.Context(), w.ID, func(w *registry.Worker) error {
		w.Enabled = *body.Enabled
		if body.PreviewsEnabled != nil {
			w.PreviewsEnabled = *body.PreviewsEnabled
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(subdomainView(w)), nil
}

// deleteScriptSubdomain switches both off. The official provider calls it also when
// the Worker is gone already, which then is what it wants.
func (p *Plane) deleteScriptSubdomain(r *request) (*reply, error) {
	w, err := p.reg.Worker(r.Context(), r.account.ID, r.param("worker"))
	if errors.Is(err, registry.ErrNotFound) {
		return ok(subdomainView(registry.Worker{})), nil
	}
	if err != nil {
		return nil, err
	}
	w, err = p.updateWorker(r.Context(), w.ID, func(w *registry.Worker) error {
		w.Enabled, w.PreviewsEnabled = false, false
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(subdomainView(w)), nil
}

func (p *Plane) getSubdomain(r *request) (*reply, error) {
	if r.account.Subdomain == "" {
		return nil, fail(http.StatusNotFound, codeWorkerNotFound, "This account has no workers.dev subdomain: register one with PUT workers/subdomain.")
	}
	return ok(object{"subdomain": r.account.Subdomain}), nil
}

// putSubdomain registers or changes the account's subdomain; its Workers answer at
// their new names when it returns.
func (p *Plane) putSubdomain(r *request) (*reply, error) {
	var body struct {
		Subdomain string `json:"subdomain"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if !subdomainLabel.MatchString(body.Subdomain) {
		return nil, invalid("%q is no subdomain: use up to 63 lower-case letters, digits and hyphens", body.Subdomain)
	}
	err := p.reg.SetSubdomain(r.Context(), r.account.ID, body.Subdomain)
	if errors.Is(err, registry.ErrNameTaken) {
		return nil, subdomainTaken(body.Subdomain)
	}
	if err == nil {
		err = p.reapplyAccount(r.Context(), r.account.ID)
	}
	if err != nil {
		return nil, err
	}
	return ok(object{"subdomain": body.Subdomain}), nil
}

func subdomainTaken(name string) *Error {
	return fail(http.StatusConflict, codeSubdomainTaken, "The subdomain %q is unavailable: choose another one.", name)
}

// getSubdomainAvailability answers with an error in both cases, as Cloudflare does.
func (p *Plane) getSubdomainAvailability(r *request) (*reply, error) {
	name := r.param("subdomain")
	_, err := p.reg.SubdomainOwner(r.Context(), name)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, fail(http.StatusNotFound, codeSubdomainFree, "The subdomain %q is available.", name)
	}
	if err != nil {
		return nil, err
	}
	return nil, subdomainTaken(name)
}
