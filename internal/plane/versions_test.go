// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

func TestVersionHasCloudflaresShape(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "auth")
	newWorker(t, p, "api")
	a := call(t, p, "POST", "/workers/workers/api/versions", uploadBody(helloModule, `,
		"compatibility_flags":["nodejs_compat"],"limits":{"cpu_ms":50},"placement":{"mode":"smart"},"usage_model":"standard",
		"annotations":{"workers/message":"hb1:abc hello","workers/tag":"v1"},
		"bindings":[{"type":"secret_text","name":"Z","text":"hush"},{"type":"service","name":"S","service":"auth","entrypoint":"E"},
			{"type":"plain_text","name":"A","text":"x"},{"type":"json","name":"J","json":{"k":[1]}},{"type":"version_metadata","name":"M"}]`),
		"User-Agent", "terraform-provider-hybridge/1.0")
	want := fromJSON(t, `{"number":1,"annotations":{"workers/message":"hb1:abc hello","workers/tag":"v1","workers/triggered_by":"upload"},
		"bindings":[{"name":"A","type":"plain_text","text":"x"},{"name":"J","type":"json","json":{"k":[1]}},{"name":"M","type":"version_metadata"},
			{"name":"S","type":"service","service":"auth","entrypoint":"E"},{"name":"Z","type":"secret_text"}],
		"compatibility_date":"2025-09-01","compatibility_flags":["nodejs_compat"],"limits":{"cpu_ms":50},"main_module":"index.js",
		"placement":{"mode":"smart"},"source":"terraform","startup_time_ms":1,"usage_model":"standard"}`)
	var got map[string]any
	a.into(t, &got)
	id := a.id(t)
	want["id"], want["created_on"] = id, got["created_on"]
	want["urls"] = []any{"http://" + id[:8] + "-api.acme.localhost:8787"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("version (-want +got):\n%s", diff)
	}
	one := call(t, p, "GET", "/workers/workers/api/versions/"+id, "")
	if string(one.env.Result) != string(a.env.Result) {
		t.Errorf("read: %v, want what the upload answered", one)
	}
	list := call(t, p, "GET", "/workers/workers/api/versions", "")
	if string(list.env.Result) != "["+string(a.env.Result)+"]" {
		t.Errorf("listed: %v, want what the upload answered", list)
	}
	if strings.Contains(p.Log(), "hush") {
		t.Error("the secret is in the log")
	}
	// The runtime gets what the API never shows.
	newDeployment(t, p, "api", id, 100)
	running, _ := p.Runtime.Running("api")
	secret := running.Versions[0].Bindings[4]
	if secret.Name != "Z" || string(secret.Fields["text"]) != `"hush"` {
		t.Errorf("the runtime has %s = %s", secret.Name, secret.Fields["text"])
	}
	if code, err := os.ReadFile(running.Versions[0].Modules[0].Path); err != nil || string(code) != helloModule {
		t.Errorf("the runtime's module is %q, %v", code, err)
	}
}

func TestModulesComeBackWhenTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	wasm := bytes.Repeat([]byte{0, 0x61, 0x73, 0x6d}, 10_000)
	body := `{"main_module":"a.js","modules":[
		{"name":"a.js","content_type":"application/javascript+module","content_base64":"` + base64.StdEncoding.EncodeToString([]byte(helloModule)) + `"},
		{"name":"lib/b.wasm","content_type":"application/wasm","content_base64":"` + base64.StdEncoding.EncodeToString(wasm) + `"}]}`
	id := call(t, p, "POST", "/workers/workers/api/versions", body).id(t)
	var got struct {
		CompatibilityDate string `json:"compatibility_date"`
		Modules           []struct {
			Name    string
			Type    string `json:"content_type"`
			Content []byte `json:"content_base64"`
		}
	}
	a := call(t, p, "GET", "/workers/workers/api/versions/"+id+"?include=modules", "")
	a.into(t, &got)
	if len(got.Modules) != 2 || got.Modules[0].Name != "a.js" || string(got.Modules[0].Content) != helloModule ||
		got.Modules[1].Name != "lib/b.wasm" || got.Modules[1].Type != "application/wasm" || !bytes.Equal(got.Modules[1].Content, wasm) {
		t.Errorf("modules: %v", a)
	}
	if got.CompatibilityDate != "2021-11-02" {
		t.Errorf("without a date it is %q, want Cloudflare's default", got.CompatibilityDate)
	}
	if a := call(t, p, "GET", "/workers/workers/api/versions/"+id, ""); bytes.Contains(a.body, []byte(`"modules"`)) {
		t.Error("modules come unasked")
	}
	// A damaged module must not look like an answer.
	running := p.Runtime.Validated()[0]
	writeFile(t, running.Modules[1].Path, "damaged")
	if body, err := httpGet(t, p, "/workers/workers/api/versions/"+id+"?include=modules"); err == nil {
		t.Errorf("a damaged module was answered as a whole: %s", body)
	}
}

func TestUploadsAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }})
	newWorker(t, p, "api")
	module := func(name, typ string) string {
		return fmt.Sprintf(`{"name":%q,"content_type":%q,"content_base64":"eA=="}`, name, typ)
	}
	esm := "application/javascript+module"
	for _, tc := range []struct {
		name, body string
		code       int
		text       string
	}{
		{"no modules", `{"main_module":"a.js"}`, 10021, "no modules"},
		{"no main module", `{"modules":[` + module("a.js", esm) + `]}`, 10021, "main_module"},
		{"main module not there", `{"main_module":"b.js","modules":[` + module("a.js", esm) + `]}`, 10021, `\"b.js\" is not among the modules \"a.js\"`},
		{"a module twice", `{"main_module":"a.js","modules":[` + module("a.js", esm) + `,` + module("a.js", esm) + `]}`, 10021, `two modules \"a.js\"`},
		{"unknown content type", `{"main_module":"a.js","modules":[` + module("a.js", esm) + `,` + module("b.xyz", "image/png") + `]}`, 10021, `\"b.xyz\"`},
		{"date that is none", uploadBody(helloModule, `,"compatibility_date":"yesterday"`), 10021, "YYYY-MM-DD"},
		{"date in the future", uploadBody(helloModule, `,"compatibility_date":"2026-11-26"`), 10021, "in the future"},
		{"unknown kind of binding", uploadBody(helloModule, `,"bindings":[{"name":"DB","type":"d1","id":"x"}]`), 10021, `binding \"DB\" has the type \"d1\"`},
		{"binding without a name", uploadBody(helloModule, `,"bindings":[{"type":"plain_text","text":"x"}]`), 10052, "no name"},
		{"inherit of nothing", uploadBody(helloModule, `,"bindings":[{"name":"A","type":"inherit"},{"name":"B","type":"inherit"}]`), 10057, "inherit binding 'B' is invalid"},
		{"assets", uploadBody(helloModule, `,"assets":{"jwt":"x"}`), 10021, "assets are not supported"},
		{"migrations", uploadBody(helloModule, `,"migrations":{"new_tag":"v1","new_classes":["A"]}`), 10021, "Durable Objects"},
		{"no JSON", `{"modules":[}`, 10026, "no valid JSON"},
	} {
		a := refused(t, p, 400, tc.code, tc.text, "POST", "/workers/workers/api/versions", tc.body)
		if tc.code == 10057 && len(a.env.Errors) != 2 {
			t.Errorf("%s: %d errors, want one for each name", tc.name, len(a.env.Errors))
		}
		if tc.name == "unknown kind of binding" && !strings.Contains(string(a.body), "inherit, json, plain_text, secret_text, service, version_metadata") {
			t.Errorf("the kinds that are supported are not named: %v", a)
		}
	}
	refused(t, p, 404, 10007, "does not exist", "POST", "/workers/workers/nobody/versions", uploadBody(helloModule, ""))
	call(t, p, "POST", "/workers/workers/api/versions", uploadBody(helloModule, `,"compatibility_date":"2026-11-25"`)) // today, east of here

	p.Runtime.OnValidate = func(workerd.Version) (workerd.Validation, error) {
		return workerd.Validation{}, &workerd.InvalidVersionError{Message: "Uncaught SyntaxError\n  at index.js:3:7"}
	}
	refused(t, p, 400, 10021, "at index.js:3:7", "POST", "/workers/workers/api/versions", uploadBody("}", ""))
	p.Runtime.OnValidate = func(workerd.Version) (workerd.Validation, error) {
		return workerd.Validation{}, &workerd.InvalidVersionError{Message: "no handlers", Code: workerd.CodeNoHandlers}
	}
	refused(t, p, 400, 10068, "no handlers", "POST", "/workers/workers/api/versions", uploadBody("}", ""))
	p.Runtime.OnValidate = func(workerd.Version) (workerd.Validation, error) {
		return workerd.Validation{}, errors.New("fork/exec /opt/workerd: no such file")
	}
	if a := try(t, p, "POST", "/workers/workers/api/versions", uploadBody("}", "")); a.status != 500 || a.code() != 10002 || strings.Contains(string(a.body), "/opt") {
		t.Errorf("a fault of the machine: %v", a)
	}
	if got := call(t, p, "GET", "/workers/workers/api/versions", "").env.ResultInfo.TotalCount; got != 1 {
		t.Errorf("%d versions are there, want the one that was good", got)
	}
}

// The limit counts compressed bytes: much code that compresses well is let in.
func TestCodeIsMeasuredCompressed(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	noise := make([]byte, 11<<20)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(noise)
	dataModule := func(content []byte, typ string) string {
		return `{"main_module":"index.js","modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":"eA=="},
			{"name":"data","content_type":"` + typ + `","content_base64":"` + base64.StdEncoding.EncodeToString(content) + `"}]}`
	}
	refused(t, p, 413, 10027, "the limit is 10485760", "POST", "/workers/workers/api/versions", dataModule(noise, "application/octet-stream"))
	call(t, p, "POST", "/workers/workers/api/versions", dataModule(bytes.Repeat([]byte("abcdefgh"), 20<<20/8), "application/octet-stream"))
	call(t, p, "POST", "/workers/workers/api/versions", dataModule(noise, "application/source-map"))
	refused(t, p, 413, 10027, "more code than a Worker may have", "POST", "/workers/workers/api/versions", dataModule(make([]byte, 65<<20), "application/octet-stream"))
}

func TestFiftyParallelUploadsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	const n = 50
	numbers := make([]int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a := try(t, p, "POST", "/workers/workers/api/versions", uploadBody(fmt.Sprintf("%s // %d", helloModule, i%10), `,"bindings":[{"name":"S","type":"secret_text","text":"x"}]`))
			var v struct{ Number int }
			if a.status != 200 || json.Unmarshal(a.env.Result, &v) != nil {
				t.Errorf("upload %d: %v", i, a)
			}
			numbers[i] = v.Number
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, number := range numbers {
		seen[number] = true
	}
	for number := 1; number <= n; number++ {
		if !seen[number] {
			t.Errorf("number %d is missing", number)
		}
	}
	var pages []int
	for page := 1; ; page++ {
		var list []struct{ Number int }
		call(t, p, "GET", fmt.Sprintf("/workers/workers/api/versions?per_page=20&page=%d", page), "").into(t, &list)
		if len(list) == 0 {
			break
		}
		for _, v := range list {
			pages = append(pages, v.Number)
		}
	}
	for i, number := range pages {
		if number != n-i {
			t.Fatalf("the pages are not newest first: %v", pages)
		}
	}
}

func TestInheritTakesFromTheLatestVersionOrTheNamedOne(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	first := newVersion(t, p, "api", `,"bindings":[{"name":"S","type":"secret_text","text":"one"},{"name":"V","type":"plain_text","text":"v1"}]`)
	newVersion(t, p, "api", `,"bindings":[{"name":"S","type":"secret_text","text":"two"},{"name":"V","type":"plain_text","text":"v2"}]`)
	id := newVersion(t, p, "api", `,"bindings":[{"name":"OLD","type":"inherit","old_name":"S","version_id":"`+first+`"},{"name":"S","type":"inherit"},{"name":"V","type":"inherit","version_id":"latest"}]`)
	newDeployment(t, p, "api", id, 100)
	running, _ := p.Runtime.Running("api")
	got := map[string]string{}
	for _, b := range running.Versions[0].Bindings {
		got[b.Name] = b.Type + string(b.Fields["text"])
	}
	want := map[string]string{"OLD": `secret_text"one"`, "S": `secret_text"two"`, "V": `plain_text"v2"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	// A version of another Worker is none of this one's business.
	newWorker(t, p, "other")
	refused(t, p, 400, 10057, "inherit binding 'S'", "POST", "/workers/workers/other/versions",
		uploadBody(helloModule, `,"bindings":[{"name":"S","type":"inherit","version_id":"`+first+`"}]`))
}

func TestPatchingTheLatestVersionMakesAnotherOne(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	refused(t, p, 404, 10222, "has no versions", "PATCH", "/workers/workers/api/versions/latest", `{"env":{}}`)
	first := newVersion(t, p, "api", `,"bindings":[{"name":"A","type":"secret_text","text":"a"},{"name":"B","type":"secret_text","text":"b"},{"name":"V","type":"plain_text","text":"v"}]`)
	live := newDeployment(t, p, "api", first, 100)
	a := call(t, p, "PATCH", "/workers/workers/api/versions/latest",
		`{"env":{"A":{"type":"secret_text","text":"a2"},"B":null,"N":{"type":"secret_text","text":"n"}},"annotations":{"workers/message":"rotate"}}`, "Content-Type", "application/merge-patch+json")
	var got struct {
		ID          string
		Number      int
		Annotations map[string]string
		Bindings    []map[string]string
	}
	a.into(t, &got)
	if got.Number != 2 || got.ID == first || got.Annotations["workers/message"] != "rotate" || got.Annotations["workers/triggered_by"] != "secret" {
		t.Errorf("the new version: %v", a)
	}
	want := []map[string]string{{"name": "A", "type": "secret_text"}, {"name": "N", "type": "secret_text"}, {"name": "V", "type": "plain_text", "text": "v"}}
	if diff := cmp.Diff(want, got.Bindings); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
	if a := call(t, p, "GET", "/workers/scripts/api/deployments", ""); a.header.Get("ETag") != `"`+live+`"` {
		t.Errorf("the new version was deployed: %v", a)
	}
	newDeployment(t, p, "api", got.ID, 100)
	running, _ := p.Runtime.Running("api")
	if env := running.Versions[0].Bindings; string(env[0].Fields["text"]) != `"a2"` || string(env[1].Fields["text"]) != `"n"` {
		t.Errorf("the runtime's secrets: %s, %s", env[0].Fields["text"], env[1].Fields["text"])
	}
}

// Two people change different secrets at the same time: both changes are in the end.
func TestParallelPatchesLoseNothing(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	newVersion(t, p, "api", "")
	const n = 12
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if a := try(t, p, "PATCH", "/workers/workers/api/versions/latest", fmt.Sprintf(`{"env":{"S%02d":{"type":"secret_text","text":"x"}}}`, i)); a.status != 200 {
				t.Errorf("patch %d: %v", i, a)
			}
		})
	}
	wg.Wait()
	var list []struct{ Bindings []any }
	call(t, p, "GET", "/workers/workers/api/versions", "").into(t, &list)
	if len(list) != n+1 || len(list[0].Bindings) != n {
		t.Errorf("%d versions, the newest with %d secrets; want %d and %d", len(list), len(list[0].Bindings), n+1, n)
	}
}

func TestDeployWithTheUpload(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	id := call(t, p, "POST", "/workers/workers/api/versions?deploy=true", uploadBody(helloModule, `,"annotations":{"workers/message":"m"}`)).id(t)
	var got struct {
		Deployments []struct {
			Versions []struct {
				VersionID  string `json:"version_id"`
				Percentage float64
			}
			Annotations map[string]string
		}
	}
	call(t, p, "GET", "/workers/scripts/api/deployments", "").into(t, &got)
	if len(got.Deployments) != 1 || got.Deployments[0].Versions[0].VersionID != id || got.Deployments[0].Versions[0].Percentage != 100 ||
		got.Deployments[0].Annotations["workers/triggered_by"] != "upload" || got.Deployments[0].Annotations["workers/message"] != "m" {
		t.Errorf("deployments: %+v", got)
	}
	p.Runtime.OnApply = func(workerd.Worker, []workerd.Version) error { return errors.New("it does not start") }
	if a := try(t, p, "POST", "/workers/workers/api/versions?deploy=true", uploadBody(helloModule, "")); a.status != 500 {
		t.Errorf("a version that does not start: %v", a)
	}
	if got := call(t, p, "GET", "/workers/workers/api/versions", "").env.ResultInfo.TotalCount; got != 1 {
		t.Errorf("%d versions: a failed deploy left its version behind", got)
	}
}

func TestDeletingVersions(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	first, second := newVersion(t, p, "api", ""), newVersion(t, p, "api", "")
	newDeployment(t, p, "api", first, 100)
	refused(t, p, 400, 19003, "is live: deploy another version", "DELETE", "/workers/workers/api/versions/"+first, "")
	call(t, p, "DELETE", "/workers/workers/api/versions/"+second, "")
	refused(t, p, 404, 100146, "could not be found", "DELETE", "/workers/workers/api/versions/"+second, "")
	refused(t, p, 404, 100146, "could not be found", "GET", "/workers/workers/api/versions/"+second, "")
	newWorker(t, p, "other")
	refused(t, p, 404, 100146, "could not be found", "GET", "/workers/workers/other/versions/"+first, "")
}

func TestAnnotationsAreCutNotRefused(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	message := strings.Repeat("a", 999) + "é and more"
	a := call(t, p, "POST", "/workers/workers/api/versions", uploadBody(helloModule, `,"annotations":{"workers/message":"`+message+`","workers/triggered_by":"me","x":"y"}`))
	var got struct{ Annotations map[string]string }
	a.into(t, &got)
	want := map[string]string{"workers/message": strings.Repeat("a", 999), "workers/triggered_by": "upload"}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}
