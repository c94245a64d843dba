// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// Object describes a resource that is one object of the API, without anything that
// takes time or several steps. M is its model; I its identity, a struct that matches
// the identity schema. NewResource makes the resource of it.
type Object[M, I any] struct {
	Type string // e.g. "hybridge_tunnel_route"
	Kind string // as messages call it, e.g. "route"

	Schema   func(context.Context) schema.Schema
	Identity map[string]identityschema.Attribute // beside account_id and plane
	// Parts are those of an import id after the account, e.g. "route_id".
	Parts []string

	// Name is the object as the user knows it.
	Name func(M) string
	// Where are the attributes plane and account_id.
	Where func(*M) (plane, account *types.String)
	// IdentityOf is the identity of what is in state; FromIdentity and FromParts make
	// what Read can complete.
	IdentityOf   func(M) I
	FromIdentity func(I) M
	FromParts    func(parts []string) M

	// Create, Read and Update complete the model. A Read of what is gone returns an
	// error that is cloudflare.IsNotFound.
	Create func(ctx context.Context, c *cloudflare.Client, m *M) error
	Read   func(ctx context.Context, c *cloudflare.Client, m *M) error
	Update func(ctx context.Context, c *cloudflare.Client, state M, m *M) error
	Delete func(ctx context.Context, c *cloudflare.Client, m M) error
	// Keep is what private state keeps of an object, as JSON, and Recall reads it before a
	// Read, Update or Delete; nil: nothing is kept.
	Keep   func(M) []byte
	Recall func(m *M, kept []byte)
	// Remedy says what to do about an error; empty or nil: what is said in general.
	Remedy func(err error, m M) string

	// Validate and Plan check what the schema cannot; both may be nil. Plan is not asked on
	// destroy, nor without a plane; state is nil for a new object.
	Validate func(ctx context.Context, config tfsdk.Config, diags *diag.Diagnostics)
	Plan     func(ctx context.Context, p *Plane, req resource.ModifyPlanRequest, diags *diag.Diagnostics)

	// MovedFrom are the types of the official provider whose objects these are. Moved
	// reads the parts of an import id from their attributes.
	MovedFrom []string
	Moved     func(attributes map[string]any) (parts []string)
}

// NewResource makes the resource.
func (o *Object[M, I]) NewResource() resource.Resource { return &object[M, I]{of: o} }

type object[M, I any] struct {
	Resource
	of *Object[M, I]
}

var (
	_ resource.ResourceWithConfigure      = (*object[struct{}, struct{}])(nil)
	_ resource.ResourceWithIdentity       = (*object[struct{}, struct{}])(nil)
	_ resource.ResourceWithImportState    = (*object[struct{}, struct{}])(nil)
	_ resource.ResourceWithModifyPlan     = (*object[struct{}, struct{}])(nil)
	_ resource.ResourceWithMoveState      = (*object[struct{}, struct{}])(nil)
	_ resource.ResourceWithValidateConfig = (*object[struct{}, struct{}])(nil)
)

func (r *object[M, I]) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = r.of.Type
}

func (r *object[M, I]) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = r.of.Schema(ctx)
}

func (r *object[M, I]) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: IdentityAttributes(r.of.Identity)}
}

func (r *object[M, I]) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	if r.of.Validate != nil {
		r.of.Validate(ctx, req.Config, &resp.Diagnostics)
	}
}

func (r *object[M, I]) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if p := PlanPlane(ctx, r.Data, req, resp); p != nil && r.of.Plan != nil {
		r.of.Plan(ctx, p, req, &resp.Diagnostics)
	}
}

// at returns the plane that m is to be on, or is on; nil after an error.
func (r *object[M, I]) at(m *M, known bool, diags *diag.Diagnostics) *Plane {
	if diags.HasError() {
		return nil
	}
	plane, account := r.of.Where(m)
	p := r.Data.Plane(*plane, diags)
	if p == nil || known && !p.SameAccount(*account, r.object(*m), diags) {
		return nil
	}
	*account = types.StringValue(p.AccountID)
	return p
}

func (r *object[M, I]) object(m M) string { return "The " + r.attempt("", m, nil).object() }

func (r *object[M, I]) attempt(verb string, m M, p *Plane) Attempt {
	return Attempt{Verb: verb, Kind: r.of.Kind, Name: r.of.Name(m), Plane: p}
}

func (r *object[M, I]) failed(verb string, err error, m M, p *Plane) diag.Diagnostic {
	remedy := ""
	if r.of.Remedy != nil {
		remedy = r.of.Remedy(err, m)
	}
	return r.attempt(verb, m, p).FailedBecause(err, remedy)
}

func (r *object[M, I]) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	p := r.at(&m, false, &resp.Diagnostics)
	if p == nil {
		return
	}
	if err := r.of.Create(ctx, p.Client, &m); err != nil {
		resp.Diagnostics.Append(r.failed("create", err, m, p))
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, r.of.IdentityOf(m))...)
	r.keep(ctx, resp.Private, m, &resp.Diagnostics)
}

// keptKey is where private state has what Keep gives.
const keptKey = "kept"

type privateReader interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
}

type privateWriter interface {
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

func (r *object[M, I]) keep(ctx context.Context, to privateWriter, m M, diags *diag.Diagnostics) {
	if r.of.Keep != nil {
		diags.Append(to.SetKey(ctx, keptKey, r.of.Keep(m))...)
	}
}

func (r *object[M, I]) recall(ctx context.Context, from privateReader, m *M, diags *diag.Diagnostics) {
	if r.of.Recall == nil {
		return
	}
	kept, d := from.GetKey(ctx, keptKey)
	diags.Append(d...)
	r.of.Recall(m, kept)
}

func (r *object[M, I]) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	Read(ctx, req, resp, r.of.IdentityOf, func(ctx context.Context, m *M, diags *diag.Diagnostics) bool {
		p := r.at(m, true, diags)
		if p == nil {
			return false
		}
		r.recall(ctx, req.Private, m, diags)
		err := r.of.Read(ctx, p.Client, m)
		if err == nil {
			r.keep(ctx, resp.Private, *m, diags)
		}
		if err != nil && !cloudflare.IsNotFound(err) {
			return r.attempt("read", *m, p).ReadFailed(err, diags)
		}
		return err == nil
	})
}

func (r *object[M, I]) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, state M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	p := r.at(&state, true, &resp.Diagnostics)
	if p == nil {
		return
	}
	r.recall(ctx, req.Private, &m, &resp.Diagnostics)
	if err := r.of.Update(ctx, p.Client, state, &m); err != nil {
		resp.Diagnostics.Append(r.failed("update", err, m, p))
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, r.of.IdentityOf(m))...)
	r.keep(ctx, resp.Private, m, &resp.Diagnostics)
}

func (r *object[M, I]) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m M
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	p := r.at(&m, true, &resp.Diagnostics)
	if p == nil {
		return
	}
	r.recall(ctx, req.Private, &m, &resp.Diagnostics)
	if err := r.of.Delete(ctx, p.Client, m); err != nil {
		resp.Diagnostics.Append(r.failed("delete", err, m, p))
	}
}

// ImportState takes [plane:]account_id/… or the identity, and reads the object at once.
func (r *object[M, I]) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	var m M
	if req.ID == "" {
		var id I
		resp.Diagnostics.Append(req.Identity.Get(ctx, &id)...)
		m = r.of.FromIdentity(id)
		plane, _ := r.of.Where(&m)
		*plane = NullIfEmpty(plane.ValueString())
	} else if parsed, err := ParseImportID(req.ID, r.of.Parts...); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("id"), "Invalid import id", Sentence(err.Error()))
	} else {
		m = r.from(NullIfEmpty(parsed.Plane), parsed.AccountID, parsed.Parts)
	}
	if !resp.Diagnostics.HasError() && r.whole(ctx, &m, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, r.of.IdentityOf(m))...)
		r.keep(ctx, resp.Private, m, &resp.Diagnostics)
	}
}

func (r *object[M, I]) from(plane types.String, account string, parts []string) M {
	m := r.of.FromParts(parts)
	at, in := r.of.Where(&m)
	*at, *in = plane, types.StringValue(account)
	return m
}

// whole reads what import and moved name only.
func (r *object[M, I]) whole(ctx context.Context, m *M, diags *diag.Diagnostics) bool {
	plane, account := r.of.Where(m)
	p := r.Data.ImportPlane(*plane, account.ValueString(), diags)
	if p == nil {
		return false
	}
	err := r.of.Read(ctx, p.Client, m)
	switch {
	case cloudflare.IsNotFound(err):
		diags.Append(r.attempt("import", *m, p).FailedBecause(err, "check the id, the account and the plane"))
	case err != nil:
		diags.Append(r.attempt("import", *m, p).Failed(err))
	}
	return err == nil
}

// MoveState takes over what the official provider made. The framework configures no
// resource for that, so only the id is known; Terraform refreshes next, and Read completes it.
func (r *object[M, I]) MoveState(context.Context) []resource.StateMover {
	if len(r.of.MovedFrom) == 0 {
		return nil
	}
	return []resource.StateMover{{StateMover: func(ctx context.Context, req resource.MoveStateRequest, resp *resource.MoveStateResponse) {
		if !IsOfficial(req, r.of.MovedFrom...) {
			return
		}
		var source map[string]any
		if err := json.Unmarshal(req.SourceRawState.JSON, &source); err != nil {
			resp.Diagnostics.AddError("Cannot move "+r.of.Kind, "The state of the official provider cannot be read: import the object instead.")
			return
		}
		parts := r.of.Moved(source)
		if parts == nil || slices.Contains(parts, "") {
			resp.Diagnostics.AddError("Cannot move "+r.of.Kind, "The state of the official provider does not name it: import it instead.")
			return
		}
		m := r.of.FromParts(parts)
		_, account := r.of.Where(&m)
		*account = NullIfEmpty(Texts(source, "account_id")[0]) // objects of zones do not name it
		resp.Diagnostics.Append(resp.TargetState.Set(ctx, m)...)
		if resp.TargetIdentity != nil && !account.IsNull() {
			resp.Diagnostics.Append(resp.TargetIdentity.Set(ctx, r.of.IdentityOf(m))...)
		}
	}}}
}

// IsOfficial reports whether a moved block names one of these types of Cloudflare's own
// provider.
func IsOfficial(req resource.MoveStateRequest, kinds ...string) bool {
	return strings.HasSuffix(req.SourceProviderAddress, "/cloudflare/cloudflare") && slices.Contains(kinds, req.SourceTypeName) && req.SourceRawState != nil
}

// Texts are attributes of a moved object that are texts; an absent one is empty.
func Texts(attributes map[string]any, names ...string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i], _ = attributes[name].(string)
	}
	return out
}
