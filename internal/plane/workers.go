// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// The beta API's Workers: a Worker is there before its first version, and {worker}
// is its id or its name.
const (
	workersPath = apiPrefix + "/accounts/{account}/workers/workers"
	workerPath  = workersPath + "/{worker}"
)

func (p *Plane) workersRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: workersPath, permission: scriptsRead, handle: p.listWorkers},
		{method: http.MethodPost, pattern: workersPath, permission: scriptsWrite, handle: p.postWorker},
		{method: http.MethodGet, pattern: workerPath, permission: scriptsRead, handle: p.getWorker},
		{method: http.MethodPut, pattern: workerPath, permission: scriptsWrite, handle: p.putWorker},
		{method: http.MethodPatch, pattern: workerPath, permission: scriptsWrite, handle: p.patchWorker},
		{method: http.MethodDelete, pattern: workerPath, permission: scriptsWrite, handle: p.deleteWorkerRoute},
	}
}

// worker is the Worker that the path names by id or name, or 10007.
func (p *Plane) worker(r *request) (registry.Worker, error) {
	w, err := p.reg.Worker(r.Context(), r.account.ID, r.param("worker"))
	return w, orElse(err, workerNotFound(r.param("worker")))
}

func (p *Plane) listWorkers(r *request) (*reply, error) {
	all, err := p.reg.Workers(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	if err := sortWorkers(r, all); err != nil {
		return nil, err
	}
	cut, info, err := paginate(r, all)
	if err != nil {
		return nil, err
	}
	refs, err := p.reg.References(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	out := make([]workerJSON, len(cut))
	for i, w := range cut {
		out[i] = p.workerJSON(r.account, w, refs)
	}
	return page(out, info), nil
}

// sortWorkers orders by what the query asks for; by name if it asks for nothing.
func sortWorkers(r *request, list []registry.Worker) error {
	key := map[string]func(w registry.Worker) time.Time{
		"created_on": func(w registry.Worker) time.Time { return w.CreatedOn },
		"updated_on": func(w registry.Worker) time.Time { return w.UpdatedOn },
		"deployed_on": func(w registry.Worker) time.Time {
			if w.DeployedOn == nil {
				return time.Time{}
			}
			return *w.DeployedOn
		},
	}
	by, order := r.URL.Query().Get("order_by"), r.URL.Query().Get("order")
	if key[by] == nil && by != "" && by != "name" {
		return fail(http.StatusBadRequest, codeBadParameter, "The query parameter order_by must be name, created_on, updated_on or deployed_on.")
	}
	slices.SortStableFunc(list, func(a, b registry.Worker) int {
		if order == "desc" {
			a, b = b, a
		}
		if of := key[by]; of != nil {
			return of(a).Compare(of(b))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return nil
}

func (p *Plane) getWorker(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	return p.replyWorker(r, w)
}

func (p *Plane) replyWorker(r *request, w registry.Worker) (*reply, error) {
	refs, err := p.reg.References(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	return ok(p.workerJSON(r.account, w, refs)), nil
}

func (p *Plane) postWorker(r *request) (*reply, error) {
	var body workerBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	w := registry.Worker{AccountID: r.account.ID}
	if err := body.applyTo(&w); err != nil {
		return nil, err
	}
	w, err := p.createWorker(r.Context(), w)
	if err != nil {
		return nil, err
	}
	return p.replyWorker(r, w)
}

func (p *Plane) putWorker(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	body := workerBody{Name: w.Name}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if w, err = p.updateWorker(r.Context(), w.ID, body.applyTo); err != nil {
		return nil, err
	}
	return p.replyWorker(r, w)
}

func (p *Plane) patchWorker(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	patch, err := r.readBody()
	if err != nil {
		return nil, err
	}
	w, err = p.updateWorker(r.Context(), w.ID, func(w *registry.Worker) error {
		current, err := json.Marshal(bodyOf(*w))
		if err != nil {
			return err
		}
		merged, err := mergePatch(current, patch)
		if err != nil {
			return badJSON(err)
		}
		var body workerBody
		if err := json.Unmarshal(merged, &body); err != nil {
			return badJSON(err)
		}
		return body.applyTo(w)
	})
	if err != nil {
		return nil, err
	}
	return p.replyWorker(r, w)
}

func (p *Plane) deleteWorkerRoute(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	return ok(nil), p.deleteWorker(r.Context(), w, r.flag("force"))
}

// workerBody is what a client may say about a Worker.
type workerBody struct {
	Name          string          `json:"name"`
	Logpush       bool            `json:"logpush"`
	Observability json.RawMessage `json:"observability,omitempty"`
	Subdomain     *subdomainBody  `json:"subdomain,omitempty"`
	Tags          []string        `json:"tags"`
	TailConsumers json.RawMessage `json:"tail_consumers,omitempty"`
}

type subdomainBody struct {
	Enabled         bool  `json:"enabled"`
	PreviewsEnabled *bool `json:"previews_enabled"`
}

func bodyOf(w registry.Worker) workerBody {
	return workerBody{
		Name: w.Name, Logpush: w.Logpush, Observability: w.Observability, Tags: w.Tags, TailConsumers: w.TailConsumers,
		Subdomain: &subdomainBody{Enabled: w.Enabled, PreviewsEnabled: &w.PreviewsEnabled},
	}
}

// applyTo makes w what the body says; what the body does not say gets its default.
func (b workerBody) applyTo(w *registry.Worker) error {
	if err := upload.CheckWorkerName(b.Name); err != nil {
		return err
	}
	observability, err := objectOrNil("observability", b.Observability)
	if err != nil {
		return err
	}
	tails := nullToNil(b.TailConsumers)
	if tails != nil {
		var list []struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(tails, &list); err != nil {
			return fail(http.StatusBadRequest, codeBadBody, "tail_consumers must be a list of objects with a name.")
		}
	}
	w.Name, w.Logpush, w.Tags = b.Name, b.Logpush, append([]string{}, b.Tags...)
	w.Observability, w.TailConsumers = observability, tails
	w.Enabled, w.PreviewsEnabled = false, false
	if b.Subdomain != nil {
		// Previews follow the subdomain where nothing is said about them.
		w.Enabled, w.PreviewsEnabled = b.Subdomain.Enabled, b.Subdomain.Enabled
		if b.Subdomain.PreviewsEnabled != nil {
			w.PreviewsEnabled = *b.Subdomain.PreviewsEnabled
		}
	}
	return nil
}

func nullToNil(raw json.RawMessage) json.RawMessage {
	if strings.TrimSpace(string(raw)) == "null" {
		return nil
	}
	return raw
}

func objectOrNil(name string, raw json.RawMessage) (json.RawMessage, error) {
	raw = nullToNil(raw)
	var object map[string]json.RawMessage
	if raw != nil && json.Unmarshal(raw, &object) != nil {
		return nil, fail(http.StatusBadRequest, codeBadBody, "%s must be an object.", name)
	}
	return raw, nil
}

// workerJSON is a Worker as the beta API shows it.
type workerJSON struct {
	ID            string          `json:"id"`
	Name          string          `json:"name"`
	CreatedOn     stamp           `json:"created_on"`
	UpdatedOn     stamp           `json:"updated_on"`
	DeployedOn    *stamp          `json:"deployed_on"`
	Logpush       bool            `json:"logpush"`
	Observability json.RawMessage `json:"observability"`
	References    referencesJSON  `json:"references"`
	Subdomain     subdomainJSON   `json:"subdomain"`
	Tags          []string        `json:"tags"`
	TailConsumers json.RawMessage `json:"tail_consumers"`
}

type subdomainJSON struct {
	Enabled          bool   `json:"enabled"`
	PreviewsEnabled  bool   `json:"previews_enabled"`
	URL              string `json:"url,omitempty"`
	PreviewURLSuffix string `json:"preview_url_suffix,omitempty"`
}

// referencesJSON has only Workers here: this plane has none of the other kinds.
type referencesJSON struct {
	DispatchNamespaceOutbounds []any           `json:"dispatch_namespace_outbounds"`
	Domains                    []any           `json:"domains"`
	DurableObjects             []any           `json:"durable_objects"`
	Queues                     []any           `json:"queues"`
	Workers                    []referenceJSON `json:"workers"`
}

type referenceJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (p *Plane) workerJSON(a registry.Account, w registry.Worker, refs []registry.Reference) workerJSON {
	none := []any{}
	out := workerJSON{
		ID: w.ID, Name: w.Name, CreatedOn: stamp(w.CreatedOn), UpdatedOn: stamp(w.UpdatedOn), DeployedOn: nullStamp(w.DeployedOn),
		Logpush: w.Logpush, Observability: observabilityJSON(w.Observability), TailConsumers: w.TailConsumers, Tags: append([]string{}, w.Tags...),
		Subdomain:  subdomainJSON{Enabled: w.Enabled, PreviewsEnabled: w.PreviewsEnabled, URL: p.workerURL(a, w.Name)},
		References: referencesJSON{DispatchNamespaceOutbounds: none, Domains: none, DurableObjects: none, Queues: none, Workers: []referenceJSON{}},
	}
	if host := p.host(a, w.Name); host != "" {
		out.Subdomain.PreviewURLSuffix = "-" + host + p.portSuffix()
	}
	if out.TailConsumers == nil {
		out.TailConsumers = json.RawMessage(`[]`)
	}
	for _, ref := range refs {
		if ref.To == w.Name {
			out.References.Workers = append(out.References.Workers, referenceJSON{ref.FromID, ref.FromName})
		}
	}
	return out
}

// observabilityJSON echoes what was sent, because clients compare it, and adds the
// two members that Cloudflare always has.
func observabilityJSON(sent json.RawMessage) json.RawMessage {
	members := map[string]json.RawMessage{"enabled": json.RawMessage(`false`), "head_sampling_rate": json.RawMessage(`1`)}
	if sent != nil {
		// It was an object when it was stored; a damaged one shows the defaults.
		_ = json.Unmarshal(sent, &members)
	}
	// Raw members marshal, and a map is written in the order of its keys.
	out, _ := json.Marshal(members)
	return out
}
