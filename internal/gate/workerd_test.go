// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// realPlane is a plane on real workerd, with a Worker "api".
type realPlane struct {
	*planetest.Plane
	t *testing.T
}

func (p *realPlane) post(path string, body any) (id string) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.BaseURL+"/accounts/"+p.AccountID+"/workers"+path, bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+p.Token)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var envelope struct {
		Success bool
		Errors  any
		Result  struct{ ID string }
	}
	if err := json.NewDecoder(res.Body).Decode(&envelope); err != nil || !envelope.Success {
		p.t.Fatalf("POST %s: %d %v %v", path, res.StatusCode, envelope.Errors, err)
	}
	return envelope.Result.ID
}

// version uploads a version whose fetch handler, for (request, headers, ctx), is this
// code. headers say which version it is.
func (p *realPlane) version(fetch string) string {
	p.t.Helper()
	source := `export default { async fetch(request, env) {
		const headers = { "X-Version": env.V.id };
		` + fetch + `
	} }`
	return p.post("/workers/api/versions", map[string]any{
		"main_module": "index.js", "compatibility_date": workerdtest.CompatibilityDate,
		"bindings": []map[string]string{{"type": "version_metadata", "name": "V"}},
		"modules":  []map[string]string{{"name": "index.js", "content_type": "application/javascript+module", "content_base64": base64.StdEncoding.EncodeToString([]byte(source))}},
	})
}

// deploy leaves all requests to one version; the other is reached by override only.
func (p *realPlane) deploy(good, candidate string) {
	p.t.Helper()
	versions := []map[string]any{{"version_id": good, "percentage": 100}}
	if candidate != "" {
		versions = append(versions, map[string]any{"version_id": candidate, "percentage": 0})
	}
	p.post("/scripts/api/deployments", map[string]any{"strategy": "percentage", "versions": versions})
}

func (p *realPlane) url(host string) string {
	p.t.Helper()
	u, err := url.Parse(p.IngressURL)
	if err != nil {
		p.t.Fatal(err)
	}
	return "http://" + host + "." + planetest.Subdomain + ".localhost:" + u.Port()
}

// Every kind of bad version is judged on real workerd at 0 %, by its preview URL and
// by overrides on the live URL, while all clients are served by the good one.
func TestRealCandidatesAreJudgedBeforeAnybodySeesThem(t *testing.T) {
	t.Parallel()
	p := &realPlane{planetest.New(t, planetest.Options{Workerd: true}), t}
	p.post("/workers", map[string]any{"name": "api", "subdomain": map[string]bool{"enabled": true}})
	const answer = `return new Response("ok", { headers });`
	good := p.version(answer)
	p.deploy(good, "")

	for _, c := range []struct {
		name, fetch string
		preview     string // the reason, or its beginning
		live        string // the same for the live URL; the same as preview if empty
		patience    time.Duration
		pass        bool
	}{
		{name: "a good one", fetch: `headers["X-Other"] = "1"; ` + answer, preview: "good (", pass: true},
		{name: "server errors", fetch: `return new Response("sorry", { status: 500, headers });`, preview: "status 500, wanted 200 (2 failures in a row, 2 of 2 probes proved)"},
		{
			name: "exceptions", fetch: `throw new Error("a customer's name");`, preview: "status 500, wanted 200 (2 failures in a row, 2 of 2 probes proved)",
			// An exception has no header of the Worker: it proves nothing, so that the gate fails for want of proof.
			live: "too little proof that the new version answered within ",
		},
		{name: "a wrong body", fetch: `return new Response("nearly", { headers });`, preview: "status 200, but the wanted text is not in the body of 6 bytes (2 failures in a row, 2 of 2 probes proved)"},
		{name: "slow answers", fetch: `await scheduler.wait(700); ` + answer, preview: "an answer after "},
		{
			name: "hanging answers", fetch: `await scheduler.wait(60000); ` + answer, patience: 10 * time.Second,
			preview: "no answer within 2s (2 failures in a row, 2 of 2 probes proved)", live: "no answer within 2s (2 failures in a row, 0 of 2 probes proved)",
		},
		{
			name: "an infinite loop", fetch: `for (;;) {}`,
			// The plane notices, ends the process and answers 502, mostly before the gate gives the probe up.
		},
		{
			name: "a body that breaks off", preview: "status 200, but the body broke off after ",
			fetch: `let n = 0; return new Response(new ReadableStream({ async pull(c) {
				if (n++ === 0) return c.enqueue(new TextEncoder().encode("ok"));
				await scheduler.wait(50); throw new Error("gone");
			} }), { headers });`,
		},
		{name: "redirects", fetch: `headers.Location = "/login"; return new Response(null, { status: 302, headers });`, preview: "status 302, wanted 200 (2 failures in a row, 2 of 2 probes proved)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			version := p.version(c.fetch)
			p.deploy(good, version)
			config := HTTPConfig{
				Path: "/healthz", BodyContains: "ok", Every: 100 * time.Millisecond, MaxLatency: 600 * time.Millisecond, Timeout: 2 * time.Second,
				Patience: or(c.patience, 500*time.Millisecond), WorkerName: "api", VersionHeader: "X-Version",
			}
			judge := func(config HTTPConfig, reason string) {
				t.Helper()
				now := candidate(500 * time.Millisecond)
				now.VersionID, now.Since = version, time.Now()
				v := newHTTP(t, config, wallClock{}).Judge(t.Context(), now)
				if v.Pass != c.pass || !strings.HasPrefix(v.Reason, "GET /healthz: "+reason) {
					t.Errorf("the verdict is %+v, want %t %q\n%s", v, c.pass, reason, p.Log())
				}
				t.Logf("%+v", v)
			}
			preview, live := config, config
			preview.PreviewURL, live.LiveURL = p.url(version[:8]+"-api"), p.url("api")
			judge(preview, c.preview)
			judge(live, or(c.live, c.preview))
			if status, body := p.Get(t, "api", "/"); status != 200 || body != "ok" {
				t.Errorf("a client is answered %d %q", status, body)
			}
		})
	}
}
