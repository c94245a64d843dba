// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecretsAreReadFromMessages(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]struct {
		names []string
		all   bool
	}{
		"Secrets changed: A":                             {[]string{"A"}, true},
		"Secrets changed: A, B; added: C; removed: D":    {[]string{"A", "B", "C", "D"}, true},
		"Secrets added: x%2C%20y%3B%0A; removed: %C3%BC": {[]string{"x, y;\n", "ü"}, true},
		"Secrets changed: A; and 12 more":                {[]string{"A"}, false},
		"Secrets and 1 more":                             {nil, false},
		"Secrets changed: A; renamed: B":                 {[]string{"A"}, false},
		"Secrets changed: A, %zz, ":                      {[]string{"A"}, false},
		"Secrets changed":                                {nil, false},
		"Secrets ":                                       {nil, false},
		`Updated secret "A"`:                             {[]string{"A"}, true},
		`Deleted secret "a"b"`:                           {[]string{`a"b`}, true},
		`Updated secret "`:                               {nil, false},
		"Bulk updated 2 secrets":                         {nil, false},
		"rotate":                                         {nil, false},
		"":                                               {nil, false},
	} {
		names, all := secretsInMessage(message)
		if diff := cmp.Diff(want.names, names); diff != "" || all != want.all {
			t.Errorf("%q: all is %v, want %v; names (-want +got):\n%s", message, all, want.all, diff)
		}
	}
}
