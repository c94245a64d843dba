// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// model is a hybridge_worker_version in plan and state.
type model struct {
	Worker             types.String `tfsdk:"worker"`
	Plane              types.String `tfsdk:"plane"`
	Bundle             types.Object `tfsdk:"bundle"`
	Prebuilt           types.Object `tfsdk:"prebuilt"`
	Script             types.String `tfsdk:"script"`
	CompatibilityDate  types.String `tfsdk:"compatibility_date"`
	CompatibilityFlags types.Set    `tfsdk:"compatibility_flags"`
	Vars               types.Map    `tfsdk:"vars"`
	JSONVars           types.Map    `tfsdk:"json_vars"`
	Services           types.Map    `tfsdk:"services"`
	VPCServices        types.Map    `tfsdk:"vpc_services"`
	Secrets            types.Map    `tfsdk:"secrets"`
	KeepSecrets        types.Bool   `tfsdk:"keep_secrets"`
	VersionMetadata    types.String `tfsdk:"version_metadata"`
	RawBindings        types.Map    `tfsdk:"raw_bindings"`
	Placement          types.Object `tfsdk:"placement"`
	Limits             types.Object `tfsdk:"limits"`
	Message            types.String `tfsdk:"message"`
	Tag                types.String `tfsdk:"tag"`
	Adopt              types.Bool   `tfsdk:"adopt"`
	DeleteOnDestroy    types.Bool   `tfsdk:"delete_on_destroy"`

	AccountID     types.String `tfsdk:"account_id"`
	WorkerID      types.String `tfsdk:"worker_id"`
	ID            types.String `tfsdk:"id"`
	Number        types.Int64  `tfsdk:"number"`
	Digest        types.String `tfsdk:"digest"`
	CodeSHA256    types.String `tfsdk:"code_sha256"`
	ModulesSHA256 types.Map    `tfsdk:"modules_sha256"`
	SecretDigests types.Map    `tfsdk:"secret_digests"`
	Size          types.Int64  `tfsdk:"size"`
	CreatedOn     types.String `tfsdk:"created_on"`
	PreviewURL    types.String `tfsdk:"preview_url"`
}

type bundleModel struct {
	Entrypoint types.String `tfsdk:"entrypoint"`
	Minify     types.Bool   `tfsdk:"minify"`
	Sourcemap  types.Bool   `tfsdk:"sourcemap"`
	Define     types.Map    `tfsdk:"define"`
	External   types.Set    `tfsdk:"external"`
	Alias      types.Map    `tfsdk:"alias"`
	Tsconfig   types.String `tfsdk:"tsconfig"`
}

type prebuiltModel struct {
	Directory types.String `tfsdk:"directory"`
	Main      types.String `tfsdk:"main"`
	Include   types.Set    `tfsdk:"include"`
	Exclude   types.Set    `tfsdk:"exclude"`
}

type serviceModel struct {
	Worker     types.String `tfsdk:"worker"`
	Entrypoint types.String `tfsdk:"entrypoint"`
}

// secretModel is one entry of secrets. In plan and state value_wo is null.
type secretModel struct {
	SopsFile       types.String `tfsdk:"sops_file"`
	Key            types.String `tfsdk:"key"`
	ValueWO        types.String `tfsdk:"value_wo"`
	ValueWOVersion types.String `tfsdk:"value_wo_version"`
}

type placementModel struct {
	Mode     types.String `tfsdk:"mode"`
	Region   types.String `tfsdk:"region"`
	Host     types.String `tfsdk:"host"`
	Hostname types.String `tfsdk:"hostname"`
}

type limitsModel struct {
	CPUMs       types.Int64 `tfsdk:"cpu_ms"`
	Subrequests types.Int64 `tfsdk:"subrequests"`
}

var (
	stringMap = types.MapType{ElemType: types.StringType}
	stringSet = types.SetType{ElemType: types.StringType}

	bundleTypes = map[string]attr.Type{
		"entrypoint": types.StringType, "minify": types.BoolType, "sourcemap": types.BoolType, "define": stringMap,
		"external": stringSet, "alias": stringMap, "tsconfig": types.StringType,
	}
	prebuiltTypes = map[string]attr.Type{
		"directory": types.StringType, "main": types.StringType, "include": stringSet, "exclude": stringSet,
	}
	serviceTypes = map[string]attr.Type{"worker": types.StringType, "entrypoint": types.StringType}
	secretTypes  = map[string]attr.Type{
		"sops_file": types.StringType, "key": types.StringType, "value_wo": types.StringType, "value_wo_version": types.StringType,
	}
	placementTypes = map[string]attr.Type{
		"mode": types.StringType, "region": types.StringType, "host": types.StringType, "hostname": types.StringType,
	}
	limitsTypes = map[string]attr.Type{"cpu_ms": types.Int64Type, "subrequests": types.Int64Type}
)

// keep takes over everything computed from another model of the same version.
func (m *model) keep(of model) {
	m.AccountID, m.WorkerID, m.ID, m.Number = of.AccountID, of.WorkerID, of.ID, of.Number
	m.Digest, m.CodeSHA256, m.ModulesSHA256, m.SecretDigests = of.Digest, of.CodeSHA256, of.ModulesSHA256, of.SecretDigests
	m.Size, m.CreatedOn, m.PreviewURL = of.Size, of.CreatedOn, of.PreviewURL
	m.Message, m.Tag = of.Message, of.Tag
}

// awaitVersion marks as unknown what the plane will say about a new version. The
// Worker's id is known where worker is that id: then nothing that uses it seems
// to change with each version. A name tells nothing, its Worker may be replaced.
func (m *model) awaitVersion() {
	m.WorkerID = types.StringUnknown()
	if cloudflare.LooksLikeID(m.Worker.ValueString()) {
		m.WorkerID = m.Worker
	}
	m.ID, m.Number, m.Size = types.StringUnknown(), types.Int64Unknown(), types.Int64Unknown()
	m.CreatedOn, m.PreviewURL = types.StringUnknown(), types.StringUnknown()
}

// setVersion writes what the plane says about the version.
func (m *model) setVersion(v *cloudflare.Version) {
	m.ID = types.StringValue(v.ID)
	m.Number = types.Int64Value(v.Number)
	m.CreatedOn = types.StringValue(v.CreatedOn.UTC().Format(time.RFC3339))
	m.PreviewURL = types.StringNull()
	if url := v.PreviewURL(); url != "" {
		m.PreviewURL = types.StringValue(url)
	}
}

// allKnown reports whether none of the values is or contains an unknown one.
func allKnown(ctx context.Context, values ...attr.Value) bool {
	for _, v := range values {
		text, err := v.ToTerraformValue(ctx)
		if err != nil || !text.IsFullyKnown() {
			return false
		}
	}
	return true
}

// stringsOf decodes a set of texts; null is empty. Elements MUST be known.
func stringsOf(ctx context.Context, set types.Set, diags *diag.Diagnostics) []string {
	var list []string
	if !set.IsNull() {
		diags.Append(set.ElementsAs(ctx, &list, false)...)
	}
	return list
}

// mapOf decodes a map of texts; null is empty. Elements MUST be known.
func mapOf(ctx context.Context, m types.Map, diags *diag.Diagnostics) map[string]string {
	var values map[string]string
	if !m.IsNull() {
		diags.Append(m.ElementsAs(ctx, &values, false)...)
	}
	return values
}

// jsonObject writes the members that are set; nil if none is.
func jsonObject(members map[string]any) json.RawMessage {
	if len(members) == 0 {
		return nil
	}
	text, err := json.Marshal(members)
	if err != nil {
		// Texts and numbers always marshal.
		panic(err)
	}
	return text
}
