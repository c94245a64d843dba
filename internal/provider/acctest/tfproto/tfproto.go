// SPDX-License-Identifier: MPL-2.0

// Package tfproto speaks Terraform's protocol 6 to a provider in the same
// process, as Terraform core would: a plan takes microseconds instead of a
// quarter of a second, so it can be done a thousand times by a property test, and
// features of later Terraform versions can be tested with any.
//
// After every plan and apply it checks what core checks: an applied value equals
// the planned one wherever that was known.
package tfproto

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// TB is what is needed of *testing.T and *rapid.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Object is a resource's or data source's value: attributes by name. Values are
// nil, bool, string, float64, []any, map[string]any or Unknown. A nil Object is
// one that does not exist.
type Object map[string]any

// State is what Terraform keeps of a resource.
type State struct {
	Type     string
	Object   Object // nil: there is no object
	Identity Object
	private  []byte
}

// Private is what the provider keeps beside the object, as the framework writes
// it; empty if it keeps nothing.
func (s State) Private() string { return string(s.private) }

// Plan is a planned change.
type Plan struct {
	Type    string
	Prior   State
	Config  Object
	Object  Object   // what will be, as far as known; nil: destroyed
	Replace []string // attribute paths that make Terraform replace the object
	private []byte
}

// Empty reports whether nothing would change.
func (p Plan) Empty() bool { return cmp.Equal(p.Prior.Object, p.Object) }

// Provider is a configured provider.
type Provider struct {
	server     tfprotov6.ProviderServer
	schemas    *tfprotov6.GetProviderSchemaResponse
	identities *tfprotov6.GetResourceIdentitySchemasResponse
}

// New validates and configures server with the provider block. Diagnostics of
// the configuration are returned: tests look at them.
func New(ctx context.Context, t TB, server tfprotov6.ProviderServer, block Object) (*Provider, Diagnostics) {
	t.Helper()
	p := &Provider{server: server}
	var err error
	if p.schemas, err = server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{}); err != nil {
		t.Fatalf("GetProviderSchema: %v", err)
	}
	if p.identities, err = server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{}); err != nil {
		t.Fatalf("GetResourceIdentitySchemas: %v", err)
	}
	config := pack(t, p.schemas.Provider.ValueType(), block)
	validated, err := server.ValidateProviderConfig(ctx, &tfprotov6.ValidateProviderConfigRequest{Config: config})
	if err != nil {
		t.Fatalf("ValidateProviderConfig: %v", err)
	}
	if d := Diagnostics(validated.Diagnostics); d.HasError() {
		return p, d
	}
	configured, err := server.ConfigureProvider(ctx, &tfprotov6.ConfigureProviderRequest{Config: config, TerraformVersion: "1.11.4"})
	if err != nil {
		t.Fatalf("ConfigureProvider: %v", err)
	}
	return p, configured.Diagnostics
}

// Validate validates a resource's configuration.
func (p *Provider) Validate(ctx context.Context, t TB, kind string, config Object) Diagnostics {
	t.Helper()
	resp, err := p.server.ValidateResourceConfig(ctx, &tfprotov6.ValidateResourceConfigRequest{
		TypeName: kind, Config: pack(t, p.resource(t, kind).ValueType(), config),
		ClientCapabilities: &tfprotov6.ValidateResourceConfigClientCapabilities{WriteOnlyAttributesAllowed: true},
	})
	if err != nil {
		t.Fatalf("ValidateResourceConfig(%s): %v", kind, err)
	}
	return resp.Diagnostics
}

// Plan validates config and plans to get from prior to it. A nil config plans to
// destroy.
func (p *Provider) Plan(ctx context.Context, t TB, prior State, config Object) (Plan, Diagnostics) {
	t.Helper()
	schema := p.resource(t, prior.Type)
	if config != nil {
		if d := p.Validate(ctx, t, prior.Type, config); d.HasError() {
			return Plan{}, d
		}
	}
	proposed := propose(schema.Block.Attributes, prior.Object, config)
	resp, err := p.server.PlanResourceChange(ctx, &tfprotov6.PlanResourceChangeRequest{
		TypeName:         prior.Type,
		PriorState:       pack(t, schema.ValueType(), prior.Object),
		ProposedNewState: pack(t, schema.ValueType(), proposed),
		Config:           pack(t, schema.ValueType(), config),
		PriorPrivate:     prior.private,
		PriorIdentity:    p.packIdentity(t, prior),
	})
	if err != nil {
		t.Fatalf("PlanResourceChange(%s): %v", prior.Type, err)
	}
	plan := Plan{
		Type: prior.Type, Prior: prior, Config: config, private: resp.PlannedPrivate,
		Object: unpack(t, schema.ValueType(), resp.PlannedState),
	}
	if config != nil && !Diagnostics(resp.Diagnostics).HasError() {
		written := unpack(t, schema.ValueType(), pack(t, schema.ValueType(), config)) // as core has it: all attributes, one kind of number
		if s := invalid(schema.Block.Attributes, "", prior.Object, written, plan.Object); s != "" {
			t.Errorf("%s: core would refuse the plan: %s", prior.Type, s)
		}
	}
	for _, at := range resp.RequiresReplace {
		plan.Replace = append(plan.Replace, attributePath(at))
	}
	return plan, resp.Diagnostics
}

// Apply applies a plan that replaces nothing.
func (p *Provider) Apply(ctx context.Context, t TB, plan Plan) (State, Diagnostics) {
	t.Helper()
	schema := p.resource(t, plan.Type)
	resp, err := p.server.ApplyResourceChange(ctx, &tfprotov6.ApplyResourceChangeRequest{
		TypeName:        plan.Type,
		PriorState:      pack(t, schema.ValueType(), plan.Prior.Object),
		PlannedState:    pack(t, schema.ValueType(), plan.Object),
		Config:          pack(t, schema.ValueType(), plan.Config),
		PlannedPrivate:  plan.private,
		PlannedIdentity: p.packIdentity(t, plan.Prior),
	})
	if err != nil {
		t.Fatalf("ApplyResourceChange(%s): %v", plan.Type, err)
	}
	state := State{Type: plan.Type, Object: unpack(t, schema.ValueType(), resp.NewState), private: resp.Private}
	state.Identity = p.unpackIdentity(t, plan.Type, resp.NewIdentity)
	if d := Diagnostics(resp.Diagnostics); !d.HasError() && plan.Object != nil {
		if diff := contradiction("", map[string]any(plan.Object), map[string]any(state.Object)); diff != "" {
			t.Errorf("%s: applied value differs from the planned one: %s", plan.Type, diff)
		}
	}
	return state, resp.Diagnostics
}

// Create plans and applies a new object; any error fails the test.
func (p *Provider) Create(ctx context.Context, t TB, kind string, config Object) State {
	t.Helper()
	return p.Change(ctx, t, State{Type: kind}, config)
}

// Change plans and applies a change, by replacing if the plan says so; any error
// fails the test. A nil config destroys.
func (p *Provider) Change(ctx context.Context, t TB, prior State, config Object) State {
	t.Helper()
	plan, d := p.Plan(ctx, t, prior, config)
	if d.HasError() {
		t.Fatalf("planning %s: %s", prior.Type, d)
	}
	if len(plan.Replace) > 0 && prior.Object != nil {
		return p.Change(ctx, t, p.Change(ctx, t, prior, nil), config)
	}
	state, d := p.Apply(ctx, t, plan)
	if d.HasError() {
		t.Fatalf("applying %s: %s", prior.Type, d)
	}
	return state
}

// Read refreshes a state; an object that is gone comes back as nil.
func (p *Provider) Read(ctx context.Context, t TB, state State) (State, Diagnostics) {
	t.Helper()
	schema := p.resource(t, state.Type)
	resp, err := p.server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{
		TypeName: state.Type, CurrentState: pack(t, schema.ValueType(), state.Object),
		Private: state.private, CurrentIdentity: p.packIdentity(t, state),
	})
	if err != nil {
		t.Fatalf("ReadResource(%s): %v", state.Type, err)
	}
	return State{
		Type: state.Type, Object: unpack(t, schema.ValueType(), resp.NewState), private: resp.Private,
		Identity: p.unpackIdentity(t, state.Type, resp.NewIdentity),
	}, resp.Diagnostics
}

// Import imports by id, or by identity if id is empty, and reads what came in, as
// core does.
func (p *Provider) Import(ctx context.Context, t TB, kind, id string, identity Object) (State, Diagnostics) {
	t.Helper()
	req := &tfprotov6.ImportResourceStateRequest{TypeName: kind, ID: id}
	if id == "" {
		req.Identity = p.packIdentity(t, State{Type: kind, Identity: identity})
	}
	resp, err := p.server.ImportResourceState(ctx, req)
	if err != nil {
		t.Fatalf("ImportResourceState(%s): %v", kind, err)
	}
	if d := Diagnostics(resp.Diagnostics); d.HasError() {
		return State{Type: kind}, d
	}
	if len(resp.ImportedResources) != 1 {
		t.Fatalf("ImportResourceState(%s) gave %d resources", kind, len(resp.ImportedResources))
	}
	in := resp.ImportedResources[0]
	return p.Read(ctx, t, State{
		Type: kind, Object: unpack(t, p.resource(t, kind).ValueType(), in.State), private: in.Private,
		Identity: p.unpackIdentity(t, kind, in.Identity),
	})
}

// Data reads a data source.
func (p *Provider) Data(ctx context.Context, t TB, kind string, config Object) (Object, Diagnostics) {
	t.Helper()
	schema, ok := p.schemas.DataSourceSchemas[kind]
	if !ok {
		t.Fatalf("there is no data source %q", kind)
	}
	packed := pack(t, schema.ValueType(), config)
	validated, err := p.server.ValidateDataResourceConfig(ctx, &tfprotov6.ValidateDataResourceConfigRequest{TypeName: kind, Config: packed})
	if err != nil {
		t.Fatalf("ValidateDataResourceConfig(%s): %v", kind, err)
	}
	if d := Diagnostics(validated.Diagnostics); d.HasError() {
		return nil, d
	}
	resp, err := p.server.ReadDataSource(ctx, &tfprotov6.ReadDataSourceRequest{TypeName: kind, Config: packed})
	if err != nil {
		t.Fatalf("ReadDataSource(%s): %v", kind, err)
	}
	return unpack(t, schema.ValueType(), resp.State), resp.Diagnostics
}

// Open opens an ephemeral resource.
func (p *Provider) Open(ctx context.Context, t TB, kind string, config Object) (Object, Diagnostics) {
	t.Helper()
	schema, ok := p.schemas.EphemeralResourceSchemas[kind]
	if !ok {
		t.Fatalf("there is no ephemeral resource %q", kind)
	}
	packed := pack(t, schema.ValueType(), config)
	validated, err := p.server.ValidateEphemeralResourceConfig(ctx, &tfprotov6.ValidateEphemeralResourceConfigRequest{TypeName: kind, Config: packed})
	if err != nil {
		t.Fatalf("ValidateEphemeralResourceConfig(%s): %v", kind, err)
	}
	if d := Diagnostics(validated.Diagnostics); d.HasError() {
		return nil, d
	}
	resp, err := p.server.OpenEphemeralResource(ctx, &tfprotov6.OpenEphemeralResourceRequest{TypeName: kind, Config: packed})
	if err != nil {
		t.Fatalf("OpenEphemeralResource(%s): %v", kind, err)
	}
	return unpack(t, schema.ValueType(), resp.Result), resp.Diagnostics
}

// Invoke plans and invokes an action, and returns what it says while it works.
func (p *Provider) Invoke(ctx context.Context, t TB, kind string, config Object) (messages []string, d Diagnostics) {
	t.Helper()
	server, ok := p.server.(tfprotov6.ProviderServerWithActions)
	schema := p.schemas.ActionSchemas[kind]
	if !ok || schema == nil {
		t.Fatalf("there is no action %q", kind)
	}
	value := pack(t, schema.Schema.ValueType(), config)
	validated, err := server.ValidateActionConfig(ctx, &tfprotov6.ValidateActionConfigRequest{ActionType: kind, Config: value})
	if err != nil {
		t.Fatalf("ValidateActionConfig(%s): %v", kind, err)
	}
	if d = validated.Diagnostics; d.HasError() {
		return nil, d
	}
	planned, err := server.PlanAction(ctx, &tfprotov6.PlanActionRequest{ActionType: kind, Config: value})
	if err != nil {
		t.Fatalf("PlanAction(%s): %v", kind, err)
	}
	if d = planned.Diagnostics; d.HasError() {
		return nil, d
	}
	stream, err := server.InvokeAction(ctx, &tfprotov6.InvokeActionRequest{ActionType: kind, Config: value})
	if err != nil {
		t.Fatalf("InvokeAction(%s): %v", kind, err)
	}
	for event := range stream.Events {
		switch e := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			messages = append(messages, e.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			d = append(d, e.Diagnostics...)
		}
	}
	return messages, d
}

// Move takes over an object that another provider has in state: its attributes as JSON.
func (p *Provider) Move(ctx context.Context, t TB, provider, from, attributes, to string) (State, Diagnostics) {
	t.Helper()
	resp, err := p.server.MoveResourceState(ctx, &tfprotov6.MoveResourceStateRequest{
		SourceProviderAddress: provider, SourceTypeName: from, SourceState: &tfprotov6.RawState{JSON: []byte(attributes)}, TargetTypeName: to,
	})
	if err != nil {
		t.Fatalf("MoveResourceState(%s): %v", to, err)
	}
	state := State{Type: to, Object: unpack(t, p.resource(t, to).ValueType(), resp.TargetState), private: resp.TargetPrivate}
	state.Identity = p.unpackIdentity(t, to, resp.TargetIdentity)
	return state, resp.Diagnostics
}

// Listed is one result of a list resource.
type Listed struct {
	Name     string
	Identity Object
	Resource Object // nil unless asked for
}

// List runs a list resource; limit 0 means all.
func (p *Provider) List(ctx context.Context, t TB, kind string, config Object, whole bool, limit int64) (list []Listed, d Diagnostics) {
	t.Helper()
	server, ok := p.server.(tfprotov6.ProviderServerWithListResource)
	schema := p.schemas.ListResourceSchemas[kind]
	if !ok || schema == nil {
		t.Fatalf("there is no list resource %q", kind)
	}
	value := pack(t, schema.ValueType(), config)
	validated, err := server.ValidateListResourceConfig(ctx, &tfprotov6.ValidateListResourceConfigRequest{TypeName: kind, Config: value})
	if err != nil {
		t.Fatalf("ValidateListResourceConfig(%s): %v", kind, err)
	}
	if d = validated.Diagnostics; d.HasError() {
		return nil, d
	}
	stream, err := server.ListResource(ctx, &tfprotov6.ListResourceRequest{TypeName: kind, Config: value, IncludeResource: whole, Limit: limit})
	if err != nil {
		t.Fatalf("ListResource(%s): %v", kind, err)
	}
	for r := range stream.Results {
		d = append(d, r.Diagnostics...)
		if r.Identity == nil {
			continue
		}
		one := Listed{Name: r.DisplayName, Identity: p.unpackIdentity(t, kind, r.Identity)}
		if whole {
			one.Resource = unpack(t, p.resource(t, kind).ValueType(), r.Resource)
		}
		list = append(list, one)
	}
	return list, d
}

// Call calls a function, which needs no configured provider.
func Call(ctx context.Context, t TB, server tfprotov6.ProviderServer, name string, arguments ...any) (any, *tfprotov6.FunctionError) {
	t.Helper()
	all, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatalf("GetProviderSchema: %v", err)
	}
	function, ok := all.Functions[name]
	if !ok {
		t.Fatalf("there is no function %q", name)
	}
	req := &tfprotov6.CallFunctionRequest{Name: name}
	for i, argument := range arguments {
		parameter := function.VariadicParameter
		if i < len(function.Parameters) {
			parameter = function.Parameters[i]
		}
		v, err := encode(parameter.Type, argument)
		if err != nil {
			t.Fatalf("argument %d of %s: %v", i, name, err)
		}
		packed, err := tfprotov6.NewDynamicValue(parameter.Type, v)
		if err != nil {
			t.Fatalf("argument %d of %s: %v", i, name, err)
		}
		req.Arguments = append(req.Arguments, &packed)
	}
	resp, err := server.CallFunction(ctx, req)
	if err != nil {
		t.Fatalf("CallFunction(%s): %v", name, err)
	}
	if resp.Error != nil {
		return nil, resp.Error
	}
	v, err := resp.Result.Unmarshal(function.Return.Type)
	if err != nil {
		t.Fatalf("result of %s: %v", name, err)
	}
	return decode(v), nil
}

func (p *Provider) resource(t TB, kind string) *tfprotov6.Schema {
	t.Helper()
	schema, ok := p.schemas.ResourceSchemas[kind]
	if !ok {
		t.Fatalf("there is no resource %q", kind)
	}
	return schema
}

func (p *Provider) packIdentity(t TB, s State) *tfprotov6.ResourceIdentityData {
	t.Helper()
	schema, ok := p.identities.IdentitySchemas[s.Type]
	if !ok || s.Identity == nil {
		return nil
	}
	return &tfprotov6.ResourceIdentityData{IdentityData: pack(t, schema.ValueType(), s.Identity)}
}

func (p *Provider) unpackIdentity(t TB, kind string, data *tfprotov6.ResourceIdentityData) Object {
	t.Helper()
	if data == nil || data.IdentityData == nil {
		return nil
	}
	return unpack(t, p.identities.IdentitySchemas[kind].ValueType(), data.IdentityData)
}

func pack(t TB, of tftypes.Type, o Object) *tfprotov6.DynamicValue {
	t.Helper()
	var plain any
	if o != nil {
		plain = map[string]any(o)
	}
	v, err := encode(of, plain)
	if err != nil {
		t.Fatalf("value for Terraform: %v", err)
	}
	packed, err := tfprotov6.NewDynamicValue(of, v)
	if err != nil {
		t.Fatalf("value for Terraform: %v", err)
	}
	return &packed
}

func unpack(t TB, of tftypes.Type, packed *tfprotov6.DynamicValue) Object {
	t.Helper()
	if packed == nil {
		return nil
	}
	v, err := packed.Unmarshal(of)
	if err != nil {
		t.Fatalf("value of the provider: %v", err)
	}
	o, _ := decode(v).(map[string]any)
	return o
}

// attributePath writes a path as in HCL.
func attributePath(at *tftypes.AttributePath) string {
	var b strings.Builder
	for _, step := range at.Steps() {
		switch s := step.(type) {
		case tftypes.AttributeName:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(string(s))
		case tftypes.ElementKeyString:
			fmt.Fprintf(&b, "[%q]", string(s))
		case tftypes.ElementKeyInt:
			fmt.Fprintf(&b, "[%d]", int64(s))
		default:
			b.WriteString("[value]")
		}
	}
	return b.String()
}
