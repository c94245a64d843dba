// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// triggeredBySecret is why there is a version with other secrets; wrangler prints a
// sentence for it.
const triggeredBySecret = "secret"

const triggeredByUpload = "upload"

// editWorker serialises the requests that make a version out of the latest one and
// deploy it. Two of them at a time would each lose what the other changed.
func (p *Plane) editWorker(ctx context.Context, accountID, name string) (release func(), err error) {
	release, err = p.locks.acquire(ctx, "edit/"+accountID+"/"+name)
	return release, transientIfCancelled(err)
}

// putScript uploads a script and deploys it to all requests. It makes the Worker if
// there is none, and takes it away again if the upload is refused.
func (p *Plane) putScript(r *request) (*reply, error) {
	name := r.param("worker")
	if err := upload.CheckWorkerName(name); err != nil {
		return nil, err
	}
	u, err := upload.Parse(r.Header.Get("Content-Type"), r.Body, p.reg, upload.DefaultLimits)
	if err == nil {
		err = u.CheckDeployable()
	}
	if err != nil {
		return nil, err
	}
	release, err := p.editWorker(r.Context(), r.account.ID, name)
	if err != nil {
		return nil, err
	}
	defer release()
	w, created, err := p.findOrCreate(r.Context(), r.account.ID, name)
	if err != nil {
		return nil, err
	}
	v, err := p.createVersion(r.Context(), w, u.Content, versionOptions{actor: r.actor(), keepTypes: u.Keep, dropUnresolved: !strictInherit(r)})
	if err == nil {
		err = p.deployVersion(r, w, v, triggeredByUpload, nil)
	}
	if err != nil {
		if created {
			err = errors.Join(err, p.deleteIfEmpty(context.WithoutCancel(r.Context()), w))
		}
		return nil, err
	}
	if w, err = p.applySettings(r.Context(), w, u.Settings); err != nil {
		return nil, err
	}
	return p.deployedScript(r, w, v)
}

// findOrCreate returns the account's Worker of that name.
func (p *Plane) findOrCreate(ctx context.Context, accountID, name string) (w registry.Worker, created bool, err error) {
	w, err = p.reg.Worker(ctx, accountID, name)
	if err == nil || !errors.Is(err, registry.ErrNotFound) {
		return w, false, err
	}
	w, err = p.createWorker(ctx, registry.Worker{AccountID: accountID, Name: name})
	return w, err == nil, err
}

// deleteIfEmpty takes away a Worker that was made for an upload that was refused,
// unless somebody else has used it meanwhile.
func (p *Plane) deleteIfEmpty(ctx context.Context, w registry.Worker) error {
	_, err := p.reg.LatestVersion(ctx, w.ID)
	if errors.Is(err, registry.ErrNotFound) {
		err = p.deleteWorker(ctx, w, true)
	}
	return err
}

// deployVersion makes v live for all requests, if precondition (nil for none) holds
// of what was live. A version that cannot be deployed is taken away: whoever
// uploaded it is told that nothing came of it.
func (p *Plane) deployVersion(r *request, w registry.Worker, v registry.Version, why string, precondition func(live string) bool) error {
	shares := []registry.Share{{VersionID: v.ID, Percentage: 100}}
	_, err := p.deploy(r.Context(), w, shares, deployOptions{
		actor: r.actor(), annotations: v.Annotations, triggeredBy: why, force: true, precondition: precondition,
	})
	if err == nil {
		return nil
	}
	if undo := p.reg.DeleteVersion(context.WithoutCancel(r.Context()), w.ID, v.ID); undo != nil && !errors.Is(undo, registry.ErrVersionLive) {
		return errors.Join(err, undo)
	}
	return err
}

// deployedScript answers an upload that is live now.
func (p *Plane) deployedScript(r *request, w registry.Worker, v registry.Version) (*reply, error) {
	s, err := p.scriptOf(r.Context(), w)
	if err != nil {
		return nil, err
	}
	o := s.view()
	o["startup_time_ms"] = v.StartupTimeMS
	// wrangler puts the hyphens back and calls this the version's id.
	o["deployment_id"] = strings.ReplaceAll(v.ID, "-", "")
	return ok(o), nil
}

// putScriptContent replaces the code and nothing else, and deploys.
func (p *Plane) putScriptContent(r *request) (*reply, error) {
	u, err := upload.Parse(r.Header.Get("Content-Type"), r.Body, p.reg, upload.DefaultLimits)
	if err != nil {
		return nil, err
	}
	return p.editLatest(r, codeSettingsNotLive, triggeredByUpload, func(c *registry.VersionContent) error {
		c.MainModule, c.BodyPart, c.Modules = u.Content.MainModule, u.Content.BodyPart, u.Content.Modules
		return nil
	}, func(w registry.Worker, v registry.Version) (*reply, error) { return p.deployedScript(r, w, v) })
}

func strictInherit(r *request) bool { return r.URL.Query().Get("bindings_inherit") == "strict" }

// Codes for edits of a Worker whose latest version is not the one that is live.
const (
	codeSettingsNotLive = 10214
	codeSecretsNotLive  = 10215
)

// editLatest makes a version out of the latest one, changed by change, and deploys
// it to all requests. That would silently deploy a version that somebody holds
// back, so it is refused with notLive unless the latest version is the only live
// one. A Worker without deployments has nothing to hold back.
func (p *Plane) editLatest(r *request, notLive int, why string, change func(c *registry.VersionContent) error, answer func(registry.Worker, registry.Version) (*reply, error)) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	release, err := p.editWorker(r.Context(), r.account.ID, w.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	var live string
	v, err := p.amendVersion(r.Context(), w, versionOptions{actor: r.actor(), triggeredBy: why}, func(latest registry.Version) (registry.VersionContent, error) {
		var err error
		if live, err = p.checkLatestIsLive(r.Context(), w, latest, notLive); err != nil {
			return registry.VersionContent{}, err
		}
		c := latest.VersionContent
		c.Annotations = nil // they are about the old one
		c.Bindings = slices.Clone(c.Bindings)
		return c, change(&c)
	})
	if err != nil {
		return nil, err
	}
	why = v.Annotations[annotationTriggeredBy] // a change of secrets alone is one whatever the endpoint
	if err := p.deployVersion(r, w, v, why, func(now string) bool { return now == live }); err != nil {
		return nil, err
	}
	return answer(w, v)
}

// checkLatestIsLive returns the id of the live deployment, "" without one, and
// refuses with code where it is not of the latest version alone.
func (p *Plane) checkLatestIsLive(ctx context.Context, w registry.Worker, latest registry.Version, code int) (string, error) {
	d, live, err := p.reg.LiveDeployment(ctx, w.ID)
	if err != nil || !live {
		return "", err
	}
	if len(d.Shares) == 1 && d.Shares[0].VersionID == latest.ID {
		return d.ID, nil
	}
	return "", fail(http.StatusBadRequest, code, "The latest version %s of the Worker %q is not the only one that is deployed, and this change would deploy it to all requests. Deploy it first, or make a version without deploying it (wrangler versions secret put).", latest.ID, w.Name)
}
