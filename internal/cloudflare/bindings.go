// SPDX-License-Identifier: MPL-2.0

package cloudflare

import "encoding/json"

// BindingKinds are the version's bindings: kind by name. Values are left out, so that
// it may be shown.
func (v Version) BindingKinds() map[string]string {
	kinds := map[string]string{}
	for _, raw := range v.Bindings {
		var b struct{ Name, Type string }
		if json.Unmarshal(raw, &b) == nil && b.Name != "" {
			kinds[b.Name] = b.Type
		}
	}
	return kinds
}
