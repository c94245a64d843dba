// SPDX-License-Identifier: MPL-2.0

// Package tunnel is a Cloudflare Tunnel in Terraform: the resources hybridge_tunnel and
// hybridge_tunnel_connected, the data source hybridge_tunnel_health, the ephemeral
// resource hybridge_tunnel_token and the action hybridge_tunnel_rotate.
package tunnel

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ resource.Resource                   = (*tunnelResource)(nil)
	_ resource.ResourceWithConfigure      = (*tunnelResource)(nil)
	_ resource.ResourceWithIdentity       = (*tunnelResource)(nil)
	_ resource.ResourceWithImportState    = (*tunnelResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*tunnelResource)(nil)
	_ resource.ResourceWithMoveState      = (*tunnelResource)(nil)
	_ resource.ResourceWithValidateConfig = (*tunnelResource)(nil)
)

var objectOptions = basetypes.ObjectAsOptions{}

type tunnelResource struct{ tfkit.Resource }

// NewResource makes the resource hybridge_tunnel.
func NewResource() resource.Resource { return &tunnelResource{} }

func (r *tunnelResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "hybridge_tunnel"
}

func (r *tunnelResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = resourceSchema(ctx)
}

// ModifyPlan settles plane and account.
func (r *tunnelResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	tfkit.PlanPlane(ctx, r.Data, req, resp)
}

func (r *tunnelResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	t, err := p.Client.CreateTunnel(ctx, m.Name.ValueString())
	if err != nil {
		resp.Diagnostics.Append(m.attempt("create", p).FailedBecause(err, createRemedy(err, p)))
		return
	}
	m.setComputed(t, p.AccountID)
	if config := m.config(); config != nil {
		if err := p.Client.ConfigureTunnel(ctx, t.ID, *config); err != nil {
			// Terraform would replace what a failed create leaves. Nobody has its token yet.
			resp.Diagnostics.Append(m.attempt("configure", p).Failed(err))
			after, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
			defer cancel()
			if err := drain(after, p.Client, t.ID, undoLimit); err == nil {
				return
			}
			m.setConfig(nil) // it stays, and the next run has to find it
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// undoLimit bounds how long a tunnel that could not be configured is taken away.
const undoLimit = 30 * time.Second

func createRemedy(err error, p *tfkit.Plane) string {
	if !cloudflare.IsConflict(err) {
		return ""
	}
	id := tfkit.ImportID{Plane: p.Name, AccountID: p.AccountID, Parts: []string{"<the tunnel's id>"}}
	return fmt.Sprintf("a tunnel of this name exists already: choose another name, or adopt it with\n\n"+
		"  import {\n    to = hybridge_tunnel.<this resource's name>\n    id = %q\n  }\n\nand run terraform plan", id)
}

func (r *tunnelResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	tfkit.Read(ctx, req, resp, model.identity, func(ctx context.Context, m *model, diags *diag.Diagnostics) bool {
		p := r.planeOf(*m, diags)
		if p == nil {
			return false
		}
		t, err := p.Client.Tunnel(ctx, m.ID.ValueString())
		switch {
		case cloudflare.IsNotFound(err), err == nil && t.DeletedAt != nil:
			return false
		case err != nil:
			return m.attempt("read", p).ReadFailed(err, diags)
		}
		if m.Ingress != nil {
			config, err := configOf(ctx, p, t.ID)
			if err != nil {
				return m.attempt("read the configuration of", p).ReadFailed(err, diags)
			}
			m.setConfig(config)
		}
		m.Name = text(t.Name)
		m.setComputed(t, p.AccountID)
		return true
	})
}

func (r *tunnelResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, state model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.planeOf(state, &resp.Diagnostics)
	if p == nil {
		return
	}
	id := state.ID.ValueString()
	done := state // what is known to be so, step by step
	done.Timeouts = m.Timeouts
	keep := func() {
		resp.Diagnostics.Append(resp.State.Set(ctx, done)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, done.identity())...)
	}
	if !m.Name.Equal(state.Name) {
		if err := p.Client.RenameTunnel(ctx, id, m.Name.ValueString()); err != nil {
			resp.Diagnostics.Append(m.attempt("rename", p).Failed(err))
			keep()
			return
		}
		done.Name = m.Name
	}
	config, was := m.config(), state.config()
	if config != nil && !reflect.DeepEqual(config, was) {
		if err := p.Client.ConfigureTunnel(ctx, id, *config); err != nil {
			resp.Diagnostics.Append(m.attempt("configure", p).Failed(err))
			keep()
			return
		}
	}
	done.Ingress, done.OriginRequest, done.WarpRouting = m.Ingress, m.OriginRequest, m.WarpRouting
	if wantsRotation(state, m) {
		if !r.rotate(ctx, p, m, req.Private, resp) {
			keep()
			return
		}
	}
	done.RotationTrigger = m.RotationTrigger
	keep()
}

func (r *tunnelResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.planeOf(m, &resp.Diagnostics)
	if p == nil {
		return
	}
	limit, diags := m.Timeouts.Delete(ctx, mustDuration(defaultDelete))
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := drain(ctx, p.Client, m.ID.ValueString(), limit); err != nil {
		resp.Diagnostics.Append(m.attempt("delete", p).FailedBecause(err, drainRemedy(err)))
	}
}

// planeOf returns the plane that an object in state lives on, or nil after it
// has added an error.
func (r *tunnelResource) planeOf(state model, diags *diag.Diagnostics) *tfkit.Plane {
	p := r.Data.Plane(state.Plane, diags)
	if p == nil || !p.SameAccount(state.AccountID, fmt.Sprintf("Tunnel %q", state.Name.ValueString()), diags) {
		return nil
	}
	return p
}

func (m model) attempt(verb string, p *tfkit.Plane) tfkit.Attempt {
	name := m.Name.ValueString()
	if name == "" {
		name = m.ID.ValueString()
	}
	return tfkit.Attempt{Verb: verb, Kind: "tunnel", Name: name, Plane: p}
}
