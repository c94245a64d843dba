// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// mustConform decodes a result with cloudflare-go, whose types are the API
// document, and fails the test for every required member that is missing.
func mustConform(t *testing.T, what string, result json.RawMessage, into json.Unmarshaler) {
	t.Helper()
	if err := json.Unmarshal(result, into); err != nil {
		t.Errorf("%s: %v in %s", what, err, result)
		return
	}
	checkRequired(t, what, reflect.ValueOf(into).Elem())
}

func checkRequired(t *testing.T, at string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			checkRequired(t, fmt.Sprintf("%s[%d]", at, i), v.Index(i))
		}
	case reflect.Struct:
		meta := v.FieldByName("JSON")
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "JSON" || !f.IsExported() || !meta.IsValid() || !meta.FieldByName(f.Name).IsValid() {
				continue
			}
			state, ok := meta.FieldByName(f.Name).Interface().(interface {
				IsMissing() bool
				IsNull() bool // or missing
				IsInvalid() bool
			})
			if !ok {
				continue
			}
			name := at + "." + strings.Split(f.Tag.Get("json"), ",")[0]
			if state.IsInvalid() || (f.Tag.Get("api") == "required" && state.IsMissing()) {
				t.Errorf("%s is required and missing, or of another type than the API document says", name)
			}
			if !state.IsNull() {
				checkRequired(t, name, v.Field(i))
			}
		}
	}
}

func TestAnswersConformToCloudflareGo(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	sdk := workers.NewScriptService(option.WithBaseURL(c.plane.BaseURL+"/"), option.WithAPIToken(c.token), option.WithMaxRetries(0))

	c.deploy("api", `[]`)
	var params workers.ScriptVersionListParams
	params.AccountID.Value, params.AccountID.Present = c.plane.AccountID, true
	versions, n := sdk.Versions.ListAutoPaging(t.Context(), "api", params), 0
	for versions.Next() && n < 10 {
		n++
	}
	if versions.Err() != nil || n > 1 {
		t.Errorf("the SDK's pager over one version ends after %d: %v", n, versions.Err())
	}

	id := c.deploy("api", `[{"type":"plain_text","name":"A","text":"x"},{"type":"secret_text","name":"S","text":"s"},{"type":"version_metadata","name":"V"},{"type":"json","name":"J","json":{"a":1}},{"type":"service","name":"SELF","service":"api"}]`)
	c.json(http.MethodPatch, "scripts/api/script-settings", `{"observability":{"enabled":true},"tags":["a"],"tail_consumers":[{"service":"w"}]}`).object(t)
	for _, answer := range []struct {
		what   string
		result json.RawMessage
		into   json.Unmarshaler
	}{
		{"PUT script", c.send(http.MethodPut, "scripts/api", `{"main_module":"index.js","compatibility_date":"2026-01-01"}`, indexJS).Result, &workers.ScriptUpdateResponse{}},
		{"GET version", c.get("scripts/api/versions/" + id).Result, &workers.ScriptVersionGetResponse{}},
		{"POST version", c.send(http.MethodPost, "scripts/api/versions", `{"main_module":"index.js","compatibility_date":"2026-01-01"}`, indexJS).Result, &workers.ScriptVersionNewResponse{}},
		{"GET settings", c.get("scripts/api/settings").Result, &workers.ScriptScriptAndVersionSettingGetResponse{}},
		{"GET script-settings", c.get("scripts/api/script-settings").Result, &workers.ScriptSetting{}},
		{"GET deployments", c.get("scripts/api/deployments").Result, &workers.ScriptDeploymentListResponse{}},
		{"GET schedules", c.get("scripts/api/schedules").Result, &workers.ScriptScheduleGetResponse{}},
		{"GET subdomain", c.get("scripts/api/subdomain").Result, &workers.ScriptSubdomainGetResponse{}},
		{"GET secret", c.get("scripts/api/secrets/S").Result, &workers.ScriptSecretGetResponse{}},
		{"GET workers/subdomain", c.get("subdomain").Result, &workers.SubdomainGetResponse{}},
		{"GET account-settings", c.get("account-settings").Result, &workers.AccountSettingGetResponse{}},
	} {
		mustConform(t, answer.what, answer.result, answer.into)
	}
	var scripts, found []json.RawMessage
	c.get("scripts").into(t, &scripts)
	mustConform(t, "GET scripts", scripts[0], &workers.ScriptListResponse{})
	c.get("scripts-search").into(t, &found)
	mustConform(t, "GET scripts-search", found[0], &workers.ScriptSearchResponse{})
	c.deploy("api", `[]`)
	var bulk map[string]json.RawMessage
	c.json(http.MethodPatch, "scripts/api/secrets-bulk", `{"secrets":{"B":{"text":"b"}},"version_tags":{"workers/tag":"v9"}}`).into(t, &bulk)
	mustConform(t, "PATCH secrets-bulk", bulk["B"], &workers.ScriptSecretBulkUpdateResponseItem{})
}
