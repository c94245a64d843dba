// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// notes are the message of the newest version of api and why there is this
// version; those of the live deployment are the same, or the test fails.
func (c *scriptsClient) notes() (message, why string) {
	c.t.Helper()
	newest, _ := c.items("api")[0]["annotations"].(map[string]any)
	message, _ = newest["workers/message"].(string)
	why, _ = newest["workers/triggered_by"].(string)
	var live struct {
		Deployments []struct{ Annotations map[string]string }
	}
	c.get("scripts/api/deployments").into(c.t, &live)
	if a := live.Deployments[0].Annotations; a["workers/message"] != message || a["workers/triggered_by"] != why {
		c.t.Errorf("the version says %q (%s), its deployment %v", message, why, a)
	}
	return message, why
}

// Nobody can see in a version that a secret has another value; so the message says.
func TestAVersionMadeByAChangeOfSecretsNamesThem(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[{"type":"plain_text","name":"V","text":"v"},{"type":"version_metadata","name":"M"},{"type":"json","name":"J","json":{"a":1}}]`)
	put := func(name, value string) func() apiAnswer {
		return func() apiAnswer {
			return c.json(http.MethodPut, "scripts/api/secrets", fmt.Sprintf(`{"name":%q,"text":%q,"type":"secret_text"}`, name, value))
		}
	}
	bulk := func(body string) func() apiAnswer {
		return func() apiAnswer {
			return c.do(http.MethodPatch, "scripts/api/secrets-bulk", "application/merge-patch+json", []byte(body))
		}
	}
	settings := func(body string) func() apiAnswer {
		return func() apiAnswer { return c.multipart(http.MethodPatch, "scripts/api/settings", "settings", body) }
	}
	const same = `{"name":"V","type":"plain_text"},{"name":"M","type":"version_metadata"},{"name":"J","type":"json"}`
	for _, step := range []struct {
		what         string
		do           func() apiAnswer
		message, why string
	}{
		{"a new one", put("TOKEN", "CANARY-1"), "Secrets added: TOKEN", "secret"},
		{"another value", put("TOKEN", "CANARY-2"), "Secrets changed: TOKEN", "secret"},
		{"a name that could be taken for two", put("A, B; removed: TOKEN\n", "CANARY-3"), "Secrets added: A%2C%20B%3B%20removed:%20TOKEN%0A", "secret"},
		{"its removal", func() apiAnswer {
			return c.do(http.MethodDelete, "scripts/api/secrets/A%2C%20B%3B%20removed:%20TOKEN%0A?url_encoded=true", "", nil)
		}, "Secrets removed: A%2C%20B%3B%20removed:%20TOKEN%0A", "secret"},
		{"several", bulk(`{"secrets":{"B":{"text":"CANARY-4"},"A":{"text":"CANARY-5"},"GONE":null}}`), "Secrets added: A, B", "secret"},
		{"all at once", bulk(`{"secrets":{"B":{"text":"CANARY-6"},"A":null,"TOKEN":{"text":"CANARY-7"},"C":{"text":"CANARY-8"}}}`), "Secrets changed: B, TOKEN; added: C; removed: A", "secret"},
		{"a message of the client's", bulk(`{"secrets":{"C":null},"version_tags":{"workers/message":"rotated by hand"}}`), "rotated by hand", "secret"},
		// What an older wrangler makes of secret bulk.
		{"settings with the same variables", settings(`{"bindings":[` + same + `,{"name":"B","type":"secret_text"},{"name":"TOKEN","type":"secret_text","text":"CANARY-9"}]}`), "Secrets changed: TOKEN", "secret"},
		{"settings with another variable", settings(`{"bindings":[{"name":"V","type":"plain_text","text":"w"},{"name":"B","type":"secret_text","text":"CANARY-10"}]}`), "Secrets changed: B; removed: TOKEN", "upload"},
		{"a variable in the place of a secret", settings(`{"bindings":[{"name":"B","type":"plain_text","text":"x"},{"name":"V","type":"plain_text"}]}`), "Secrets removed: B", "upload"},
		{"settings without secrets", settings(`{"limits":{"cpu_ms":50}}`), "", "upload"},
	} {
		step.do().mustSucceed(t)
		if message, why := c.notes(); message != step.message || why != step.why {
			t.Errorf("%s: the version says %q (%s), want %q (%s)", step.what, message, why, step.message, step.why)
		}
	}
	for _, item := range c.items("api") {
		if text := fmt.Sprint(item); strings.Contains(text, "CANARY") {
			t.Errorf("a version shows a value: %s", text)
		}
	}
}

func (a apiAnswer) mustSucceed(t *testing.T) {
	t.Helper()
	if !a.Success {
		t.Fatalf("the request failed with %d: %s", a.Status, a.Body)
	}
}

func TestPatchingTheLatestVersionNamesItsSecrets(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[{"type":"secret_text","name":"A","text":"a"},{"type":"secret_text","name":"B","text":"b"},{"type":"plain_text","name":"V","text":"v"}]`)
	for body, want := range map[string]string{
		`{"env":{"A":{"type":"secret_text","text":"a2"},"B":null,"V":{"type":"plain_text","text":"w"}}}`:                              "Secrets changed: A; removed: B",
		`{"env":{"A":{"type":"secret_text","text":"a3"}},"annotations":{"workers/message":"Updated secret \"A\"","workers/tag":"t"}}`: `Updated secret "A"`,
		`{"env":{"V":{"type":"plain_text","text":"x"}}}`:                                                                              "<nil>",
	} {
		c.upload("api", `[{"type":"secret_text","name":"A","text":"a"},{"type":"secret_text","name":"B","text":"b"},{"type":"plain_text","name":"V","text":"v"}]`)
		a := c.do(http.MethodPatch, "workers/api/versions/latest", "application/merge-patch+json", []byte(body)).object(t)
		if annotations, _ := a["annotations"].(map[string]any); fmt.Sprint(annotations["workers/message"]) != want || annotations["workers/triggered_by"] != "secret" {
			t.Errorf("%s gives %v, want the message %q", body, annotations, want)
		}
	}
}

// A message too long is cut between names, says so, and never holds half a name.
func TestTheNamesOfManySecretsAreCutBetweenNames(t *testing.T) {
	t.Parallel()
	c := newScripts(t)
	c.deploy("api", `[]`)
	var members []string
	for i := range 90 {
		members = append(members, fmt.Sprintf(`"S%02d_%s":{"text":"x"}`, i, strings.Repeat("é", 5)))
	}
	members = append(members, fmt.Sprintf(`"L%s":{"text":"x"}`, strings.Repeat("L", 2000)))
	c.do(http.MethodPatch, "scripts/api/secrets-bulk", "application/json", []byte(`{"secrets":{`+strings.Join(members, ",")+`}}`)).mustSucceed(t)
	message, _ := c.notes()
	names, found := strings.CutPrefix(message, "Secrets added: ")
	names, more, cutOff := strings.Cut(names, "; and ")
	whole := regexp.MustCompile(`^S\d\d_(%C3%A9){5}$`)
	list := strings.Split(names, ", ")
	for _, name := range list {
		if !whole.MatchString(name) {
			t.Errorf("the name %q is not one of the secrets", name)
		}
	}
	if want := fmt.Sprintf("%d more", 91-len(list)); !found || !cutOff || more != want || len(message) > 1000 || len(message) < 900 {
		t.Errorf("the message has %d bytes and ends with %q, want up to 1000 and %q:\n%s", len(message), more, want, message)
	}
}
