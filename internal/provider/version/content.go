// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// source is the code's source, or nil while any of it is unknown or after an
// error. known is false in the first case.
func (m model) source(ctx context.Context, diags *diag.Diagnostics) (src bundle.Source, known bool) {
	if !allKnown(ctx, m.Bundle, m.Prebuilt, m.Script) {
		return nil, false
	}
	switch {
	case !m.Bundle.IsNull():
		var b bundleModel
		diags.Append(m.Bundle.As(ctx, &b, basetypes.ObjectAsOptions{})...)
		src = bundle.Project{
			Entrypoint:   b.Entrypoint.ValueString(),
			Minify:       b.Minify.ValueBool(),
			Sourcemap:    b.Sourcemap.ValueBool(),
			Define:       mapOf(ctx, b.Define, diags),
			External:     stringsOf(ctx, b.External, diags),
			Alias:        mapOf(ctx, b.Alias, diags),
			Tsconfig:     b.Tsconfig.ValueString(),
			NodeBuiltins: m.nodeBuiltins(ctx, diags),
		}
	case !m.Prebuilt.IsNull():
		var p prebuiltModel
		diags.Append(m.Prebuilt.As(ctx, &p, basetypes.ObjectAsOptions{})...)
		src = bundle.Directory{
			Path:    p.Directory.ValueString(),
			Main:    p.Main.ValueString(),
			Include: stringsOf(ctx, p.Include, diags),
			Exclude: stringsOf(ctx, p.Exclude, diags),
		}
	case !m.Script.IsNull():
		src = bundle.Script{Text: m.Script.ValueString()}
	default:
		// A value that validation could not see yet, e.g. of a variable, was null.
		diags.AddError("No source of code", "The version has no code: set exactly one of bundle, prebuilt and script.")
	}
	if diags.HasError() {
		return nil, true
	}
	return src, true
}

// nodeBuiltins says whether "fs" means the runtime's module. While the flags are
// unknown it is taken to: code then says if that made a difference.
func (m model) nodeBuiltins(ctx context.Context, diags *diag.Diagnostics) bool {
	if !allKnown(ctx, m.CompatibilityFlags) {
		return true
	}
	flags := stringsOf(ctx, m.CompatibilityFlags, diags)
	return slices.Contains(flags, "nodejs_compat") || slices.Contains(flags, "nodejs_compat_v2")
}

// content is everything that makes the version but its code. known is false
// while any of it is unknown.
func (m model) content(ctx context.Context, secrets *sealed.Store, diags *diag.Diagnostics) (c bundle.Content, known bool) {
	if !allKnown(ctx, m.CompatibilityDate, m.CompatibilityFlags, m.Vars, m.JSONVars, m.Services, m.VPCServices, m.VersionMetadata,
		m.RawBindings, m.Placement, m.Limits) {
		return bundle.Content{}, false
	}
	digests, known := m.secretDigests(ctx, secrets, diags)
	if !known {
		return bundle.Content{}, false
	}
	return bundle.Content{
		Bindings:           m.bindings(ctx, diags),
		SecretDigests:      digests,
		CompatibilityDate:  m.CompatibilityDate.ValueString(),
		CompatibilityFlags: stringsOf(ctx, m.CompatibilityFlags, diags),
		Placement:          m.placement(ctx, diags),
		Limits:             m.limits(ctx, diags),
	}, true
}

// bindings are all bindings as the API writes them, without their names. All
// MUST be known. Names that collide are an error.
func (m model) bindings(ctx context.Context, diags *diag.Diagnostics) map[string]json.RawMessage {
	m.checkNames(diags)
	all := map[string]json.RawMessage{}
	for name, text := range mapOf(ctx, m.Vars, diags) {
		all[name] = jsonObject(map[string]any{"type": "plain_text", "text": text})
	}
	for name, text := range mapOf(ctx, m.JSONVars, diags) {
		value, err := bundle.CanonicalJSON([]byte(text))
		if err != nil {
			diags.AddAttributeError(path.Root("json_vars").AtMapKey(name), "Invalid JSON", fmt.Sprintf("json_vars[%q]: %s.", name, err))
			continue
		}
		all[name] = jsonObject(map[string]any{"type": "json", "json": json.RawMessage(value)})
	}
	var services map[string]serviceModel
	if !m.Services.IsNull() {
		diags.Append(m.Services.ElementsAs(ctx, &services, false)...)
	}
	for name, s := range services {
		object := map[string]any{"type": "service", "service": s.Worker.ValueString()}
		if e := s.Entrypoint.ValueString(); e != "" {
			object["entrypoint"] = e
		}
		all[name] = jsonObject(object)
	}
	for name, id := range mapOf(ctx, m.VPCServices, diags) {
		all[name] = jsonObject(map[string]any{"type": "vpc_service", "service_id": id})
	}
	if name := m.VersionMetadata.ValueString(); name != "" {
		all[name] = jsonObject(map[string]any{"type": "version_metadata"})
	}
	for name, text := range mapOf(ctx, m.RawBindings, diags) {
		all[name] = rawBinding(name, text, diags)
	}
	return all
}

// secretKinds carry a secret, which state must never hold.
var secretKinds = []string{"secret_text", "secret_key"}

// rawBinding checks a binding that the user wrote as the API has it.
func rawBinding(name, text string, diags *diag.Diagnostics) json.RawMessage {
	at := path.Root("raw_bindings").AtMapKey(name)
	value, err := bundle.CanonicalJSON([]byte(text))
	var object map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(value, &object)
	}
	var kind string
	if err != nil || json.Unmarshal(object["type"], &kind) != nil || kind == "" {
		diags.AddAttributeError(at, "Invalid binding", fmt.Sprintf("raw_bindings[%q] is not a JSON object with a type: write it as "+
			"jsonencode({ type = \"...\", ... }) with the members that the Cloudflare API has for the type.", name))
		return nil
	}
	if slices.Contains(secretKinds, kind) {
		diags.AddAttributeError(at, "Secret in a binding", fmt.Sprintf("raw_bindings[%q] is of type %s: its value would be kept in plan and state in the "+
			"clear. Declare it in secrets.", name, kind))
		return nil
	}
	if written, ok := object["name"]; ok {
		var other string
		if json.Unmarshal(written, &other) != nil || other != name {
			diags.AddAttributeError(at, "Binding has two names", fmt.Sprintf("raw_bindings[%q] has the member name = %s: leave it out, the key is the name.", name, written))
			return nil
		}
		delete(object, "name")
		members := map[string]any{}
		for k, v := range object {
			members[k] = v
		}
		return jsonObject(members)
	}
	return value
}

// checkNames adds an error for each name that is used twice. Names are known
// even where values are not.
func (m model) checkNames(diags *diag.Diagnostics) {
	used := map[string]path.Path{}
	use := func(name string, at path.Path) {
		if other, ok := used[name]; ok {
			diags.AddAttributeError(at, "Binding name is used twice", fmt.Sprintf(
				"%s and %s both define env.%s: rename one of them.", other, at, name))
			return
		}
		used[name] = at
	}
	for _, group := range []struct {
		name   string
		values types.Map
	}{{"vars", m.Vars}, {"json_vars", m.JSONVars}, {"services", m.Services}, {"vpc_services", m.VPCServices}, {"secrets", m.Secrets}, {"raw_bindings", m.RawBindings}} {
		names := make([]string, 0, len(group.values.Elements()))
		for name := range group.values.Elements() {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			use(name, path.Root(group.name).AtMapKey(name))
		}
	}
	if name := m.VersionMetadata.ValueString(); name != "" {
		use(name, path.Root("version_metadata"))
	}
}

func (m model) placement(ctx context.Context, diags *diag.Diagnostics) json.RawMessage {
	if m.Placement.IsNull() {
		return nil
	}
	var p placementModel
	diags.Append(m.Placement.As(ctx, &p, basetypes.ObjectAsOptions{})...)
	members := map[string]any{}
	for name, value := range map[string]types.String{"mode": p.Mode, "region": p.Region, "host": p.Host, "hostname": p.Hostname} {
		if !value.IsNull() {
			members[name] = value.ValueString()
		}
	}
	return jsonObject(members)
}

func (m model) limits(ctx context.Context, diags *diag.Diagnostics) json.RawMessage {
	if m.Limits.IsNull() {
		return nil
	}
	var l limitsModel
	diags.Append(m.Limits.As(ctx, &l, basetypes.ObjectAsOptions{})...)
	members := map[string]any{}
	for name, value := range map[string]types.Int64{"cpu_ms": l.CPUMs, "subrequests": l.Subrequests} {
		if !value.IsNull() {
			members[name] = value.ValueInt64()
		}
	}
	return jsonObject(members)
}
