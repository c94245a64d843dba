// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// answer is what a plane answered.
type answer struct {
	status int
	header http.Header
	body   []byte
	env    struct {
		Success bool
		Errors  []struct {
			Code    int
			Message string
		}
		Messages   []any
		Result     json.RawMessage
		ResultInfo struct {
			Page, Count int
			PerPage     int `json:"per_page"`
			TotalCount  int `json:"total_count"`
			TotalPages  int `json:"total_pages"`
		} `json:"result_info"`
	}
}

// code is the first error's code, 0 without one.
func (a answer) code() int {
	if len(a.env.Errors) == 0 {
		return 0
	}
	return a.env.Errors[0].Code
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// into decodes the result.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.env.Result, v); err != nil {
		t.Fatalf("decoding the result of %v: %v", a, err)
	}
}

// id is the result's id.
func (a answer) id(t *testing.T) string {
	t.Helper()
	var v struct{ ID string }
	a.into(t, &v)
	if v.ID == "" {
		t.Fatalf("no id in %v", a)
	}
	return v.ID
}

// try sends one request; path is below the account unless it begins with a prefix
// of the API. Headers come in pairs.
func try(t *testing.T, p *planetest.Plane, method, path, body string, headers ...string) answer {
	t.Helper()
	url := p.URL + path
	if !strings.HasPrefix(path, "/client/") && !strings.HasPrefix(path, "/hybridge/") {
		url = p.BaseURL + "/accounts/" + p.AccountID + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(a.body, []byte(`{"success"`)) {
		if err := json.Unmarshal(a.body, &a.env); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
	}
	return a
}

// call sends one request that must succeed.
func call(t *testing.T, p *planetest.Plane, method, path, body string, headers ...string) answer {
	t.Helper()
	a := try(t, p, method, path, body, headers...)
	if a.status != http.StatusOK || !a.env.Success {
		t.Fatalf("%s %s: %v\n%s", method, path, a, p.Log())
	}
	return a
}

// refused sends one request that must be refused for good, in exactly that way.
func refused(t *testing.T, p *planetest.Plane, status, code int, text, method, path, body string, headers ...string) answer {
	t.Helper()
	a := try(t, p, method, path, body, headers...)
	if a.status != status || a.code() != code || a.env.Success || !strings.Contains(string(a.body), text) {
		t.Errorf("%s %s: %v, want status %d and code %d with %q", method, path, a, status, code, text)
	}
	if got := a.header.Get("X-Should-Retry"); got != "false" {
		t.Errorf("%s %s: x-should-retry is %q: an SDK would repeat the request for a minute", method, path, got)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: Content-Type is %q", method, path, got)
	}
	return a
}

const helloModule = `export default { fetch() { return new Response("hello") } }`

// uploadBody is a version of one module with further members, e.g. `,"bindings":[]`.
func uploadBody(code, more string) string {
	return `{"main_module":"index.js","compatibility_date":"2025-09-01","modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":"` +
		base64.StdEncoding.EncodeToString([]byte(code)) + `"}]` + more + `}`
}

// newWorker creates a Worker and returns its id.
func newWorker(t *testing.T, p *planetest.Plane, name string) string {
	t.Helper()
	return call(t, p, "POST", "/workers/workers", `{"name":"`+name+`","subdomain":{"enabled":true}}`).id(t)
}

// newVersion uploads a version with further members and returns its id.
func newVersion(t *testing.T, p *planetest.Plane, worker, more string) string {
	t.Helper()
	return call(t, p, "POST", "/workers/workers/"+worker+"/versions", uploadBody(helloModule, more)).id(t)
}

func deployBody(shares ...any) string {
	var versions []string
	for i := 0; i < len(shares); i += 2 {
		versions = append(versions, fmt.Sprintf(`{"version_id":"%v","percentage":%v}`, shares[i], shares[i+1]))
	}
	return `{"strategy":"percentage","versions":[` + strings.Join(versions, ",") + `]}`
}

// newDeployment deploys and returns the deployment's id.
func newDeployment(t *testing.T, p *planetest.Plane, worker string, shares ...any) string {
	t.Helper()
	return call(t, p, "POST", "/workers/scripts/"+worker+"/deployments", deployBody(shares...)).id(t)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
