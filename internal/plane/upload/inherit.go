// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"encoding/json"
	"slices"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Previous are the versions that an upload may take bindings from. Bindings of
// type secret_text carry their plaintext.
type Previous struct {
	// Latest are the bindings of the newest version, deployed or not; nil if the
	// Worker has none.
	Latest []registry.Binding
	// Version finds the bindings of one version by id. It is called only for a
	// binding that names a version.
	Version func(id string) (bindings []registry.Binding, found bool)
}

// Resolve replaces what bindings say about earlier versions by the values: entries
// of type inherit, entries without their value (which keep it), and bindings of
// the types in keep that are not mentioned. With strict, an entry that finds
// nothing is an error 10057, one for each name; without, it is left out.
func Resolve(bindings []registry.Binding, keep []string, prev Previous, strict bool) ([]registry.Binding, error) {
	var problems Errors
	out := make([]registry.Binding, 0, len(bindings))
	named := make(map[string]bool, len(bindings))
	for _, b := range bindings {
		named[b.Name] = true
		switch {
		case b.Type == typeInherit:
			got, ok := prev.find(b)
			if ok {
				out = append(out, got)
			} else if strict {
				problems = append(problems, refuse(CodeUnresolvedInherit, "inherit binding '%s' is invalid: the version that it inherits from has no binding of this name", b.Name))
			}
		case KeepsValue(b):
			got, ok := lookup(prev.Latest, b.Name)
			if !ok || got.Type != b.Type {
				problems = append(problems, refuse(CodeInvalid, "binding %q has no %q, and the latest version has no binding of type %s with this name whose value could be kept", b.Name, payload[b.Type], b.Type))
				continue
			}
			out = append(out, got)
		default:
			out = append(out, b)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	for _, b := range prev.Latest {
		if !named[b.Name] && slices.Contains(keep, b.Type) {
			out = append(out, b)
		}
	}
	sortBindings(out)
	return out, nil
}

// KeepsValue says whether b is a binding without its value, which keeps the one that
// the latest version has.
func KeepsValue(b registry.Binding) bool {
	need := payload[b.Type]
	if need == "" {
		return false
	}
	_, given := b.Fields[need]
	return !given
}

func (p Previous) find(b registry.Binding) (registry.Binding, bool) {
	from := p.Latest
	if id := text(b.Fields["version_id"]); id != "" && id != "latest" {
		var ok bool
		if p.Version == nil {
			return registry.Binding{}, false
		}
		if from, ok = p.Version(id); !ok {
			return registry.Binding{}, false
		}
	}
	name := b.Name
	if old := text(b.Fields["old_name"]); old != "" {
		name = old
	}
	got, ok := lookup(from, name)
	got.Name = b.Name
	return got, ok
}

func lookup(bs []registry.Binding, name string) (registry.Binding, bool) {
	i := slices.IndexFunc(bs, func(b registry.Binding) bool { return b.Name == name })
	if i < 0 {
		return registry.Binding{}, false
	}
	return bs[i], true
}

// text decodes a JSON string; anything else is the empty string.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
