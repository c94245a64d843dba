// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// postScriptVersion uploads a version without deploying it.
func (p *Plane) postScriptVersion(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	u, err := upload.Parse(r.Header.Get("Content-Type"), r.Body, p.reg, upload.DefaultLimits)
	if err == nil {
		err = u.CheckVersioned()
	}
	if err != nil {
		return nil, err
	}
	v, err := p.createVersion(r.Context(), w, u.Content, versionOptions{actor: r.actor(), keepTypes: u.Keep, dropUnresolved: !strictInherit(r)})
	if err != nil {
		return nil, err
	}
	return ok(p.versionView(r, w, v, true)), nil
}

// listScriptVersions lists versions, newest first, in the {items} wrapper of this API. With
// deployable=true Cloudflare ignores pagination: the first page has them all.
func (p *Plane) listScriptVersions(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	number, perPage, err := r.pageParams()
	if err != nil {
		return nil, err
	}
	deployable := r.flag("deployable")
	if deployable {
		perPage = registry.DeployableVersions
	}
	versions, total, err := p.reg.Versions(r.Context(), w.ID, deployable, perPage, (number-1)*perPage)
	if err != nil {
		return nil, err
	}
	items := make([]object, len(versions))
	for i, v := range versions {
		items[i] = p.versionView(r, w, v, false)
	}
	return page(object{"items": items}, newPageInfo(number, perPage, len(items), total)), nil
}

func (p *Plane) getScriptVersion(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	v, err := p.versionOf(r, w)
	if err != nil {
		return nil, err
	}
	return ok(p.versionView(r, w, v, true)), nil
}
