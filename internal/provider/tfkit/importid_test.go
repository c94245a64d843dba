// SPDX-License-Identifier: MPL-2.0

package tfkit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

const account = "0123456789abcdef0123456789abcdef"

func TestParseImportID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   string
		want tfkit.ImportID
	}{
		{account + "/api/v1", tfkit.ImportID{AccountID: account, Parts: []string{"api", "v1"}}},
		{"paris:" + account + "/api/v1", tfkit.ImportID{Plane: "paris", AccountID: account, Parts: []string{"api", "v1"}}},
	} {
		got, err := tfkit.ParseImportID(tt.id, "worker", "version_id")
		if err != nil {
			t.Errorf("%q: %v", tt.id, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.id, diff)
		}
	}
}

func TestParseImportIDShowsTheForm(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "api", account, account + "/", account + "/api/v1", "xyz/api", ":" + account + "/api", "Paris:" + account + "/api"} {
		_, err := tfkit.ParseImportID(id, "worker")
		if err == nil || !strings.Contains(err.Error(), "[plane:]account_id/worker") {
			t.Errorf("%q gives %v, want an error that shows the form", id, err)
		}
	}
}

// FuzzParseImportID checks that whatever parses is written back unchanged.
func FuzzParseImportID(f *testing.F) {
	f.Add(account + "/api")
	f.Add("paris:" + account + "/api")
	f.Add("::/" + account)
	f.Fuzz(func(t *testing.T, s string) {
		id, err := tfkit.ParseImportID(s, "worker")
		if err == nil && id.String() != s {
			t.Errorf("%q came back as %q", s, id.String())
		}
	})
}
