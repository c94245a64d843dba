// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// Where an object may be is the operator's word against the operator's word: a plane's
// region is written in the provider block, in the agent.yaml of the plane, or in both.
// One word suffices, two must agree, and an edge plane has none that holds.

// ResidencyAttribute is the attribute residency of a resource.
func ResidencyAttribute() schema.SetAttribute {
	return schema.SetAttribute{
		ElementType: types.StringType,
		Optional:    true,
		MarkdownDescription: "Regions that this may be in, e.g. `[\"fr\"]`. The plan refuses a plane of any other region, one whose region nothing says, and Cloudflare's edge unless " +
			"`residency_acknowledged`. A plane's region is `region` of the provider block, or of the plane's own `agent.yaml`; they are compared as they are written, so `eu` does not include `fr`. " +
			"A named plane that cannot be asked is planned with a warning, and checked by the apply. Default: anywhere. Changed in place, without a request.",
		Validators: []validator.Set{NoNulls{}, setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(Region())},
	}
}

// ResidencyAcknowledgedAttribute is the attribute residency_acknowledged of a resource.
func ResidencyAcknowledgedAttribute() schema.BoolAttribute {
	return schema.BoolAttribute{
		Optional: true,
		MarkdownDescription: "Whether an edge plane is accepted in spite of `residency`, because you have seen to it yourself (jurisdictions of storage, Regional Services), or because it is no matter " +
			"for what runs there. Without it, the plan says what Cloudflare can promise for the region and what not. On a self-hosted plane it changes nothing. Default: `false`. Changed in place, without a request.",
	}
}

// location is what is known of where a plane is.
type location struct {
	edge   bool
	region string // empty: nothing says it
	// differs is the region that the plane itself says, if the provider block says
	// another one.
	differs string
}

// locator finds out where a plane is, once.
type locator struct {
	mu    sync.Mutex
	found bool
	at    location
	err   error
}

// locate asks the plane where it is, once. An answer that is a failure stays one, too, or
// each of many objects would pay for it; the client itself spares a plane that is down.
func (p *Plane) locate(ctx context.Context) (location, error) {
	p.where.mu.Lock()
	defer p.where.mu.Unlock()
	if p.where.found {
		return p.where.at, p.where.err
	}
	said, err := p.Client.Plane(ctx)
	if err != nil && (ctx.Err() != nil || cloudflare.IsUnreachable(err)) {
		return location{}, err
	}
	p.where.found, p.where.err = true, err
	p.where.at = location{edge: said.Kind == cloudflare.EdgePlane, region: p.Region}
	switch {
	case p.Region == "":
		p.where.at.region = said.Region
	case said.Region != "" && said.Region != p.Region:
		p.where.at.differs = said.Region
	}
	return p.where.at, err
}

// WrongRegion says that the plane is not where the provider block says; nil if it is,
// if only one of the two says it, or if the plane cannot be asked: whoever needs the
// answer asks for it.
func (p *Plane) WrongRegion(ctx context.Context) diag.Diagnostic {
	if p.Region == "" || p.Client.IsEdge() {
		return nil // no request
	}
	at, err := p.locate(ctx)
	if err != nil || at.differs == "" {
		return nil
	}
	return diag.NewAttributeErrorDiagnostic(path.Root("plane"), "Plane is not where the provider block says", fmt.Sprintf(
		"%s says that %s is in %q, but the plane itself says %q, by region in its agent.yaml. Correct the one that is wrong.",
		p.regionAttribute(), p, p.Region, at.differs))
}

func (p *Plane) regionAttribute() string {
	if p.Name == DefaultPlane {
		return "region of the provider block"
	}
	return fmt.Sprintf("planes[%q].region of the provider block", p.Name)
}

// PlanResidency is the second statement of every ModifyPlan of a resource that has the
// attributes residency and residency_acknowledged. It refuses a plane that is somewhere
// else, and reports whether planning goes on. It needs one request for each plane, shared
// with everything that asks a plane what it is. While residency is not known yet, it
// waits: core plans again before it applies.
func PlanResidency(ctx context.Context, p *Plane, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) bool {
	if p == nil || req.Plan.Raw.IsNull() {
		return !resp.Diagnostics.HasError()
	}
	var want Residency
	resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("residency"), &want.Allowed)...)
	resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("residency_acknowledged"), &want.Acknowledged)...)
	if !resp.Diagnostics.HasError() {
		p.checkResidency(ctx, want, false, &resp.Diagnostics)
	}
	return !resp.Diagnostics.HasError()
}

// Residency is where an object may be.
type Residency struct {
	Allowed      types.Set  // residency
	Acknowledged types.Bool // residency_acknowledged
}

// KeepsResidency reports whether something may be put onto the plane, or adds an error: also
// where a plane that could not be asked while this was planned says now that it is
// elsewhere. It needs no request if the plane has been asked.
func (p *Plane) KeepsResidency(ctx context.Context, want Residency, diags *diag.Diagnostics) bool {
	p.checkResidency(ctx, want, true, diags)
	return !diags.HasError()
}

// checkResidency adds what is wrong. A named plane that cannot be asked is an error only if
// that is strict.
func (p *Plane) checkResidency(ctx context.Context, want Residency, strict bool, diags *diag.Diagnostics) {
	if want.Allowed.IsNull() || want.Allowed.IsUnknown() || want.Acknowledged.IsUnknown() {
		return
	}
	var allowed []string
	for _, element := range want.Allowed.Elements() {
		text, ok := element.(types.String)
		if !ok || text.IsUnknown() {
			return
		}
		allowed = append(allowed, text.ValueString())
	}
	slices.Sort(allowed)
	at, only := path.Root("residency"), "residency allows "+strings.Join(allowed, ", ")
	elsewhere := func(region string) {
		diags.AddAttributeError(at, "Plane is outside the residency", fmt.Sprintf(
			"%s, but %s is in %s. Name a plane of an allowed region by plane, or change residency.", strings.TrimSuffix(Sentence(only), "."), p, region))
	}
	if p.Region != "" && !slices.Contains(allowed, p.Region) {
		elsewhere(p.Region) // whatever the plane says
		return
	}
	is, err := p.locate(ctx)
	switch {
	case err != nil && !strict && p.Name != DefaultPlane && cloudflare.IsUnreachable(err):
		diags.AddAttributeWarning(at, "Residency is not confirmed", Attempt{Verb: "ask", Kind: "plane", Plane: p}.Failed(err).Detail()+
			"\n\nWhether the plane is where "+only+" is not known. What has to change on it is checked by the apply, which fails until then; other planes are planned and applied as usual.")
	case err != nil:
		diags.AddAttributeError(at, "Residency cannot be confirmed", Attempt{Verb: "ask", Kind: "plane", Plane: p}.Failed(err).Detail())
	case is.differs != "":
		diags.Append(p.WrongRegion(ctx))
	case is.edge && !want.Acknowledged.ValueBool():
		diags.AddAttributeError(at, "The edge is not within the residency", p.edgePromise(allowed))
	case is.edge:
	case is.region == "":
		diags.AddAttributeError(at, "Nothing says where the plane is", fmt.Sprintf(
			"%s, but nothing says where %s is. Set %s, and region in the agent.yaml of the plane.", strings.TrimSuffix(Sentence(only), "."), p, p.regionAttribute()))
	case !slices.Contains(allowed, is.region):
		elsewhere(is.region + ", as its agent.yaml says")
	}
}

// edgePromise says what Cloudflare can promise for regions, and what not.
func (p *Plane) edgePromise(allowed []string) string {
	which := strings.Join(allowed, ", ")
	var b strings.Builder
	fmt.Fprintf(&b, "Residency allows %s, but %s is Cloudflare's edge", which, p)
	if !p.Client.IsEdge() {
		b.WriteString(" (or another server without /hybridge/v1)")
	}
	fmt.Fprintf(&b, ", which holds a Worker's code in every data centre and runs it where a request arrives.\n\n"+
		"What Cloudflare can do for %s:\n", which)
	for _, region := range allowed {
		fmt.Fprintf(&b, "  * storage for %s: %s\n", region, jurisdictions(region))
	}
	fmt.Fprintf(&b, "  * running for %s: Regional Services, of an Enterprise contract, decrypts requests and so runs Workers only in data centres of a region that Cloudflare offers, "+
		"for regional hostnames of your zones; host names of workers.dev are none\n\n"+
		"What it cannot do: keep the code, or what has no jurisdiction, in one region. Hybridge neither sets nor checks any of that. "+
		"Use a self-hosted plane in an allowed region, or set residency_acknowledged = true if this is what you want.", which)
	return b.String()
}

// jurisdictions says which jurisdictions of storage serve a region, by the first part of
// its name.
// https://developers.cloudflare.com/durable-objects/reference/data-location/
func jurisdictions(region string) string {
	first, _, _ := strings.Cut(region, "-")
	const kinds = "R2 buckets, D1 databases, Durable Objects and Workflows"
	switch {
	case region == "eu":
		return `the jurisdiction "eu" keeps ` + kinds + " in the European Union"
	case first == "eu", slices.Contains(euCountries(), first):
		return `the jurisdiction "eu" keeps ` + kinds + " in the European Union, but not in " + region + " alone"
	case first == "us":
		return `the jurisdiction "us" keeps Durable Objects and Workflows in the United States, and "fedramp" keeps ` + kinds + " in data centres of the FedRAMP program"
	}
	return "there is no jurisdiction"
}

// euCountries are the ISO 3166 codes of the members of the European Union.
func euCountries() []string {
	return strings.Fields("at be bg cy cz de dk ee es fi fr gr hr hu ie it lt lu lv mt nl pl pt ro se si sk")
}
