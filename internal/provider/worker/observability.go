// SPDX-License-Identifier: MPL-2.0

package worker

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// The plane fills in what the user leaves out of observability, and not every
// plane fills in the same. So a member that is null is neither sent nor
// refreshed: it is not managed.

// observabilityModel is the attribute observability.
type observabilityModel struct {
	Enabled          types.Bool    `tfsdk:"enabled"`
	HeadSamplingRate types.Float64 `tfsdk:"head_sampling_rate"`
	Logs             *logsModel    `tfsdk:"logs"`
	Traces           *tracesModel  `tfsdk:"traces"`
}

type logsModel struct {
	Enabled          types.Bool    `tfsdk:"enabled"`
	HeadSamplingRate types.Float64 `tfsdk:"head_sampling_rate"`
	InvocationLogs   types.Bool    `tfsdk:"invocation_logs"`
	Persist          types.Bool    `tfsdk:"persist"`
	Destinations     types.Set     `tfsdk:"destinations"`
}

type tracesModel struct {
	Enabled          types.Bool    `tfsdk:"enabled"`
	HeadSamplingRate types.Float64 `tfsdk:"head_sampling_rate"`
	Persist          types.Bool    `tfsdk:"persist"`
	Destinations     types.Set     `tfsdk:"destinations"`
}

var (
	logsTypes = map[string]attr.Type{
		"enabled": types.BoolType, "head_sampling_rate": types.Float64Type, "invocation_logs": types.BoolType,
		"persist": types.BoolType, "destinations": types.SetType{ElemType: types.StringType},
	}
	tracesTypes = map[string]attr.Type{
		"enabled": types.BoolType, "head_sampling_rate": types.Float64Type,
		"persist": types.BoolType, "destinations": types.SetType{ElemType: types.StringType},
	}
	observabilityTypes = map[string]attr.Type{
		"enabled": types.BoolType, "head_sampling_rate": types.Float64Type,
		"logs": types.ObjectType{AttrTypes: logsTypes}, "traces": types.ObjectType{AttrTypes: tracesTypes},
	}
)

// observabilityInput is what is configured, as the API takes it; nil if nothing is.
func observabilityInput(ctx context.Context, o types.Object, diags *diag.Diagnostics) *cloudflare.Observability {
	if o.IsNull() {
		return nil
	}
	var m observabilityModel
	diags.Append(o.As(ctx, &m, basetypes.ObjectAsOptions{})...)
	in := &cloudflare.Observability{Enabled: m.Enabled.ValueBoolPointer(), HeadSamplingRate: m.HeadSamplingRate.ValueFloat64Pointer()}
	if l := m.Logs; l != nil {
		in.Logs = &cloudflare.ObservabilityLogs{
			Enabled: l.Enabled.ValueBoolPointer(), HeadSamplingRate: l.HeadSamplingRate.ValueFloat64Pointer(),
			InvocationLogs: l.InvocationLogs.ValueBoolPointer(), Persist: l.Persist.ValueBoolPointer(),
			Destinations: texts(ctx, l.Destinations, diags),
		}
	}
	if t := m.Traces; t != nil {
		in.Traces = &cloudflare.ObservabilityTraces{
			Enabled: t.Enabled.ValueBoolPointer(), HeadSamplingRate: t.HeadSamplingRate.ValueFloat64Pointer(),
			Persist: t.Persist.ValueBoolPointer(), Destinations: texts(ctx, t.Destinations, diags),
		}
	}
	return in
}

// refreshObservability returns managed with the values that the plane has now.
// What the plane does not say stays.
func refreshObservability(ctx context.Context, managed types.Object, got *cloudflare.Observability, diags *diag.Diagnostics) types.Object {
	if managed.IsNull() || got == nil {
		return managed
	}
	var m observabilityModel
	diags.Append(managed.As(ctx, &m, basetypes.ObjectAsOptions{})...)
	refreshBool(&m.Enabled, got.Enabled)
	refreshFloat(&m.HeadSamplingRate, got.HeadSamplingRate)
	if l, g := m.Logs, got.Logs; l != nil && g != nil {
		refreshBool(&l.Enabled, g.Enabled)
		refreshFloat(&l.HeadSamplingRate, g.HeadSamplingRate)
		refreshBool(&l.InvocationLogs, g.InvocationLogs)
		refreshBool(&l.Persist, g.Persist)
		refreshSet(ctx, &l.Destinations, g.Destinations, diags)
	}
	if t, g := m.Traces, got.Traces; t != nil && g != nil {
		refreshBool(&t.Enabled, g.Enabled)
		refreshFloat(&t.HeadSamplingRate, g.HeadSamplingRate)
		refreshBool(&t.Persist, g.Persist)
		refreshSet(ctx, &t.Destinations, g.Destinations, diags)
	}
	o, d := types.ObjectValueFrom(ctx, observabilityTypes, m)
	diags.Append(d...)
	return o
}

// wholeObservability is everything that the plane says, for an import and for the
// data source; null if observability is off.
func wholeObservability(ctx context.Context, got *cloudflare.Observability, diags *diag.Diagnostics) types.Object {
	if got == nil || got.Enabled == nil || !*got.Enabled {
		return types.ObjectNull(observabilityTypes)
	}
	m := observabilityModel{Enabled: types.BoolPointerValue(got.Enabled), HeadSamplingRate: types.Float64PointerValue(got.HeadSamplingRate)}
	if g := got.Logs; g != nil {
		m.Logs = &logsModel{
			Enabled: types.BoolPointerValue(g.Enabled), HeadSamplingRate: types.Float64PointerValue(g.HeadSamplingRate),
			InvocationLogs: types.BoolPointerValue(g.InvocationLogs), Persist: types.BoolPointerValue(g.Persist),
			Destinations: textSet(ctx, g.Destinations, diags),
		}
	}
	if g := got.Traces; g != nil {
		m.Traces = &tracesModel{
			Enabled: types.BoolPointerValue(g.Enabled), HeadSamplingRate: types.Float64PointerValue(g.HeadSamplingRate),
			Persist: types.BoolPointerValue(g.Persist), Destinations: textSet(ctx, g.Destinations, diags),
		}
	}
	o, d := types.ObjectValueFrom(ctx, observabilityTypes, m)
	diags.Append(d...)
	return o
}

func refreshBool(v *types.Bool, got *bool) {
	if !v.IsNull() && got != nil {
		*v = types.BoolValue(*got)
	}
}

func refreshFloat(v *types.Float64, got *float64) {
	if !v.IsNull() && got != nil {
		*v = types.Float64Value(*got)
	}
}

func refreshSet(ctx context.Context, v *types.Set, got []string, diags *diag.Diagnostics) {
	if !v.IsNull() && got != nil {
		*v = textSet(ctx, got, diags)
	}
}

// textSet is a set of texts; null if there are none.
func textSet(ctx context.Context, texts []string, diags *diag.Diagnostics) types.Set {
	if len(texts) == 0 {
		return types.SetNull(types.StringType)
	}
	set, d := types.SetValueFrom(ctx, types.StringType, texts)
	diags.Append(d...)
	return set
}

func texts(ctx context.Context, set types.Set, diags *diag.Diagnostics) []string {
	var s []string
	if !set.IsNull() {
		diags.Append(set.ElementsAs(ctx, &s, false)...)
	}
	return s
}
