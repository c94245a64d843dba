// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// ModifyPlan works out the version's identity from the sources. The identity
// decides alone: the same one keeps every computed value, whatever else was
// written differently; another one replaces the resource. Where the plane is, if that
// matters, is all that it needs the network for.
func (r *versionResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	p := tfkit.PlanPlane(ctx, r.Data, req, resp)
	if r.Data == nil || req.Plan.Raw.IsNull() || !tfkit.PlanResidency(ctx, p, req, resp) {
		return
	}
	var plan, config, state model
	resp.Diagnostics.Append(resp.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	plan.Script = config.Script // write-only: it is in the configuration alone
	exists := !req.State.Raw.IsNull()
	if exists {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	plan.identify(ctx, r.Data, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		if exists {
			adviseDestroy(resp.Diagnostics)
		}
		return
	}
	switch {
	case !exists:
		plan.awaitVersion()
		plan.settleTexts(config)
	case plan.Worker.IsUnknown() || !sameWorker(ctx, plan.Worker, state, req.Private):
		plan.awaitVersion()
		plan.settleTexts(config)
		resp.RequiresReplace.Append(path.Root("worker"))
	case state.Digest.IsNull() && isMarked(ctx, req.Private, plan.Digest):
		// Imported, and made from these very sources: only state lacks the digest.
		identity := plan
		plan.keep(state)
		plan.Digest, plan.CodeSHA256, plan.ModulesSHA256, plan.SecretDigests = identity.Digest, identity.CodeSHA256, identity.ModulesSHA256, identity.SecretDigests
		plan.Size = types.Int64Unknown()
	case !plan.Digest.IsUnknown() && plan.Digest.Equal(state.Digest):
		plan.keep(state)
		plan.keepWording(state)
	default:
		plan.awaitVersion()
		plan.settleTexts(config)
		resp.RequiresReplace.Append(path.Root("digest"))
	}
	plan.Script = types.StringNull()
	resp.Diagnostics.Append(resp.Plan.Set(ctx, plan)...)
}

// identify sets digest, code_sha256, modules_sha256 and secret_digests, each
// unknown exactly while something that it is made from is.
func (m *model) identify(ctx context.Context, data *tfkit.Data, diags *diag.Diagnostics) {
	m.Digest, m.CodeSHA256, m.ModulesSHA256 = types.StringUnknown(), types.StringUnknown(), types.MapUnknown(types.StringType)
	m.SecretDigests = types.MapUnknown(types.StringType)
	if digests, known := m.secretDigests(ctx, data.Secrets, diags); known && !diags.HasError() {
		m.setSecretDigests(ctx, digests, diags)
	}
	content, contentKnown := m.content(ctx, data.Secrets, diags)
	src, known := m.source(ctx, diags)
	if !known || diags.HasError() {
		return
	}
	code, err := data.Bundler.Inspect(ctx, src)
	if err != nil {
		m.codeFailed(err, diags)
		return
	}
	for _, w := range code.Warnings {
		diags.AddAttributeWarning(m.codePath("entrypoint"), "Bundler's warning", problemText(w, ""))
	}
	if len(code.Builtins) > 0 && !allKnown(ctx, m.CompatibilityFlags) {
		return // which files are read depends on a flag
	}
	m.setCode(ctx, code, diags)
	if !contentKnown {
		return
	}
	content.CodeSHA256 = code.SHA256
	digest, err := content.Digest()
	if err != nil {
		diags.AddError("Cannot identify the version", tfkit.Sentence(err.Error()))
		return
	}
	m.Digest = types.StringValue(digest)
}

func (m *model) setCode(ctx context.Context, code *bundle.Code, diags *diag.Diagnostics) {
	m.CodeSHA256 = types.StringValue(code.SHA256)
	modules, d := types.MapValueFrom(ctx, types.StringType, code.Modules)
	diags.Append(d...)
	m.ModulesSHA256 = modules
}

// settleTexts gives message and tag what is configured, else their default. They
// are never null, because only a value that is not null can be kept when the
// configuration changes.
func (m *model) settleTexts(config model) {
	for _, text := range []struct {
		plan   *types.String
		config types.String
	}{{&m.Message, config.Message}, {&m.Tag, config.Tag}} {
		*text.plan = text.config
		if text.config.IsNull() {
			*text.plan = types.StringValue("")
		}
	}
}

// keepWording keeps what only was written differently.
func (m *model) keepWording(state model) {
	for _, pair := range []struct{ plan, state *types.Map }{{&m.JSONVars, &state.JSONVars}, {&m.RawBindings, &state.RawBindings}} {
		if !pair.plan.IsNull() && !pair.state.IsNull() {
			*pair.plan = *pair.state // the digest says that they mean the same
		}
	}
}

// marker is the text by which the version is found again on the plane.
func marker(digest string) (string, error) {
	sum, err := hex.DecodeString(digest)
	if err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("%q is no SHA-256", digest)
	}
	return cloudflare.DigestMarker([sha256.Size]byte(sum)), nil
}
