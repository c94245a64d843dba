// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

const caller = `export default { async fetch(request, env) {
	const path = new URL(request.url).pathname;
	try {
		switch (path) {
		case "/fetch": return await env.TARGET.fetch("https://any.example/x?y=1", { method: "POST", body: "body", headers: { "X-Mine": "1" } });
		case "/rpc": return new Response(String(await env.TARGET.add(2, 3)));
		case "/stub": { using counter = await env.TARGET.counter(); await counter.up(); return new Response(String(await counter.up())); }
		case "/callback": return new Response(await env.TARGET.call(async (n) => "called with " + n));
		case "/named": return new Response(await env.ADMIN.whoami());
		case "/named-fetch": return await env.ADMIN.fetch("http://any.example/");
		case "/loop": return new Response(await env.TARGET.loop());
		case "/override": return await env.TARGET.fetch("http://x/", { headers: request.headers });
		}
	} catch (e) { return new Response("failed: " + e.message); }
	return new Response("?");
} };`

func target(text string) string {
	return `import { WorkerEntrypoint, RpcTarget } from "cloudflare:workers";
class Counter extends RpcTarget { n = 0; up() { return ++this.n; } }
export class Admin extends WorkerEntrypoint { whoami() { return "admin of ` + text + `"; } fetch() { return new Response("admin page of ` + text + `"); } }
export default class extends WorkerEntrypoint {
	async fetch(r) { return new Response(["` + text + `", r.method, r.url, r.headers.get("x-mine"), await r.text()].join(" ")); }
	add(a, b) { return "` + text + ` " + (a + b); }
	loop() { for (;;) {} }
	counter() { return new Counter(); }
	async call(f) { return await f(7); }
}`
}

func callerVersion(t *testing.T) workerd.Version {
	return workerdtest.Script(t, "caller", caller,
		workerdtest.Binding("TARGET", "service", "service", "target"),
		workerdtest.Binding("ADMIN", "service", "service", "target", "entrypoint", "Admin", "environment", "production"))
}

func TestAServiceBindingReachesAnotherWorker(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(callerVersion(t))
	s.deploy(workerdtest.Script(t, "target", target("one")))
	s.want("caller", "/fetch", "one POST https://any.example/x?y=1 1 body")
	s.want("caller", "/rpc", "one 5")
	s.want("caller", "/stub", "2")
	s.want("caller", "/callback", "called with 7")
	s.want("caller", "/named", "admin of one")
	s.want("caller", "/named-fetch", "admin page of one")
}

func TestAServiceBindingFollowsTheTargetsDeployment(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(callerVersion(t))
	one := workerdtest.Script(t, "target", target("one"))
	s.deploy(one)
	s.want("caller", "/rpc", "one 5")
	s.want("caller", "/named", "admin of one")
	s.deploy(workerdtest.Script(t, "target", target("two")))
	s.want("caller", "/fetch", "two POST https://any.example/x?y=1 1 body")
	eventually(t, "RPC reaches the new version", func() bool {
		return s.get("caller", "/rpc") == "two 5" && s.get("caller", "/named") == "admin of two"
	})
	eventually(t, "the old version's process has stopped", func() bool { return s.state(one).VersionID == "" })
}

func TestAServiceBindingHonoursVersionOverrides(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(callerVersion(t))
	one := workerdtest.Script(t, "target", target("one"))
	two := workerdtest.Script(t, "target", target("two"))
	w := workerdtest.Worker(one)
	w.Shares = []workerd.Share{{VersionID: two.ID, Percentage: 0}, {VersionID: one.ID, Percentage: 100}}
	if err := s.fleet.Apply(t.Context(), w, []workerd.Version{one, two}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{one.ID: "one", two.ID: "two"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/override", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = workerdtest.Host("caller")
		req.Header.Set("Cloudflare-Workers-Version-Overrides", `target="`+id+`"`)
		if got := s.do(req); !strings.HasPrefix(got, want+" ") {
			t.Errorf("override to %s answered %q", want, got)
		}
	}
}

func TestAServiceBindingToAMissingWorkerFailsAtTheCall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(callerVersion(t))
	if got := s.failing("caller", "/fetch"); !strings.Contains(got, `no Worker "target" is deployed on this plane`) {
		t.Errorf("fetch answered %q", got)
	}
	if got := s.get("caller", "/rpc"); !strings.HasPrefix(got, "failed: ") {
		t.Errorf("RPC answered %q", got)
	}
	if got := s.get("caller", "/named"); !strings.HasPrefix(got, "failed: ") {
		t.Errorf("RPC to an entry point answered %q", got)
	}
	s.deploy(workerdtest.Script(t, "target", target("one")))
	s.want("caller", "/rpc", "one 5")
	s.want("caller", "/named", "admin of one")
}

func TestAServiceBindingToAMissingEntryPointSaysSo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(callerVersion(t))
	s.deploy(workerdtest.Script(t, "target", workerdtest.Answer("plain")))
	if got := s.failing("caller", "/named-fetch"); !strings.Contains(got, `has no entry point "Admin"`) {
		t.Errorf("answered %q", got)
	}
}

func TestAnRPCCallToAProcessThatDiesFailsAndTheNextOneWorks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(callerVersion(t))
	v := workerdtest.Script(t, "target", target("one"))
	s.deploy(v)
	s.want("caller", "/rpc", "one 5")
	if got := s.get("caller", "/loop"); !strings.HasPrefix(got, "failed: ") {
		t.Errorf("the call answered %q", got)
	}
	s.want("caller", "/rpc", "one 5")
	if st := s.state(v); st.Restarts != 1 {
		t.Errorf("state %+v, want one restart", st)
	}
}

func TestAStubHoldsItsVersionUntilItIsReleased(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(gate.Close)
	var open sync.Once
	t.Cleanup(func() { open.Do(func() { close(release) }) })
	s := newStage(t, func(c *fleet.Config) { c.EgressAllow = []string{"127.0.0.1"} })
	s.deploy(workerdtest.Script(t, "caller", `export default { async fetch(r, env) {
		if (new URL(r.url).pathname === "/rpc") return new Response(await env.TARGET.add(1, 1));
		using counter = await env.TARGET.counter();
		await counter.up();
		await fetch("`+gate.URL+`/");
		return new Response(String(await counter.up()));
	} };`, workerdtest.Binding("TARGET", "service", "service", "target")))
	s.deploy(workerdtest.Script(t, "target", target("one")))
	held := make(chan string, 1)
	go func() {
		_, body, err := s.try(workerdtest.Host("caller"), "/stub")
		held <- fmt.Sprint(body, err)
	}()
	eventually(t, "the stub is held", func() bool { return s.get("caller", "/rpc") == "one 2" })
	s.deploy(workerdtest.Script(t, "target", target("two")))
	open.Do(func() { close(release) })
	if got := <-held; got != "2<nil>" {
		t.Errorf("the stub of the old version answered %q", got)
	}
	eventually(t, "new sessions go to the new version", func() bool { return s.get("caller", "/rpc") == "two 2" })
}
