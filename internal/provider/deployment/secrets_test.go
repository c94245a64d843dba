// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const (
	// secretValue is the value of every secret here, and MUST never be shown.
	secretValue = "CANARY-d41d8cd98f00b204"
	outside     = "Secret was changed outside Terraform"
)

// operator changes secrets as wrangler does.
func (s *stand) operator(method, path, body string) {
	s.test.Helper()
	req, err := http.NewRequestWithContext(s.test.Context(), method, fmt.Sprintf("%s/accounts/%s/workers/%s", s.URL, s.AccountID, path), strings.NewReader(body))
	if err != nil {
		s.t.Fatalf("changing a secret: %v", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("User-Agent", "wrangler/4.164.0")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("changing a secret: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("changing a secret: status %d, %v: %s", res.StatusCode, err, text)
	}
}

func (s *stand) put(name string) {
	s.operator("PUT", "scripts/api/secrets", fmt.Sprintf(`{"name":%q,"text":%q,"type":"secret_text"}`, name, secretValue))
}

func (s *stand) remove(name string) {
	s.operator("DELETE", "scripts/api/secrets/"+name+"?url_encoded=true", "")
}

// bulk sets the secrets whose names do not begin with a minus, and removes others.
func (s *stand) bulk(more string, names ...string) {
	var members []string
	for _, name := range names {
		value := fmt.Sprintf(`{"text":%q}`, secretValue)
		if gone, ok := strings.CutPrefix(name, "-"); ok {
			name, value = gone, "null"
		}
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	s.operator("PATCH", "scripts/api/secrets-bulk", `{"secrets":{`+strings.Join(members, ",")+`}`+more+`}`)
}

// silent puts something in front of the plane that does not tell names, as
// Cloudflare does not.
func (s *stand) silent() {
	inner := s.URL
	names := regexp.MustCompile(`"workers/message":"(Secrets |Updated secret )[^}]*?"(,|})`)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target, _ := url.Parse(inner)
		target.Path, target.RawQuery = r.URL.Path, r.URL.RawQuery
		out := r.Clone(r.Context())
		out.URL, out.Host, out.RequestURI = target, "", ""
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		body = names.ReplaceAll(body, []byte(`"workers/x":"y"$2`))
		for name, values := range res.Header {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, bytes.NewReader(body))
	}))
	s.test.Cleanup(front.Close)
	s.env["CLOUDFLARE_BASE_URL"] = front.URL + "/client/v4"
}

// refreshed is what a refresh of state in a new phase gives, says and needs.
func (s *stand) refreshed(state tfproto.State) (tfproto.State, string, int) {
	s.test.Helper()
	s.restart()
	read, d := s.provider.Read(s.test.Context(), s.t, state)
	text := d.String()
	if d.HasError() {
		s.t.Fatalf("reading: %s", text)
	}
	if found := canary.In([]byte(text), secretValue); len(found) > 0 {
		s.t.Errorf("the diagnostics show the secret's value (%v):\n%s", found, text)
	}
	return read, text, s.Requests()
}

// line is a line of a diagnostic without its label and space.
func line(text, label string) string {
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, "  "+label+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func TestSecretsThatSomebodyChangedAreNamed(t *testing.T) {
	t.Parallel()
	const (
		oneOf   = "The value of one of these was changed: %s; the plane does not say which."
		perhaps = "Any of these may have got another value: %s; the plane does not say."
		nothing = "Nothing is left of it"
		own     = `,"version_tags":{"workers/message":"rotation"}`
	)
	for name, test := range map[string]struct {
		do                      func(*stand)
		silent                  bool
		added, removed, changed string
		says                    string
		versions                int
	}{
		"added":                     {do: func(s *stand) { s.put("NEW") }, added: "NEW", versions: 1},
		"changed":                   {do: func(s *stand) { s.put("A") }, changed: "A", versions: 1},
		"removed":                   {do: func(s *stand) { s.remove("B") }, removed: "B", versions: 1},
		"several":                   {do: func(s *stand) { s.bulk("", "A", "-B", "NEW") }, added: "NEW", removed: "B", changed: "A", versions: 1},
		"a chain":                   {do: func(s *stand) { s.put("A"); s.put("NEW") }, added: "NEW", changed: "A", versions: 2},
		"removed and put back":      {do: func(s *stand) { s.remove("A"); s.put("A") }, changed: "A", versions: 2},
		"added and removed":         {do: func(s *stand) { s.put("NEW"); s.remove("NEW") }, says: nothing, versions: 2},
		"a strange name":            {do: func(s *stand) { s.put("x; removed: A\n") }, added: `"x; removed: A\n"`, versions: 1},
		"a message of their own":    {do: func(s *stand) { s.bulk(own, "A") }, says: fmt.Sprintf(oneOf, "A, B"), versions: 1},
		"a message that lies":       {do: func(s *stand) { s.bulk(`,"version_tags":{"workers/message":"Secrets changed: Z, B, "}`, "A") }, changed: "B", says: fmt.Sprintf(perhaps, "A"), versions: 1},
		"the newest does not tell":  {do: func(s *stand) { s.put("B"); s.bulk(own, "A") }, changed: "B", says: fmt.Sprintf(perhaps, "A"), versions: 2},
		"the oldest does not tell":  {do: func(s *stand) { s.bulk(own, "A"); s.put("B") }, changed: "B", says: fmt.Sprintf(perhaps, "A"), versions: 2},
		"wrangler versions":         {do: func(s *stand) { s.versionsSecret("A") }, changed: "A", versions: 1},
		"silent, added":             {do: func(s *stand) { s.put("NEW") }, silent: true, added: "NEW", says: fmt.Sprintf(perhaps, "A, B"), versions: 1},
		"silent, changed":           {do: func(s *stand) { s.put("A") }, silent: true, says: fmt.Sprintf(oneOf, "A, B"), versions: 1},
		"silent, removed":           {do: func(s *stand) { s.remove("A") }, silent: true, removed: "A", says: fmt.Sprintf(perhaps, "B"), versions: 1},
		"silent, a chain":           {do: func(s *stand) { s.put("A"); s.put("B") }, silent: true, says: fmt.Sprintf(perhaps, "A, B"), versions: 2},
		"silent, all removed":       {do: func(s *stand) { s.bulk("", "-A", "-B") }, silent: true, removed: "A, B", versions: 1},
		"silent, wrangler versions": {do: func(s *stand) { s.versionsSecret("B") }, silent: true, says: fmt.Sprintf(oneOf, "A, B"), versions: 1},
		"deployed to a half":        {do: func(s *stand) { s.versionsSecret("A", 50) }, changed: "A", versions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.bulk("", "A", "B") // nothing is live yet: it goes live with the deployment of what it made
			v := s.versions()[0]
			s.restart()
			state := s.provider.Create(t.Context(), t, kind, s.config(v, tfproto.Object{"overwrite_unseen": true}))
			if _, text, n := s.refreshed(state); text != "" || n != 1 {
				t.Errorf("before: %d requests, want 1, and %s", n, text)
			}
			if test.silent {
				s.silent()
			}
			test.do(s)
			live := s.versions()[0]
			read, text, n := s.refreshed(state)
			for _, part := range []string{outside, `Worker "api"`, "the default plane", live, s.live().AuthorEmail, "with wrangler", s.live().CreatedOn.UTC().Format("2006-01-02T15:04"), test.says} {
				if !strings.Contains(text, part) {
					t.Errorf("the warning lacks %q:\n%s", part, text)
				}
			}
			for label, want := range map[string]string{"added": test.added, "removed": test.removed, "changed": test.changed} {
				if got := line(text, label); got != want {
					t.Errorf("%s: %q, want %q in\n%s", label, got, want, text)
				}
			}
			if test.says == "" && strings.Contains(text, "the plane does not say") {
				t.Errorf("the warning is less certain than it could be:\n%s", text)
			}
			if got := strings.Count(text, "    made on "); got != test.versions {
				t.Errorf("the warning names %d versions, want %d:\n%s", got, test.versions, text)
			}
			if n != 4 {
				t.Errorf("the refresh needed %d requests, want 4: what is live, the versions, and the two that are compared", n)
			}
			// A plan does not save what it has read, apply -refresh-only does.
			for saved, next := range map[bool]tfproto.State{false: state, true: read} {
				if _, again, n := s.refreshed(next); again != text || n != 4 {
					t.Errorf("the next plan (state saved: %v) needs %d requests and says:\n%s", saved, n, again)
				}
			}
		})
	}
}

// versionsSecret is wrangler versions secret put, and versions deploy.
func (s *stand) versionsSecret(name string, percent ...float64) {
	before := s.live().Versions[0].VersionID
	s.operator("PATCH", "workers/api/versions/latest",
		fmt.Sprintf(`{"env":{%q:{"type":"secret_text","text":%q}},"annotations":{"workers/message":"Updated secret \"%s\""}}`, name, secretValue, name))
	shares := []cloudflare.Share{{VersionID: s.versions()[0], Percentage: 100}}
	if len(percent) > 0 {
		shares[0].Percentage = percent[0]
		shares = append(shares, cloudflare.Share{VersionID: before, Percentage: 100 - percent[0]})
	}
	s.foreign("with another secret", shares...)
}

func TestWhatIsNoChangeOfSecretsIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do       func(s *stand, config func(version string) tfproto.Object)
		requests int
	}{
		"nothing": {func(*stand, func(string) tfproto.Object) {}, 1},
		"an upload that goes live at once": {func(s *stand, _ func(string) tfproto.Object) {
			s.operator("POST", "workers/api/versions?deploy=true", `{"main_module":"index.js","compatibility_date":"2026-01-01",
				"modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":"ZXhwb3J0IGRlZmF1bHQge30="}]}`)
		}, 1},
		"a rollback": {func(s *stand, _ func(string) tfproto.Object) {
			s.foreign("back", cloudflare.Share{VersionID: s.v1, Percentage: 100})
		}, 1},
		// Only the list of versions can tell what a promoted version was made by.
		"a version that somebody promotes": {func(s *stand, _ func(string) tfproto.Object) {
			s.foreign("v3", cloudflare.Share{VersionID: s.upload(s.worker, "three"), Percentage: 100})
		}, 2},
		"a deployment of Hybridge's": {func(s *stand, config func(string) tfproto.Object) {
			s.operator("PATCH", "workers/api/versions/latest", fmt.Sprintf(`{"env":{"A":{"type":"secret_text","text":%q}}}`, secretValue))
			s.restart()
			s.provider.Create(s.test.Context(), s.t, kind, config(s.versions()[0]))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			state := s.provider.Create(t.Context(), t, kind, s.config(s.v2))
			test.do(s, func(version string) tfproto.Object { return s.config(version) })
			_, text, n := s.refreshed(state)
			if text != "" {
				t.Errorf("the refresh says:\n%s", text)
			}
			if n != test.requests {
				t.Errorf("the refresh needed %d requests, want %d", n, test.requests)
			}
		})
	}
}

// What the warning advises has to be possible.
func TestTheAdviceAboutSecretsWorks(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) (*stand, tfproto.State) {
		s := newStand(t)
		state := s.provider.Create(t.Context(), t, kind, s.config(s.v2))
		s.put("TOKEN")
		read, text, _ := s.refreshed(state)
		for _, part := range []string{"what is declared there (TOKEN)", "keep_secrets = true", "allow_changed_secrets = true", fmt.Sprintf("set version_id = %q", s.live().Versions[0].VersionID)} {
			if !strings.Contains(text, part) {
				t.Errorf("the warning lacks %q:\n%s", part, text)
			}
		}
		return s, read
	}
	t.Run("kept by the next version", func(t *testing.T) {
		t.Parallel()
		s, state := start(t)
		version := s.provider.Create(t.Context(), t, "hybridge_worker_version", tfproto.Object{
			"worker": s.worker, "compatibility_date": "2026-01-01", "script": "export default {}",
			"keep_secrets": true,
		})
		id, _ := version.Object["id"].(string)
		state = s.provider.Change(t.Context(), t, state, s.config(id))
		running, err := s.Registry.Secrets(t.Context(), id)
		if err != nil || string(running["TOKEN"]["text"]) != fmt.Sprintf("%q", secretValue) || s.live().Versions[0].VersionID != id {
			t.Errorf("version %s is live, with the secrets %d (%v)", s.live().Versions[0].VersionID, len(running), err)
		}
		s.wantQuiet(state, s.config(id))
	})
	t.Run("what is live is kept", func(t *testing.T) {
		t.Parallel()
		s, state := start(t)
		config := s.config(s.live().Versions[0].VersionID)
		state = s.provider.Change(t.Context(), t, state, config)
		s.wantQuiet(state, config)
	})
	t.Run("going back is refused unless it is meant", func(t *testing.T) {
		t.Parallel()
		s, state := start(t)
		_, d := s.provider.Apply(t.Context(), t, s.plan(state, s.config(s.v2)))
		for _, part := range []string{"10220", "TOKEN", "older than a change of secrets", "allow_changed_secrets = true", `rollback_secrets = "current"`, "-replace", "adopt = false"} {
			if !d.HasError() || !strings.Contains(d.String(), part) {
				t.Errorf("the diagnostic lacks %q:\n%s", part, d)
			}
		}
		config := s.config(s.v2, tfproto.Object{"allow_changed_secrets": true})
		state = s.provider.Change(t.Context(), t, state, config)
		if live := s.live().Versions[0].VersionID; live != s.v2 {
			t.Errorf("version %s is live, want %s", live, s.v2)
		}
		s.restart()
		s.wantQuiet(s.read(state), config)
		// It needs no deployment of its own, nor does leaving it out again.
		state = s.provider.Change(t.Context(), t, state, s.config(s.v2))
		s.wantQuiet(state, s.config(s.v2))
	})
}

func TestAnApplyThatStopsOverAChangeOfSecretsNamesThem(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.foreign("v2", cloudflare.Share{VersionID: s.v2, Percentage: 100})
	s.restart()
	state = s.read(state)
	plan := s.plan(state, s.config(s.upload(s.worker, "three")))
	// The version that was uploaded is not live: only versions secret goes on from it.
	s.versionsSecret("DB_PASSWORD")
	s.restart()
	_, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "Live deployment has not been seen by the plan") || line(d.String(), "added") != "DB_PASSWORD" {
		t.Errorf("diagnostics: %s", d)
	}
	if found := canary.In([]byte(d.String()), secretValue); len(found) > 0 {
		t.Errorf("the diagnostics show the secret's value (%v)", found)
	}
}

// What was live may be gone by now, and what is live may not be told: neither keeps
// the drift from being seen.
func TestChangedSecretsAreLookedForAsFarAsPossible(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.bulk("", "A", "B")
	v := s.versions()[0]
	s.restart()
	state := s.provider.Create(t.Context(), t, kind, s.config(v, tfproto.Object{"overwrite_unseen": true}))
	s.put("A")
	s.Faults.Add(fault.Rule{Method: "GET", Path: "/client/v4/accounts/*/workers/scripts/*/versions", Kind: fault.Unauthorized, Times: -1})
	read, text, _ := s.refreshed(state)
	if !strings.Contains(text, "Cannot look for changed secrets") || strings.Contains(text, outside) || cmp.Equal(read.Object, state.Object) {
		t.Errorf("without the list of versions, the refresh gives %v and says:\n%s", read.Object, text)
	}
	s.Faults.Clear()
	if err := s.somebody().DeleteVersion(t.Context(), s.worker, v); err != nil {
		t.Fatal(err)
	}
	if _, text, _ := s.refreshed(state); !strings.Contains(text, outside) || line(text, "changed") != "A" {
		t.Errorf("without the version that was live, the refresh says:\n%s", text)
	}
}

// The list of versions may have been read before the secret was changed.
func TestAChangeOfSecretsYoungerThanTheListIsSeen(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v2))
	s.restart()
	if _, d := s.provider.Data(t.Context(), t, "hybridge_worker_versions", tfproto.Object{"worker": "api"}); d.HasError() {
		t.Fatal(d)
	}
	s.put("TOKEN")
	if _, d := s.provider.Read(t.Context(), t, state); line(d.String(), "added") != "TOKEN" {
		t.Errorf("the refresh says:\n%s", d)
	}
}
