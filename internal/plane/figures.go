// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/analytics"
)

// metricsPath is where Prometheus looks for metrics if nobody says otherwise.
//
// It lies on the API's listener, next to what it describes, and needs a token as
// everything there does (Prometheus: authorization.credentials_file): the names of
// Workers and how they fare are the account's own business, also on a machine with
// several users. No Worker's host leads here, for the ingress is another listener
// with another handler, and Workers themselves cannot connect to it: loopback is
// closed to them.
const metricsPath = "/metrics"

func (p *Plane) figuresRoutes() []route {
	return []route{
		{method: http.MethodPost, pattern: apiPrefix + "/graphql", permission: analyticsRead, maxBody: analytics.MaxBody, handle: p.postGraphQL},
		{method: http.MethodGet, pattern: metricsPath, permission: analyticsRead, handle: p.getMetrics},
	}
}

// postGraphQL answers as GraphQL over HTTP does, without an envelope.
func (p *Plane) postGraphQL(r *request) (*reply, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	names, err := p.workerNames(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	answer, status := p.analytics.Answer(body, analytics.Source{
		AccountID: r.account.ID, Workers: names, Traffic: p.runtime.Traffic(), Now: p.now(),
	})
	return &reply{status: status, bare: true, result: answer}, nil
}

// workerNames are the names of an account's Workers by their ids.
func (p *Plane) workerNames(ctx context.Context, accountID string) (map[string]string, error) {
	workers, err := p.reg.Workers(ctx, accountID)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(workers))
	for _, w := range workers {
		names[w.ID] = w.Name
	}
	return names, nil
}
