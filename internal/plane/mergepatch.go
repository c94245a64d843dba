// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"bytes"
	"encoding/json"
)

// mergePatch applies a JSON merge patch (RFC 7396) to a document.
func mergePatch(document, patch []byte) ([]byte, error) {
	var changes map[string]json.RawMessage
	if err := json.Unmarshal(patch, &changes); err != nil || changes == nil {
		// A patch that is no object replaces the document.
		return patch, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil || members == nil {
		members = map[string]json.RawMessage{}
	}
	for name, change := range changes {
		switch trimmed := bytes.TrimSpace(change); {
		case bytes.Equal(trimmed, []byte("null")):
			delete(members, name)
		case trimmed[0] == '{':
			merged, err := mergePatch(members[name], change)
			if err != nil {
				return nil, err
			}
			members[name] = merged
		default:
			members[name] = change
		}
	}
	return json.Marshal(members)
}
