// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	deploymentsPath = apiPrefix + "/accounts/{account}/workers/scripts/{worker}/deployments"
	deploymentPath  = deploymentsPath + "/{deployment}"

	// shownDeployments is how much history one answer has; there are no pages.
	shownDeployments = 100
)

func (p *Plane) deploymentsRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: deploymentsPath, permission: scriptsRead, handle: p.listDeployments},
		{method: http.MethodPost, pattern: deploymentsPath, permission: scriptsWrite, handle: p.postDeployment},
		{method: http.MethodGet, pattern: deploymentPath, permission: scriptsRead, handle: p.getDeployment},
		{method: http.MethodDelete, pattern: deploymentPath, permission: scriptsWrite, handle: p.deleteDeployment},
	}
}

type deploymentJSON struct {
	ID          string            `json:"id"`
	CreatedOn   stamp             `json:"created_on"`
	Source      string            `json:"source"`
	Strategy    string            `json:"strategy"`
	AuthorID    string            `json:"author_id,omitempty"`
	AuthorEmail string            `json:"author_email"`
	Annotations map[string]string `json:"annotations"`
	Versions    []shareJSON       `json:"versions"`
}

type shareJSON struct {
	VersionID  string  `json:"version_id"`
	Percentage float64 `json:"percentage"`
}

func newDeploymentJSON(d registry.Deployment) deploymentJSON {
	out := deploymentJSON{
		ID: d.ID, CreatedOn: stamp(d.CreatedOn), Source: d.Source, Strategy: d.Strategy, AuthorID: d.AuthorID, AuthorEmail: d.AuthorEmail,
		Annotations: d.Annotations, Versions: make([]shareJSON, len(d.Shares)),
	}
	for i, s := range d.Shares {
		out.Versions[i] = shareJSON(s)
	}
	return out
}

func etag(id string) string { return `"` + id + `"` }

// listDeployments answers the history, newest first: element 0 is live. Its ETag
// is what If-Match of a POST takes.
func (p *Plane) listDeployments(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	list, err := p.reg.Deployments(r.Context(), w.ID, shownDeployments)
	if err != nil {
		return nil, err
	}
	out := make([]deploymentJSON, len(list))
	for i, d := range list {
		out[i] = newDeploymentJSON(d)
	}
	rep := ok(map[string]any{"deployments": out})
	if len(list) > 0 {
		rep.with("ETag", etag(list[0].ID))
	}
	return rep, nil
}

func (p *Plane) postDeployment(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	var body struct {
		Strategy    string            `json:"strategy"`
		Versions    []shareJSON       `json:"versions"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if body.Strategy != "" && body.Strategy != "percentage" {
		return nil, badDeployment("The strategy %q is not known: the only one is \"percentage\".", body.Strategy)
	}
	shares := make([]registry.Share, len(body.Versions))
	for i, s := range body.Versions {
		shares[i] = registry.Share(s)
	}
	d, err := p.deploy(r.Context(), w, shares, deployOptions{
		actor: r.actor(), annotations: body.Annotations, force: r.flag("force"), precondition: precondition(r.Header),
		rollout: r.Header.Get(rolloutHeader),
	})
	if err != nil {
		return nil, err
	}
	return ok(newDeploymentJSON(d)).with("ETag", etag(d.ID)), nil
}

// precondition reads If-Match and If-None-Match (RFC 9110, section 13.1) against
// the id of the live deployment; nil where the request has neither.
func precondition(h http.Header) func(live string) bool {
	match, noneMatch := etags(h.Values("If-Match")), etags(h.Values("If-None-Match"))
	if match == nil && noneMatch == nil {
		return nil
	}
	has := func(list []string, live string) bool {
		return live != "" && (slices.Contains(list, "*") || slices.Contains(list, etag(live)))
	}
	return func(live string) bool {
		return (match == nil || has(match, live)) && !has(noneMatch, live)
	}
}

func etags(values []string) []string {
	var list []string
	for _, v := range values {
		for tag := range strings.SplitSeq(v, ",") {
			// A weak tag is taken as the strong one: there is one representation.
			list = append(list, strings.TrimPrefix(strings.TrimSpace(tag), "W/"))
		}
	}
	return list
}

func deploymentNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeDeploymentNotFound, "The deployment %q was not found.", id)
}

func (p *Plane) getDeployment(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	d, err := p.reg.Deployment(r.Context(), w.ID, r.param("deployment"))
	if err != nil {
		return nil, orElse(err, deploymentNotFound(r.param("deployment")))
	}
	return ok(newDeploymentJSON(d)).with("ETag", etag(d.ID)), nil
}

func (p *Plane) deleteDeployment(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	err = p.reg.DeleteDeployment(r.Context(), w.ID, r.param("deployment"))
	if errors.Is(err, registry.ErrLive) {
		return nil, fail(http.StatusBadRequest, codeDeploymentLive, "The deployment %s is live: create another deployment of the Worker %q before you delete it.", r.param("deployment"), w.Name)
	}
	return ok(nil), orElse(err, deploymentNotFound(r.param("deployment")))
}
