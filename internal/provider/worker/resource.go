// SPDX-License-Identifier: MPL-2.0

// Package worker is the Worker in Terraform: the resource hybridge_worker and the
// data source of the same name.
package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ resource.Resource                   = (*workerResource)(nil)
	_ resource.ResourceWithConfigure      = (*workerResource)(nil)
	_ resource.ResourceWithIdentity       = (*workerResource)(nil)
	_ resource.ResourceWithImportState    = (*workerResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*workerResource)(nil)
	_ resource.ResourceWithValidateConfig = (*workerResource)(nil)
)

type workerResource struct{ tfkit.Resource }

// NewResource makes the resource hybridge_worker.
func NewResource() resource.Resource { return &workerResource{} }

func (r *workerResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "hybridge_worker"
}

func (r *workerResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = resourceSchema()
}

// ValidateConfig refuses a name that is too long for a host name where one is
// needed.
func (r *workerResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || len(m.Name.ValueString()) <= maxHostLabel || m.Subdomain.IsNull() || m.Subdomain.IsUnknown() {
		return
	}
	var subdomain subdomainModel
	resp.Diagnostics.Append(m.Subdomain.As(ctx, &subdomain, basetypes.ObjectAsOptions{})...)
	if subdomain.Enabled.ValueBool() || subdomain.PreviewsEnabled.ValueBool() {
		resp.Diagnostics.AddAttributeError(path.Root("name"), "Invalid value for name", fmt.Sprintf(
			"The name has %d characters, but with subdomain it is part of a host name, which allows %d: shorten it or disable subdomain.",
			len(m.Name.ValueString()), maxHostLabel))
	}
}

// maxHostLabel is the longest part of a host name (RFC 1035, section 2.3.4).
const maxHostLabel = 63

// ModifyPlan settles plane and account, and leaves url unknown only if it will
// change.
func (r *workerResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	p := tfkit.PlanPlane(ctx, r.Data, req, resp)
	if p == nil || !tfkit.PlanResidency(ctx, p, req, resp) {
		return
	}
	var plan model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || plan.Subdomain.IsUnknown() {
		return
	}
	var planned subdomainModel
	resp.Diagnostics.Append(plan.Subdomain.As(ctx, &planned, basetypes.ObjectAsOptions{})...)
	if !planned.PreviewsEnabled.IsUnknown() {
		r.Data.PlanPreviews(p.Name, planned.PreviewsEnabled.ValueBool(), plan.ID.ValueString(), plan.Name.ValueString())
	}
	url := types.StringUnknown()
	if enabled := isEnabled(ctx, plan.Subdomain, &resp.Diagnostics); enabled.IsUnknown() {
		// It stays unknown.
	} else if !enabled.ValueBool() {
		url = types.StringNull()
	} else if !req.State.Raw.IsNull() {
		var state model
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		if state.Name.Equal(plan.Name) && state.Plane.Equal(plan.Plane) && isEnabled(ctx, state.Subdomain, &resp.Diagnostics).ValueBool() {
			url = state.URL
		}
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("url"), url)...)
}

func isEnabled(ctx context.Context, subdomain types.Object, diags *diag.Diagnostics) types.Bool {
	if subdomain.IsNull() {
		return types.BoolValue(false)
	}
	var m subdomainModel
	diags.Append(subdomain.As(ctx, &m, basetypes.ObjectAsOptions{})...)
	return m.Enabled
}

func (r *workerResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.Data.Plane(m.Plane, &resp.Diagnostics)
	in := m.input(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() || !p.KeepsResidency(ctx, m.residency(), &resp.Diagnostics) {
		return
	}
	w, err := p.Client.CreateWorker(ctx, in)
	if err != nil {
		resp.Diagnostics.Append(m.attempt("create", p).FailedBecause(err, createRemedy(err, m, p)))
		return
	}
	m.setComputed(w, p.AccountID)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	m.warnIfIgnored(ctx, w, &resp.Diagnostics)
}

// createRemedy says how to go on where a Worker of that name exists.
func createRemedy(err error, m model, p *tfkit.Plane) string {
	if !cloudflare.IsConflict(err) {
		return ""
	}
	id := tfkit.ImportID{Plane: p.Name, AccountID: p.AccountID, Parts: []string{m.Name.ValueString()}}
	return fmt.Sprintf("a Worker of this name exists already: choose another name, or adopt it with\n\n"+
		"  import {\n    to = hybridge_worker.<this resource's name>\n    id = %q\n  }\n\nand run terraform plan.\n\n"+
		"If this run was to replace that very Worker, destroy it first, with terraform destroy -target=...: a create_before_destroy of "+
		"what depends on it holds for it too, but two Workers cannot have one name", id)
}

func (r *workerResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	tfkit.Read(ctx, req, resp, model.identity, func(ctx context.Context, m *model, diags *diag.Diagnostics) bool {
		p := r.planeOf(*m, diags)
		if p == nil {
			return false
		}
		w, err := p.Client.Worker(ctx, m.ID.ValueString())
		switch {
		case cloudflare.IsNotFound(err):
			return false
		case err != nil:
			return m.attempt("read", p).ReadFailed(err, diags)
		}
		m.setAll(ctx, w, p.AccountID, diags)
		return true
	})
}

func (r *workerResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, state model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.planeOf(state, &resp.Diagnostics)
	in := m.input(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if !m.changes(state) {
		m.AccountID, m.ID, m.CreatedOn, m.URL = state.AccountID, state.ID, state.CreatedOn, state.URL
		resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
		return
	}
	if m.Observability.IsNull() && !state.Observability.IsNull() {
		off := false
		in.Observability = &cloudflare.Observability{Enabled: &off}
	}
	w, err := p.Client.UpdateWorker(ctx, state.ID.ValueString(), in)
	if err != nil {
		resp.Diagnostics.Append(m.attempt("update", p).Failed(err))
		return
	}
	m.setComputed(w, p.AccountID)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	m.warnIfIgnored(ctx, w, &resp.Diagnostics)
}

// referenceWait is how long a destroy waits for what refers to the Worker to go.
// terraform destroy removes Workers in no particular order, because what binds
// them is a version, which is not deleted: so the one that refers is usually
// deleted by the same run, at most one request's retries later.
const referenceWait = 10 * time.Second

func (r *workerResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.planeOf(m, &resp.Diagnostics)
	if p == nil {
		return
	}
	if !m.ForceDestroy.ValueBool() {
		references, err := awaitUnreferenced(ctx, p.Client, m.ID.ValueString(), referenceWait)
		switch {
		case cloudflare.IsNotFound(err):
			return
		case err != nil:
			resp.Diagnostics.Append(m.attempt("delete", p).Failed(err))
			return
		case len(references) > 0:
			resp.Diagnostics.AddError("Worker is still in use", fmt.Sprintf(
				"Worker %q on %s was not deleted, because something refers to it: %s. Remove these references first, or set "+
					"force_destroy = true, apply, and destroy again: then they break.", m.Name.ValueString(), p, strings.Join(references, ", ")))
			return
		}
	}
	if err := p.Client.DeleteWorker(ctx, m.ID.ValueString(), m.ForceDestroy.ValueBool()); err != nil && !cloudflare.IsNotFound(err) {
		resp.Diagnostics.Append(m.attempt("delete", p).Failed(err))
	}
}

// planeOf returns the plane that an object in state lives on, or nil after it
// has added an error.
func (r *workerResource) planeOf(state model, diags *diag.Diagnostics) *tfkit.Plane {
	p := r.Data.Plane(state.Plane, diags)
	if p == nil || !p.SameAccount(state.AccountID, fmt.Sprintf("Worker %q", state.Name.ValueString()), diags) {
		return nil
	}
	return p
}

func (m model) attempt(verb string, p *tfkit.Plane) tfkit.Attempt {
	name := m.Name.ValueString()
	if name == "" {
		name = m.ID.ValueString()
	}
	return tfkit.Attempt{Verb: verb, Kind: "Worker", Name: name, Plane: p}
}

// warnIfIgnored says so if the plane answered a write with other values than it
// was sent: else the next plan would show drift that nobody can explain.
func (m model) warnIfIgnored(ctx context.Context, w *cloudflare.Worker, diags *diag.Diagnostics) {
	answered := m
	answered.setAll(ctx, w, m.AccountID.ValueString(), diags)
	ignored := func(at path.Path, is bool) {
		if is {
			diags.AddAttributeWarning(at, "Plane did not take a setting as sent", fmt.Sprintf(
				"The plane accepted the request for Worker %q but answered with another value of %s, so the next plan will show a difference. "+
					"It may not support the setting.", m.Name.ValueString(), at))
		}
	}
	ignored(path.Root("observability"), !answered.Observability.Equal(m.Observability))
	ignored(path.Root("logpush"), !answered.Logpush.Equal(m.Logpush))
	ignored(path.Root("tags"), !answered.Tags.Equal(m.Tags))
	ignored(path.Root("subdomain"), !answered.Subdomain.Equal(m.Subdomain))
}
