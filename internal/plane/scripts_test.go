// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// scriptsClient speaks to a plane as wrangler does, and keeps the envelope.
type scriptsClient struct {
	t     *testing.T
	plane *planetest.Plane
	token string
}

func newScripts(t *testing.T) *scriptsClient {
	t.Helper()
	p := planetest.New(t, planetest.Options{})
	return &scriptsClient{t: t, plane: p, token: p.Token}
}

type apiAnswer struct {
	Status int
	Header http.Header
	Body   []byte

	Success bool
	Errors  []struct {
		Code    int
		Message string
	}
	Result     json.RawMessage
	ResultInfo *struct {
		Page, Count int
		TotalCount  int `json:"total_count"`
	} `json:"result_info"`
}

// into decodes the result, which must be there.
func (a apiAnswer) into(t *testing.T, v any) {
	t.Helper()
	if !a.Success {
		t.Fatalf("the request failed with %d: %s", a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Result, v); err != nil {
		t.Fatalf("the result is %s: %v", a.Result, err)
	}
}

func (a apiAnswer) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	a.into(t, &o)
	return o
}

// mustFail fails the test unless the answer is this error, marked as permanent.
func (a apiAnswer) mustFail(t *testing.T, status, code int) {
	t.Helper()
	if a.Success || a.Status != status || len(a.Errors) == 0 || a.Errors[0].Code != code {
		t.Fatalf("the answer is %d %s, want %d with code %d", a.Status, a.Body, status, code)
	}
	if a.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("the error %d lacks x-should-retry: false: SDKs would repeat the request for a minute", code)
	}
	if string(a.Result) != "null" {
		t.Errorf("the error %d has the result %s", code, a.Result)
	}
}

// do sends a request below the account, or below /client/v4 if path begins with "/".
func (c *scriptsClient) do(method, path, contentType string, body []byte, header ...string) apiAnswer {
	c.t.Helper()
	url := c.plane.BaseURL + path
	if !strings.HasPrefix(path, "/") {
		url = c.plane.BaseURL + "/accounts/" + c.plane.AccountID + "/workers/" + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "wrangler/4.86.0")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := apiAnswer{Status: resp.StatusCode, Header: resp.Header}
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		c.t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(a.Body, &a); err != nil {
			c.t.Fatalf("%s %s answers %s: %v", method, path, a.Body, err)
		}
	}
	return a
}

// json sends JSON as wrangler does at times: as text/plain.
func (c *scriptsClient) json(method, path, body string) apiAnswer {
	c.t.Helper()
	return c.do(method, path, "text/plain;charset=UTF-8", []byte(body))
}

func (c *scriptsClient) get(path string) apiAnswer {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", nil)
}

type moduleFile struct{ name, contentType, content string }

// send uploads metadata and modules with the metadata first.
func (c *scriptsClient) send(method, path, metadata string, modules ...moduleFile) apiAnswer {
	c.t.Helper()
	return c.multipart(method, path, "metadata", metadata, modules...)
}

func (c *scriptsClient) multipart(method, path, jsonPart, content string, modules ...moduleFile) apiAnswer {
	c.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	err := w.WriteField(jsonPart, content)
	for _, m := range modules {
		part, partErr := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, m.name, m.name)}, "Content-Type": {m.contentType},
		})
		if partErr != nil {
			c.t.Fatal(partErr)
		}
		_, writeErr := io.WriteString(part, m.content)
		err = errors.Join(err, writeErr)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		c.t.Fatal(err)
	}
	return c.do(method, path, w.FormDataContentType(), b.Bytes())
}

const esModule = "application/javascript+module"

var indexJS = moduleFile{"index.js", esModule, "export default {}"}

// deploy puts a Worker with those bindings and returns the id of its version.
func (c *scriptsClient) deploy(name, bindings string) string {
	c.t.Helper()
	a := c.send(http.MethodPut, "scripts/"+name+"?bindings_inherit=strict", `{"main_module":"index.js","compatibility_date":"2026-01-01","bindings":`+bindings+`}`, indexJS)
	id, ok := a.object(c.t)["deployment_id"].(string)
	if !ok || len(id) != 32 {
		c.t.Fatalf("the upload has the deployment_id %q, want 32 hex digits", id)
	}
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// upload makes a version without deploying it.
func (c *scriptsClient) upload(name, bindings string) string {
	c.t.Helper()
	a := c.send(http.MethodPost, "scripts/"+name+"/versions", `{"main_module":"index.js","compatibility_date":"2026-01-01","bindings":`+bindings+`}`, indexJS)
	id, _ := a.object(c.t)["id"].(string)
	return id
}

// env is what the live version of a Worker gets, as the runtime was told.
func (c *scriptsClient) env(name string) map[string]string {
	c.t.Helper()
	running, ok := c.plane.Runtime.Running(name)
	if !ok || len(running.Versions) == 0 {
		c.t.Fatalf("the Worker %q does not run", name)
	}
	out := map[string]string{}
	for _, b := range running.Versions[0].Bindings {
		out[b.Name] = string(b.Fields["text"]) + string(b.Fields["json"]) + string(b.Fields["service"])
	}
	return out
}

func TestPutScriptCreatesAndDeploys(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.get("services/api").mustFail(t, 404, 10090)
	c.get("scripts/api/settings").mustFail(t, 404, 10007)
	c.get("scripts/api/deployments").mustFail(t, 404, 10007)
	a := c.send(http.MethodPut, "scripts/api", `{"main_module":"index.js","bindings":[{"type":"plain_text","name":"A","text":"x"}],
		"compatibility_date":"2026-01-01","compatibility_flags":["nodejs_compat"],"logpush":true,"tags":["t"],
		"observability":{"enabled":true},"tail_consumers":[{"service":"watcher"}],"placement":{"mode":"smart"},"limits":{"cpu_ms":50},
		"annotations":{"workers/message":"first","workers/tag":"v1"}}`, indexJS).object(t)
	for key, want := range map[string]any{
		"id": "api", "handlers": []any{"fetch"}, "has_modules": true, "has_assets": false, "usage_model": "standard", "logpush": true,
		"last_deployed_from": "wrangler", "compatibility_date": "2026-01-01", "compatibility_flags": []any{"nodejs_compat"},
		"placement_mode": "smart", "tags": []any{"t"}, "tail_consumers": []any{map[string]any{"service": "watcher"}}, "startup_time_ms": 1.0,
	} {
		if diff := cmp.Diff(want, a[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if got := c.env("api"); got["A"] != `"x"` {
		t.Errorf("the runtime got the env %v", got)
	}
	var deployments struct {
		Deployments []struct {
			Annotations map[string]string
			Versions    []struct {
				Percentage float64
			}
		}
	}
	c.get("scripts/api/deployments").into(t, &deployments)
	if d := deployments.Deployments; len(d) != 1 || d[0].Versions[0].Percentage != 100 || d[0].Annotations["workers/triggered_by"] != "upload" || d[0].Annotations["workers/message"] != "first" {
		t.Errorf("deployments = %+v", d)
	}
	service := c.get("services/api").object(t)["default_environment"].(map[string]any)
	scriptPart := service["script"].(map[string]any)
	if service["environment"] != "production" || scriptPart["last_deployed_from"] != "wrangler" || scriptPart["tag"] != a["tag"] {
		t.Errorf("service = %v", service)
	}
}

func TestARefusedFirstUploadLeavesNoWorker(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.plane.Runtime.OnValidate = func(workerd.Version) (workerd.Validation, error) {
		return workerd.Validation{}, &workerd.InvalidVersionError{Message: "SyntaxError at index.js:1:1"}
	}
	a := c.send(http.MethodPut, "scripts/api", `{"main_module":"index.js","compatibility_date":"2026-01-01"}`, indexJS)
	a.mustFail(t, 400, 10021)
	if !strings.Contains(a.Errors[0].Message, "index.js:1:1") {
		t.Errorf("the message is %q", a.Errors[0].Message)
	}
	c.get("services/api").mustFail(t, 404, 10090)
}

func TestAVersionThatCannotBeDeployedIsTakenAway(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	first := c.deploy("api", `[]`)
	c.plane.Runtime.OnApply = func(workerd.Worker, []workerd.Version) error { return errors.New("no more processes") }
	if a := c.send(http.MethodPut, "scripts/api", `{"main_module":"index.js","compatibility_date":"2026-01-01"}`, indexJS); a.Status != 500 {
		t.Fatalf("the answer is %d %s", a.Status, a.Body)
	}
	c.plane.Runtime.OnApply = nil
	var list struct{ Items []struct{ ID string } }
	c.get("scripts/api/versions").into(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != first {
		t.Errorf("versions = %+v, want only %s", list, first)
	}
}

func TestUploadsAreRefusedWithTheirCodes(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	const fine = `"main_module":"index.js","compatibility_date":"2026-01-01"`
	put := func(name, meta string) apiAnswer {
		return c.send(http.MethodPut, "scripts/"+name+"?bindings_inherit=strict", meta, indexJS)
	}
	put("BAD.name", `{`+fine+`}`).mustFail(t, 400, 10016)
	put("api", `{`).mustFail(t, 400, 10026)
	put("api", `{"main_module":"other.js"}`).mustFail(t, 400, 10006)
	put("api", `{`+fine+`,"migrations":{"new_tag":"v1","steps":[{"new_sqlite_classes":["C"]}]}}`).mustFail(t, 400, 10021)
	put("api", `{`+fine+`,"bindings":[{"type":"service","name":"S","service":"nobody"}]}`).mustFail(t, 400, 10143)
	c.send(http.MethodPost, "scripts/api/versions", `{`+fine+`,"migrations":{"new_tag":"v1","steps":[]}}`, indexJS).mustFail(t, 400, 10211)
	c.send(http.MethodPost, "scripts/api/versions", `{"body_part":"index.js"}`, indexJS).mustFail(t, 400, 10021)
	c.send(http.MethodPost, "scripts/nobody/versions", `{`+fine+`}`, indexJS).mustFail(t, 404, 10007)
	c.json(http.MethodPut, "scripts/api", `{}`).mustFail(t, 415, 10001)

	a := put("api", `{`+fine+`,"bindings":[{"type":"inherit","name":"A"},{"type":"inherit","name":"B"}]}`)
	a.mustFail(t, 400, 10057)
	if len(a.Errors) != 2 || !strings.HasPrefix(a.Errors[1].Message, "inherit binding 'B' is invalid") {
		t.Errorf("errors = %+v, want one for each name", a.Errors)
	}
}

func TestServiceWorkersAreDeployed(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	script := moduleFile{"script", "application/javascript", "addEventListener('fetch', e => e.respondWith(new Response('hi')))"}
	c.send(http.MethodPut, "scripts/old", `{"body_part":"script"}`, script).object(t)
	a := c.get("scripts/old/content/v2")
	if string(a.Body) != script.content || a.Header.Get("Cf-Entrypoint") != "" {
		t.Errorf("content = %s with cf-entrypoint %q", a.Body, a.Header.Get("Cf-Entrypoint"))
	}
}

func TestContentComesBackWithTheEntryFirst(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	lib := moduleFile{"lib/a.js", esModule, "export default 1"}
	data := moduleFile{"data.bin", "application/octet-stream", "\x00\xff"}
	c.send(http.MethodPut, "scripts/api", `{"main_module":"index.js","compatibility_date":"2026-01-01"}`, lib, data, indexJS).object(t)
	first := c.upload("api", `[]`)
	read := func(path string) []moduleFile {
		a := c.get(path)
		if a.Header.Get("Cf-Entrypoint") != "index.js" {
			t.Errorf("cf-entrypoint is %q", a.Header.Get("Cf-Entrypoint"))
		}
		_, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		var got []moduleFile
		for mr := multipart.NewReader(bytes.NewReader(a.Body), params["boundary"]); ; {
			p, err := mr.NextRawPart()
			if err == io.EOF {
				return got
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, moduleFile{p.FormName(), p.Header.Get("Content-Type"), string(content)})
		}
	}
	if diff := cmp.Diff([]moduleFile{indexJS, lib, data}, read("scripts/api/content/v2"), cmp.AllowUnexported(moduleFile{})); diff != "" {
		t.Errorf("live content (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]moduleFile{indexJS}, read("scripts/api/content/v2?version="+first), cmp.AllowUnexported(moduleFile{})); diff != "" {
		t.Errorf("content of a version (-want +got):\n%s", diff)
	}
	c.get("scripts/api/content/v2?version=nothing").mustFail(t, 404, 100146)
}

func TestPutContentReplacesTheCodeAlone(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[{"type":"secret_text","name":"S","text":"s3cret"},{"type":"plain_text","name":"A","text":"x"}]`)
	changed := moduleFile{"main.js", esModule, "export default {a: 1}"}
	c.send(http.MethodPut, "scripts/api/content", `{"main_module":"main.js"}`, changed).object(t)
	if diff := cmp.Diff(map[string]string{"S": `"s3cret"`, "A": `"x"`}, c.env("api")); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if a := c.get("scripts/api/content/v2"); a.Header.Get("Cf-Entrypoint") != "main.js" || !bytes.Contains(a.Body, []byte("{a: 1}")) {
		t.Errorf("content = %s", a.Body)
	}
}

// Who asks for what can be deployed gets all of it at once, whatever page is asked for; only
// a pager that reads until a page is empty has to end.
func TestAllVersionsThatCanBeDeployedAreOneAnswer(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	for range 24 {
		c.upload("api", `[]`)
	}
	for query, want := range map[string]int{"?deployable=true": 25, "?deployable=true&per_page=2": 25, "?deployable=true&page=2": 0, "": 20} {
		var list struct{ Items []map[string]any }
		c.get("scripts/api/versions"+query).into(t, &list)
		if len(list.Items) != want {
			t.Errorf("%q lists %d versions, want %d", query, len(list.Items), want)
		}
	}
}

func TestVersionsHaveBothSpellingsAndAnEndlessPagerEnds(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	for range 4 {
		c.upload("api", `[]`)
	}
	seen := 0
	for page := 1; ; page++ {
		var list struct{ Items []map[string]any }
		a := c.get(fmt.Sprintf("scripts/api/versions?per_page=2&page=%d", page))
		a.into(t, &list)
		if a.ResultInfo.TotalCount != 5 || a.ResultInfo.Count != len(list.Items) {
			t.Errorf("result_info = %+v", a.ResultInfo)
		}
		if len(list.Items) == 0 {
			break
		}
		for _, item := range list.Items {
			if want := float64(5 - seen); item["number"] != want {
				t.Errorf("version %v comes where %v should: newest first", item["number"], want)
			}
			seen++
		}
		if page > 10 {
			t.Fatal("a pager that reads until a page is empty never ends")
		}
	}
	id := c.upload("api", `[{"type":"secret_text","name":"S","text":"s3cret"}]`)
	v := c.get("scripts/api/versions/" + id).object(t)
	meta := v["metadata"].(map[string]any)
	if meta["has_preview"] != false || meta["hasPreview"] != false || meta["source"] != "wrangler" {
		t.Errorf("metadata = %v", meta)
	}
	resources := v["resources"].(map[string]any)
	if diff := cmp.Diff([]any{map[string]any{"name": "S", "type": "secret_text"}}, resources["bindings"]); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
	if s := resources["script"].(map[string]any); s["etag"] == "" || cmp.Diff([]any{"fetch"}, s["handlers"]) != "" {
		t.Errorf("script = %v", s)
	}
	c.json(http.MethodPost, "scripts/api/subdomain", `{"enabled":false,"previews_enabled":true}`).object(t)
	if meta := c.get("scripts/api/versions/" + id).object(t)["metadata"].(map[string]any); meta["has_preview"] != true {
		t.Errorf("metadata with previews enabled = %v", meta)
	}
	c.get("scripts/api/versions/00000000-0000-4000-8000-000000000000").mustFail(t, 404, 100146)
}

func TestUploadsKeepWhatTheySay(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[{"type":"secret_text","name":"S","text":"s3cret"},{"type":"plain_text","name":"A","text":"x"},{"type":"json","name":"J","json":[1]}]`)
	const meta = `{"main_module":"index.js","compatibility_date":"2026-01-01","bindings":[{"type":"plain_text","name":"N","text":"n"}]`
	c.send(http.MethodPut, "scripts/api", meta+`,"keep_bindings":["secret_text","plain_text"]}`, indexJS).object(t)
	if diff := cmp.Diff(map[string]string{"S": `"s3cret"`, "A": `"x"`, "N": `"n"`}, c.env("api")); diff != "" {
		t.Errorf("with keep_bindings (-want +got):\n%s", diff)
	}
	c.send(http.MethodPut, "scripts/api", meta+`}`, indexJS).object(t)
	if diff := cmp.Diff(map[string]string{"S": `"s3cret"`, "N": `"n"`}, c.env("api")); diff != "" {
		t.Errorf("without keep_bindings (-want +got):\n%s", diff)
	}
	c.send(http.MethodPut, "scripts/api", meta+`,"keep_bindings":[]}`, indexJS).object(t)
	if diff := cmp.Diff(map[string]string{"N": `"n"`}, c.env("api")); diff != "" {
		t.Errorf("with empty keep_bindings (-want +got):\n%s", diff)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[{"type":"secret_text","name":"S","text":"s3cret"},{"type":"plain_text","name":"A","text":"x"}]`)
	s := c.get("scripts/api/settings").object(t)
	if _, there := s["limits"]; there {
		t.Error("limits were never set and are shown: the official provider would plan a change")
	}
	if diff := cmp.Diff([]any{map[string]any{"name": "A", "type": "plain_text", "text": "x"}, map[string]any{"name": "S", "type": "secret_text"}}, s["bindings"]); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
	patch := func(body string) apiAnswer {
		return c.multipart(http.MethodPatch, "scripts/api/settings", "settings", body)
	}
	patch(`{"bindings":[{"type":"plain_text","name":"A"},{"type":"secret_text","name":"S"},{"type":"secret_text","name":"T","text":"t"}]}`).object(t)
	if diff := cmp.Diff(map[string]string{"S": `"s3cret"`, "A": `"x"`, "T": `"t"`}, c.env("api")); diff != "" {
		t.Errorf("env after a patch (-want +got):\n%s", diff)
	}
	patch(`{"bindings":[{"type":"plain_text","name":"A"}],"limits":{"cpu_ms":50},"logpush":true}`).object(t)
	if diff := cmp.Diff(map[string]string{"A": `"x"`}, c.env("api")); diff != "" {
		t.Errorf("env after a patch that leaves secrets out (-want +got):\n%s", diff)
	}
	s = c.get("scripts/api/settings").object(t)
	if diff := cmp.Diff(map[string]any{"cpu_ms": 50.0}, s["limits"]); diff != "" || s["logpush"] != true {
		t.Errorf("settings = %v", s)
	}
	before := len(c.items("api"))
	patch(`{"tags":["x"]}`).object(t)
	if after := len(c.items("api")); after != before {
		t.Error("a patch of an unversioned setting made a version")
	}
	patch(`{"bindings":[{"type":"secret_text","name":"NEVER"}]}`).mustFail(t, 400, 10021)
	c.json(http.MethodPatch, "scripts/api/settings", `{}`).mustFail(t, 415, 10001)
	c.upload("api", `[]`)
	patch(`{"bindings":[]}`).mustFail(t, 400, 10214)
}

func (c *scriptsClient) items(name string) []map[string]any {
	c.t.Helper()
	var list struct{ Items []map[string]any }
	c.get("scripts/"+name+"/versions?per_page=100").into(c.t, &list)
	return list.Items
}

func TestScriptSettingsAreUnversioned(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.json(http.MethodPost, "workers", `{"name":"api"}`).object(t) // a Worker without versions
	got := c.json(http.MethodPatch, "scripts/api/script-settings", `{"observability":{"enabled":false},"tags":["a"],"logpush":true,"tail_consumers":[{"service":"w"}]}`).object(t)
	want := map[string]any{
		"observability": map[string]any{"enabled": false}, "tags": []any{"a"}, "logpush": true,
		"tail_consumers": []any{map[string]any{"service": "w"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = c.json(http.MethodPatch, "scripts/api/script-settings", `{"tags":null,"tail_consumers":null}`).object(t)
	if got["logpush"] != true || got["tail_consumers"] != nil {
		t.Errorf("after null: %v", got)
	}
	if len(c.items("api")) != 0 {
		t.Error("unversioned settings made a version")
	}
	if s := c.get("scripts/api/settings").object(t); cmp.Diff([]any{}, s["bindings"]) != "" {
		t.Errorf("the settings of a Worker without versions are %v", s)
	}
	c.get("services/api").object(t)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"x","type":"secret_text"}`).mustFail(t, 404, 10222)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"one","type":"secret_text"}`).mustFail(t, 404, 10007)
	// wrangler's stub, with the Worker's name as the part's
	c.send(http.MethodPut, "scripts/api", `{"main_module":"api","bindings":[],"logpush":false}`, moduleFile{"api", esModule, "export default {}"}).object(t)

	if diff := cmp.Diff(map[string]any{"name": "S", "type": "secret_text"},
		c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"one","type":"secret_text"}`).object(t)); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"T/ü","text":"two","type":"secret_text"}`).object(t)
	var list []map[string]any
	c.get("scripts/api/secrets").into(t, &list)
	if diff := cmp.Diff([]map[string]any{{"name": "S", "type": "secret_text"}, {"name": "T/ü", "type": "secret_text"}}, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	c.get("scripts/api/secrets/T%2F%C3%BC?url_encoded=true").object(t)
	if a := c.do(http.MethodDelete, "scripts/api/secrets/T%2F%C3%BC?url_encoded=true", "application/json", nil); !a.Success {
		t.Errorf("delete answers %s", a.Body)
	}
	c.get("scripts/api/secrets/T%2F%C3%BC").mustFail(t, 404, 10056)
	c.do(http.MethodDelete, "scripts/api/secrets/NONE", "", nil).mustFail(t, 404, 10056)
	c.do(http.MethodPatch, "scripts/api/secrets-bulk", "application/merge-patch+json",
		[]byte(`{"secrets":{"S":null,"A":{"name":"A","text":"a","type":"secret_text"},"GONE":null}}`)).object(t)
	if diff := cmp.Diff(map[string]string{"A": `"a"`}, c.env("api")); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	items := c.items("api")
	if by := items[0]["annotations"].(map[string]any)["workers/triggered_by"]; by != "secret" {
		t.Errorf("the version was triggered by %v", by)
	}

	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":7,"type":"secret_text"}`).mustFail(t, 400, 10021)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","type":"secret_text"}`).mustFail(t, 400, 10021)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"x","type":"plain_text"}`).mustFail(t, 400, 10021)
	c.json(http.MethodPut, "scripts/api/secrets", `{`).mustFail(t, 400, 10026)

	c.upload("api", `[]`)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"x","type":"secret_text"}`).mustFail(t, 400, 10215)
	if strings.Contains(c.plane.Log(), `"one"`) {
		t.Error("a secret is in the log")
	}
}

func TestSecretsThatArePutAtTheSameTimeAllStay(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	const n = 8
	done := make(chan apiAnswer)
	for i := range n {
		go func() {
			done <- c.json(http.MethodPut, "scripts/api/secrets", fmt.Sprintf(`{"name":"S%d","text":"v%d","type":"secret_text"}`, i, i))
		}()
	}
	for range n {
		if a := <-done; !a.Success {
			t.Errorf("a put answers %s", a.Body)
		}
	}
	if got := c.env("api"); len(got) != n {
		t.Errorf("the live version has the secrets %v, want %d", got, n)
	}
}

func TestASecretRotatedSinceBlocksARollback(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	first := c.deploy("api", `[]`)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"one","type":"secret_text"}`).object(t)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"T","text":"two","type":"secret_text"}`).object(t)
	body := `{"strategy":"percentage","versions":[{"version_id":"` + first + `","percentage":100}]}`
	a := c.json(http.MethodPost, "scripts/api/deployments", body)
	a.mustFail(t, 400, 10220)
	if !strings.Contains(a.Errors[0].Message, "The following secrets have changed: S, T") {
		t.Errorf("message = %q", a.Errors[0].Message)
	}
	c.json(http.MethodPost, "scripts/api/deployments?force=true", body).object(t)
}

func TestSubdomains(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	c.json(http.MethodPost, "scripts/api/subdomain", `{"enabled":true}`).object(t)
	if running, _ := c.plane.Runtime.Running("api"); cmp.Diff([]string{"api." + planetest.Subdomain + ".localhost"}, running.Worker.Hosts) != "" || running.Worker.PreviewSuffix != "" {
		t.Errorf("the Worker answers at %v and %q", running.Worker.Hosts, running.Worker.PreviewSuffix)
	}
	a := c.do(http.MethodPost, "scripts/api/subdomain", "application/json", []byte(`{"enabled":true}`), "Cloudflare-Workers-Script-Api-Date", "2025-08-01")
	if diff := cmp.Diff(map[string]any{"enabled": true, "previews_enabled": true}, a.object(t)); diff != "" {
		t.Errorf("with the API's date (-want +got):\n%s", diff)
	}
	off := map[string]any{"enabled": false, "previews_enabled": false}
	if diff := cmp.Diff(off, c.do(http.MethodDelete, "scripts/api/subdomain", "", nil).object(t)); diff != "" {
		t.Errorf("delete (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(off, c.do(http.MethodDelete, "scripts/gone/subdomain", "", nil).object(t)); diff != "" {
		t.Errorf("delete of a Worker that is gone (-want +got):\n%s", diff)
	}
	c.json(http.MethodPost, "scripts/api/subdomain", `{}`).mustFail(t, 400, 10026)

	if got := c.get("subdomain").object(t)["subdomain"]; got != planetest.Subdomain {
		t.Errorf("subdomain = %v", got)
	}
	c.get("subdomains/free-one").mustFail(t, 404, 10032)
	c.get("subdomains/"+planetest.Subdomain).mustFail(t, 409, 10031)
	_, _ = c.plane.NewAccount(t, "Other")
	c.json(http.MethodPut, "subdomain", `{"subdomain":"other"}`).mustFail(t, 409, 10031)
	c.json(http.MethodPut, "subdomain", `{"subdomain":"Not.One"}`).mustFail(t, 400, 10021)
	c.json(http.MethodPost, "scripts/api/subdomain", `{"enabled":true}`).object(t)
	c.json(http.MethodPut, "subdomain", `{"subdomain":"renamed"}`).object(t)
	if running, _ := c.plane.Runtime.Running("api"); cmp.Diff([]string{"api.renamed.localhost"}, running.Worker.Hosts) != "" {
		t.Errorf("after the rename the Worker answers at %v", running.Worker.Hosts)
	}
}

func TestAnAccountWithoutSubdomainEnablesNone(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	if err := c.plane.Registry.SetSubdomain(t.Context(), c.plane.AccountID, ""); err != nil {
		t.Fatal(err)
	}
	c.get("subdomain").mustFail(t, 404, 10007)
	c.json(http.MethodPost, "scripts/api/subdomain", `{"enabled":true}`).mustFail(t, 400, 10063)
	c.json(http.MethodPost, "scripts/api/subdomain", `{"enabled":false}`).object(t)
}

func TestListsSearchAndReferences(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("back", `[]`)
	c.deploy("front", `[{"type":"service","name":"BACK","service":"back"}]`)
	c.json(http.MethodPatch, "scripts/front/script-settings", `{"tags":["web"],"tail_consumers":[{"service":"back"}]}`).object(t)
	var scripts []map[string]any
	for query, want := range map[string]int{"": 2, "?tags=web:yes": 1, "?tags=web:no": 1, "?tags=web:yes,x:yes": 0} {
		c.get("scripts"+query).into(t, &scripts)
		if len(scripts) != want {
			t.Errorf("scripts%s lists %d, want %d", query, len(scripts), want)
		}
	}
	c.get("scripts-search?name=fro").into(t, &scripts)
	if len(scripts) != 1 || scripts[0]["script_name"] != "front" {
		t.Errorf("search finds %v", scripts)
	}
	c.get("scripts-search?page=2").into(t, &scripts)
	if len(scripts) != 0 {
		t.Errorf("the second page has %v", scripts)
	}
	refs := c.get("scripts/back/references").object(t)["services"].(map[string]any)
	if diff := cmp.Diff([]any{map[string]any{"service": "front", "environment": "production", "name": "front"}}, refs["incoming"]); diff != "" {
		t.Errorf("incoming (-want +got):\n%s", diff)
	}
	c.get("tails/by-consumer/back").into(t, &scripts)
	if len(scripts) != 1 {
		t.Errorf("tail producers = %v", scripts)
	}
	if a := c.do(http.MethodDelete, "services/back?force=false", "", nil); a.Success {
		t.Error("a Worker with references was deleted without force")
	}
	if a := c.do(http.MethodDelete, "services/back?force=true", "application/json", nil); !a.Success || string(a.Result) != "null" {
		t.Errorf("the forced delete answers %s", a.Body)
	}
	if a := c.do(http.MethodDelete, "scripts/front", "", nil); !a.Success {
		t.Errorf("the delete answers %s", a.Body)
	}
	c.do(http.MethodDelete, "scripts/front", "", nil).mustFail(t, 404, 10007)
}

func TestSchedulesAndUsageModel(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	want := map[string]any{"schedules": []any{}}
	if diff := cmp.Diff(want, c.json(http.MethodPut, "scripts/api/schedules", `[]`).object(t)); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, c.get("scripts/api/schedules").object(t)); diff != "" {
		t.Errorf("get (-want +got):\n%s", diff)
	}
	c.json(http.MethodPut, "scripts/api/schedules", `[{"cron":"* * * * *"}]`).mustFail(t, 400, 10021)
	c.json(http.MethodPut, "scripts/api/schedules", `{}`).mustFail(t, 400, 10026)
	for _, a := range []apiAnswer{c.get("scripts/api/usage-model"), c.json(http.MethodPut, "scripts/api/usage-model", `{"usage_model":"bundled"}`)} {
		if got := a.object(t)["usage_model"]; got != "standard" {
			t.Errorf("usage model = %v", got)
		}
	}
	if got := c.get("account-settings").object(t)["default_usage_model"]; got != "standard" {
		t.Errorf("default usage model = %v", got)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	if got := c.get("/user/tokens/verify").object(t)["status"]; got != "active" {
		t.Errorf("verify says %v", got)
	}
	if got, _ := c.get("/user").object(t)["email"].(string); !strings.Contains(got, "@") {
		t.Errorf("user has the e-mail address %q", got)
	}
	var list []map[string]any
	c.get("/accounts?page=1").into(t, &list)
	if len(list) != 1 || list[0]["id"] != c.plane.AccountID {
		t.Errorf("accounts = %v", list)
	}
	c.get("/memberships?page=1").into(t, &list)
	if len(list) != 1 || list[0]["account"].(map[string]any)["id"] != c.plane.AccountID {
		t.Errorf("memberships = %v", list)
	}
	if got := c.get("/accounts/" + c.plane.AccountID).object(t)["name"]; got != "Acme" {
		t.Errorf("account = %v", got)
	}
	account := "/accounts/" + c.plane.AccountID
	for _, path := range []string{
		"/accounts?page=2", "/memberships?page=2", "/zones?name=example.com&account.id=" + c.plane.AccountID,
		account + "/storage/kv/namespaces?per_page=100&order=title&direction=asc&page=1", account + "/workers/durable_objects/namespaces?per_page=1000&page=1",
	} {
		c.get(path).into(t, &list)
		if len(list) != 0 {
			t.Errorf("%s lists %v, want nothing: pagers read until a page is empty", path, list)
		}
	}
}

func TestReadersChangeNothing(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	c.token = c.plane.NewToken(t, "read")
	c.get("scripts/api/settings").object(t)
	c.get("services/api").object(t)
	c.send(http.MethodPut, "scripts/api", `{"main_module":"index.js"}`, indexJS).mustFail(t, 403, 10000)
	c.json(http.MethodPut, "scripts/api/secrets", `{"name":"S","text":"x","type":"secret_text"}`).mustFail(t, 403, 10000)
	c.do(http.MethodDelete, "services/api?force=true", "", nil).mustFail(t, 403, 10000)
	c.json(http.MethodPut, "subdomain", `{"subdomain":"mine"}`).mustFail(t, 403, 10000)
	c.json(http.MethodPost, "scripts/api/subdomain", `{"enabled":false}`).mustFail(t, 403, 10000)
}
