// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// anyValue generates what a file can hold.
func anyValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		last := 6
		if depth == 0 {
			last = 4
		}
		switch rapid.IntRange(0, last).Draw(t, "kind") {
		case 0:
			return rapid.String().Draw(t, "text")
		case 1:
			return rapid.Int64Range(-1<<53, 1<<53).Draw(t, "int")
		case 2:
			return rapid.Float64().Draw(t, "float")
		case 3:
			return rapid.Bool().Draw(t, "bool")
		case 4:
			return rapid.SampledFrom([]any{nil, "", "null", "~", "true", "0x1f", "1e3", "2026-11-25", " x ", "#x", "a: b", "- a", "\n", "ENC[x]"}).Draw(t, "special")
		case 5:
			return rapid.SliceOfN(anyValue(depth-1), 0, 4).Draw(t, "list")
		default:
			name := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9_.:-]{1,8}`), rapid.StringN(1, 6, -1)).Filter(func(s string) bool { return s != "sops" })
			return rapid.MapOfN(name, anyValue(depth-1), 0, 4).Draw(t, "map")
		}
	})
}

// asYAML escapes in JSON what YAML does not allow as it is.
func asYAML(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		if r < 0x7f {
			out = append(out, byte(r))
		} else {
			out = fmt.Appendf(out, `\U%08x`, r)
		}
	}
	return out
}

// What SOPS encrypts opens as SOPS decrypts it. Each file holds many values,
// because starting SOPS takes longer than everything else.
func TestRandomValuesOfSOPSOpen(t *testing.T) {
	t.Parallel()
	seed := int(time.Now().UnixNano() >> 10)
	for batch := range 3 {
		for _, file := range []string{"a.yaml", "a.json"} {
			t.Run(fmt.Sprint(file, " ", seed+batch), func(t *testing.T) {
				t.Parallel()
				w := newWorkshop(t)
				values := map[string]any{}
				for i := range 60 {
					values[fmt.Sprintf("v%d", i)] = anyValue(3).Example(seed + 1000*batch + i)
				}
				text, err := json.Marshal(values)
				if err != nil {
					t.Fatal(err)
				}
				if sealed.FormatOf(file) == sealed.YAML {
					text = asYAML(text)
				}
				w.encrypt(file, string(text))
				want := w.values(file)
				got, err := w.open(file).Value(nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
					t.Errorf("SOPS says (-), we say (+):\n%s", diff)
				}
				if plain := w.parse(file).Plain(); len(plain) > 0 {
					t.Errorf("taken for plaintext: %q", plain)
				}
			})
		}
	}
}
