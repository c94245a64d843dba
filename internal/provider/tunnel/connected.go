// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ resource.Resource                = (*connectedResource)(nil)
	_ resource.ResourceWithConfigure   = (*connectedResource)(nil)
	_ resource.ResourceWithIdentity    = (*connectedResource)(nil)
	_ resource.ResourceWithImportState = (*connectedResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*connectedResource)(nil)
)

// defaultConnect is longer than a machine needs to start and install a connector.
const defaultConnect = "10m"

type connectedResource struct{ tfkit.Resource }

// NewConnectedResource makes the resource hybridge_tunnel_connected.
func NewConnectedResource() resource.Resource { return &connectedResource{} }

// connectedModel is a hybridge_tunnel_connected in plan and state.
type connectedModel struct {
	TunnelID    types.String   `tfsdk:"tunnel_id"`
	Plane       types.String   `tfsdk:"plane"`
	Connections types.Int64    `tfsdk:"connections"`
	Timeouts    timeouts.Value `tfsdk:"timeouts"`
	AccountID   types.String   `tfsdk:"account_id"`
	ID          types.String   `tfsdk:"id"`
}

func (r *connectedResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "hybridge_tunnel_connected"
}

func (r *connectedResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	limit := "How long to wait, e.g. `15m`. Default: `" + defaultConnect + "`. Changed in place, without a request."
	waits := timeouts.Attributes(ctx, timeouts.Opts{Create: true, Update: true, CreateDescription: limit, UpdateDescription: limit})
	if a, ok := waits.(schema.SingleNestedAttribute); ok {
		a.MarkdownDescription = "How long to wait. Default: see its members. Changed in place, without a request."
		waits = a
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Waits until a tunnel is served, so that what needs it is made afterwards; let it depend on the machine with the connector. It looks when it is created, and " +
			"when `connections` is raised, and makes nothing on the plane. Whether the tunnel is served later is what the data source `hybridge_tunnel_health` tells.\n\n" +
			"Permission groups: `Cloudflare Tunnel Read`.",
		Attributes: map[string]schema.Attribute{
			"tunnel_id": schema.StringAttribute{
				Required: true, MarkdownDescription: "Id of the tunnel. A change replaces the object, and so waits again.",
				Validators: []validator.String{ID()}, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"plane": tfkit.PlaneAttribute(),
			"connections": schema.Int64Attribute{
				Optional: true, Computed: true, Default: int64default.StaticInt64(1),
				MarkdownDescription: "How many connections, of all connectors together, must stand; a cloudflared keeps four. Default: `1`. Changed in place; a higher number waits again.",
				Validators:          []validator.Int64{int64validator.Between(1, 1000)},
			},
			"timeouts":   waits,
			"account_id": tfkit.AccountAttribute(),
			"id": schema.StringAttribute{
				Computed: true, MarkdownDescription: "Id of the tunnel. Never changes.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

// IdentitySchema implements resource.ResourceWithIdentity.
func (r *connectedResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{
		Attributes: tfkit.IdentityAttributes(map[string]identityschema.Attribute{
			"tunnel_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the tunnel, a UUID."},
		}),
	}
}

func (m connectedModel) identity() identityModel {
	return identityModel{AccountID: m.AccountID, TunnelID: m.TunnelID, Plane: m.Plane}
}

// ModifyPlan settles plane and account.
func (r *connectedResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	tfkit.PlanPlane(ctx, r.Data, req, resp)
}

func (r *connectedResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m connectedModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	limit, diags := m.Timeouts.Create(ctx, mustDuration(defaultConnect))
	resp.Diagnostics.Append(diags...)
	if p := r.await(ctx, m, limit, &resp.Diagnostics); p != nil {
		m.ID, m.AccountID = m.TunnelID, types.StringValue(p.AccountID)
		resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	}
}

// Read asks nobody: what was waited for has been.
func (r *connectedResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	tfkit.Read(ctx, req, resp, connectedModel.identity, func(context.Context, *connectedModel, *diag.Diagnostics) bool { return true })
}

func (r *connectedResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, state connectedModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := m.Timeouts.Update(ctx, mustDuration(defaultConnect))
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if m.Connections.ValueInt64() > state.Connections.ValueInt64() && r.await(ctx, m, limit, &resp.Diagnostics) == nil {
		return
	}
	m.ID, m.AccountID = state.ID, state.AccountID
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// ImportState takes [plane:]account_id/tunnel_id or the identity. It waits for nothing.
func (r *connectedResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, ok := importIdentity(ctx, req, resp)
	if !ok {
		return
	}
	p := r.Data.ImportPlane(id.Plane, id.AccountID.ValueString(), &resp.Diagnostics)
	if p == nil {
		return
	}
	attempt := tfkit.Attempt{Verb: "import", Kind: "tunnel", Name: id.TunnelID.ValueString(), Plane: p}
	switch t, err := p.Client.Tunnel(ctx, id.TunnelID.ValueString()); {
	case err != nil:
		resp.Diagnostics.Append(attempt.Failed(err))
		return
	case t.DeletedAt != nil:
		resp.Diagnostics.AddError("Cannot import tunnel", "The tunnel "+t.ID+" was deleted, and Cloudflare brings none back: make a new one.")
		return
	}
	m := connectedModel{TunnelID: id.TunnelID, Plane: id.Plane, Connections: types.Int64Value(1), AccountID: id.AccountID, ID: id.TunnelID}
	m.Timeouts = timeouts.Value{Object: types.ObjectNull(map[string]attr.Type{"create": types.StringType, "update": types.StringType})}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// Delete makes nothing undone: nothing was done.
func (r *connectedResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {
}

// await waits until the connections stand, and returns the plane; nil after an error.
func (r *connectedResource) await(ctx context.Context, m connectedModel, limit time.Duration, diags *diag.Diagnostics) *tfkit.Plane {
	if diags.HasError() {
		return nil
	}
	p := r.Data.Plane(m.Plane, diags)
	if p == nil {
		return nil
	}
	attempt := tfkit.Attempt{Verb: "wait for", Kind: "tunnel", Name: m.TunnelID.ValueString(), Plane: p}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stand := int64(0)
	for {
		all, err := p.Client.Connectors(ctx, m.TunnelID.ValueString())
		switch {
		case err == nil:
			stand = 0
			for _, c := range all {
				for _, n := range c.Connections {
					if !n.PendingReconnect {
						stand++
					}
				}
			}
			if stand >= m.Connections.ValueInt64() {
				return p
			}
		case ctx.Err() == nil && !cloudflare.IsUncertain(err):
			diags.Append(attempt.Failed(err))
			return nil
		}
		if pause(ctx) != nil {
			diags.Append(attempt.FailedBecause(
				fmt.Errorf("%d of %d connections stand after %s", stand, m.Connections.ValueInt64(), limit),
				"look at the connector on its machine (hybridge status, hybridge doctor, or cloudflared's log), then run terraform apply again; timeouts sets how long to wait"))
			return nil
		}
	}
}
