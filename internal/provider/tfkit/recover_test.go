// SPDX-License-Identifier: MPL-2.0

package tfkit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"

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
