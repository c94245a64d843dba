// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

var (
	_ validator.Map    = NoNulls{}
	_ validator.Set    = NoNulls{}
	_ validator.Object = Members{}
)

// NoNulls refuses null elements in a map or set: `cond ? "x" : null` is a common
// way to leave an attribute out, but leaves no element out.
type NoNulls struct{}

// Description implements validator.Describer.
func (NoNulls) Description(context.Context) string { return "without null elements" }

// MarkdownDescription implements validator.Describer.
func (NoNulls) MarkdownDescription(context.Context) string { return "without null elements" }

// ValidateMap implements validator.Map.
func (NoNulls) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	for name, v := range req.ConfigValue.Elements() {
		if v.IsNull() {
			at := req.Path.AtMapKey(name)
			addNull(at, at.String(), "{ for k, v in {...} : k => v if v != null }", &resp.Diagnostics)
		}
	}
}

// ValidateSet implements validator.Set.
func (NoNulls) ValidateSet(_ context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	if slices.ContainsFunc(req.ConfigValue.Elements(), attr.Value.IsNull) {
		addNull(req.Path, "An element of "+req.Path.String(), "compact([...])", &resp.Diagnostics)
	}
}

func addNull(at path.Path, what, instead string, diags *diag.Diagnostics) {
	diags.AddAttributeError(at, "Invalid value for "+lastStep(at.String()), fmt.Sprintf("%s is null: leave the element out, e.g. with %s.", what, instead))
}

// Members refuses an object that has none of the members Of, or with One more
// than one of them.
type Members struct {
	Of  []string
	One bool
}

// Description implements validator.Describer.
func (m Members) Description(context.Context) string {
	if m.One {
		return "exactly one of " + strings.Join(m.Of, ", ")
	}
	return "at least one of " + strings.Join(m.Of, ", ")
}

// MarkdownDescription implements validator.Describer.
func (m Members) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

// ValidateObject implements validator.Object.
func (m Members) ValidateObject(ctx context.Context, req validator.ObjectRequest, resp *validator.ObjectResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	members := req.ConfigValue.Attributes()
	var is []string
	for _, name := range m.Of {
		switch v := members[name]; {
		case v == nil || v.IsNull():
		case v.IsUnknown():
			return // it may turn out to be null
		default:
			is = append(is, name)
		}
	}
	if len(is) == 0 || m.One && len(is) > 1 {
		has := "none"
		if len(is) > 0 {
			has = strings.Join(is, " and ")
		}
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid value for "+lastStep(req.Path.String()),
			fmt.Sprintf("%s has %s of its members set: set %s.", req.Path, has, m.Description(ctx)))
	}
}
