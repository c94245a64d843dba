// SPDX-License-Identifier: MPL-2.0

package planetest_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

func post(t *testing.T, p *planetest.Plane, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.BaseURL+"/accounts/"+p.AccountID+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s\n%s", path, resp.Status, p.Log())
	}
}

func upload(t *testing.T, p *planetest.Plane, name, code string) {
	t.Helper()
	post(t, p, "/workers/workers/"+name+"/versions?deploy=true", fmt.Sprintf(
		`{"main_module":"index.js","compatibility_date":"2025-09-01","modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":%q}]}`,
		base64.StdEncoding.EncodeToString([]byte(code))))
}

// One upload goes all the way: API, registry, workerd, ingress; and once more
// after a restart on the same directory.
func TestUploadedWorkerAnswersAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Workerd: true})
	post(t, p, "/workers/workers", `{"name":"api","subdomain":{"enabled":true}}`)
	upload(t, p, "api", `export default { fetch() { return new Response("hello") } }`)
	if status, body := p.Get(t, "api", "/"); status != 200 || body != "hello" {
		t.Fatalf("the Worker answers %d %q\n%s", status, body, p.Log())
	}
	upload(t, p, "api", `export default { fetch() { return new Response("hello again") } }`)
	if status, body := p.Get(t, "api", "/"); status != 200 || body != "hello again" {
		t.Fatalf("the second version answers %d %q\n%s", status, body, p.Log())
	}
	p.Close()
	p = planetest.New(t, planetest.Options{Workerd: true, Dir: p.Dir, Token: p.Token})
	if status, body := p.Get(t, "api", "/"); status != 200 || body != "hello again" {
		t.Fatalf("after a restart the Worker answers %d %q\n%s", status, body, p.Log())
	}
}
