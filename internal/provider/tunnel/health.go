// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ datasource.DataSource              = (*healthDataSource)(nil)
	_ datasource.DataSourceWithConfigure = (*healthDataSource)(nil)
)

type healthDataSource struct{ tfkit.DataSource }

// NewHealthDataSource makes the data source hybridge_tunnel_health.
func NewHealthDataSource() datasource.DataSource { return &healthDataSource{} }

type healthModel struct {
	TunnelID   types.String           `tfsdk:"tunnel_id"`
	Plane      types.String           `tfsdk:"plane"`
	Status     types.String           `tfsdk:"status"`
	Healthy    types.Bool             `tfsdk:"healthy"`
	Error      types.String           `tfsdk:"error"`
	Colos      []types.String         `tfsdk:"colos"`
	Versions   []types.String         `tfsdk:"versions"`
	Connectors []healthConnectorModel `tfsdk:"connectors"`
}

type healthConnectorModel struct {
	ID            types.String `tfsdk:"id"`
	Version       types.String `tfsdk:"version"`
	Arch          types.String `tfsdk:"arch"`
	RunAt         types.String `tfsdk:"run_at"`
	ConfigVersion types.Int64  `tfsdk:"config_version"`
	Connections   types.Int64  `tfsdk:"connections"`
}

func (d *healthDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "hybridge_tunnel_health"
}

func (d *healthDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "How a tunnel is served now. It reports and never fails, also if there is no such tunnel or its plane cannot be asked: then `status` is " +
			"`unknown` and `error` says why. Meant for `check` blocks.\n\nPermission groups: `Cloudflare Tunnel Read`.",
		Attributes: map[string]schema.Attribute{
			"tunnel_id": schema.StringAttribute{Required: true, MarkdownDescription: "Id of the tunnel.", Validators: []validator.String{ID()}},
			"plane":     tfkit.DataSourcePlaneAttribute(),
			"status": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`healthy`, `degraded` (some connections lack), `down` (none, any more), `inactive` (never any), `deleted`, or `unknown`.",
			},
			"healthy":  schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether `status` is `healthy`."},
			"error":    schema.StringAttribute{Computed: true, MarkdownDescription: "Why the status is not known; null if it is."},
			"colos":    schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Data centres that connections end in, sorted."},
			"versions": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Versions of the connectors, sorted."},
			"connectors": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "Connectors that are connected, oldest first.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"id":             schema.StringAttribute{Computed: true, MarkdownDescription: "Id of the connector, a UUID; new with each start of it."},
					"version":        schema.StringAttribute{Computed: true, MarkdownDescription: "Version of its program."},
					"arch":           schema.StringAttribute{Computed: true, MarkdownDescription: "System that it runs on, e.g. `linux_amd64`."},
					"run_at":         schema.StringAttribute{Computed: true, MarkdownDescription: "Since when it runs, RFC 3339 in UTC."},
					"config_version": schema.Int64Attribute{Computed: true, MarkdownDescription: "Version of the configuration that it has."},
					"connections":    schema.Int64Attribute{Computed: true, MarkdownDescription: "How many connections it has."},
				}},
			},
		},
	}
}

func (d *healthDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m healthModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := d.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	status, connectors, err := lookAt(ctx, p.Client, m.TunnelID.ValueString())
	m.Error = types.StringNull()
	if err != nil {
		status = "unknown"
		attempt := tfkit.Attempt{Verb: "read", Kind: "tunnel", Name: m.TunnelID.ValueString(), Plane: p}
		m.Error = types.StringValue(attempt.Failed(err).Detail())
	}
	m.Status, m.Healthy = types.StringValue(status), types.BoolValue(status == "healthy")
	m.Connectors, m.Colos, m.Versions = []healthConnectorModel{}, []types.String{}, []types.String{}
	var colos, versions []string
	slices.SortFunc(connectors, func(a, b cloudflare.Connector) int { return a.RunAt.Compare(b.RunAt) })
	for _, c := range connectors {
		m.Connectors = append(m.Connectors, healthConnectorModel{
			ID: types.StringValue(c.ID), Version: types.StringValue(c.Version), Arch: types.StringValue(c.Arch),
			RunAt:         types.StringValue(c.RunAt.UTC().Format(time.RFC3339)),
			ConfigVersion: types.Int64Value(int64(c.ConfigVersion)), Connections: types.Int64Value(int64(len(c.Connections))),
		})
		versions = append(versions, c.Version)
		for _, n := range c.Connections {
			colos = append(colos, n.Colo)
		}
	}
	m.Colos, m.Versions = sortedTexts(colos), sortedTexts(versions)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func sortedTexts(list []string) []types.String {
	slices.Sort(list)
	out := []types.String{}
	for _, s := range slices.Compact(list) {
		out = append(out, types.StringValue(s))
	}
	return out
}

// lookAt asks how a tunnel is served.
func lookAt(ctx context.Context, c *cloudflare.Client, id string) (status string, connectors []cloudflare.Connector, err error) {
	t, err := c.FreshTunnel(ctx, id)
	if err != nil {
		return "", nil, err
	}
	if t.DeletedAt != nil {
		return "deleted", nil, nil
	}
	connectors, err = c.Connectors(ctx, id)
	return t.Status, connectors, err
}
