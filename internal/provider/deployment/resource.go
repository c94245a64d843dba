// SPDX-License-Identifier: MPL-2.0

// Package deployment is what is live of a Worker in Terraform: the resource
// hybridge_worker_deployment and the data source hybridge_worker_deployments.
package deployment

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ resource.Resource                = (*deploymentResource)(nil)
	_ resource.ResourceWithConfigure   = (*deploymentResource)(nil)
	_ resource.ResourceWithIdentity    = (*deploymentResource)(nil)
	_ resource.ResourceWithImportState = (*deploymentResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*deploymentResource)(nil)

	_ resource.ResourceWithValidateConfig = (*deploymentResource)(nil)
)

type deploymentResource struct {
	tfkit.Resource
	getenv func(string) string
}

// NewResource makes the resource hybridge_worker_deployment. getenv, os.Getenv
// outside tests, tells where the apply runs.
func NewResource(getenv func(string) string) func() resource.Resource {
	return func() resource.Resource { return &deploymentResource{getenv: getenv} }
}

func (r *deploymentResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "hybridge_worker_deployment"
	resp.ResourceBehavior.MutableIdentity = true
}

func (r *deploymentResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = resourceSchema(ctx)
}

func (r *deploymentResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m, config model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil || !p.KeepsResidency(ctx, m.residency(), &resp.Diagnostics) {
		return
	}
	this := release{resource: r, plane: p, plan: &m, config: config, diags: &resp.Diagnostics}
	if !this.run(ctx) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// Read writes what is live. Without any deployment the resource is gone, and the
// next apply deploys. Where somebody changed secrets, it says which: the drift of
// active_versions shows ids only.
func (r *deploymentResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	tfkit.Read(ctx, req, resp, model.identity, func(ctx context.Context, m *model, diags *diag.Diagnostics) bool {
		p := r.planeOf(*m, diags)
		if p == nil {
			return false
		}
		live, err := p.Client.LiveDeployment(ctx, m.Worker.ValueString())
		switch {
		case cloudflare.IsNotFound(err), err == nil && live == nil:
			return false
		case err != nil:
			return m.attempt("read", p).ReadFailed(err, diags)
		}
		m.warnOfSecrets(ctx, *live, p, diags)
		m.setLive(live, p.AccountID)
		return true
	})
}

func (r *deploymentResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, state, config model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	p := r.planeOf(state, &resp.Diagnostics)
	if p == nil {
		return
	}
	// What the plan kept needs no deployment: only the state changes.
	if m.ID.IsUnknown() {
		if !p.KeepsResidency(ctx, m.residency(), &resp.Diagnostics) {
			return
		}
		this := release{resource: r, plane: p, plan: &m, config: config, state: &state, diags: &resp.Diagnostics}
		if !this.run(ctx) {
			return
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// Delete forgets: a Worker cannot be without a live deployment once it has one.
func (r *deploymentResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	worker := m.Worker.ValueString()
	if p := r.Data.Plane(m.Plane, new(diag.Diagnostics)); p != nil {
		worker = p.WorkerName(worker)
	}
	resp.Diagnostics.AddWarning("What is live stays until its Worker is deleted", fmt.Sprintf(
		"If this run deletes Worker %q as well, all is well. If not, nothing changes on the plane: its deployment %s goes on serving until another one "+
			"replaces it. Terraform just no longer manages what is live.", worker, m.ID.ValueString()))
}

// unknownVersion finds out whether a refusal is about the version: planes say so
// with different codes.
func (m model) unknownVersion(ctx context.Context, err error, p *tfkit.Plane) bool {
	var e *cloudflare.Error
	if !errors.As(err, &e) || (e.Status != http.StatusBadRequest && e.Status != http.StatusNotFound) {
		return false
	}
	exists, err := p.Client.VersionExists(ctx, m.Worker.ValueString(), m.target().ValueString())
	return err == nil && !exists && m.workerExists(ctx, p)
}

// planeOf returns the plane that an object in state lives on, or nil after it
// has added an error.
func (r *deploymentResource) planeOf(state model, diags *diag.Diagnostics) *tfkit.Plane {
	p := r.Data.Plane(state.Plane, diags)
	if p == nil || !p.SameAccount(state.AccountID, fmt.Sprintf("The deployment of Worker %q", state.Worker.ValueString()), diags) {
		return nil
	}
	return p
}

func (m model) attempt(verb string, p *tfkit.Plane) tfkit.Attempt {
	return tfkit.Attempt{Verb: verb, Kind: "deployment of Worker", Name: m.Worker.ValueString(), Plane: p}
}
