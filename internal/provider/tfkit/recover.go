// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// server is what the framework's protocol 6 server implements. Terraform looks
// for the optional parts by type assertion, so a wrapper must have them as well.
type server interface {
	tfprotov6.ProviderServerWithListResource
	tfprotov6.ProviderServerWithActions
}

// Recovering wraps a provider server so that a panic in one RPC becomes an error
// of that RPC, with the object it concerns. Without it the process dies, and with
// it the state of every object that is being created at that moment.
func Recovering(downstream tfprotov6.ProviderServer) tfprotov6.ProviderServer {
	full, ok := downstream.(server)
	if !ok {
		return downstream
	}
	return &recovering{server: full}
}

type recovering struct{ server }

// rescue MUST be deferred directly. It turns a panic into a diagnostic for add.
func rescue(ctx context.Context, doing string, add func(*tfprotov6.Diagnostic)) {
	cause := recover()
	if cause == nil {
		return
	}
	why := describePanic(cause)
	tflog.Error(ctx, "panic", map[string]any{"doing": doing, "cause": why, "stack": string(debug.Stack())})
	add(&tfprotov6.Diagnostic{
		Severity: tfprotov6.DiagnosticSeverityError,
		Summary:  "Bug in the provider",
		Detail: fmt.Sprintf("The provider failed while it was %s: %v. Nothing more is known about the outcome: run terraform plan to see "+
			"what is there. Please report this with the log that TF_LOG_PROVIDER=ERROR writes, which has the stack trace.", doing, why),
	})
}

// describePanic says what happened. The text of a panic that is not the runtime's
// own can hold whatever was being worked on, also a secret: then its type has to
// do. A stack trace holds addresses and no texts.
func describePanic(cause any) string {
	var own runtime.Error
	if err, ok := cause.(error); ok && errors.As(err, &own) {
		return own.Error()
	}
	return fmt.Sprintf("a panic with a %T", cause)
}

func (r *recovering) ValidateProviderConfig(ctx context.Context, req *tfprotov6.ValidateProviderConfigRequest) (resp *tfprotov6.ValidateProviderConfigResponse, err error) {
	defer rescue(ctx, "validating the provider block", func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ValidateProviderConfigResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ValidateProviderConfig(ctx, req)
}

func (r *recovering) ConfigureProvider(ctx context.Context, req *tfprotov6.ConfigureProviderRequest) (resp *tfprotov6.ConfigureProviderResponse, err error) {
	defer rescue(ctx, "configuring itself", func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ConfigureProviderResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ConfigureProvider(ctx, req)
}

func (r *recovering) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (resp *tfprotov6.ValidateResourceConfigResponse, err error) {
	defer rescue(ctx, "validating a "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ValidateResourceConfigResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ValidateResourceConfig(ctx, req)
}

func (r *recovering) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (resp *tfprotov6.UpgradeResourceStateResponse, err error) {
	defer rescue(ctx, "upgrading the state of a "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.UpgradeResourceStateResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.UpgradeResourceState(ctx, req)
}

func (r *recovering) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (resp *tfprotov6.ReadResourceResponse, err error) {
	defer rescue(ctx, "reading a "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, NewIdentity: req.CurrentIdentity, Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ReadResource(ctx, req)
}

func (r *recovering) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (resp *tfprotov6.PlanResourceChangeResponse, err error) {
	defer rescue(ctx, "planning a "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.PlanResourceChangeResponse{PlannedState: req.PriorState, Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.PlanResourceChange(ctx, req)
}

// ApplyResourceChange answers a panic with the prior state: what a create made is
// found again by its name, and what an update did is seen by the next Read.
func (r *recovering) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (resp *tfprotov6.ApplyResourceChangeResponse, err error) {
	defer rescue(ctx, "applying a "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ApplyResourceChangeResponse{NewState: req.PriorState, Private: req.PlannedPrivate, Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ApplyResourceChange(ctx, req)
}

func (r *recovering) ImportResourceState(ctx context.Context, req *tfprotov6.ImportResourceStateRequest) (resp *tfprotov6.ImportResourceStateResponse, err error) {
	defer rescue(ctx, "importing a "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ImportResourceStateResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ImportResourceState(ctx, req)
}

func (r *recovering) MoveResourceState(ctx context.Context, req *tfprotov6.MoveResourceStateRequest) (resp *tfprotov6.MoveResourceStateResponse, err error) {
	defer rescue(ctx, "moving a "+req.TargetTypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.MoveResourceStateResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.MoveResourceState(ctx, req)
}

func (r *recovering) ValidateDataResourceConfig(ctx context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (resp *tfprotov6.ValidateDataResourceConfigResponse, err error) {
	defer rescue(ctx, "validating a data source "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ValidateDataResourceConfigResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ValidateDataResourceConfig(ctx, req)
}

func (r *recovering) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (resp *tfprotov6.ReadDataSourceResponse, err error) {
	defer rescue(ctx, "reading a data source "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ReadDataSourceResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ReadDataSource(ctx, req)
}

func (r *recovering) ValidateEphemeralResourceConfig(ctx context.Context, req *tfprotov6.ValidateEphemeralResourceConfigRequest) (resp *tfprotov6.ValidateEphemeralResourceConfigResponse, err error) {
	defer rescue(ctx, "validating an ephemeral "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.ValidateEphemeralResourceConfigResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.ValidateEphemeralResourceConfig(ctx, req)
}

func (r *recovering) OpenEphemeralResource(ctx context.Context, req *tfprotov6.OpenEphemeralResourceRequest) (resp *tfprotov6.OpenEphemeralResourceResponse, err error) {
	defer rescue(ctx, "opening an ephemeral "+req.TypeName, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.OpenEphemeralResourceResponse{Diagnostics: []*tfprotov6.Diagnostic{d}}
	})
	return r.server.OpenEphemeralResource(ctx, req)
}

func (r *recovering) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (resp *tfprotov6.CallFunctionResponse, err error) {
	defer rescue(ctx, "calling the function "+req.Name, func(d *tfprotov6.Diagnostic) {
		resp = &tfprotov6.CallFunctionResponse{Error: &tfprotov6.FunctionError{Text: d.Summary + ": " + d.Detail}}
	})
	return r.server.CallFunction(ctx, req)
}

func (r *recovering) ListResource(ctx context.Context, req *tfprotov6.ListResourceRequest) (stream *tfprotov6.ListResourceServerStream, err error) {
	doing := "listing " + req.TypeName
	stream = &tfprotov6.ListResourceServerStream{Results: tfprotov6.NoListResults}
	report := func(yield func(tfprotov6.ListResourceResult) bool) func(*tfprotov6.Diagnostic) {
		return func(d *tfprotov6.Diagnostic) {
			yield(tfprotov6.ListResourceResult{Diagnostics: []*tfprotov6.Diagnostic{d}})
		}
	}
	defer rescue(ctx, doing, func(d *tfprotov6.Diagnostic) {
		stream.Results = func(yield func(tfprotov6.ListResourceResult) bool) { report(yield)(d) }
	})
	made, err := r.server.ListResource(ctx, req)
	if err != nil || made == nil || made.Results == nil {
		return made, err
	}
	stream.Results = func(yield func(tfprotov6.ListResourceResult) bool) {
		defer rescue(ctx, doing, report(yield))
		made.Results(yield)
	}
	return stream, nil
}
