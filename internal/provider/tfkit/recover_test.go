// SPDX-License-Identifier: MPL-2.0

package tfkit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// clumsy is a provider with one resource that panics wherever its name says so.
type clumsy struct{}

func (clumsy) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "clumsy"
}
func (clumsy) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse)          {}
func (clumsy) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {}
func (clumsy) DataSources(context.Context) []func() datasource.DataSource                        { return nil }
func (clumsy) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return clumsyThing{} }}
}

func (clumsy) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{func() ephemeral.EphemeralResource { return clumsyValue{} }}
}
func (clumsy) Functions(context.Context) []func() function.Function {
	return []func() function.Function{func() function.Function { return clumsyFunction{} }}
}

// told is the text of panics that could be anything.
const told = "what-was-being-worked-on"

type clumsyValue struct{}

func (clumsyValue) Metadata(_ context.Context, _ ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = "clumsy_value"
}
func (clumsyValue) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
}
func (clumsyValue) ValidateConfig(context.Context, ephemeral.ValidateConfigRequest, *ephemeral.ValidateConfigResponse) {
	panic(told)
}
func (clumsyValue) Open(context.Context, ephemeral.OpenRequest, *ephemeral.OpenResponse) {
	panic(errors.New(told))
}

type clumsyFunction struct{}

func (clumsyFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "stumble"
}
func (clumsyFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{Summary: "stumbles", Return: function.StringReturn{}}
}
func (clumsyFunction) Run(context.Context, function.RunRequest, *function.RunResponse) { panic(told) }

func TestAPanicOfAnEphemeralResourceOrAFunctionShowsNoText(t *testing.T) {
	t.Parallel()
	s := tfkit.Recovering(providerserver.NewProtocol6(clumsy{})())
	none, err := tfprotov6.NewDynamicValue(tftypes.Object{}, tftypes.NewValue(tftypes.Object{}, map[string]tftypes.Value{}))
	if err != nil {
		t.Fatal(err)
	}
	validated, err := s.ValidateEphemeralResourceConfig(t.Context(), &tfprotov6.ValidateEphemeralResourceConfigRequest{TypeName: "clumsy_value", Config: &none})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := s.OpenEphemeralResource(t.Context(), &tfprotov6.OpenEphemeralResourceRequest{TypeName: "clumsy_value", Config: &none})
	if err != nil {
		t.Fatal(err)
	}
	called, err := s.CallFunction(t.Context(), &tfprotov6.CallFunctionRequest{Name: "stumble"})
	if err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]string{
		"validating an ephemeral clumsy_value: a panic with a string":           fmt.Sprint(validated.Diagnostics[0]),
		"opening an ephemeral clumsy_value: a panic with a *errors.errorString": fmt.Sprint(opened.Diagnostics[0]),
		"calling the function stumble: a panic with a string":                   called.Error.Text,
	} {
		if !strings.Contains(text, want) || strings.Contains(text, told) {
			t.Errorf("want %q, got %s", want, text)
		}
	}
}

type clumsyThing struct{}

func (clumsyThing) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "clumsy_thing"
}

func (clumsyThing) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{Attributes: map[string]schema.Attribute{"name": schema.StringAttribute{Required: true}}}
}

// stumble panics as a nil map does.
func stumble() {
	var m map[string]int
	m["x"] = 1
}

func (clumsyThing) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var name string
	if !req.Plan.Raw.IsNull() {
		resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("name"), &name)...)
	}
	if name == "plan" {
		stumble()
	}
}
func (clumsyThing) Create(context.Context, resource.CreateRequest, *resource.CreateResponse) {
	stumble()
}
func (clumsyThing) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) { stumble() }
func (clumsyThing) Update(context.Context, resource.UpdateRequest, *resource.UpdateResponse) {
	stumble()
}
func (clumsyThing) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {
	stumble()
}
func (clumsyThing) ImportState(context.Context, resource.ImportStateRequest, *resource.ImportStateResponse) {
	stumble()
}

func TestAPanicIsAnErrorThatKeepsTheState(t *testing.T) {
	t.Parallel()
	p, d := tfproto.New(t.Context(), t, tfkit.Recovering(providerserver.NewProtocol6(clumsy{})()), tfproto.Object{})
	if d.HasError() {
		t.Fatal(d)
	}
	expect := func(doing string, d tfproto.Diagnostics) {
		t.Helper()
		if !strings.Contains(d.String(), "Bug in the provider") || !strings.Contains(d.String(), doing+" a clumsy_thing") {
			t.Errorf("%s gives %s", doing, d)
		}
	}
	none := tfproto.State{Type: "clumsy_thing"}
	is := tfproto.State{Type: "clumsy_thing", Object: tfproto.Object{"name": "a"}}

	_, d = p.Plan(t.Context(), t, none, tfproto.Object{"name": "plan"})
	expect("planning", d)

	created, d := p.Apply(t.Context(), t, tfproto.Plan{Type: "clumsy_thing", Prior: none, Object: is.Object, Config: is.Object})
	expect("applying", d)
	if created.Object != nil {
		t.Errorf("after a failed create the state is %v", created.Object)
	}
	for what, planned := range map[string]tfproto.Object{"update": {"name": "b"}, "destroy": nil} {
		after, d := p.Apply(t.Context(), t, tfproto.Plan{Type: "clumsy_thing", Prior: is, Object: planned, Config: planned})
		expect("applying", d)
		if after.Object["name"] != "a" {
			t.Errorf("after a failed %s the state is %v", what, after.Object)
		}
	}
	read, d := p.Read(t.Context(), t, is)
	expect("reading", d)
	if read.Object["name"] != "a" {
		t.Errorf("after a failed Read the state is %v", read.Object)
	}
	_, d = p.Import(t.Context(), t, "clumsy_thing", "x", nil)
	expect("importing", d)
}
