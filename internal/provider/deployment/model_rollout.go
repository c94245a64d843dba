// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
)

// rolloutModel is rollout in configuration, plan and state.
type rolloutModel struct {
	Steps       types.List    `tfsdk:"steps"`
	Gates       types.Map     `tfsdk:"gates"`
	FinalBake   types.String  `tfsdk:"final_bake_time"`
	FinalGates  types.List    `tfsdk:"final_gates"`
	HoldAt      types.Float64 `tfsdk:"hold_at"`
	OnFailure   types.String  `tfsdk:"on_failure"`
	OnInterrupt types.String  `tfsdk:"on_interrupt"`
	OnReturn    types.String  `tfsdk:"on_return"`
}

type stepModel struct {
	Percentage types.Float64 `tfsdk:"percentage"`
	Bake       types.String  `tfsdk:"bake_time"`
	Gates      types.List    `tfsdk:"gates"`
}

type gateModel struct {
	HTTP    *httpModel    `tfsdk:"http"`
	Metrics *metricsModel `tfsdk:"metrics"`
	Webhook *webhookModel `tfsdk:"webhook"`
}

type httpModel struct {
	Path          types.String `tfsdk:"path"`
	Method        types.String `tfsdk:"method"`
	URL           types.String `tfsdk:"url"`
	VersionHeader types.String `tfsdk:"version_header"`
	Status        types.Set    `tfsdk:"status"`
	BodyContains  types.String `tfsdk:"body_contains"`
	MaxLatency    types.String `tfsdk:"max_latency"`
	Timeout       types.String `tfsdk:"timeout"`
	Every         types.String `tfsdk:"every"`
	Failures      types.Int64  `tfsdk:"failures"`
	Patience      types.String `tfsdk:"patience"`
	Headers       types.Map    `tfsdk:"headers"`
	HeadersWO     types.Map    `tfsdk:"headers_wo"`
}

type metricsModel struct {
	MaxFailureRate     types.Float64 `tfsdk:"max_failure_rate"`
	MaxServerErrorRate types.Float64 `tfsdk:"max_server_error_rate"`
	MaxP99             types.String  `tfsdk:"max_p99"`
	MinRequests        types.Int64   `tfsdk:"min_requests"`
	OnInconclusive     types.String  `tfsdk:"on_inconclusive"`
	Settle             types.String  `tfsdk:"settle"`
}

type webhookModel struct {
	URL           types.String        `tfsdk:"url"`
	SigningSecret *signingSecretModel `tfsdk:"signing_secret"`
	Timeout       types.String        `tfsdk:"timeout"`
}

type signingSecretModel struct {
	SopsFile types.String `tfsdk:"sops_file"`
	Key      types.String `tfsdk:"key"`
	ValueWO  types.String `tfsdk:"value_wo"`
}

// known reports whether nothing of the rollout is unknown, so that it can be decoded
// and checked as a whole.
func (m model) rolloutKnown(ctx context.Context) bool {
	if m.Rollout.IsNull() {
		return true
	}
	v, err := m.Rollout.ToTerraformValue(ctx)
	return err == nil && v.IsFullyKnown()
}

// rollout decodes rollout; nil if it is null.
func (m model) rollout(ctx context.Context, diags *diag.Diagnostics) *rolloutModel {
	if m.Rollout.IsNull() || m.Rollout.IsUnknown() {
		return nil
	}
	var r rolloutModel
	diags.Append(m.Rollout.As(ctx, &r, basetypes.ObjectAsOptions{})...)
	if diags.HasError() {
		return nil
	}
	return &r
}

func (r rolloutModel) steps(ctx context.Context, diags *diag.Diagnostics) []stepModel {
	var steps []stepModel
	diags.Append(r.Steps.ElementsAs(ctx, &steps, false)...)
	return steps
}

func (r rolloutModel) gates(ctx context.Context, diags *diag.Diagnostics) map[string]gateModel {
	gates := map[string]gateModel{}
	diags.Append(r.Gates.ElementsAs(ctx, &gates, false)...)
	return gates
}

// texts decodes a list of texts; null is an empty one.
func texts(ctx context.Context, list types.List, diags *diag.Diagnostics) []string {
	var out []string
	if !list.IsNull() {
		diags.Append(list.ElementsAs(ctx, &out, false)...)
	}
	return out
}

// durationOf reads a duration that its validator has accepted; null is 0.
func durationOf(v types.String) time.Duration {
	d, err := time.ParseDuration(v.ValueString())
	if err != nil {
		return 0
	}
	return d
}
