// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// shape decodes the result and takes out what differs from run to run.
func shape(t *testing.T, a answer) map[string]any {
	t.Helper()
	var v map[string]any
	a.into(t, &v)
	for _, k := range []string{"id", "created_on", "updated_on"} {
		if v[k] == nil {
			t.Errorf("%s is missing in %v", k, a)
		}
		delete(v, k)
	}
	return v
}

func fromJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

const noReferences = `"references":{"dispatch_namespace_outbounds":[],"domains":[],"durable_objects":[],"queues":[],"workers":[]}`

func TestWorkerHasCloudflaresShape(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	a := call(t, p, "POST", "/workers/workers", `{"name":"bare"}`)
	want := fromJSON(t, `{"name":"bare","deployed_on":null,"logpush":false,"observability":{"enabled":false,"head_sampling_rate":1},`+noReferences+`,
		"subdomain":{"enabled":false,"previews_enabled":false,"url":"http://bare.acme.localhost:8787","preview_url_suffix":"-bare.acme.localhost:8787"},"tags":[],"tail_consumers":[]}`)
	if diff := cmp.Diff(want, shape(t, a)); diff != "" {
		t.Errorf("a bare Worker (-want +got):\n%s", diff)
	}
	if !regexp.MustCompile(`"created_on":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`).Match(a.body) {
		t.Errorf("created_on has not six digits and Z: %v", a)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(a.id(t)) {
		t.Errorf("the id has not 32 hex digits: %v", a)
	}

	// What the official provider sends must come back as it was sent.
	sent := `{"name":"full","logpush":true,"observability":{"enabled":true,"head_sampling_rate":0.5,"traces":{"destinations":[],"enabled":false,"head_sampling_rate":1,"persist":true}},
		"subdomain":{"enabled":true,"previews_enabled":false},"tags":["t1"],"tail_consumers":[{"name":"bare"}]}`
	want = fromJSON(t, sent)
	want["deployed_on"] = nil
	want["references"] = fromJSON(t, "{"+noReferences+"}")["references"]
	want["subdomain"].(map[string]any)["url"] = "http://full.acme.localhost:8787"
	want["subdomain"].(map[string]any)["preview_url_suffix"] = "-full.acme.localhost:8787"
	a = call(t, p, "POST", "/workers/workers", sent)
	if diff := cmp.Diff(want, shape(t, a)); diff != "" {
		t.Errorf("a full Worker (-want +got):\n%s", diff)
	}
	for _, by := range []string{a.id(t), "full"} {
		if got := call(t, p, "GET", "/workers/workers/"+by, ""); string(got.env.Result) != string(a.env.Result) {
			t.Errorf("read by %s: %v, want what the creation answered", by, got)
		}
	}
}

func TestPutReplacesAndPatchMerges(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	id := call(t, p, "POST", "/workers/workers", `{"name":"api","logpush":true,"tags":["a"],"observability":{"enabled":true,"logs":{"enabled":true}},"subdomain":{"enabled":true,"previews_enabled":false}}`).id(t)

	got := shape(t, call(t, p, "PATCH", "/workers/workers/"+id, `{"tags":["b"],"observability":{"logs":{"persist":false}},"subdomain":{"previews_enabled":true}}`))
	if got["logpush"] != true || !cmp.Equal(got["tags"], []any{"b"}) || got["subdomain"].(map[string]any)["enabled"] != true || got["subdomain"].(map[string]any)["previews_enabled"] != true {
		t.Errorf("PATCH changed something else: %v", got)
	}
	if want := fromJSON(t, `{"enabled":true,"head_sampling_rate":1,"logs":{"enabled":true,"persist":false}}`); !cmp.Equal(got["observability"], any(want)) {
		t.Errorf("PATCH merged observability into %v, want %v", got["observability"], want)
	}
	got = shape(t, call(t, p, "PUT", "/workers/workers/api", `{"name":"renamed"}`))
	if got["name"] != "renamed" || got["logpush"] != false || !cmp.Equal(got["tags"], []any{}) || got["subdomain"].(map[string]any)["enabled"] != false {
		t.Errorf("PUT kept something: %v", got)
	}
	if call(t, p, "GET", "/workers/workers/renamed", "").id(t) != id {
		t.Error("renaming changed the id")
	}
	refused(t, p, 404, 10007, "does not exist", "GET", "/workers/workers/api", "")
}

func TestRuntimeFollowsWhereAWorkerAnswers(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	v := newVersion(t, p, "api", "")
	newDeployment(t, p, "api", v, 100)
	check := func(when, name string, hosts []string, previews string) {
		t.Helper()
		got, ok := p.Runtime.Running(name)
		if !ok || !cmp.Equal(got.Worker.Hosts, hosts) || got.Worker.PreviewSuffix != previews || len(got.Worker.Shares) != 1 {
			t.Errorf("%s: the runtime has %+v", when, got.Worker)
		}
	}
	check("enabled", "api", []string{"api.acme.localhost"}, "-api.acme.localhost")
	call(t, p, "PATCH", "/workers/workers/api", `{"subdomain":{"enabled":false}}`)
	check("disabled", "api", nil, "-api.acme.localhost")
	call(t, p, "PATCH", "/workers/workers/api", `{"subdomain":{"enabled":true,"previews_enabled":false}}`)
	check("without previews", "api", []string{"api.acme.localhost"}, "")
	call(t, p, "PATCH", "/workers/workers/api", `{"name":"b"}`)
	check("renamed", "b", []string{"b.acme.localhost"}, "")

	before := p.Runtime.Applies()
	call(t, p, "PATCH", "/workers/workers/b", `{"tags":["x"]}`)
	if p.Runtime.Applies() != before {
		t.Error("a change of tags touched the runtime")
	}

	p.Runtime.OnApply = func(workerd.Worker, []workerd.Version) error { return errors.New("no more processes") }
	if a := try(t, p, "PATCH", "/workers/workers/b", `{"subdomain":{"enabled":false}}`); a.status != 500 {
		t.Errorf("a runtime that fails: %v", a)
	}
	p.Runtime.OnApply = nil
	if got := shape(t, call(t, p, "GET", "/workers/workers/b", "")); got["subdomain"].(map[string]any)["enabled"] != true {
		t.Error("the registry says what the runtime refused")
	}
}

func TestNamesOfWorkers(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	for _, name := range []string{"a", "a-b_c9", strings.Repeat("a", 63)} {
		call(t, p, "POST", "/workers/workers", `{"name":"`+name+`"}`)
	}
	for _, name := range []string{"", "A", "a b", "a.b", "ä", "-a", strings.Repeat("a", 64), "../x"} {
		refused(t, p, 400, 10016, "", "POST", "/workers/workers", `{"name":"`+name+`"}`)
	}
	refused(t, p, 409, 19001, "already exists", "POST", "/workers/workers", `{"name":"a"}`)
	refused(t, p, 409, 19001, "already exists", "PATCH", "/workers/workers/a-b_c9", `{"name":"a"}`)
	refused(t, p, 400, 10026, "observability must be an object", "POST", "/workers/workers", `{"name":"o","observability":true}`)
	refused(t, p, 400, 10026, "tail_consumers", "POST", "/workers/workers", `{"name":"o","tail_consumers":{}}`)
}

func TestAWorkerThatOthersBindToIsNotDeletedByAccident(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	authID := newWorker(t, p, "auth")
	apiID := newWorker(t, p, "api")
	refused(t, p, 400, 10143, `'AUTH' references Worker 'nobody'`, "POST", "/workers/workers/api/versions",
		uploadBody(helloModule, `,"bindings":[{"name":"AUTH","type":"service","service":"nobody"}]`))
	bound := newVersion(t, p, "api", `,"bindings":[{"name":"AUTH","type":"service","service":"auth"}]`)
	if got := shape(t, call(t, p, "GET", "/workers/workers/auth", "")); !cmp.Equal(got["references"], fromJSON(t, "{"+noReferences+"}")["references"]) {
		t.Errorf("a version that is not live refers to somebody: %v", got["references"])
	}
	newDeployment(t, p, "api", bound, 100)
	got := shape(t, call(t, p, "GET", "/workers/workers/auth", ""))
	if want := []any{map[string]any{"id": apiID, "name": "api"}}; !cmp.Equal(got["references"].(map[string]any)["workers"], any(want)) {
		t.Errorf("references: %v, want %v", got["references"], want)
	}
	refused(t, p, 400, 19002, `service bindings of \"api\" refer to it`, "DELETE", "/workers/workers/auth", "")
	refused(t, p, 400, 19002, `service bindings of \"api\" refer to it by name`, "PATCH", "/workers/workers/auth", `{"name":"auth2"}`)
	call(t, p, "DELETE", "/workers/workers/api", "")
	if _, runs := p.Runtime.Running("api"); runs {
		t.Error("a deleted Worker runs on")
	}
	refused(t, p, 404, 10007, "does not exist", "DELETE", "/workers/workers/api", "")
	call(t, p, "DELETE", "/workers/workers/"+authID, "")

	newWorker(t, p, "auth")
	newWorker(t, p, "api")
	newDeployment(t, p, "api", newVersion(t, p, "api", `,"bindings":[{"name":"AUTH","type":"service","service":"auth"}]`), 100)
	call(t, p, "DELETE", "/workers/workers/auth?force=true", "")
}
