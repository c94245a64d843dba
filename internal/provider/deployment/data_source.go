// SPDX-License-Identifier: MPL-2.0

package deployment

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

// NewDataSource makes the data source hybridge_worker_deployments.
func NewDataSource() datasource.DataSource { return &dataSource{} }

// dataModel is a data source hybridge_worker_deployments.
type dataModel struct {
	Worker      types.String    `tfsdk:"worker"`
	Plane       types.String    `tfsdk:"plane"`
	AccountID   types.String    `tfsdk:"account_id"`
	Deployments []deployedModel `tfsdk:"deployments"`
}

// deployedModel is one entry of the history.
type deployedModel struct {
	ID        types.String `tfsdk:"id"`
	CreatedOn types.String `tfsdk:"created_on"`
	Author    types.String `tfsdk:"author"`
	Source    types.String `tfsdk:"source"`
	Versions  types.Map    `tfsdk:"versions"`
	Message   types.String `tfsdk:"message"`
	ByUs      types.Bool   `tfsdk:"by_hybridge"`
	RunID     types.String `tfsdk:"run_id"`
	Workspace types.String `tfsdk:"workspace"`
	Commit    types.String `tfsdk:"commit"`
}

func (d *dataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "hybridge_worker_deployments"
}

func (d *dataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(meaning string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: meaning}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The history of what was live of a Worker, newest first, as far back as the plane keeps it: who deployed what and when, " +
			"and from which run and commit where Hybridge did.\n\nPermission group: `Workers Scripts Read`.",
		Attributes: map[string]schema.Attribute{
			"worker": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Id or name of the Worker. It is an error if there is none.",
				Validators:          []validator.String{tfkit.WorkerName()},
			},
			"plane":      tfkit.DataSourcePlaneAttribute(),
			"account_id": text("Account that the Worker lives in."),
			"deployments": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The deployments, newest first. The first one is live; empty if nothing was ever deployed.",
				NestedObject: schema.NestedAttributeObject{
					Attributes: map[string]schema.Attribute{
						"id":         text("Id of the deployment."),
						"created_on": text("When it was made, RFC 3339 in UTC."),
						"author":     text("E-mail address of whoever made it; null where the plane does not say."),
						"source":     text("Kind of client that made it, e.g. `terraform`, `wrangler` or `api`."),
						"versions": schema.MapAttribute{
							Computed: true, ElementType: types.Float64Type,
							MarkdownDescription: "Percentage of the requests, by version id.",
						},
						"message": text("Message of whoever made it; null if there is none."),
						"by_hybridge": schema.BoolAttribute{
							Computed:            true,
							MarkdownDescription: "Whether this provider made it.",
						},
						"run_id":    text("Run of HCP Terraform, GitHub Actions or GitLab CI that made it; null if none is recorded."),
						"workspace": text("Workspace or repository of that run; null if none is recorded."),
						"commit":    text("Commit that the run was for; null if none is recorded."),
					},
				},
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
	attempt := tfkit.Attempt{Verb: "list", Kind: "deployments of Worker", Name: m.Worker.ValueString(), Plane: p}
	all, err := p.Client.Deployments(ctx, m.Worker.ValueString())
	switch {
	case cloudflare.IsNotFound(err):
		resp.Diagnostics.AddAttributeError(path.Root("worker"), "Worker not found",
			attempt.FailedBecause(err, "check the Worker's id or name and the plane, or create the Worker with the resource hybridge_worker").Detail())
		return
	case err != nil:
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	}
	m.AccountID = types.StringValue(p.AccountID)
	m.Deployments = make([]deployedModel, len(all))
	for i, each := range all {
		m.Deployments[i] = deployed(each)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func deployed(d cloudflare.Deployment) deployedModel {
	mark := d.Marking()
	return deployedModel{
		ID:        types.StringValue(d.ID),
		CreatedOn: types.StringValue(timestamp(d.CreatedOn)),
		Author:    tfkit.NullIfEmpty(d.AuthorEmail),
		Source:    tfkit.NullIfEmpty(d.Source),
		Versions:  activeVersions(d.Versions),
		Message:   tfkit.NullIfEmpty(mark.Message),
		ByUs:      types.BoolValue(mark.Marker != ""),
		RunID:     tfkit.NullIfEmpty(mark.Run.ID),
		Workspace: tfkit.NullIfEmpty(mark.Run.Workspace),
		Commit:    tfkit.NullIfEmpty(mark.Run.Commit),
	}
}
