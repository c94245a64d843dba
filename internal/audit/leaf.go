// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Leaf is an entry as it is read: what was withheld is not in it.
type Leaf struct {
	ID      string         `json:"id"`
	Source  string         `json:"source"`
	Type    string         `json:"type"`
	Subject string         `json:"subject"`
	Time    time.Time      `json:"time"`
	Data    map[string]any `json:"data"`
}

// ParseLeaf reads an entry, also one of another version of the catalogue.
func ParseLeaf(leaf []byte) (Leaf, error) {
	var l Leaf
	if err := json.Unmarshal(leaf, &l); err != nil {
		return Leaf{}, fmt.Errorf("reading an entry: %w", err)
	}
	return l, nil
}

// Text is a field of the data by its path ("actor.ip"), or nothing.
func (l Leaf) Text(path string) string {
	var value any = l.Data
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = object[name]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
