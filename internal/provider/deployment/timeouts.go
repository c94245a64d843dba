// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"cmp"
	"context"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/gate"
	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// deploymentTime is for one deployment with all its retries, and some reserve.
const deploymentTime = 2 * time.Minute

// limit is how long the rollout may take: what timeouts says, else what is enough.
func (r *release) limit(ctx context.Context, enough time.Duration) (limit time.Duration) {
	if r.state == nil {
		limit, diags := r.plan.Timeouts.Create(ctx, enough)
		r.diags.Append(diags...)
		return limit
	}
	limit, diags := r.plan.Timeouts.Update(ctx, enough)
	r.diags.Append(diags...)
	return limit
}

// patience is how long a rollout takes if every gate needs all its time: the bake times,
// the longest watching gate of each step, the asking ones one after the other, and the
// deployments with the one that goes back.
func patience(p rollout.Plan, gates map[string]gateModel) time.Duration {
	sum := p.Baking() + time.Duration(len(p.Steps)+2)*deploymentTime
	steps := append([]rollout.Step{{Gates: p.FinalGates}}, p.Steps...)
	for _, s := range steps {
		var watching time.Duration
		for _, name := range s.Gates {
			switch g := gates[name]; {
			case g.HTTP != nil:
				watching = max(watching, cmp.Or(durationOf(g.HTTP.Patience), gate.DefaultProbePatience)+2*cmp.Or(durationOf(g.HTTP.Timeout), gate.DefaultProbeTimeout))
			case g.Metrics != nil:
				watching = max(watching, cmp.Or(durationOf(g.Metrics.Settle), gate.DefaultEdgeSettle)+time.Minute)
			case g.Webhook != nil:
				sum += cmp.Or(durationOf(g.Webhook.Timeout), gate.DefaultWebhookTimeout) + time.Minute
			}
		}
		sum += watching
	}
	return sum
}
