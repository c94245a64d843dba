// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"net/http"
	"strings"
	"testing"

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
