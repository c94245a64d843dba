// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ action.Action              = (*rotateAction)(nil)
	_ action.ActionWithConfigure = (*rotateAction)(nil)
)

type rotateAction struct{ tfkit.Action }

// NewRotateAction makes the action hybridge_tunnel_rotate.
func NewRotateAction() action.Action { return &rotateAction{} }

func (a *rotateAction) Metadata(_ context.Context, _ action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = "hybridge_tunnel_rotate"
}

func (a *rotateAction) Schema(_ context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Gives a tunnel a new secret, waits until its connectors have come with the new token, and then ends the old ones' connections. Within the timeout nothing is ended. " +
			"Each call rotates. Needs Terraform 1.14; `rotation_trigger` of hybridge_tunnel does it with any.\n\nPermission groups: `Cloudflare Tunnel Write`.",
		Attributes: map[string]schema.Attribute{
			"tunnel_id": schema.StringAttribute{Required: true, MarkdownDescription: "Id of the tunnel.", Validators: []validator.String{ID()}},
			"plane":     tfkit.ActionPlaneAttribute(),
			"timeout": schema.StringAttribute{
				Optional: true, MarkdownDescription: "How long to wait for connectors with the new token, e.g. `15m`. Default: `" + defaultRotation + "`.",
				Validators: []validator.String{tfkit.Duration()},
			},
		},
	}
}

func (a *rotateAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m struct {
		TunnelID types.String `tfsdk:"tunnel_id"`
		Plane    types.String `tfsdk:"plane"`
		Timeout  types.String `tfsdk:"timeout"`
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || a.Data == nil {
		return
	}
	p := a.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	limit := mustDuration(defaultRotation)
	if d, err := time.ParseDuration(m.Timeout.ValueString()); err == nil {
		limit = d
	}
	say, done := tfkit.Progress(ctx, resp)
	defer done()
	id := m.TunnelID.ValueString()
	attempt := tfkit.Attempt{Verb: "rotate the secret of", Kind: "tunnel", Name: id, Plane: p}
	old, wait, err := beginRotation(ctx, p.Client, id)
	if err != nil {
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	}
	say("the tunnel has a new secret; waiting for %d connectors to come with the new token", wait)
	err = endRotation(ctx, p.Client, id, pending{Old: old, Wait: wait}, limit, say)
	if isDrop(err) {
		resp.Diagnostics.Append(attempt.FailedBecause(err, "the new secret is set, and its connectors stand; the old ones were not told to go. Stop them on their machines"))
		return
	}
	if err != nil {
		resp.Diagnostics.Append(attempt.FailedBecause(err, "the new secret is set, and no connection was ended. See that every connector gets the new token, and wait until hybridge_tunnel_health shows it; calling the action again would rotate once more"))
		return
	}
	say("the old connections are ended")
}
