// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// ID accepts the id of a tunnel.
func ID() validator.String {
	return tfkit.UUID("a tunnel", "hybridge_tunnel.<name>.id")
}

// Name accepts the name of a tunnel: cloudflared takes a UUID for an id.
func Name() validator.String { return nameValidator{} }

type nameValidator struct{}

func (nameValidator) Description(context.Context) string { return "1 to 100 characters and no UUID" }
func (nameValidator) MarkdownDescription(context.Context) string {
	return "1 to 100 characters and no UUID"
}
func (nameValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	v := req.ConfigValue
	if v.IsNull() || v.IsUnknown() {
		return
	}
	switch name := v.ValueString(); {
	case name == "" || len(name) > 100 || strings.TrimSpace(name) != name:
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid value for name", "A tunnel's name has 1 to 100 characters, without blanks around them.")
	case tfkit.LooksLikeUUID(name):
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid value for name", "A tunnel's name must not look like an id: cloudflared would take it for one.")
	}
}

// ValidateConfig refuses what cloudflared or the API would, with its place. What is
// not known yet is checked at apply by the plane.
func (r *tunnelResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	validateConfig(ctx, req.Config, &resp.Diagnostics)
}

func validateConfig(ctx context.Context, config tfsdk.Config, diags *diag.Diagnostics) {
	var ingress types.List
	diags.Append(config.GetAttribute(ctx, path.Root("ingress"), &ingress)...)
	if diags.HasError() || ingress.IsUnknown() {
		return
	}
	if ingress.IsNull() {
		var origin types.Object
		var warp types.Bool
		diags.Append(config.GetAttribute(ctx, path.Root("origin_request"), &origin)...)
		diags.Append(config.GetAttribute(ctx, path.Root("warp_routing"), &warp)...)
		for name, set := range map[string]bool{"origin_request": tfkit.IsSet(origin), "warp_routing": warp.ValueBool()} {
			if set {
				diags.AddAttributeError(path.Root(name), "Invalid value for "+name, name+" belongs to a configuration that is managed: set ingress too.")
			}
		}
		return
	}
	elements := ingress.Elements()
	at := path.Root("ingress")
	before := map[int]tunnelrule.Rule{} // those that are known
	for i, e := range elements {
		here := at.AtListIndex(i)
		rule, ok := e.(types.Object)
		if !ok || rule.IsUnknown() {
			continue
		}
		if rule.IsNull() {
			diags.AddAttributeError(here, "Invalid value for ingress", "A rule is null: leave it out, e.g. with [for r in [...] : r if r != null].")
			continue
		}
		hostname, path, service := known(rule, "hostname"), known(rule, "path"), known(rule, "service")
		r := tunnelrule.Rule{Hostname: hostname.text, Path: path.text, Service: service.text}
		var unknown func(field string) bool
		if object, ok := rule.Attributes()["origin_request"].(types.Object); ok && tfkit.IsSet(object) {
			r.Origin, unknown = readOrigin(ctx, object)
		}
		for _, problem := range tunnelrule.ValidateRule(r) {
			if problem.Field == "service" && service.unknown || problem.Field == "hostname" && hostname.unknown || problem.Field == "path" && path.unknown ||
				unknown != nil && unknown(problem.Field) {
				continue
			}
			addProblem(here, problem, diags)
		}
		if !hostname.unknown && !path.unknown {
			for j := range i {
				if earlier, isKnown := before[j]; isKnown && tunnelrule.Hides(earlier, r) {
					diags.AddAttributeWarning(here, "Rule is never reached", fmt.Sprintf("The rule %s fits every request that ingress[%d] does: put it behind, or give it a path.", at.AtListIndex(j), i))
					break
				}
			}
			before[i] = r
		}
		if r.IsCatchAll() && !hostname.unknown && !path.unknown && i < len(elements)-1 {
			diags.AddAttributeError(here, "Rule hides those after it", "It fits every request, so the rules after it are never reached: put it last, or give it a hostname or a path.")
		}
	}
	var whole types.Object
	diags.Append(config.GetAttribute(ctx, path.Root("origin_request"), &whole)...)
	if whole.IsNull() || whole.IsUnknown() {
		return
	}
	origin, unknown := readOrigin(ctx, whole)
	for _, problem := range (tunnelrule.Config{Ingress: []tunnelrule.Rule{tunnelrule.CatchAll}, Origin: origin}).Validate() {
		if !unknown(problem.Field) {
			addProblem(path.Empty(), problem, diags)
		}
	}
}

type knownText struct {
	text    string
	unknown bool
}

func known(o types.Object, name string) knownText {
	v, ok := o.Attributes()[name].(types.String)
	return knownText{v.ValueString(), ok && v.IsUnknown()}
}

// readOrigin reads settings. What is not known, as a whole or in part, counts as not set,
// and unknown says of a problem's field that it is in such a setting.
func readOrigin(ctx context.Context, o types.Object) (origin *tunnelrule.Origin, unknown func(field string) bool) {
	members, hidden := o.Attributes(), map[string]bool{}
	for name, v := range members {
		if whole, err := v.ToTerraformValue(ctx); err != nil || !whole.IsFullyKnown() {
			hidden[name] = true
			null, err := v.Type(ctx).ValueFromTerraform(ctx, tftypes.NewValue(v.Type(ctx).TerraformType(ctx), nil))
			if err != nil {
				return nil, func(string) bool { return true }
			}
			members[name] = null
		}
	}
	seen, diags := types.ObjectValue(o.AttributeTypes(ctx), members)
	var m originModel
	if diags.HasError() || seen.As(ctx, &m, objectOptions).HasError() {
		return nil, func(string) bool { return true }
	}
	return m.rule(), func(field string) bool {
		name, ok := strings.CutPrefix(field, "originRequest.")
		name, _, _ = strings.Cut(name, ".")
		name, _, _ = strings.Cut(name, "[")
		return ok && hidden[snake(name)]
	}
}

// addProblem puts a problem at its attribute.
func addProblem(at path.Path, p tunnelrule.Problem, diags *diag.Diagnostics) {
	last := "ingress"
	for name := range strings.SplitSeq(p.Field, ".") {
		if name == "" {
			break
		}
		name, index, isList := strings.Cut(name, "[")
		attribute := snake(name)
		last = attribute
		if at.Equal(path.Empty()) {
			at = path.Root(attribute)
		} else {
			at = at.AtName(attribute)
		}
		if isList {
			n := 0
			for _, c := range strings.TrimSuffix(index, "]") {
				n = n*10 + int(c-'0')
			}
			at = at.AtListIndex(n)
		}
	}
	// Terraform shows the line of the resource's attribute, not which rule it is.
	diags.AddAttributeError(at, "Invalid value for "+last, at.String()+": "+p.Text+".")
}

// names are those that differ from the API's by more than case.
var names = map[string]string{"noTLSVerify": "no_tls_verify", "tlsTimeout": "tls_timeout", "matchSNItoHost": "match_sni_to_host", "caPool": "ca_pool", "http2Origin": "http2_origin",
	"httpHostHeader": "http_host_header", "ipRules": "ip_rules"}

// snake is the attribute of a field of the API.
func snake(name string) string {
	if s := names[name]; s != "" {
		return s
	}
	var b strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
