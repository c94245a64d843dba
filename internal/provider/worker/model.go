// SPDX-License-Identifier: MPL-2.0

package worker

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// model is a hybridge_worker in plan and state.
type model struct {
	Name          types.String `tfsdk:"name"`
	Plane         types.String `tfsdk:"plane"`
	Subdomain     types.Object `tfsdk:"subdomain"`
	Observability types.Object `tfsdk:"observability"`
	Logpush       types.Bool   `tfsdk:"logpush"`
	Tags          types.Set    `tfsdk:"tags"`
	ForceDestroy  types.Bool   `tfsdk:"force_destroy"`
	AccountID     types.String `tfsdk:"account_id"`
	ID            types.String `tfsdk:"id"`
	CreatedOn     types.String `tfsdk:"created_on"`
	URL           types.String `tfsdk:"url"`

	Residency             types.Set  `tfsdk:"residency"`
	ResidencyAcknowledged types.Bool `tfsdk:"residency_acknowledged"`
}

// subdomainModel is the attribute subdomain.
type subdomainModel struct {
	Enabled         types.Bool `tfsdk:"enabled"`
	PreviewsEnabled types.Bool `tfsdk:"previews_enabled"`
}

var subdomainTypes = map[string]attr.Type{"enabled": types.BoolType, "previews_enabled": types.BoolType}

// input is the wanted state as the API takes it. The plan MUST be wholly known
// but for computed attributes.
func (m model) input(ctx context.Context, diags *diag.Diagnostics) cloudflare.WorkerInput {
	var (
		subdomain subdomainModel
		tags      = []string{}
	)
	diags.Append(m.Subdomain.As(ctx, &subdomain, basetypes.ObjectAsOptions{})...)
	diags.Append(m.Tags.ElementsAs(ctx, &tags, false)...)
	return cloudflare.WorkerInput{
		Name:          m.Name.ValueString(),
		Logpush:       m.Logpush.ValueBoolPointer(),
		Observability: observabilityInput(ctx, m.Observability, diags),
		Subdomain: &cloudflare.SubdomainInput{
			Enabled:         subdomain.Enabled.ValueBoolPointer(),
			PreviewsEnabled: subdomain.PreviewsEnabled.ValueBoolPointer(),
		},
		Tags: &tags,
	}
}

// changes reports whether the wanted state differs from state in anything that
// the plane keeps and that is managed. An import manages all of observability,
// so that the first apply after it may only have to forget some of it.
func (m model) changes(state model) bool {
	return !m.Name.Equal(state.Name) || !m.Logpush.Equal(state.Logpush) || !m.Subdomain.Equal(state.Subdomain) || !m.Tags.Equal(state.Tags) ||
		m.Observability.IsNull() != state.Observability.IsNull() || !covered(m.Observability, state.Observability)
}

// covered reports whether is has all that want sets.
func covered(want, is attr.Value) bool {
	if want.IsNull() {
		return true
	}
	object, ok := want.(types.Object)
	if !ok {
		return want.Equal(is)
	}
	members := map[string]attr.Value{}
	if other, ok := is.(types.Object); ok {
		members = other.Attributes()
	}
	for name, v := range object.Attributes() {
		if !covered(v, members[name]) {
			return false
		}
	}
	return true
}

// setComputed writes what only the plane knows.
func (m *model) setComputed(w *cloudflare.Worker, account string) {
	m.AccountID = types.StringValue(account)
	m.ID = types.StringValue(w.ID)
	m.CreatedOn = types.StringValue(w.CreatedOn.UTC().Format(time.RFC3339))
	m.URL = types.StringNull()
	if w.Subdomain.Enabled && w.Subdomain.URL != "" {
		m.URL = types.StringValue(w.Subdomain.URL)
	}
}

// setAll writes everything that the plane says. Of observability only what the
// model has already is refreshed: the rest is not managed.
func (m *model) setAll(ctx context.Context, w *cloudflare.Worker, account string, diags *diag.Diagnostics) {
	m.setComputed(w, account)
	m.Name = types.StringValue(w.Name)
	m.Logpush = types.BoolValue(w.Logpush)
	m.Subdomain = types.ObjectValueMust(subdomainTypes, map[string]attr.Value{
		"enabled":          types.BoolValue(w.Subdomain.Enabled),
		"previews_enabled": types.BoolValue(w.Subdomain.PreviewsEnabled),
	})
	tags := w.Tags
	if tags == nil {
		tags = []string{}
	}
	set, d := types.SetValueFrom(ctx, types.StringType, tags)
	diags.Append(d...)
	m.Tags = set
	if m.Residency.IsNull() {
		m.Residency = types.SetNull(types.StringType) // of an import it has no type yet
	}
	if m.ForceDestroy.IsNull() {
		m.ForceDestroy = types.BoolValue(false)
	}
	m.Observability = refreshObservability(ctx, m.Observability, w.Observability, diags)
}

func (m model) residency() tfkit.Residency {
	return tfkit.Residency{Allowed: m.Residency, Acknowledged: m.ResidencyAcknowledged}
}
