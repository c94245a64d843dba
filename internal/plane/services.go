// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// codeNoService is what wrangler takes for "there is no such Worker yet".
const codeNoService = 10090

// environment is the one that every Worker has; wrangler's own environments are
// Workers of their own.
const environment = "production"

// getService answers the undocumented first question of every deploy.
func (p *Plane) getService(r *request) (*reply, error) {
	name := r.param("worker")
	w, err := p.reg.Worker(r.Context(), r.account.ID, name)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, fail(http.StatusNotFound, codeNoService, "workers.api.error.service_not_found: this Worker does not exist on your account: %q.", name)
	}
	if err != nil {
		return nil, err
	}
	s, err := p.scriptOf(r.Context(), w)
	if err != nil {
		return nil, err
	}
	view := s.view()
	created, modified := view["created_on"], view["modified_on"]
	return ok(object{
		"id": w.Name, "created_on": created, "modified_on": modified, "usage_model": usageModel,
		"environments":        []object{{"environment": environment, "created_on": created, "modified_on": modified}},
		"default_environment": object{"environment": environment, "created_on": created, "modified_on": modified, "script": view},
	}), nil
}

// deleteScript removes a Worker; it serves the scripts and the services endpoint.
func (p *Plane) deleteScript(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	if err := p.deleteWorker(r.Context(), w, r.flag("force")); err != nil {
		return nil, orElse(err, workerNotFound(w.Name))
	}
	return ok(nil), nil
}

// listScripts lists the account's Workers. tags=a:yes,b:no keeps those that have
// the tag a and lack b.
func (p *Plane) listScripts(r *request) (*reply, error) {
	workers, err := p.reg.Workers(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	filter := r.URL.Query().Get("tags")
	out := []object{}
	for _, w := range workers {
		if !matchesTags(w, filter) {
			continue
		}
		s, err := p.scriptOf(r.Context(), w)
		if err != nil {
			return nil, err
		}
		out = append(out, s.view())
	}
	return ok(out), nil
}

func matchesTags(w registry.Worker, filter string) bool {
	for term := range strings.SplitSeq(filter, ",") {
		tag, want, found := strings.Cut(strings.TrimSpace(term), ":")
		if tag == "" {
			continue
		}
		if slices.Contains(w.Tags, tag) != (!found || want == "yes") {
			return false
		}
	}
	return true
}

// searchScripts finds Workers by a part of the name or by id.
func (p *Plane) searchScripts(r *request) (*reply, error) {
	workers, err := p.reg.Workers(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	found := []object{}
	for _, w := range workers {
		if !strings.Contains(w.Name, q.Get("name")) || (q.Get("id") != "" && q.Get("id") != w.ID) {
			continue
		}
		found = append(found, object{
			"id": w.ID, "script_name": w.Name, "service_name": w.Name, "script_tag": w.ID,
			"environment_name": environment, "environment_is_default": true,
			"created_on": stamp(w.CreatedOn), "modified_on": stamp(w.UpdatedOn),
		})
	}
	list, info, err := paginate(r, found)
	if err != nil {
		return nil, err
	}
	return page(list, info), nil
}

// getReferences tells which live Workers bind to this one, and to which it binds.
func (p *Plane) getReferences(r *request) (*reply, error) {
	w, err := p.worker(r)
	if err != nil {
		return nil, err
	}
	refs, err := p.reg.References(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	incoming, outgoing := []object{}, []object{}
	for _, ref := range refs {
		if ref.To == w.Name {
			incoming = append(incoming, object{"service": ref.FromName, "environment": environment, "name": ref.FromName})
		}
		if ref.FromID == w.ID {
			outgoing = append(outgoing, object{"service": ref.To, "environment": environment, "name": ref.To})
		}
	}
	return ok(object{
		"services":        object{"incoming": incoming, "outgoing": outgoing, "pages_function": false},
		"durable_objects": []any{}, "dispatch_outbounds": []any{},
	}), nil
}

// listTailProducers lists the Workers that name this one as a tail consumer.
func (p *Plane) listTailProducers(r *request) (*reply, error) {
	workers, err := p.reg.Workers(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, w := range workers {
		if slices.Contains(tailConsumerNames(w.TailConsumers), r.param("worker")) {
			out = append(out, object{"tag": w.ID, "producer": object{"service": w.Name, "environment": environment}})
		}
	}
	return ok(out), nil
}
