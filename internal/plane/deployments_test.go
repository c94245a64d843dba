// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// httpGet reads a raw body; an answer that breaks off is an error.
func httpGet(t *testing.T, p *planetest.Plane, path string) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.BaseURL+"/accounts/"+p.AccountID+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func TestDeploymentHasCloudflaresShape(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	if a := call(t, p, "GET", "/workers/scripts/api/deployments", ""); string(a.env.Result) != `{"deployments":[]}` || a.header.Get("ETag") != "" {
		t.Errorf("nothing deployed: %v, ETag %q", a, a.header.Get("ETag"))
	}
	first, second := newVersion(t, p, "api", ""), newVersion(t, p, "api", "")
	newDeployment(t, p, "api", first, 100)
	a := call(t, p, "POST", "/workers/scripts/api/deployments", `{"strategy":"percentage","versions":[{"version_id":"`+second+`","percentage":10.5},{"version_id":"`+first+`","percentage":89.5}],
		"annotations":{"workers/message":"hb1:x go"},"code_update_strategy":{"mode":"deferred"}}`, "User-Agent", "wrangler/4.164.0")
	id := a.id(t)
	want := fromJSON(t, `{"source":"wrangler","strategy":"percentage","author_email":"administrator@tokens.localhost",
		"annotations":{"workers/message":"hb1:x go","workers/triggered_by":"promotion"},
		"versions":[{"version_id":"`+second+`","percentage":10.5},{"version_id":"`+first+`","percentage":89.5}]}`)
	var got map[string]any
	a.into(t, &got)
	want["id"], want["created_on"], want["author_id"] = id, got["created_on"], got["author_id"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deployment (-want +got):\n%s", diff)
	}
	if one := call(t, p, "GET", "/workers/scripts/api/deployments/"+id, ""); string(one.env.Result) != string(a.env.Result) {
		t.Errorf("read: %v", one)
	}
	list := call(t, p, "GET", "/workers/scripts/api/deployments", "")
	if !strings.HasPrefix(string(list.env.Result), `{"deployments":[`+string(a.env.Result)+",") || list.header.Get("ETag") != `"`+id+`"` {
		t.Errorf("listed: %v, ETag %q", list, list.header.Get("ETag"))
	}
	running, _ := p.Runtime.Running("api")
	if diff := cmp.Diff([]workerd.Share{{VersionID: second, Percentage: 10.5}, {VersionID: first, Percentage: 89.5}}, running.Worker.Shares); diff != "" {
		t.Errorf("the runtime's shares (-want +got):\n%s", diff)
	}
	if deployed := shape(t, call(t, p, "GET", "/workers/workers/api", ""))["deployed_on"]; deployed != got["created_on"] {
		t.Errorf("deployed_on is %v, want %v", deployed, got["created_on"])
	}
	var rollback struct{ Annotations map[string]string }
	call(t, p, "POST", "/workers/scripts/api/deployments", deployBody(first, 100)).into(t, &rollback)
	call(t, p, "POST", "/workers/scripts/api/deployments", deployBody(second, 100))
	call(t, p, "POST", "/workers/scripts/api/deployments", deployBody(first, 100)).into(t, &rollback)
	if rollback.Annotations["workers/triggered_by"] != "rollback" {
		t.Errorf("going back is a %q", rollback.Annotations["workers/triggered_by"])
	}
}

func TestDeploymentsThatCannotBe(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	newWorker(t, p, "other")
	one, two, three := newVersion(t, p, "api", ""), newVersion(t, p, "api", ""), newVersion(t, p, "api", "")
	foreign := newVersion(t, p, "other", "")
	const path = "/workers/scripts/api/deployments"
	for _, tc := range []struct {
		name         string
		status, code int
		text, body   string
	}{
		{"no versions", 400, 19005, "one or two versions, not 0", `{}`},
		{"three versions", 400, 19005, "one or two versions, not 3", deployBody(one, 40, two, 30, three, 30)},
		{"sum below 100", 400, 19005, "these add up to 99.99", deployBody(one, 99.99)},
		{"sum above 100", 400, 19005, "these add up to 110", deployBody(one, 60, two, 50)},
		{"negative", 400, 19005, "between 0 and 100", deployBody(one, -1, two, 101)},
		{"the same twice", 400, 19005, "is there twice", deployBody(one, 50, one, 50)},
		{"unknown version", 404, 100146, "has no version", deployBody("5f5e2b6a-0000-4000-8000-000000000000", 100)},
		{"another Worker's version", 404, 100146, `\"api\" has no version`, deployBody(foreign, 100)},
		{"unknown strategy", 400, 19005, "canary", `{"strategy":"canary"}`},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, p, tc.status, tc.code, tc.text, "POST", path, tc.body) })
	}
	refused(t, p, 404, 10007, "does not exist", "POST", "/workers/scripts/nobody/deployments", deployBody(one, 100))
	refused(t, p, 404, 10336, "not found", "GET", path+"/5f5e2b6a-0000-4000-8000-000000000000", "")
	if _, runs := p.Runtime.Running("api"); !runs || p.Runtime.Applies() != 2 {
		t.Errorf("a refused deployment reached the runtime (%d applies for two new Workers)", p.Runtime.Applies())
	}
	newDeployment(t, p, "api", one, 100, two, 0)
	newDeployment(t, p, "api", one, 33.3334, two, 66.6667)
}

func TestOldVersionsCannotBeDeployed(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	w := newWorker(t, p, "api")
	old := newVersion(t, p, "api", "")
	newDeployment(t, p, "api", old, 100)
	for range registry.DeployableVersions {
		if _, err := p.Registry.CreateVersion(t.Context(), registry.Version{WorkerID: w}); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, p, 400, 19005, "100 most recent versions", "POST", "/workers/scripts/api/deployments", deployBody(old, 100))
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	v := newVersion(t, p, "api", "")
	const path = "/workers/scripts/api/deployments"
	body := deployBody(v, 100)
	refused(t, p, 412, 10018, "has no deployment", "POST", path, body, "If-Match", `"5f5e2b6a-0000-4000-8000-000000000000"`)
	refused(t, p, 412, 10018, "has no deployment", "POST", path, body, "If-Match", `*`)
	first := call(t, p, "POST", path, body, "If-None-Match", "*")
	if got := first.header.Get("ETag"); got != `"`+first.id(t)+`"` {
		t.Errorf("ETag of the new deployment: %q", got)
	}
	a := refused(t, p, 412, 10018, "another live deployment", "POST", path, body, "If-None-Match", "*")
	for _, want := range []string{first.id(t), "administrator@tokens.localhost"} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("the refusal does not say who deployed what: %v", a)
		}
	}
	second := call(t, p, "POST", path, body, "If-Match", `"`+first.id(t)+`"`).id(t)
	refused(t, p, 412, 10018, "another live deployment", "POST", path, body, "If-Match", `"`+first.id(t)+`"`)
	third := call(t, p, "POST", path, body, "If-Match", `"x", W/"`+second+`"`).id(t)
	call(t, p, "POST", path, body, "If-Match", `*`, "If-None-Match", `"`+second+`"`)
	refused(t, p, 400, 19004, "is live", "DELETE", path+"/"+liveID(t, p), "")
	call(t, p, "DELETE", path+"/"+third, "")
	refused(t, p, 404, 10336, "not found", "DELETE", path+"/"+third, "")
}

func liveID(t *testing.T, p *planetest.Plane) string {
	t.Helper()
	return strings.Trim(call(t, p, "GET", "/workers/scripts/api/deployments", "").header.Get("ETag"), `"`)
}

func TestOneOfManyDeploymentsWithTheSameIfMatchWins(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	a, b := newVersion(t, p, "api", ""), newVersion(t, p, "api", "")
	for round := range 10 {
		live := newDeployment(t, p, "api", a, 100)
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				switch got := try(t, p, "POST", "/workers/scripts/api/deployments", deployBody(b, 100-i, a, i), "If-Match", `"`+live+`"`); got.status {
				case 200:
					won.Add(1)
				case 412:
					lost.Add(1)
				default:
					t.Errorf("round %d: %v", round, got)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 3 {
			t.Errorf("round %d: %d won and %d lost", round, won.Load(), lost.Load())
		}
		checkRuntimeIsLive(t, p, "api")
	}
}

// checkRuntimeIsLive checks that what runs is what the registry says is live.
func checkRuntimeIsLive(t *testing.T, p *planetest.Plane, name string) {
	t.Helper()
	w, err := p.Registry.Worker(t.Context(), p.AccountID, name)
	if err != nil {
		t.Fatal(err)
	}
	live, _, err := p.Registry.LiveDeployment(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	var want []workerd.Share
	for _, s := range live.Shares {
		want = append(want, workerd.Share(s))
	}
	running, _ := p.Runtime.Running(name)
	if diff := cmp.Diff(want, running.Worker.Shares); diff != "" {
		t.Errorf("%s runs something else than what is live (-live +running):\n%s", name, diff)
	}
}

func TestRollingBackOverChangedSecretsNeedsForce(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	secrets := func(list ...string) string {
		out := `,"bindings":[{"name":"V","type":"plain_text","text":"x"}`
		for i := 0; i < len(list); i += 2 {
			out += fmt.Sprintf(`,{"name":%q,"type":"secret_text","text":%q}`, list[i], list[i+1])
		}
		return out + "]"
	}
	first := newVersion(t, p, "api", secrets("KEPT", "k", "CHANGED", "old", "GONE", "g"))
	same := newVersion(t, p, "api", secrets("KEPT", "k", "CHANGED", "old", "GONE", "g"))
	last := newVersion(t, p, "api", secrets("KEPT", "k", "CHANGED", "new", "ADDED", "a"))
	const path = "/workers/scripts/api/deployments"
	newDeployment(t, p, "api", first, 100)
	newDeployment(t, p, "api", same, 100)
	newDeployment(t, p, "api", first, 100) // same secrets
	newDeployment(t, p, "api", last, 10, first, 90)
	newDeployment(t, p, "api", last, 100) // forward
	a := refused(t, p, 400, 10220, "The following secrets have changed: ADDED, CHANGED, GONE", "POST", path, deployBody(first, 100))
	if strings.Contains(string(a.body), `old`) || !strings.HasSuffix(a.env.Errors[0].Message, "ADDED, CHANGED, GONE") {
		t.Errorf("wrangler reads the names to the end of the message: %v", a)
	}
	checkRuntimeIsLive(t, p, "api")
	call(t, p, "POST", path+"?force=true", deployBody(first, 100))
	checkRuntimeIsLive(t, p, "api")
}

func TestAFailedDeploymentLeavesTheLiveOne(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	one, two := newVersion(t, p, "api", ""), newVersion(t, p, "api", "")
	live := newDeployment(t, p, "api", one, 100)

	p.Runtime.OnApply = func(workerd.Worker, []workerd.Version) error { return errors.New("no memory") }
	if a := try(t, p, "POST", "/workers/scripts/api/deployments", deployBody(two, 100)); a.status != 500 || a.code() != 10002 {
		t.Errorf("the runtime fails: %v", a)
	}
	if got := liveID(t, p); got != live {
		t.Errorf("live is %s, want %s", got, live)
	}

	// The runtime has switched, and the registry then cannot commit: the deployment
	// is gone under its feet. The runtime goes back.
	w, err := p.Registry.Worker(t.Context(), p.AccountID, "api")
	if err != nil {
		t.Fatal(err)
	}
	p.Runtime.OnApply = func(workerd.Worker, []workerd.Version) error {
		p.Runtime.OnApply = nil
		_, err := p.Registry.CreateDeployment(context.Background(), registry.Deployment{WorkerID: w.ID, Strategy: "percentage", Shares: []registry.Share{{VersionID: one, Percentage: 100}}}, live)
		return err
	}
	refused(t, p, 409, 10035, "at the same time", "POST", "/workers/scripts/api/deployments", deployBody(two, 100))
	checkRuntimeIsLive(t, p, "api")
}

// A client that goes away in the middle leaves a whole change or none.
func TestADeploymentOutlivesItsClient(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	v := newVersion(t, p, "api", "")
	ctx, leave := context.WithCancel(t.Context())
	left, done := make(chan struct{}), make(chan struct{})
	p.Runtime.OnApply = func(workerd.Worker, []workerd.Version) error {
		leave()
		<-left
		close(done)
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.BaseURL+"/accounts/"+p.AccountID+"/workers/scripts/api/deployments", strings.NewReader(deployBody(v, 100)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("the client got an answer")
	}
	close(left)
	<-done
	// The next change of the Worker waits for the one that is under way.
	call(t, p, "PATCH", "/workers/workers/api", `{"tags":["after"]}`)
	checkRuntimeIsLive(t, p, "api")
	if liveID(t, p) == "" {
		t.Error("nothing is live")
	}
}

func TestRestoreBringsBackEverythingThatCanBe(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	for _, name := range []string{"good", "broken", "damaged"} {
		newWorker(t, p, name)
		v := call(t, p, "POST", "/workers/workers/"+name+"/versions", uploadBody(helloModule+" // "+name, "")).id(t)
		newDeployment(t, p, name, v, 100)
	}
	damaged, _ := p.Runtime.Running("damaged")
	p.Close()
	writeFile(t, damaged.Versions[0].Modules[0].Path, "something else")

	p = planetest.New(t, planetest.Options{Dir: p.Dir, Token: p.Token, OnApply: func(w workerd.Worker, _ []workerd.Version) error {
		if w.Name == "broken" {
			return errors.New("it does not start")
		}
		return nil
	}})
	checkRuntimeIsLive(t, p, "good")
	for _, name := range []string{"broken", "damaged"} {
		if _, runs := p.Runtime.Running(name); runs {
			t.Errorf("%s runs", name)
		}
	}
	for _, want := range []string{"worker=broken", "it does not start", "worker=damaged", "is damaged"} {
		if !strings.Contains(p.Log(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
	if a := try(t, p, "GET", "/hybridge/v1/health", ""); a.status != 503 || strings.TrimSpace(string(a.body)) != `{"status":"degraded"}` {
		t.Errorf("health: %v", a)
	}
	// Deploying again mends them.
	p.Runtime.OnApply = nil
	for _, name := range []string{"broken", "damaged"} {
		call(t, p, "POST", "/workers/workers/"+name+"/versions?deploy=true", uploadBody(helloModule, ""))
		checkRuntimeIsLive(t, p, name)
	}
	if a := try(t, p, "GET", "/hybridge/v1/health", ""); a.status != 200 {
		t.Errorf("health after mending: %v", a)
	}
}
