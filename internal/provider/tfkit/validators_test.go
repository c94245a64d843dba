// SPDX-License-Identifier: MPL-2.0

package tfkit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

func TestValidatorsAcceptAndRefuse(t *testing.T) {
	t.Parallel()
	noon := func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
	for name, tt := range map[string]struct {
		validator validator.String
		good, bad []string
		says      string // part of every error: what to do
	}{
		"plane name": {
			tfkit.PlaneName(), []string{"paris", "eu-west_1", "9"}, []string{"", "Paris", "-x", "a:b", "a/b", strings.Repeat("a", 64)},
			"lower-case letters, digits",
		},
		"account id": {
			tfkit.AccountID(), []string{strings.Repeat("0a", 16)}, []string{"", "0a", strings.Repeat("0A", 16), strings.Repeat("0g", 16)},
			"32 lower-case hexadecimal digits",
		},
		"token": {
			tfkit.APIToken(), []string{strings.Repeat("a", 40), strings.Repeat("_", 80)}, []string{"", "SECRET", strings.Repeat("a", 81), strings.Repeat("a", 39) + "!"},
			"40 to 80 characters",
		},
		"Worker name": {
			tfkit.WorkerName(), []string{"a", "api", "_api_2", "a-b", strings.Repeat("a", 255)}, []string{"", "Api", "a-", "-a", "a.b", "a b", strings.Repeat("a", 256)},
			"lower-case letters, digits, - and _",
		},
		"binding name": {
			tfkit.BindingName(), []string{"DB", "_x", "$y", "a1"}, []string{"", "1a", "A-B", "A B"},
			"JavaScript identifier",
		},
		"flag": {
			tfkit.CompatibilityFlag(), []string{"nodejs_compat", "no_nodejs_compat_v2"}, []string{"", "Node", "a b", "--x="},
			"compatibility flag",
		},
		"date": {
			tfkit.CompatibilityDate(noon), []string{"2021-11-02", "2026-11-24", "2026-11-25"}, []string{"", "2026-13-01", "24.11.2026", "2026-11-26", "2026-2-3"},
			"",
		},
		"duration": {
			tfkit.Duration(), []string{"30s", "1m30s"}, []string{"", "30", "-1s", "0s"}, "30s or 2m",
		},
		"header": {
			tfkit.HeaderText(), []string{"team/1"}, []string{"", "a\r\nb", "é"}, "printable ASCII",
		},
		"JSON": {
			tfkit.JSONText(), []string{"1", `"a"`, `{"a":[1]}`, "null"}, []string{"", "{", "{'a':1}"}, "jsonencode()",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range tt.good {
				if text := validate(t, tt.validator, types.StringValue(v)); text != "" {
					t.Errorf("%q is refused: %s", v, text)
				}
			}
			for _, v := range tt.bad {
				text := validate(t, tt.validator, types.StringValue(v))
				if text == "" || !strings.Contains(text, tt.says) {
					t.Errorf("%q gives %q, want an error with %q", v, text, tt.says)
				}
			}
			for _, v := range []types.String{types.StringNull(), types.StringUnknown()} {
				if text := validate(t, tt.validator, v); text != "" {
					t.Errorf("%s is refused: %s", v, text)
				}
			}
		})
	}
}

func TestTokenIsNeverRepeated(t *testing.T) {
	t.Parallel()
	if text := validate(t, tfkit.APIToken(), types.StringValue("hunter2")); strings.Contains(text, "hunter2") {
		t.Errorf("the error repeats the token: %s", text)
	}
}

// validate returns the text of the error, and fails if it lacks the path.
func validate(t *testing.T, v validator.String, value types.String) string {
	t.Helper()
	var resp validator.StringResponse
	v.ValidateString(t.Context(), validator.StringRequest{Path: path.Root("x"), ConfigValue: value}, &resp)
	if !resp.Diagnostics.HasError() {
		return ""
	}
	d := resp.Diagnostics[0]
	if d, ok := d.(interface{ Path() path.Path }); !ok || !d.Path().Equal(path.Root("x")) {
		t.Errorf("the error for %s has no path", value)
	}
	return d.Detail()
}

func TestSentenceKeepsNamesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                      "",
		"the plane is gone":     "The plane is gone.",
		"Ends already.":         "Ends already.",
		"base_url must lead on": "base_url must lead on.",
		`vars["A"] is null`:     `vars["A"] is null.`,
	} {
		if got := tfkit.Sentence(text); got != want {
			t.Errorf("Sentence(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestASentenceBeginsWithACapitalAndEndsWithAStop(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"no such file": "No such file.", "Done.": "Done.", "über-worker is taken": "Über-worker is taken.", "bundle.entrypoint: none": "bundle.entrypoint: none.", "": "",
	} {
		if got := tfkit.Sentence(text); got != want {
			t.Errorf("Sentence(%q) = %q, want %q", text, got, want)
		}
	}
}
