// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Resource is embedded in every resource: it receives the provider's Data. The
// framework makes a resource anew for each RPC, so nothing else may be kept in it.
type Resource struct {
	Data *Data
}

// Configure implements resource.ResourceWithConfigure.
func (r *Resource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.Data = data(req.ProviderData, &resp.Diagnostics)
}

// DataSource is embedded in every data source: it receives the provider's Data.
type DataSource struct {
	Data *Data
}

// Configure implements datasource.DataSourceWithConfigure.
func (d *DataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.Data = data(req.ProviderData, &resp.Diagnostics)
}

// EphemeralResource is embedded in every ephemeral resource: it receives the
// provider's Data.
type EphemeralResource struct {
	Data *Data
}

// Configure implements ephemeral.EphemeralResourceWithConfigure.
func (e *EphemeralResource) Configure(_ context.Context, req ephemeral.ConfigureRequest, resp *ephemeral.ConfigureResponse) {
	e.Data = data(req.ProviderData, &resp.Diagnostics)
}

// data converts provider data; it is nil while Terraform only validates.
func data(v any, diags *diag.Diagnostics) *Data {
	if v == nil {
		return nil
	}
	d, ok := v.(*Data)
	if !ok {
		diags.AddError("Provider data has the wrong type",
			fmt.Sprintf("Expected *tfkit.Data, got %T. This is a bug in the provider: please report it.", v))
		return nil
	}
	return d
}

// Read is the body of every resource's Read method.
//
// It sets the identity from prior state before it asks the API: the framework
// fails the whole plan when a resource is found gone and no identity is stored,
// and Terraform before 1.12 never stores one
// (https://github.com/hashicorp/terraform-provider-aws/issues/46964).
//
// fetch brings the model up to date and reports whether the object still exists;
// it may add errors. Identity is a struct that matches the identity schema.
func Read[Model, Identity any](
	ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse,
	identity func(Model) Identity,
	fetch func(ctx context.Context, m *Model, diags *diag.Diagnostics) (found bool),
) {
	var m Model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Identity.Set(ctx, identity(m))...)
	if resp.Diagnostics.HasError() {
		return
	}
	found := fetch(ctx, &m, &resp.Diagnostics)
	switch {
	case resp.Diagnostics.HasError():
	case !found:
		resp.State.RemoveResource(ctx)
	default:
		resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, identity(m))...)
	}
}

// PlanPlane is the first statement of every ModifyPlan of a resource that has the
// attributes plane and account_id. It refuses at plan what could only fail at
// apply: an unknown plane, one that is not configured, one that now belongs to
// another account, one that is not in the region that the provider block says. It
// writes the planned account_id. It returns nil on destroy, while the plane's name is
// unknown, and after an error. Only a configured region costs a request, one for each
// plane.
func PlanPlane(ctx context.Context, d *Data, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) *Plane {
	if d == nil || req.Plan.Raw.IsNull() {
		return nil
	}
	var name types.String
	resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("plane"), &name)...)
	if resp.Diagnostics.HasError() || name.IsUnknown() {
		return nil
	}
	p := d.Plane(name, &resp.Diagnostics)
	if p == nil {
		return nil
	}
	if !req.State.Raw.IsNull() {
		var was, account types.String
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("plane"), &was)...)
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("account_id"), &account)...)
		if resp.Diagnostics.HasError() || was.Equal(name) && !p.SameAccount(account, "This object", &resp.Diagnostics) {
			return nil
		}
	}
	if wrong := p.WrongRegion(ctx); wrong != nil {
		resp.Diagnostics.Append(wrong)
		return nil
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("account_id"), p.AccountID)...)
	return p
}
