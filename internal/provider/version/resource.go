// SPDX-License-Identifier: MPL-2.0

// Package version is a version of a Worker in Terraform: the resource
// hybridge_worker_version.
package version

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ resource.Resource                     = (*versionResource)(nil)
	_ resource.ResourceWithConfigure        = (*versionResource)(nil)
	_ resource.ResourceWithConfigValidators = (*versionResource)(nil)
	_ resource.ResourceWithIdentity         = (*versionResource)(nil)
	_ resource.ResourceWithImportState      = (*versionResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*versionResource)(nil)
	_ resource.ResourceWithValidateConfig   = (*versionResource)(nil)
)

type versionResource struct{ tfkit.Resource }

// NewResource makes the resource hybridge_worker_version.
func NewResource() resource.Resource { return &versionResource{} }

func (r *versionResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "hybridge_worker_version"
}

func (r *versionResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = resourceSchema()
}

// ConfigValidators implements resource.ResourceWithConfigValidators.
func (r *versionResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{
		resourcevalidator.ExactlyOneOf(path.MatchRoot("bundle"), path.MatchRoot("prebuilt"), path.MatchRoot("script")),
	}
}

// ValidateConfig refuses bindings that can never work. Unknown values are looked
// at by ModifyPlan.
func (r *versionResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.checkNames(&resp.Diagnostics)
	m.checkSecrets(ctx, &resp.Diagnostics)
	for name, value := range m.RawBindings.Elements() {
		if text, ok := value.(types.String); ok && !text.IsUnknown() && !text.IsNull() {
			rawBinding(name, text.ValueString(), &resp.Diagnostics)
		}
	}
}

func (r *versionResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m, config model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.Script = config.Script // write-only
	p := r.Data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil || !p.KeepsResidency(ctx, m.residency(), &resp.Diagnostics) {
		return
	}
	// Before any request that is about it: a run without the key changes nothing.
	secrets, values := m.secretBindings(ctx, r.Data.Secrets, config, &resp.Diagnostics)
	up := m.upload(ctx, r.Data, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	p.Client.Withhold(values...)
	maps.Copy(up.Bindings, secrets)
	if !m.keepSecrets(ctx, p, &up, &resp.Diagnostics) {
		return
	}
	v, adopted, err := createOrAdopt(ctx, p.Client, m, up)
	if err != nil {
		m.uploadFailed(err, p, &resp.Diagnostics)
		return
	}
	tflog.Info(ctx, "version", map[string]any{"id": v.ID, "worker": m.Worker.ValueString(), "adopted": adopted, "bytes": up.Bundle.Size, "bundler": up.Bundle.Code.Bundler})
	r.Data.Keep(v.ID)
	m.setVersion(v)
	m.Size = types.Int64Value(up.Bundle.Size)
	m.AccountID = types.StringValue(p.AccountID)
	w, err := p.Client.WorkerRef(ctx, m.Worker.ValueString())
	if err != nil {
		// The version exists: state must know it, or it would be uploaded again.
		resp.Diagnostics.Append(m.attempt("create", p).Failed(err))
		w = cloudflare.WorkerRef{ID: m.Worker.ValueString(), Name: m.Worker.ValueString()}
	}
	if m.WorkerID.IsUnknown() {
		m.WorkerID = types.StringValue(w.ID)
	}
	m.Script = types.StringNull()
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	resp.Diagnostics.Append(rememberName(ctx, resp.Private, m.Worker, w.Name)...)
	resp.Diagnostics.Append(remember(ctx, resp.Private, adoptedKey, adopted)...)
	resp.Diagnostics.Append(remember(ctx, resp.Private, disposableKey, !adopted && m.DeleteOnDestroy.ValueBool())...)
	resp.Diagnostics.Append(remember(ctx, resp.Private, bundlerKey, up.Bundle.Code.Bundler)...)
}

// upload builds what the plan describes, or adds an error: also if the sources
// are no longer those that were planned.
func (m model) upload(ctx context.Context, data *tfkit.Data, diags *diag.Diagnostics) bundle.Upload {
	content, _ := m.content(ctx, data.Secrets, diags)
	src, _ := m.source(ctx, diags)
	planned := &bundle.Code{SHA256: m.CodeSHA256.ValueString(), Modules: mapOf(ctx, m.ModulesSHA256, diags)}
	if diags.HasError() {
		return bundle.Upload{}
	}
	built, err := data.Bundler.Build(ctx, src, planned)
	if err != nil {
		m.codeFailed(err, diags)
		return bundle.Upload{}
	}
	mark, err := marker(m.Digest.ValueString())
	if err != nil {
		diags.AddError("Cannot identify the version", tfkit.Sentence(err.Error()))
		return bundle.Upload{}
	}
	marking := cloudflare.Marking{Marker: m.carried(mark), Message: m.Message.ValueString()}
	for _, digest := range content.SecretDigests {
		marking.Secrets = append(marking.Secrets, cloudflare.SecretPrefix(digest))
	}
	annotations := map[string]string{cloudflare.AnnotationMessage: marking.String()}
	if tag := m.Tag.ValueString(); tag != "" {
		annotations[cloudflare.AnnotationTag] = tag
	}
	return bundle.Upload{
		Bundle: built, Bindings: content.Bindings,
		CompatibilityDate: content.CompatibilityDate, CompatibilityFlags: content.CompatibilityFlags,
		Placement: content.Placement, Limits: content.Limits, Annotations: annotations,
	}
}

// carried is the form of a marker that the version gets: it says whether the
// version may be deleted.
func (m model) carried(marker string) string {
	if m.DeleteOnDestroy.ValueBool() {
		return cloudflare.DisposableMarker(marker)
	}
	return marker
}

// keepSecrets adds to the upload what keep_secrets asks for and reports whether
// that was possible.
func (m model) keepSecrets(ctx context.Context, p *tfkit.Plane, up *bundle.Upload, diags *diag.Diagnostics) bool {
	if !m.KeepSecrets.ValueBool() {
		return true
	}
	kept, carried, err := keptSecrets(ctx, p.Client, m.Worker.ValueString(), up.Bindings)
	if err == nil {
		maps.Copy(up.Bindings, kept)
		marking := cloudflare.ParseMarker(up.Annotations[cloudflare.AnnotationMessage])
		// Which of them were kept, nothing tells: one too many is a look too many.
		marking.Secrets = append(marking.Secrets, carried...)
		if marking.Marker, err = uniqueMarker(); err == nil {
			marking.Marker = m.carried(marking.Marker)
			up.Annotations[cloudflare.AnnotationMessage] = marking.String()
		}
	}
	if err != nil {
		diags.Append(m.attempt("create", p).Failed(err))
	}
	return err == nil
}

// createOrAdopt looks for a version of the same content before it uploads one.
// One that its maker may delete is adopted only by who has delete_on_destroy.
func createOrAdopt(ctx context.Context, client *cloudflare.Client, m model, up bundle.Upload) (v *cloudflare.Version, adopted bool, err error) {
	mark := cloudflare.ParseMarker(up.Annotations[cloudflare.AnnotationMessage]).Marker
	if m.Adopt.ValueBool() && !m.KeepSecrets.ValueBool() {
		v, err := client.FindVersion(ctx, m.Worker.ValueString(), mark)
		if err != nil || v != nil {
			return v, v != nil, err
		}
	}
	v, err = client.CreateVersion(ctx, m.Worker.ValueString(), cloudflare.VersionUpload{
		Marker: mark,
		Body:   func() (io.ReadCloser, int64, error) { return up.Body() },
	})
	return v, false, err
}

// Read finds out whether the version still exists. What it is cannot change.
func (r *versionResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	tfkit.Read(ctx, req, resp, model.identity, func(ctx context.Context, m *model, diags *diag.Diagnostics) bool {
		p := r.planeOf(*m, diags)
		if p == nil {
			return false
		}
		w, err := p.Client.Worker(ctx, m.WorkerID.ValueString())
		var exists bool
		if err == nil {
			exists, err = p.Client.VersionExists(ctx, w.ID, m.ID.ValueString())
		}
		switch {
		case cloudflare.IsNotFound(err):
			return false
		case err != nil:
			return m.attempt("read", p).ReadFailed(err, diags)
		}
		diags.Append(rememberName(ctx, resp.Private, m.Worker, w.Name)...)
		return exists
	})
}

// Update writes state alone: a version never changes. What differs is how the
// same version is written, or what an import could not know.
func (r *versionResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, state model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("script"), &m.Script)...) // write-only
	if resp.Diagnostics.HasError() {
		return
	}
	if m.Size.IsUnknown() {
		up := m.upload(ctx, r.Data, &resp.Diagnostics)
		if resp.Diagnostics.HasError() {
			return
		}
		m.Size = types.Int64Value(up.Bundle.Size)
	}
	m.Script = types.StringNull()
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	resp.Diagnostics.Append(rememberName(ctx, resp.Private, m.Worker, recallName(ctx, req.Private, state))...)
}

// Delete forgets the version, or deletes it if asked to and nothing needs it. Who
// adopts a version leaves no trace on it, so only one is deleted that this state
// made and that is marked as disposable: whoever adopted it has agreed to that.
func (r *versionResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || !m.DeleteOnDestroy.ValueBool() {
		return
	}
	p := r.planeOf(m, &resp.Diagnostics)
	if p == nil {
		return
	}
	id := m.ID.ValueString()
	if recall[bool](ctx, req.Private, adoptedKey) || r.Data.Kept(id) {
		m.leave(p, "it was adopted, so something else may rely on it", &resp.Diagnostics)
		return
	}
	if !recall[bool](ctx, req.Private, disposableKey) {
		why := "delete_on_destroy was false when it was made"
		if recall[string](ctx, req.Private, markerKey) != "" {
			why = "it was imported"
		}
		m.leave(p, why+", so another state may have adopted it", &resp.Diagnostics)
		return
	}
	live, err := p.Client.LiveDeployment(ctx, m.WorkerID.ValueString())
	switch {
	case cloudflare.IsNotFound(err):
	case err != nil:
		resp.Diagnostics.Append(m.attempt("delete", p).Failed(err))
		return
	case live != nil && slices.ContainsFunc(live.Versions, func(s cloudflare.Share) bool { return s.VersionID == id }):
		m.leave(p, "it is live", &resp.Diagnostics)
		return
	}
	if err := p.Client.DeleteVersion(ctx, m.WorkerID.ValueString(), id); err != nil && !cloudflare.IsNotFound(err) {
		resp.Diagnostics.Append(m.attempt("delete", p).Failed(err))
	}
}

// leave says that the version stays although its deletion was asked for.
func (m model) leave(p *tfkit.Plane, why string, diags *diag.Diagnostics) {
	diags.AddWarning("Version was not deleted", fmt.Sprintf("Version %s of Worker %q stays on %s, although delete_on_destroy is set: %s. Terraform no longer manages it. "+
		"It goes when its Worker is deleted. Once nothing needs it, it can be deleted alone, with DELETE %saccounts/%s/workers/workers/%s/versions/%s.",
		m.ID.ValueString(), p.WorkerName(m.Worker.ValueString()), p, why, p.Client.BaseURL(), p.AccountID, m.WorkerID.ValueString(), m.ID.ValueString()))
}

// planeOf returns the plane that a version in state lives on, or nil after it
// has added an error.
func (r *versionResource) planeOf(state model, diags *diag.Diagnostics) *tfkit.Plane {
	p := r.Data.Plane(state.Plane, diags)
	if p == nil || !p.SameAccount(state.AccountID, "Version "+state.ID.ValueString(), diags) {
		return nil
	}
	return p
}
