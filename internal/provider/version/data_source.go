// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"
	"time"

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

// NewDataSource makes the data source hybridge_worker_versions.
func NewDataSource() datasource.DataSource { return &dataSource{} }

// dataModel is a data source hybridge_worker_versions.
type dataModel struct {
	Worker    types.String    `tfsdk:"worker"`
	Plane     types.String    `tfsdk:"plane"`
	AccountID types.String    `tfsdk:"account_id"`
	Versions  []uploadedModel `tfsdk:"versions"`
}

// uploadedModel is one version of the list.
type uploadedModel struct {
	ID        types.String `tfsdk:"id"`
	Number    types.Int64  `tfsdk:"number"`
	CreatedOn types.String `tfsdk:"created_on"`
	Author    types.String `tfsdk:"author"`
	Source    types.String `tfsdk:"source"`
	Message   types.String `tfsdk:"message"`
	Tag       types.String `tfsdk:"tag"`
	ByUs      types.Bool   `tfsdk:"by_hybridge"`
}

func (d *dataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "hybridge_worker_versions"
}

func (d *dataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(meaning string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: meaning}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The versions of a Worker that can be deployed, newest first, whoever uploaded them. Cloudflare offers the 100 newest.\n\n" +
			"Permission group: `Workers Scripts Read`.",
		Attributes: map[string]schema.Attribute{
			"worker": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Id or name of the Worker. It is an error if there is none.",
				Validators:          []validator.String{tfkit.WorkerName()},
			},
			"plane":      tfkit.DataSourcePlaneAttribute(),
			"account_id": text("Account that the Worker lives in."),
			"versions": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The versions, newest first; empty if none was ever uploaded.",
				NestedObject: schema.NestedAttributeObject{
					Attributes: map[string]schema.Attribute{
						"id":         text("Id of the version, as `version_id` of `hybridge_worker_deployment` takes it."),
						"number":     schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of the version, counted from 1 per Worker."},
						"created_on": text("When it was uploaded, RFC 3339 in UTC."),
						"author":     text("E-mail address of whoever uploaded it; null where the plane does not say."),
						"source":     text("Kind of client that uploaded it, e.g. `terraform`, `wrangler` or `api`."),
						"message":    text("Message of whoever uploaded it; null if there is none."),
						"tag":        text("Tag of the version; null if there is none."),
						"by_hybridge": schema.BoolAttribute{
							Computed:            true,
							MarkdownDescription: "Whether this provider uploaded it.",
						},
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
	attempt := tfkit.Attempt{Verb: "list", Kind: "versions of Worker", Name: m.Worker.ValueString(), Plane: p}
	all, err := p.Client.DeployableVersions(ctx, m.Worker.ValueString())
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
	m.Versions = make([]uploadedModel, len(all))
	for i, v := range all {
		m.Versions[i] = uploadedModel{
			ID:        types.StringValue(v.ID),
			Number:    types.Int64Value(v.Number),
			CreatedOn: types.StringValue(v.CreatedOn.UTC().Format(time.RFC3339)),
			Author:    tfkit.NullIfEmpty(v.AuthorEmail),
			Source:    tfkit.NullIfEmpty(v.Source),
			Message:   tfkit.NullIfEmpty(v.Message()),
			Tag:       tfkit.NullIfEmpty(v.Tag()),
			ByUs:      types.BoolValue(v.Marker() != ""),
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}
