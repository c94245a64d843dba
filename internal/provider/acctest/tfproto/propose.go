// SPDX-License-Identifier: MPL-2.0

package tfproto

import (
	"fmt"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// propose merges configuration and prior state as core's objchange.ProposedNew
// does: what is configured counts, and a computed attribute that is not
// configured keeps its prior value.
func propose(attributes []*tfprotov6.SchemaAttribute, prior, config map[string]any) map[string]any {
	if config == nil {
		return nil
	}
	proposed := make(map[string]any, len(attributes))
	for _, a := range attributes {
		was, want := prior[a.Name], config[a.Name]
		switch {
		case a.WriteOnly:
			proposed[a.Name] = nil
		case want == nil && a.Computed:
			proposed[a.Name] = was
		case a.NestedType != nil:
			proposed[a.Name] = proposeNested(a.NestedType, was, want)
		default:
			proposed[a.Name] = want
		}
	}
	return proposed
}

func proposeNested(nested *tfprotov6.SchemaObject, prior, config any) any {
	want, ok := config.(map[string]any)
	if !ok {
		return config
	}
	was, _ := prior.(map[string]any)
	switch nested.Nesting {
	case tfprotov6.SchemaObjectNestingModeSingle:
		return propose(nested.Attributes, was, want)
	case tfprotov6.SchemaObjectNestingModeMap:
		proposed := make(map[string]any, len(want))
		for key, element := range want {
			object, ok := element.(map[string]any)
			if !ok {
				proposed[key] = element
				continue
			}
			before, _ := was[key].(map[string]any)
			proposed[key] = propose(nested.Attributes, before, object)
		}
		return proposed
	default:
		return config
	}
}

// invalid says where a plan is none that core accepts (its
// objchange.AssertPlanValid): what is configured is planned as it is written,
// unless the plan keeps the prior value, and only a computed attribute gets a
// value that is not configured.
func invalid(attributes []*tfprotov6.SchemaAttribute, at string, prior, config, planned map[string]any) string {
	for _, a := range attributes {
		was, want, is, at := prior[a.Name], config[a.Name], planned[a.Name], at+"."+a.Name
		if a.WriteOnly {
			want = nil // it never leaves the configuration
		}
		switch {
		case cmp.Equal(is, want), was != nil && want != nil && cmp.Equal(is, was), a.Computed && (!a.Optional || want == nil):
			continue
		}
		object, isObject := is.(map[string]any)
		wanted, ok := want.(map[string]any)
		if a.NestedType == nil || !isObject || !ok {
			return fmt.Sprintf("%s: configured %v, planned %v", at, want, is)
		}
		before, _ := was.(map[string]any)
		if a.NestedType.Nesting == tfprotov6.SchemaObjectNestingModeSingle {
			if s := invalid(a.NestedType.Attributes, at, before, wanted, object); s != "" {
				return s
			}
		}
	}
	return ""
}

// contradiction says where got is not what was planned. What was planned as
// unknown may be anything.
func contradiction(at string, planned, got any) string {
	if planned == Unknown {
		return ""
	}
	want, isObject := planned.(map[string]any)
	is, ok := got.(map[string]any)
	if !isObject || !ok {
		if !cmp.Equal(planned, got) {
			return fmt.Sprintf("%s: planned %v, got %v", at, planned, got)
		}
		return ""
	}
	for name := range want {
		if s := contradiction(at+"."+name, want[name], is[name]); s != "" {
			return s
		}
	}
	return ""
}
