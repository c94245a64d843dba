// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

func bindings(t *testing.T, s string) []registry.Binding {
	t.Helper()
	bs, err := ParseBindings(json.RawMessage(s))
	if err != nil {
		t.Fatal(err)
	}
	return bs
}

func TestResolve(t *testing.T) {
	t.Parallel()
	const latest = `[{"type":"plain_text","name":"VAR","text":"v"},{"type":"secret_text","name":"S","text":"s"},{"type":"json","name":"J","json":[1]}]`
	const older = `[{"type":"plain_text","name":"VAR","text":"old"}]`
	for name, tc := range map[string]struct {
		upload string
		keep   []string
		want   string
	}{
		"secrets survive where nothing is said":    {`[]`, defaultKeep, `[{"type":"secret_text","name":"S","text":"s"}]`},
		"an empty list keeps nothing":              {`[]`, []string{}, `[]`},
		"the types listed are kept, exactly these": {`[]`, []string{"plain_text", "json"}, `[{"type":"plain_text","name":"VAR","text":"v"},{"type":"json","name":"J","json":[1]}]`},
		"what is uploaded wins over what is kept":  {`[{"type":"plain_text","name":"S","text":"x"}]`, defaultKeep, `[{"type":"plain_text","name":"S","text":"x"}]`},
		"inherit takes the latest":                 {`[{"type":"inherit","name":"VAR"}]`, []string{}, `[{"type":"plain_text","name":"VAR","text":"v"}]`},
		"inherit under a new name":                 {`[{"type":"inherit","name":"NEW","old_name":"VAR"}]`, []string{}, `[{"type":"plain_text","name":"NEW","text":"v"}]`},
		"inherit from a version":                   {`[{"type":"inherit","name":"VAR","version_id":"older"}]`, []string{}, `[{"type":"plain_text","name":"VAR","text":"old"}]`},
		"inherit from latest by that word":         {`[{"type":"inherit","name":"VAR","version_id":"latest"}]`, []string{}, `[{"type":"plain_text","name":"VAR","text":"v"}]`},
		"no value keeps the value":                 {`[{"type":"secret_text","name":"S"},{"type":"secret_text","name":"T","text":"t"}]`, nil, `[{"type":"secret_text","name":"S","text":"s"},{"type":"secret_text","name":"T","text":"t"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prev := Previous{Latest: bindings(t, latest), Version: func(id string) ([]registry.Binding, bool) {
				return bindings(t, older), id == "older"
			}}
			got, err := Resolve(bindings(t, tc.upload), tc.keep, prev, true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bindings(t, tc.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveStrictNamesEveryUnresolvedBinding(t *testing.T) {
	t.Parallel()
	up := bindings(t, `[{"type":"inherit","name":"A"},{"type":"inherit","name":"B","version_id":"gone"},{"type":"plain_text","name":"C","text":"c"}]`)
	_, err := Resolve(up, nil, Previous{}, true)
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 {
		t.Fatalf("error = %v, want two refusals", err)
	}
	for i, name := range []string{"A", "B"} {
		want := "inherit binding '" + name + "' is invalid"
		if all[i].Code != CodeUnresolvedInherit || all[i].Message[:len(want)] != want {
			t.Errorf("refusal %d = %d %s", i, all[i].Code, all[i].Message)
		}
	}
	got, err := Resolve(up, nil, Previous{}, false)
	if err != nil || len(got) != 1 || got[0].Name != "C" {
		t.Errorf("without strict: %v, %v; want only C", got, err)
	}
}

func TestResolveRefusesToKeepAValueThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := Resolve(bindings(t, `[{"type":"secret_text","name":"S"}]`), nil, Previous{Latest: bindings(t, `[{"type":"plain_text","name":"S","text":"x"}]`)}, false)
	if code(err) != CodeInvalid {
		t.Errorf("error = %v", err)
	}
}
