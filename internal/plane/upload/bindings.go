// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Limits that Cloudflare sets on variables; a Worker that passes here shall pass
// there.
const (
	maxVariableBytes = 5 << 10
	maxVariables     = 128
)

// Binding types with a meaning of their own in uploads.
const (
	typePlainText       = "plain_text"
	typeSecretText      = "secret_text"
	typeJSON            = "json"
	typeService         = "service"
	typeVPCService      = "vpc_service"
	typeVersionMetadata = "version_metadata"
	typeInherit         = "inherit"
	typeDurableObject   = "durable_object_namespace"
)

// defaultKeep are the types that survive an upload which says nothing about
// keeping: a secret that was put once is not lost by the next deploy.
var defaultKeep = []string{typeSecretText, "secret_key"}

// payload names the member that a binding of each supported type cannot do
// without; a binding that lacks it keeps the value of the version before.
var payload = map[string]string{
	typePlainText:       "text",
	typeSecretText:      "text",
	typeJSON:            "json",
	typeService:         "service",
	typeVPCService:      "service_id",
	typeVersionMetadata: "",
	typeInherit:         "",
}

// ParseBindings reads a list of bindings as the API writes it and returns them
// sorted by name. A nil list is an empty one.
func ParseBindings(raw json.RawMessage) ([]registry.Binding, error) {
	if raw == nil {
		return nil, nil
	}
	var entries []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, refuse(CodeBadBody, "bindings must be a list of objects with name and type")
	}
	out := make([]registry.Binding, 0, len(entries))
	variables := 0
	for i, e := range entries {
		b, err := parseBinding(i, e)
		if err != nil {
			return nil, err
		}
		if b.Type == typePlainText || b.Type == typeSecretText || b.Type == typeJSON {
			variables++
		}
		out = append(out, b)
	}
	if variables > maxVariables {
		return nil, refuse(CodeTooManyVariables, "%d variables and secrets are more than the %d that a Worker may have", variables, maxVariables)
	}
	sortBindings(out)
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			return nil, refuse(CodeInvalid, "binding %q is given twice", out[i].Name)
		}
	}
	return out, nil
}

func parseBinding(i int, e map[string]json.RawMessage) (registry.Binding, error) {
	var b registry.Binding
	if json.Unmarshal(e["name"], &b.Name) != nil || b.Name == "" {
		return b, refuse(CodeBindingNameless, "binding %d has no name", i)
	}
	if json.Unmarshal(e["type"], &b.Type) != nil || b.Type == "" {
		return b, refuse(CodeInvalid, "binding %q has no type", b.Name)
	}
	b.Fields = make(map[string]json.RawMessage, len(e))
	for k, v := range e {
		// A null member is an absent one, but for a variable whose value is null.
		if k != "name" && k != "type" && (string(v) != "null" || (b.Type == typeJSON && k == payload[typeJSON])) {
			b.Fields[k] = v
		}
	}
	return b, checkBinding(b)
}

func checkBinding(b registry.Binding) error {
	need, known := payload[b.Type]
	if b.Type == typeDurableObject {
		return refuse(CodeInvalid, "binding %q: Durable Objects do not run on this plane: deploy this Worker to the edge plane, or leave the binding out", b.Name)
	}
	if !known {
		return refuse(CodeInvalid, "binding %q has the type %q, which this plane does not support: it knows %s", b.Name, b.Type, strings.Join(supportedTypes(), ", "))
	}
	v, given := b.Fields[need]
	if need == "" || !given {
		return nil
	}
	if b.Type == typeJSON {
		if len(v) > maxVariableBytes {
			return refuse(CodeVariableTooLarge, "binding %q is longer than the %d bytes that a variable may have", b.Name, maxVariableBytes)
		}
		return nil
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return refuse(CodeInvalid, "binding %q: %q must be a string", b.Name, need)
	}
	if (b.Type == typeService || b.Type == typeVPCService) && s == "" {
		return refuse(CodeInvalid, "binding %q names no service", b.Name)
	}
	if len(s) > maxVariableBytes {
		return refuse(CodeVariableTooLarge, "binding %q is longer than the %d bytes that a variable may have", b.Name, maxVariableBytes)
	}
	return nil
}

func supportedTypes() []string {
	out := make([]string, 0, len(payload))
	for t := range payload {
		out = append(out, t)
	}
	sort.Strings(out)
	return out
}

func sortBindings(bs []registry.Binding) {
	slices.SortStableFunc(bs, func(a, b registry.Binding) int { return strings.Compare(a.Name, b.Name) })
}
