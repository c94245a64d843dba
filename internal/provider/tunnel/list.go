// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ list.ListResource              = (*listResource)(nil)
	_ list.ListResourceWithConfigure = (*listResource)(nil)
)

type listResource struct{ tfkit.Resource }

// NewListResource makes the list resource hybridge_tunnel.
func NewListResource() list.ListResource { return &listResource{} }

func (l *listResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "hybridge_tunnel"
}

func (l *listResource) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Tunnels of the account that are not deleted. Needs Terraform 1.14.",
		Attributes: map[string]schema.Attribute{
			"plane": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of the plane to ask, a key of the provider's `planes`. Default: the plane that the provider block itself configures.",
				Validators:          []validator.String{tfkit.PlaneName()},
			},
			"name": schema.StringAttribute{Optional: true, MarkdownDescription: "Only the tunnel of this name. Default: all."},
		},
	}
}

func (l *listResource) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var m struct {
		Plane types.String `tfsdk:"plane"`
		Name  types.String `tfsdk:"name"`
	}
	diags := req.Config.Get(ctx, &m)
	var p *tfkit.Plane
	if !diags.HasError() {
		p = l.Data.Plane(m.Plane, &diags)
	}
	if p == nil {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	all, err := p.Client.ListTunnels(ctx, m.Name.ValueString())
	if err != nil {
		stream.Results = list.ListResultsStreamDiagnostics(diag.Diagnostics{tfkit.Attempt{Verb: "list", Kind: "tunnels", Plane: p}.Failed(err)})
		return
	}
	stream.Results = func(yield func(list.ListResult) bool) {
		for i, t := range all {
			if req.Limit > 0 && int64(i) >= req.Limit {
				return
			}
			result := req.NewListResult(ctx)
			result.DisplayName = t.Name
			whole := model{Name: types.StringValue(t.Name), Plane: m.Plane, WarpRouting: types.BoolValue(false)}
			whole.setComputed(&t, p.AccountID)
			result.Diagnostics.Append(result.Identity.Set(ctx, whole.identity())...)
			if req.IncludeResource {
				if config, err := configOf(ctx, p, t.ID); err != nil {
					result.Diagnostics.Append(whole.attempt("read", p).Failed(err))
				} else {
					whole.setConfig(config)
				}
				result.Diagnostics.Append(result.Resource.Set(ctx, whole)...)
			}
			if !yield(result) {
				return
			}
		}
	}
}
