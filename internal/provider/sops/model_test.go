// SPDX-License-Identifier: MPL-2.0

package sops

import (
	"math"
	"testing"
)

func TestValuesKeepTheirTypes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value       any
		shown, text string
	}{
		{map[string]any{"b": []any{1, "x", true}, "n": nil}, `{"b":[1,"x",true],"n":<null>}`, "<null>"},
		{[]any{}, `[]`, "<null>"},
		{0.1, "0.1", `"0.1"`},
		{-7, "-7", `"-7"`},
		{true, "true", `"true"`},
		{math.Inf(1), `"+Inf"`, `"+Inf"`},
		{math.NaN(), `"NaN"`, `"NaN"`},
		{nil, "<null>", "<null>"},
		{"", `""`, `""`},
	} {
		var m model
		m.set(t.Context(), tt.value)
		if m.Value.String() != tt.shown || m.Text.String() != tt.text {
			t.Errorf("%v: value %s, text %s; want %s, %s", tt.value, m.Value, m.Text, tt.shown, tt.text)
		}
	}
}
