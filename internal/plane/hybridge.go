// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/openapi"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// hybridgePrefix is where everything lies that Cloudflare's API does not have. Its
// contract is openapi/hybridge-v1.yaml.
const hybridgePrefix = "/hybridge/v1"

// capabilities name what clients may rely on beyond Cloudflare's API.
var capabilities = []string{"analytics.invocations", "deployments.if-match", "rollouts", "workers.delete-force"}

func (p *Plane) hybridgeRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: hybridgePrefix + "/health", permission: public, handle: p.getHealth},
		{method: http.MethodGet, pattern: hybridgePrefix + "/plane", permission: scriptsRead, handle: p.getPlane},
		{method: http.MethodGet, pattern: hybridgePrefix + "/openapi.json", permission: public, handle: p.getDocument},
	}
}

type healthJSON struct {
	Status string `json:"status"`
}

type planeJSON struct {
	Kind           string             `json:"kind"`
	Version        string             `json:"version"`
	WorkerdVersion string             `json:"workerd_version"`
	Region         string             `json:"region,omitempty"`
	Capabilities   []string           `json:"capabilities"`
	Healthy        bool               `json:"healthy"`
	Account        planeAccountJSON   `json:"account"`
	Ingress        ingressJSON        `json:"ingress"`
	Versions       []versionStateJSON `json:"versions"`
	Problems       []problemJSON      `json:"problems"`
}

type planeAccountJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Subdomain string `json:"subdomain,omitempty"`
}

type ingressJSON struct {
	Scheme string `json:"scheme"`
	Domain string `json:"domain"`
	Port   int    `json:"port,omitempty"`
}

type versionStateJSON struct {
	WorkerID  string `json:"worker_id"`
	Worker    string `json:"worker"`
	VersionID string `json:"version_id"`
	State     string `json:"state"`
	Restarts  int    `json:"restarts"`
	LastError string `json:"last_error,omitempty"`
}

type problemJSON struct {
	WorkerID  string `json:"worker_id"`
	Worker    string `json:"worker"`
	VersionID string `json:"version_id,omitempty"`
	Message   string `json:"message"`

	starting bool   // it may come up
	state    string // of the version, where it is about one
}

// getHealth answers whoever asks, and so says nothing but ok or not.
func (p *Plane) getHealth(r *request) (*reply, error) {
	accounts, err := p.reg.Accounts(r.Context())
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		_, problems, err := p.condition(r.Context(), a)
		if err != nil {
			return nil, err
		}
		if len(problems) > 0 {
			return &reply{status: http.StatusServiceUnavailable, bare: true, result: healthJSON{"degraded"}}, nil
		}
	}
	return &reply{bare: true, result: healthJSON{"ok"}}, nil
}

func (p *Plane) getPlane(r *request) (*reply, error) {
	states, problems, err := p.condition(r.Context(), r.account)
	if err != nil {
		return nil, err
	}
	return &reply{bare: true, result: planeJSON{
		Kind: "self-hosted", Version: p.version, WorkerdVersion: p.workerdVersion, Region: p.region, Capabilities: capabilities,
		Healthy:  len(problems) == 0,
		Account:  planeAccountJSON{ID: r.account.ID, Name: r.account.Name, Subdomain: r.account.Subdomain},
		Ingress:  ingressJSON(p.ingress),
		Versions: states, Problems: problems,
	}}, nil
}

// condition compares what runs with what is live in an account. A version that is
// just starting or draining is no problem; one that cannot stay up is.
func (p *Plane) condition(ctx context.Context, a registry.Account) ([]versionStateJSON, []problemJSON, error) {
	workers, err := p.reg.Workers(ctx, a.ID)
	if err != nil {
		return nil, nil, err
	}
	names := map[string]string{}
	problems := []problemJSON{}
	p.brokenMu.Lock()
	for _, w := range workers {
		names[w.ID] = w.Name
		switch b := p.broken[w.ID]; {
		case b == nil:
		case b.starting:
			problems = append(problems, problemJSON{WorkerID: w.ID, Worker: w.Name, Message: "The live deployment is being brought up.", starting: true})
		default:
			// The reason is in the log: it may name files of this machine.
			problems = append(problems, problemJSON{WorkerID: w.ID, Worker: w.Name, Message: "The live deployment could not be brought up and is tried again; the plane's log says why. If it stays so, deploy another version."})
		}
	}
	p.brokenMu.Unlock()
	for workerID, rollout := range p.leases.stuck() {
		if name, ours := names[workerID]; ours {
			problems = append(problems, problemJSON{WorkerID: workerID, Worker: name,
				Message: fmt.Sprintf("The driver of the rollout %s is silent, and the plane could not go back from it; it tries again, and its log says why. To end that, deploy a version.", rollout)})
		}
	}
	states := []versionStateJSON{}
	for _, s := range p.runtime.States() {
		name, ours := names[s.WorkerID]
		if !ours {
			continue
		}
		states = append(states, versionStateJSON{WorkerID: s.WorkerID, Worker: name, VersionID: s.VersionID, State: s.State, Restarts: s.Restarts, LastError: s.LastError})
		if s.State == "backing-off" || s.State == "crash-loop" {
			problems = append(problems, problemJSON{WorkerID: s.WorkerID, Worker: name, VersionID: s.VersionID, state: s.State,
				Message: fmt.Sprintf("The version is in the state %s after %d restarts.", s.State, s.Restarts)})
		}
	}
	slices.SortFunc(states, func(a, b versionStateJSON) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.VersionID, b.VersionID))
	})
	return states, problems, nil
}

func (p *Plane) getDocument(*request) (*reply, error) {
	document, err := yaml.YAMLToJSON(openapi.HybridgeV1)
	if err != nil {
		return nil, fmt.Errorf("converting the OpenAPI document: %w", err)
	}
	return &reply{bare: true, result: json.RawMessage(document)}, nil
}
