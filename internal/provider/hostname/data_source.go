// SPDX-License-Identifier: MPL-2.0

package hostname

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ datasource.DataSource              = (*zoneDataSource)(nil)
	_ datasource.DataSourceWithConfigure = (*zoneDataSource)(nil)
)

type zoneDataSource struct{ tfkit.DataSource }

// NewZoneDataSource makes the data source hybridge_zone.
func NewZoneDataSource() datasource.DataSource { return &zoneDataSource{} }

func (d *zoneDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "hybridge_zone"
}

func (d *zoneDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A DNS zone of the account, for the id of it. A self-hosted plane has the zones that its configuration names (`hybridge dev --zone example.com`).\n\n" +
			"Permission groups: `Zone Read`; on a self-hosted plane `DNS Read`.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required: true, MarkdownDescription: "Name of the zone, e.g. `example.com`.",
				Validators: []validator.String{tfkit.Check("a domain name in lower case such as example.com", nameForm.MatchString)},
			},
			"plane": tfkit.DataSourcePlaneAttribute(),
			"id":    schema.StringAttribute{Computed: true, MarkdownDescription: "Id of the zone, 32 hexadecimal digits."},
			"status": schema.StringAttribute{
				Computed: true, MarkdownDescription: "`active` if Cloudflare answers for the zone; `pending` while its name servers are not set, and others. Always `active` on a self-hosted plane.",
			},
		},
	}
}

func (d *zoneDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m struct {
		Name   types.String `tfsdk:"name"`
		Plane  types.String `tfsdk:"plane"`
		ID     types.String `tfsdk:"id"`
		Status types.String `tfsdk:"status"`
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := d.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	zone, err := p.Client.FindZone(ctx, m.Name.ValueString())
	switch attempt := (tfkit.Attempt{Verb: "find", Kind: "zone", Name: m.Name.ValueString(), Plane: p}); {
	case err != nil:
		resp.Diagnostics.Append(attempt.Failed(err))
	case zone == nil:
		f := attempt.FailedBecause(fmt.Errorf("the account %s has no such zone that the API token may read", p.AccountID),
			"check the name and the token's zones; on a self-hosted plane, name the zone in its configuration (hybridge dev --zone)")
		resp.Diagnostics.AddAttributeError(path.Root("name"), f.Summary(), f.Detail())
	default:
		m.ID, m.Status = types.StringValue(zone.ID), types.StringValue(zone.Status)
		resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	}
}
