// SPDX-License-Identifier: MPL-2.0

package schemajson_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/schemajson"
)

// TestTheShapeIsTerraforms looks at one attribute of each sort, in the shape that
// `terraform providers schema -json` has.
func TestTheShapeIsTerraforms(t *testing.T) {
	t.Parallel()
	text, err := schemajson.Marshal(t.Context(), "hybridge", provider.Server("test", acctest.NoEnv)())
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	at := func(keys ...string) any {
		var v any = document
		for _, k := range keys {
			members, _ := v.(map[string]any)
			v = members[k]
		}
		if members, ok := v.(map[string]any); ok {
			delete(members, "description") // prose is not the matter here
			delete(members, "description_kind")
		}
		return v
	}
	provider := slices.Clip([]string{"provider_schemas", "hybridge"})
	worker := slices.Clip(append(provider, "resource_schemas", "hybridge_worker", "block", "attributes"))
	for _, tt := range []struct {
		at   []string
		want any
	}{
		{[]string{"format_version"}, "1.0"},
		{append(provider, "provider", "block", "attributes", "api_token"), map[string]any{"type": "string", "optional": true, "sensitive": true}},
		{append(provider, "provider", "block", "attributes", "planes", "nested_type", "nesting_mode"), "map"},
		{append(worker, "name"), map[string]any{"type": "string", "required": true}},
		{append(worker, "tags"), map[string]any{"type": []any{"set", "string"}, "optional": true, "computed": true}},
		{append(worker, "observability", "nested_type", "nesting_mode"), "single"},
		{append(worker, "observability", "nested_type", "attributes", "head_sampling_rate"), map[string]any{"type": "number", "optional": true}},
		{append(provider, "data_source_schemas", "hybridge_plane", "block", "attributes", "healthy"), map[string]any{"type": "bool", "computed": true}},
		{append(provider, "ephemeral_resource_schemas", "hybridge_sops_file", "block", "attributes", "value"), map[string]any{"type": "dynamic", "computed": true, "sensitive": true}},
		{append(provider, "functions", "sops_keys", "return_type"), []any{"list", "string"}},
		{append(provider, "functions", "sops_fingerprint", "variadic_parameter"), map[string]any{"name": "key", "type": "string"}},
		{append(provider, "resource_identity_schemas", "hybridge_worker", "attributes", "account_id"), map[string]any{"type": "string", "required_for_import": true}},
		{append(provider, "resource_identity_schemas", "hybridge_worker", "attributes", "plane"), map[string]any{"type": "string", "optional_for_import": true}},
	} {
		if diff := cmp.Diff(tt.want, at(tt.at...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.at, diff)
		}
	}
}
