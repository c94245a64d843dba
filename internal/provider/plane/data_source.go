// SPDX-License-Identifier: MPL-2.0

// Package plane is the data source hybridge_plane: what a plane says about
// itself.
package plane

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ datasource.DataSource              = (*dataSource)(nil)
	_ datasource.DataSourceWithConfigure = (*dataSource)(nil)
)

type dataSource struct{ tfkit.DataSource }

// NewDataSource makes the data source hybridge_plane.
func NewDataSource() datasource.DataSource { return &dataSource{} }

// model is a data source hybridge_plane.
type model struct {
	Plane          types.String `tfsdk:"plane"`
	AccountID      types.String `tfsdk:"account_id"`
	BaseURL        types.String `tfsdk:"base_url"`
	Region         types.String `tfsdk:"region"`
	Kind           types.String `tfsdk:"kind"`
	Version        types.String `tfsdk:"version"`
	WorkerdVersion types.String `tfsdk:"workerd_version"`
	Healthy        types.Bool   `tfsdk:"healthy"`
	Details        types.String `tfsdk:"details"`
}

func (d *dataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "hybridge_plane"
}

func (d *dataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "What a plane is and how it does. It reports and never fails: a plane that cannot be reached, or that does not accept " +
			"the token, is not `healthy`. Meant for `check` blocks and preconditions.\n\nPermission group: `Workers Scripts Read`.",
		Attributes: map[string]schema.Attribute{
			"plane":      tfkit.DataSourcePlaneAttribute(),
			"account_id": schema.StringAttribute{Computed: true, MarkdownDescription: "Account that is configured for the plane."},
			"base_url":   schema.StringAttribute{Computed: true, MarkdownDescription: "URL of the plane's Cloudflare API."},
			"region": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Where the plane is: `region` of the plane in the provider block, else what a self-hosted plane says of itself; null if neither says it.",
			},
			"kind": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "`edge` (Cloudflare) or `self-hosted`; null if it could not be found out.",
			},
			"version":         schema.StringAttribute{Computed: true, MarkdownDescription: "Version of a self-hosted plane; null otherwise."},
			"workerd_version": schema.StringAttribute{Computed: true, MarkdownDescription: "Version of `workerd` that a self-hosted plane runs; null otherwise."},
			"healthy": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether the plane answers, accepts the API token and, if self-hosted, reports no trouble.",
			},
			"details": schema.StringAttribute{Computed: true, MarkdownDescription: "Why the plane is not healthy; null if it is."},
		},
	}
}

func (d *dataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := d.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	m.AccountID = types.StringValue(p.AccountID)
	m.BaseURL = types.StringValue(p.Client.BaseURL())
	m.Region = tfkit.NullIfEmpty(p.Region)
	m.Kind, m.Version, m.WorkerdVersion = types.StringNull(), types.StringNull(), types.StringNull()
	trouble := m.ask(ctx, p)
	m.Healthy = types.BoolValue(trouble == nil)
	m.Details = types.StringNull()
	if trouble != nil {
		m.Details = types.StringValue(trouble.Detail())
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// ask fills in what the plane says and returns what is wrong with it, or nil.
func (m *model) ask(ctx context.Context, p *tfkit.Plane) diag.Diagnostic {
	attempt := tfkit.Attempt{Verb: "ask", Kind: "plane", Plane: p}
	said, err := p.Client.Plane(ctx)
	if err != nil {
		return attempt.Failed(err)
	}
	m.Kind = types.StringValue(said.Kind)
	m.Version = tfkit.NullIfEmpty(said.Version)
	m.WorkerdVersion = tfkit.NullIfEmpty(said.WorkerdVersion)
	if m.Region.IsNull() {
		m.Region = tfkit.NullIfEmpty(said.Region)
	}
	if wrong := p.WrongRegion(ctx); wrong != nil {
		return wrong
	}
	if said.Kind == cloudflare.SelfHostedPlane {
		if !said.Healthy {
			return diag.NewErrorDiagnostic("Plane reports trouble", strings.Join(said.Problems, "\n"))
		}
		return nil // it has checked the token to say so
	}
	return edgeTrouble(ctx, attempt, p)
}

// probe is a name that no Worker is likely to have.
const probe = "hybridge-plane-probe"

// edgeTrouble finds out whether Cloudflare accepts the token. Tokens that belong
// to an account cannot be verified as a user's, so a Worker is asked for: that it
// does not exist is as good an answer as the Worker.
func edgeTrouble(ctx context.Context, attempt tfkit.Attempt, p *tfkit.Plane) diag.Diagnostic {
	_, err := p.Client.FreshWorker(ctx, probe)
	if err != nil && !cloudflare.IsNotFound(err) {
		return attempt.Failed(err)
	}
	return nil
}
