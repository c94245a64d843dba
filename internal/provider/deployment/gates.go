// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

func (r *release) gates(ctx context.Context, c rolloutModel, plan rollout.Plan) map[string]rollout.Gate {
	return nil
}
