// SPDX-License-Identifier: MPL-2.0

package worker

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ datasource.DataSource              = (*dataSource)(nil)
	_ datasource.DataSourceWithConfigure = (*dataSource)(nil)
)

type dataSource struct{ tfkit.DataSource }

// NewDataSource makes the data source hybridge_worker.
func NewDataSource() datasource.DataSource { return &dataSource{} }

// dataModel is a data source hybridge_worker.
type dataModel struct {
	Name          types.String `tfsdk:"name"`
	Plane         types.String `tfsdk:"plane"`
	AccountID     types.String `tfsdk:"account_id"`
	ID            types.String `tfsdk:"id"`
	CreatedOn     types.String `tfsdk:"created_on"`
	Subdomain     types.Object `tfsdk:"subdomain"`
	Observability types.Object `tfsdk:"observability"`
	Logpush       types.Bool   `tfsdk:"logpush"`
	Tags          types.Set    `tfsdk:"tags"`
	URL           types.String `tfsdk:"url"`
	ReferencedBy  types.List   `tfsdk:"referenced_by"`
}

func (d *dataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "hybridge_worker"
}

func (d *dataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A Worker that exists, found by its name. It is an error if there is none.\n\n" +
			"Permission group: `Workers Scripts Read`.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the Worker.",
				Validators:          []validator.String{tfkit.WorkerName()},
			},
			"plane":      tfkit.DataSourcePlaneAttribute(),
			"account_id": schema.StringAttribute{Computed: true, MarkdownDescription: "Account that the Worker lives in."},
			"id":         schema.StringAttribute{Computed: true, MarkdownDescription: "Id of the Worker, 32 hexadecimal digits."},
			"created_on": schema.StringAttribute{Computed: true, MarkdownDescription: "When the Worker was created, RFC 3339 in UTC."},
			"subdomain": schema.ObjectAttribute{
				Computed: true, AttributeTypes: subdomainTypes,
				MarkdownDescription: "Whether the Worker answers below the account's `workers.dev` subdomain (`enabled`), and whether each version does (`previews_enabled`).",
			},
			"observability": schema.ObjectAttribute{
				Computed: true, AttributeTypes: observabilityTypes,
				MarkdownDescription: "Logs and traces that the plane keeps, as in the resource `hybridge_worker`; null if they are off.",
			},
			"logpush": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether events of the Worker go to the account's Logpush jobs."},
			"tags":    schema.SetAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Tags of the Worker."},
			"url":     schema.StringAttribute{Computed: true, MarkdownDescription: "Where the live deployment answers; null unless `subdomain.enabled`."},
			"referenced_by": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "What refers to the Worker, in words, e.g. `Worker \"shop\"`. While it is not empty, `hybridge_worker` refuses to destroy the Worker.",
			},
		},
	}
}

func (d *dataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m dataModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := d.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	attempt := tfkit.Attempt{Verb: "read", Kind: "Worker", Name: m.Name.ValueString(), Plane: p}
	w, err := p.Client.Worker(ctx, m.Name.ValueString())
	switch {
	case cloudflare.IsNotFound(err):
		resp.Diagnostics.AddAttributeError(path.Root("name"), "Worker not found",
			attempt.FailedBecause(err, "check the name and the plane, or create the Worker with the resource hybridge_worker").Detail())
		return
	case err != nil:
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	}
	var all model
	all.setAll(ctx, w, p.AccountID, &resp.Diagnostics)
	references, diags := types.ListValueFrom(ctx, types.StringType, othersReferences(w))
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(resp.State.Set(ctx, dataModel{
		Name: m.Name, Plane: m.Plane, AccountID: all.AccountID, ID: all.ID, CreatedOn: all.CreatedOn, Subdomain: all.Subdomain,
		Observability: wholeObservability(ctx, w.Observability, &resp.Diagnostics), Logpush: all.Logpush, Tags: all.Tags, URL: all.URL,
		ReferencedBy: references,
	})...)
}
