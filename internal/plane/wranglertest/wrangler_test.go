// SPDX-License-Identifier: MPL-2.0

package wranglertest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const config = `{
  "name": "api",
  "main": "src/index.js",
  "compatibility_date": "2025-09-01",
  "vars": { "GREETING": "hello", "LIMITS": { "burst": 3 } },
  "services": [{ "binding": "OTHER", "service": "other" }],
  "version_metadata": { "binding": "VERSION" },
  "rules": [{ "type": "Text", "globs": ["**/*.txt"], "fallthrough": true }]
}`

const source = `
import { say } from "./say.js";
import motd from "./motd.txt";
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/other") return env.OTHER.fetch(request);
    if (path === "/secret") return new Response(env.TOKEN ?? "none");
    if (path === "/more") return new Response((env.A ?? "none") + (env.B ?? "none"));
    if (path === "/version") return new Response(env.VERSION.id);
    return new Response(say(env.GREETING) + " " + env.LIMITS.burst + " " + motd.trim());
  },
};`

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func after(t *testing.T, output, label string) string {
	t.Helper()
	_, rest, found := strings.Cut(output, label)
	id := uuidPattern.FindString(rest)
	if !found || id == "" {
		t.Fatalf("wrangler printed no %q:\n%s", label, output)
	}
	return id
}

func project(t *testing.T, w Wrangler, s *selfHosted) *Project {
	t.Helper()
	return NewProject(t, w, s.Account, map[string]string{
		"wrangler.json": config, "src/index.js": source, "src/motd.txt": "of the day\n",
		"src/say.js": `export const say = (s) => s + ", world";`,
	})
}

// other is the Worker that the service binding of api leads to.
func other(t *testing.T, w Wrangler, s *selfHosted) *Project {
	t.Helper()
	return NewProject(t, w, s.Account, map[string]string{
		"wrangler.json": `{"name":"other","main":"index.js","compatibility_date":"2025-09-01"}`,
		"index.js":      `export default { fetch: () => new Response("the other one") };`,
	})
}

func TestWranglerWorksUnchanged(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(testing.TB) Wrangler{"stable": Stable, "next": Next} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := install(t)
			s := startPlane(t)
			t.Run("the main story", func(t *testing.T) { mainStory(t, w, s) })
			t.Run("secrets", func(t *testing.T) { secretsStory(t, w, s) })
			t.Run("deleting", func(t *testing.T) { deleteStory(t, w, s) })
			t.Run("environments and service workers", func(t *testing.T) { otherShapesStory(t, w, s) })
			t.Run("refusals", func(t *testing.T) { refusalStory(t, w, s) })
		})
	}
}

// mainStory goes from an empty plane over a redeploy, a split and back.
func mainStory(t *testing.T, w Wrangler, s *selfHosted) {
	who := project(t, w, s).Run(t, "whoami")
	if !strings.Contains(who, s.ID) || !strings.Contains(who, "Acme") {
		t.Errorf("whoami does not show the account:\n%s", who)
	}
	other(t, w, s).Run(t, "deploy")
	s.mustAnswer(t, "other", "/", "the other one")

	p := project(t, w, s)
	first := after(t, p.Run(t, "deploy"), "Current Version ID:")
	s.mustAnswer(t, "api", "/", "hello, world 3 of the day")
	s.mustAnswer(t, "api", "/other", "the other one")
	s.mustAnswer(t, "api", "/version", first)

	p.Write(t, "src/motd.txt", "of the second day\n")
	second := after(t, p.Run(t, "deploy", "--message", "second day"), "Current Version ID:")
	s.mustAnswer(t, "api", "/", "hello, world 3 of the second day")
	if first == second {
		t.Fatalf("the redeploy has the version %s again", first)
	}

	p.Write(t, "src/motd.txt", "of the third day\n")
	third := after(t, p.Run(t, "versions", "upload", "--tag", "v3", "--message", "third day"), "Worker Version ID:")
	s.mustAnswer(t, "api", "/version", second)
	s.mustAnswer(t, third[:8]+"-api", "/version", third)

	list := p.Run(t, "versions", "list")
	for _, want := range []string{first, second, third, "third day", "v3"} {
		if !strings.Contains(list, want) {
			t.Errorf("versions list lacks %q:\n%s", want, list)
		}
	}
	view := p.Run(t, "versions", "view", third)
	for _, want := range []string{third, "third day", "v3", "2025-09-01", "GREETING", "OTHER", "fetch"} {
		if !strings.Contains(view, want) {
			t.Errorf("versions view lacks %q:\n%s", want, view)
		}
	}

	p.Run(t, "versions", "deploy", third+"@30%", second+"@70%", "-y", "--message", "canary")
	status := p.Run(t, "deployments", "status")
	for _, want := range []string{"(30%) " + third, "(70%) " + second, "canary"} {
		if !strings.Contains(status, want) {
			t.Errorf("deployments status lacks %q:\n%s", want, status)
		}
	}
	if _, got := s.ask(t, "api", "/version", "Cloudflare-Workers-Version-Overrides", `api="`+third+`"`); got != third {
		t.Errorf("the override reaches version %s, want %s", got, third)
	}

	p.Run(t, "versions", "deploy", third+"@100%", "-y")
	s.mustAnswer(t, "api", "/version", third)

	p.Run(t, "rollback", first, "-y", "--message", "back to the first")
	s.mustAnswer(t, "api", "/", "hello, world 3 of the day")
	p.Run(t, "rollback", "-y", "--message", "undo")
	s.mustAnswer(t, "api", "/version", third)

	deployments := p.Run(t, "deployments", "list")
	for _, want := range []string{first, second, third, "back to the first", "canary"} {
		if !strings.Contains(deployments, want) {
			t.Errorf("deployments list lacks %q:\n%s", want, deployments)
		}
	}
	s.mustHaveFoundEverything(t)
}

// secretsStory sets, lists and deletes secrets, and rolls back over a change of one.
func secretsStory(t *testing.T, w Wrangler, s *selfHosted) {
	p := project(t, w, s)
	plain := after(t, p.Run(t, "deploy"), "Current Version ID:")
	s.mustAnswer(t, "api", "/secret", "none")

	p.RunWithInput(t, "CANARY-one", "secret", "put", "TOKEN")
	s.mustAnswer(t, "api", "/secret", "CANARY-one")
	p.Run(t, "deploy")
	s.mustAnswer(t, "api", "/secret", "CANARY-one")

	p.Write(t, "secrets.json", `{"A":"CANARY-a","B":"CANARY-b"}`)
	p.Run(t, "secret", "bulk", "secrets.json")
	s.mustAnswer(t, "api", "/more", "CANARY-aCANARY-b")
	s.mustAnswer(t, "api", "/secret", "CANARY-one")
	s.mustAnswer(t, "api", "/", "hello, world 3 of the day")

	list := p.Run(t, "secret", "list")
	for _, want := range []string{`"TOKEN"`, `"A"`, `"B"`, "secret_text"} {
		if !strings.Contains(list, want) {
			t.Errorf("secret list lacks %s:\n%s", want, list)
		}
	}
	p.RunWithInput(t, "CANARY-again", "secret", "put", "TOKEN")
	p.Run(t, "secret", "delete", "A")
	s.mustAnswer(t, "api", "/more", "noneCANARY-b")

	// Both lists say which secrets these were.
	for _, command := range []string{"versions", "deployments"} {
		list := p.Run(t, command, "list")
		for _, want := range []string{"Secrets added: TOKEN", "Secrets added: A, B", "Secrets changed: TOKEN", "Secrets removed: A", "Secret Change"} {
			if !strings.Contains(list, want) {
				t.Errorf("%s list lacks %q:\n%s", command, want, list)
			}
		}
	}

	// wrangler hears 10220 and asks again with force.
	s.took()
	out := p.Run(t, "rollback", plain, "-y", "--message", "before the secrets")
	if !strings.Contains(out, "The following secrets have changed") || !strings.Contains(out, "TOKEN") || !strings.Contains(out, "B") {
		t.Errorf("rollback does not say which secrets have changed:\n%s", out)
	}
	if !slices.ContainsFunc(s.took(), func(c string) bool { return strings.HasSuffix(c, "/deployments?force=true 200") }) {
		t.Error("rollback did not repeat its request with force")
	}
	s.mustAnswer(t, "api", "/secret", "none")

	// The latest version has secrets and is not live: a change would deploy it.
	out, code := p.TryWithInput(t, "CANARY-two", "secret", "put", "TOKEN")
	if code == 0 || !strings.Contains(out, "wrangler versions secret put") {
		t.Errorf("secret put exits with %d where the latest version is held back:\n%s", code, out)
	}
	s.mustAnswer(t, "api", "/secret", "none")
	p.RunWithInput(t, "CANARY-three", "versions", "secret", "put", "TOKEN")
	s.mustAnswer(t, "api", "/secret", "none")
	latest := uuidPattern.FindString(lastOf(p.Run(t, "versions", "list"), "Version ID:"))
	p.Run(t, "versions", "deploy", latest+"@100%", "-y")
	s.mustAnswer(t, "api", "/secret", "CANARY-three")
	s.mustAnswer(t, "api", "/", "hello, world 3 of the day")
	p.Run(t, "versions", "secret", "list")
	p.Run(t, "versions", "secret", "delete", "TOKEN")
	s.mustAnswer(t, "api", "/secret", "CANARY-three")

	// A secret for a Worker that is not there makes a stub.
	stub := NewProject(t, w, s.Account, map[string]string{"wrangler.json": `{"name":"stub","compatibility_date":"2025-09-01"}`})
	stub.RunWithInput(t, "CANARY-stub", "secret", "put", "KEY")
	if list := stub.Run(t, "secret", "list"); !strings.Contains(list, `"KEY"`) {
		t.Errorf("the stub's secret is not listed:\n%s", list)
	}
	stub.Run(t, "delete", "--force")
	s.mustHaveFoundEverything(t)
}

// lastOf is what follows the last occurrence of label.
func lastOf(s, label string) string {
	i := strings.LastIndex(s, label)
	if i < 0 {
		return ""
	}
	return s[i+len(label):]
}

// deleteStory deletes a Worker that another one uses.
func deleteStory(t *testing.T, w Wrangler, s *selfHosted) {
	p := other(t, w, s)
	// Without a terminal wrangler takes yes for the answer, and then forces it.
	out := p.Run(t, "delete")
	if !strings.Contains(out, "Worker api (production) uses this Worker as a Service Binding") {
		t.Errorf("delete does not say who uses the Worker:\n%s", out)
	}
	if status, _ := s.ask(t, "other", "/"); status != 404 {
		t.Errorf("the deleted Worker answers with %d", status)
	}
	project(t, w, s).Run(t, "delete", "--force")
	if status, _ := s.ask(t, "api", "/"); status != 404 {
		t.Errorf("the deleted Worker answers with %d", status)
	}
	if out, code := p.Try(t, "deployments", "list"); code == 0 {
		t.Errorf("deployments of a deleted Worker are listed:\n%s", out)
	}
	s.mustHaveFoundEverything(t)
}

// otherShapesStory deploys to one of wrangler's environments, and the old syntax.
func otherShapesStory(t *testing.T, w Wrangler, s *selfHosted) {
	p := NewProject(t, w, s.Account, map[string]string{
		"wrangler.json": `{"name":"shapes","main":"index.js","compatibility_date":"2025-09-01","env":{"staging":{"vars":{"WHERE":"staging"}}}}`,
		"index.js":      `export default { fetch: (request, env) => new Response(env.WHERE) };`,
		"old.js":        `addEventListener("fetch", (e) => e.respondWith(new Response("old " + WHERE)));`,
	})
	p.Run(t, "deploy", "--env", "staging")
	s.mustAnswer(t, "shapes-staging", "/", "staging")
	p.Run(t, "deploy", "--env", "staging")
	p.Run(t, "triggers", "deploy", "--env", "staging")
	p.Run(t, "deploy", "old.js", "--name", "old", "--env", "", "--var", "WHERE:syntax")
	s.mustAnswer(t, "old", "/", "old syntax")
	s.mustHaveFoundEverything(t)
}

// refusalStory: what cannot work says why, and leaves nothing behind.
func refusalStory(t *testing.T, w Wrangler, s *selfHosted) {
	deploy := func(t *testing.T, config, code string) string {
		t.Helper()
		out, exit := NewProject(t, w, s.Account, map[string]string{"wrangler.json": config, "index.js": code}).Try(t, "deploy")
		if exit == 0 {
			t.Errorf("the deploy passed:\n%s", out)
		}
		return out
	}
	const fine = `export default { fetch: () => new Response("hi") };`
	for name, tc := range map[string]struct{ config, code, want string }{
		"start-up exception": {`{"name":"bad","main":"index.js","compatibility_date":"2025-09-01"}`,
			`throw new Error("no way"); ` + fine, "no way"},
		"KV binding": {`{"name":"bad","main":"index.js","compatibility_date":"2025-09-01","kv_namespaces":[{"binding":"KV","id":"0123456789abcdef0123456789abcdef"}]}`,
			fine, "kv_namespace"},
		"Durable Object": {`{"name":"bad","main":"index.js","compatibility_date":"2025-09-01","durable_objects":{"bindings":[{"name":"DO","class_name":"C"}]},"migrations":[{"tag":"v1","new_sqlite_classes":["C"]}]}`,
			`export class C {} ` + fine, "Durable Objects do not run on this plane"},
		"service that is not there": {`{"name":"bad","main":"index.js","compatibility_date":"2025-09-01","services":[{"binding":"S","service":"nobody"}]}`,
			fine, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			out := deploy(t, tc.config, tc.code)
			if !strings.Contains(out, tc.want) {
				t.Errorf("the output lacks %q:\n%s", tc.want, out)
			}
			if _, err := s.plane.Registry.Worker(t.Context(), s.ID, "bad"); err == nil {
				t.Error("the refused deploy left a Worker behind")
			}
		})
	}
	t.Run("cron trigger", func(t *testing.T) {
		out := deploy(t, `{"name":"cron","main":"index.js","compatibility_date":"2025-09-01","triggers":{"crons":["* * * * *"]}}`, fine)
		if !strings.Contains(out, "not supported on this plane") {
			t.Errorf("the output does not say that crons do not run:\n%s", out)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		a := s.Account
		a.Token = strings.Repeat("x", 40)
		out, code := NewProject(t, w, a, map[string]string{"wrangler.json": `{"name":"bad","main":"index.js","compatibility_date":"2025-09-01"}`, "index.js": fine}).Try(t, "deploy")
		if code == 0 || !strings.Contains(out, "Authentication error") {
			t.Errorf("a wrong token gives %d:\n%s", code, out)
		}
	})
}
