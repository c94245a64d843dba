// SPDX-License-Identifier: MPL-2.0

package version_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// vault is a SOPS file and its age key.
type vault struct {
	t         *testing.T
	file, key string // paths
	identity  sealed.Secret
	recipient string
}

func newVault(t *testing.T, values map[string]string) *vault {
	t.Helper()
	dir := t.TempDir()
	v := &vault{t: t, file: filepath.Join(dir, "prod.enc.yaml"), key: filepath.Join(dir, "key.txt")}
	var err error
	if v.identity, v.recipient, err = sealed.NewAgeKey(time.Now()); err != nil {
		t.Fatal(err)
	}
	v.giveKey()
	to, err := sealed.AgeRecipients(v.recipient)
	if err != nil {
		t.Fatal(err)
	}
	v.write(sealed.Seal(v.file, sealed.YAML, entries(values), to, time.Now()))
	return v
}

func (v *vault) giveKey() {
	v.t.Helper()
	if err := os.WriteFile(v.key, []byte(v.identity.Reveal()), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) takeKey() {
	v.t.Helper()
	if err := os.Remove(v.key); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) write(text []byte, err error) {
	v.t.Helper()
	if err == nil {
		err = os.WriteFile(v.file, text, 0o600)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// edit sets values as `sops edit` does: the ciphertext of the others stays.
func (v *vault) edit(values map[string]string) {
	v.t.Helper()
	store := sealed.NewStore(sealed.Identities{AgeKey: v.identity})
	f, err := store.File(v.file, "")
	if err != nil {
		v.t.Fatal(err)
	}
	o, err := store.Open(v.t.Context(), f)
	if err != nil {
		v.t.Fatal(err)
	}
	v.write(o.Reseal(entries(values), time.Now()))
}

func entries(values map[string]string) []sealed.Entry {
	var out []sealed.Entry
	for name, value := range values {
		out = append(out, sealed.Entry{Name: name, Value: sealed.NewSecret(value)})
	}
	slices.SortFunc(out, func(a, b sealed.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (v *vault) secret(key string) map[string]any {
	return map[string]any{"sops_file": v.file, "key": key}
}

// random is a value that occurs nowhere by chance.
func random(t testing.TB) string {
	t.Helper()
	b := make([]byte, 12)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return `ca"n<a>ry/` + hex.EncodeToString(b)
}

// envs are the environments of the versions that the plane was asked to
// validate, newest last.
type envs struct {
	mu   sync.Mutex
	seen []map[string]string
}

func (e *envs) record(v workerd.Version) error {
	env := map[string]string{}
	for _, b := range v.Bindings {
		var text string
		_ = json.Unmarshal(b.Fields["text"], &text)
		env[b.Name] = text
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, env)
	return nil
}

func (e *envs) last() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.seen) == 0 {
		return nil
	}
	return e.seen[len(e.seen)-1]
}

// secretStand is a stand whose provider opens files with the vault's key.
func secretStand(t *testing.T, v *vault) (*stand, *envs) {
	t.Helper()
	s := newStand(t)
	seen := &envs{}
	s.Runtime.Refuse = seen.record
	s.keyFile = v.key
	s.restart()
	return s, seen
}

func text(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func clean(t testing.TB, where string, shown any, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if forms := canary.In([]byte(fmt.Sprint(shown)), secret); len(forms) > 0 {
			t.Errorf("%s holds a secret (%s):\n%v", where, strings.Join(forms, ", "), shown)
		}
	}
}

func TestSecretsReachTheWorkerAndNeitherPlanNorState(t *testing.T) {
	t.Parallel()
	password, token := random(t), random(t)
	v := newVault(t, map[string]string{"password": password, "user": "app-user-name-1"})
	s, seen := secretStand(t, v)
	config := s.config(tfproto.Object{
		"vars": map[string]any{"STAGE": "test"},
		"secrets": map[string]any{
			"DB_PASSWORD": v.secret("password"),
			"API_KEY":     map[string]any{"value_wo": token, "value_wo_version": "3"},
		},
	})
	plan := s.plan(tfproto.State{Type: kind}, config)
	clean(t, "the plan", text(t, plan.Object), password, token)
	if digests, _ := plan.Object["secret_digests"].(map[string]any); len(digests) != 2 {
		t.Errorf("planned secret_digests are %v", plan.Object["secret_digests"])
	}
	state := s.create(config)
	clean(t, "the state", text(t, state.Object), password, token)
	if diff := cmp.Diff(map[string]string{"DB_PASSWORD": password, "API_KEY": token, "STAGE": "test"}, seen.last()); diff != "" {
		t.Errorf("what the Worker gets (-want +got):\n%s", diff)
	}
	if p := s.plan(state, config); !p.Empty() {
		t.Errorf("the next plan changes %v", changed(p))
	}
	f, err := sealed.Read(v.file, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.Digest(sealed.Path{"password"})
	if got := state.Object["secret_digests"].(map[string]any)["DB_PASSWORD"]; err != nil || got != want {
		t.Errorf("the digest is %v, that of the ciphertext %v (%v)", got, want, err)
	}
}

func TestThePlanOfASopsFileNeedsNoKeyAndTheApplyDoes(t *testing.T) {
	t.Parallel()
	password := random(t)
	v := newVault(t, map[string]string{"password": password})
	s, _ := secretStand(t, v)
	config := s.config(tfproto.Object{"secrets": map[string]any{"P": v.secret("password")}})
	with := s.plan(tfproto.State{Type: kind}, config)
	v.takeKey()
	s.restart()
	without := s.plan(tfproto.State{Type: kind}, config)
	if diff := cmp.Diff(with.Object, without.Object); diff != "" {
		t.Errorf("with the key (-), without (+):\n%s", diff)
	}
	before := s.Requests()
	_, diags := s.provider.Apply(t.Context(), t, without)
	if !diags.HasError() {
		t.Fatal("the apply succeeds without the key")
	}
	for _, want := range []string{`secrets["P"]`, v.file, v.key, v.recipient} {
		if !strings.Contains(diags.String(), want) {
			t.Errorf("%q is not in\n%s", want, diags)
		}
	}
	if n := s.Requests() - before; n != 0 {
		t.Errorf("the apply sent %d requests before it failed", n)
	}
	// Another key than that of a recipient: those who could are named.
	other := newVault(t, map[string]string{"x": "y"})
	s.keyFile = other.key
	s.restart()
	without = s.plan(tfproto.State{Type: kind}, config)
	before = s.Requests()
	if _, diags = s.provider.Apply(t.Context(), t, without); !strings.Contains(diags.String(), v.recipient) {
		t.Errorf("the recipient %s is not in\n%s", v.recipient, diags)
	}
	if n := s.Requests() - before; n != 0 {
		t.Errorf("the apply sent %d requests before it failed", n)
	}
	s.wantVersions(0)
}

func TestOnlyAnEditOfTheKeyItselfPlansAVersion(t *testing.T) {
	t.Parallel()
	first, second := random(t), random(t)
	v := newVault(t, map[string]string{"password": first, "other": "one"})
	s, seen := secretStand(t, v)
	config := s.config(tfproto.Object{"secrets": map[string]any{"P": v.secret("password")}})
	state := s.create(config)
	v.edit(map[string]string{"password": first, "other": "two", "more": "three"})
	s.restart()
	if p := s.plan(state, config); !p.Empty() {
		t.Errorf("after an edit of siblings the plan changes %v", changed(p))
	}
	v.edit(map[string]string{"password": second, "other": "two", "more": "three"})
	s.restart()
	p := s.plan(state, config)
	if diff := cmp.Diff([]string{"digest"}, p.Replace); diff != "" {
		t.Errorf("what replaces (-want +got):\n%s", diff)
	}
	was, is := state.Object["secret_digests"].(map[string]any)["P"], p.Object["secret_digests"].(map[string]any)["P"]
	if was == is {
		t.Error("the plan does not show which secret changed")
	}
	s.replace(state, config)
	if got := seen.last()["P"]; got != second {
		t.Errorf("the Worker gets %q", got)
	}
	s.wantVersions(2)
}

func TestAFileThatChangesAfterThePlanUploadsNothing(t *testing.T) {
	t.Parallel()
	v := newVault(t, map[string]string{"password": random(t)})
	s, _ := secretStand(t, v)
	config := s.config(tfproto.Object{"secrets": map[string]any{"P": v.secret("password")}})
	plan := s.plan(tfproto.State{Type: kind}, config)
	v.edit(map[string]string{"password": random(t) + "longer"})
	before := s.Requests()
	_, diags := s.provider.Apply(t.Context(), t, plan)
	if !strings.Contains(diags.String(), "plan again") {
		t.Errorf("the apply says\n%s", diags)
	}
	if n := s.Requests() - before; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestAWriteOnlyValueIsKnownByItsVersion(t *testing.T) {
	t.Parallel()
	one, two := random(t), random(t)
	v := newVault(t, map[string]string{"x": "y"})
	s, seen := secretStand(t, v)
	with := func(value any, version any) tfproto.Object {
		return s.config(tfproto.Object{"secrets": map[string]any{"T": map[string]any{"value_wo": value, "value_wo_version": version}}})
	}
	state := s.create(with(one, "1"))
	if p := s.plan(state, with(two, "1")); !p.Empty() {
		t.Errorf("another value with the same version changes %v", changed(p))
	}
	if p := s.plan(state, with(tfproto.Unknown, tfproto.Unknown)); p.Object["digest"] != tfproto.Unknown {
		t.Errorf("with an unknown version the digest is %v", p.Object["digest"])
	}
	if p := s.plan(state, with(tfproto.Unknown, "1")); !p.Empty() {
		t.Errorf("an unknown value of the same version changes %v", changed(p))
	}
	s.replace(state, with(two, "2"))
	if got := seen.last()["T"]; got != two {
		t.Errorf("the Worker gets %q", got)
	}
}

func TestUndeclaredSecretsGoUnlessTheyAreKept(t *testing.T) {
	t.Parallel()
	mine, foreign := random(t), random(t)
	v := newVault(t, map[string]string{"mine": mine})
	s, seen := secretStand(t, v)
	declared := map[string]any{"MINE": v.secret("mine")}
	first := s.create(s.config(tfproto.Object{"secrets": declared}))
	s.deploy(first.Object["id"].(string))
	put := tfproto.Object{"name": "FOREIGN", "text": foreign, "type": "secret_text"}
	s.send("PUT", "workers/scripts/"+s.name+"/secrets", put)

	s.restart()
	kept := s.config(tfproto.Object{"secrets": declared, "keep_secrets": true, "vars": map[string]any{"V": "2"}})
	state := s.create(kept)
	if diff := cmp.Diff(map[string]string{"MINE": mine, "FOREIGN": foreign, "V": "2"}, seen.last()); diff != "" {
		t.Errorf("with keep_secrets (-want +got):\n%s", diff)
	}
	if p := s.plan(state, kept); !p.Empty() {
		t.Errorf("the next plan changes %v", changed(p))
	}
	// What was declared once and is only kept now can still be found after a leak.
	s.send("POST", "workers/scripts/"+s.name+"/deployments?force=true", map[string]any{
		"strategy": "percentage", "versions": []any{map[string]any{"version_id": first.Object["id"], "percentage": 100}},
	})
	s.restart()
	undeclared := s.create(s.config(tfproto.Object{"keep_secrets": true, "vars": map[string]any{"V": "3"}}))
	if v, err := s.client().Version(t.Context(), s.worker, undeclared.Object["id"].(string)); err != nil {
		t.Error(err)
	} else if digest, _ := first.Object["secret_digests"].(map[string]any)["MINE"].(string); !cloudflare.ParseMarker(v.Annotations[cloudflare.AnnotationMessage]).HasSecret(digest) {
		t.Errorf("the version does not say that it carries MINE: %v", v.Annotations)
	}
	// Its digest says nothing about FOREIGN, so nobody may take it for theirs.
	s.restart()
	s.create(s.config(tfproto.Object{"secrets": declared, "vars": map[string]any{"V": "2"}}))
	if diff := cmp.Diff(map[string]string{"MINE": mine, "V": "2"}, seen.last()); diff != "" {
		t.Errorf("without keep_secrets (-want +got):\n%s", diff)
	}
	s.wantVersions(5)
}

func TestKeepingSecretsOfAWorkerThatWasNeverDeployed(t *testing.T) {
	t.Parallel()
	v := newVault(t, map[string]string{"mine": random(t)})
	s, seen := secretStand(t, v)
	s.create(s.config(tfproto.Object{"secrets": map[string]any{"MINE": v.secret("mine")}, "keep_secrets": true}))
	if len(seen.last()) != 1 {
		t.Errorf("the Worker gets %d bindings", len(seen.last()))
	}
}

func TestAPlaneThatEchoesWhatItWasSentTellsNobody(t *testing.T) {
	t.Parallel()
	password := random(t)
	v := newVault(t, map[string]string{"password": password})
	s, _ := secretStand(t, v)
	for name, echo := range map[string]string{
		"raw": password, "JSON": text(t, password), "base64": base64.StdEncoding.EncodeToString([]byte(password)),
		"hex": hex.EncodeToString([]byte(password)), "in a word": "x" + password + "y",
	} {
		s.Runtime.Refuse = func(workerd.Version) error {
			return &workerd.InvalidVersionError{Message: "Error: cannot connect with " + echo + " at start"}
		}
		plan := s.plan(tfproto.State{Type: kind}, s.config(tfproto.Object{"secrets": map[string]any{"P": v.secret("password")}}))
		_, diags := s.provider.Apply(t.Context(), t, plan)
		if !strings.Contains(diags.String(), "cannot connect with") || !strings.Contains(diags.String(), "[redacted]") {
			t.Errorf("%s: the diagnostic is\n%s", name, diags)
		}
		clean(t, "the diagnostic of "+name, diags.String(), password)
	}
}

func TestInvalidSecretsAreRefusedBeforeApply(t *testing.T) {
	t.Parallel()
	leaked := random(t)
	v := newVault(t, map[string]string{"password": random(t)})
	plain := filepath.Join(t.TempDir(), "plain.yaml")
	if err := os.WriteFile(plain, []byte("password: "+leaked+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		secret map[string]any
		want   []string
	}{
		"nothing":         {map[string]any{}, []string{`at secrets["S"].sops_file`, "no value", "value_wo_version"}},
		"both":            {map[string]any{"sops_file": v.file, "key": "password", "value_wo": leaked}, []string{`at secrets["S"].value_wo`, "keep one"}},
		"no version":      {map[string]any{"value_wo": leaked}, []string{`at secrets["S"].value_wo_version`, "value_wo needs value_wo_version"}},
		"empty value":     {map[string]any{"value_wo": "", "value_wo_version": "1"}, []string{`at secrets["S"].value_wo`, "empty"}},
		"version alone":   {map[string]any{"sops_file": v.file, "key": "password", "value_wo_version": "1"}, []string{`at secrets["S"].value_wo_version`, "Remove it"}},
		"key of a value":  {map[string]any{"value_wo": leaked, "value_wo_version": "1", "key": "a"}, []string{`at secrets["S"].key`, "remove it"}},
		"no key":          {map[string]any{"sops_file": v.file}, []string{`at secrets["S"].key`, "key is missing", "db.password"}},
		"bad key":         {map[string]any{"sops_file": v.file, "key": "a..b"}, []string{`at secrets["S"].key`, "key path cannot be read"}},
		"unknown key":     {map[string]any{"sops_file": v.file, "key": "pasword"}, []string{`at secrets["S"].key`, "no such key", "it has password"}},
		"missing file":    {map[string]any{"sops_file": v.file + ".no", "key": "a"}, []string{`at secrets["S"].`, "does not exist"}},
		"plaintext file":  {map[string]any{"sops_file": plain, "key": "password"}, []string{`at secrets["S"].sops_file`, "no SOPS metadata", "sops encrypt"}},
		"collision":       {v.secret("password"), []string{`at secrets["TAKEN"]`, `vars["TAKEN"]`}},
		"no binding name": {v.secret("password"), []string{"A-B", "identifier"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := script(tfproto.Object{"secrets": map[string]any{"S": tc.secret}})
			switch name {
			case "collision":
				config = script(tfproto.Object{"secrets": map[string]any{"TAKEN": tc.secret}, "vars": map[string]any{"TAKEN": "x"}})
			case "no binding name":
				config = script(tfproto.Object{"secrets": map[string]any{"A-B": tc.secret}})
			}
			_, diags := offline(t).Plan(t.Context(), t, tfproto.State{Type: kind}, config)
			if !diags.HasError() {
				t.Fatal("the plan succeeds")
			}
			for _, want := range tc.want {
				if !strings.Contains(diags.String(), want) {
					t.Errorf("%q is not in\n%s", want, diags)
				}
			}
			clean(t, "the diagnostic", diags.String(), leaked)
		})
	}
}

func TestASecretThatAModuleHandsOnMayTurnOutToBeNull(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]any{
		"an entry":       tfproto.Unknown,
		"all members":    map[string]any{"sops_file": tfproto.Unknown, "key": tfproto.Unknown, "value_wo": tfproto.Unknown, "value_wo_version": tfproto.Unknown},
		"file and value": map[string]any{"sops_file": tfproto.Unknown, "key": "password", "value_wo": tfproto.Unknown, "value_wo_version": "1"},
		"a file":         map[string]any{"sops_file": tfproto.Unknown, "value_wo": "correct-horse", "value_wo_version": "1"},
		"a key":          map[string]any{"key": tfproto.Unknown, "value_wo": "correct-horse", "value_wo_version": "1"},
		"a value":        map[string]any{"sops_file": "prod.enc.yaml", "key": "password", "value_wo": tfproto.Unknown, "value_wo_version": tfproto.Unknown},
	} {
		if d := offline(t).Validate(t.Context(), t, kind, script(tfproto.Object{"secrets": map[string]any{"S": secret}})); len(d) > 0 {
			t.Errorf("%s unknown: %s", name, d)
		}
	}
}

func TestSecretsAreUploadedOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	v := newVault(t, map[string]string{"password": random(t)})
	s, _ := secretStand(t, v)
	config := s.config(tfproto.Object{"secrets": map[string]any{"P": v.secret("password")}})
	s.create(config)
	s.restart() // an older state was restored, or the apply was killed
	s.create(config)
	s.wantVersions(1)
}

func TestImportOfAVersionWithSecretsNeedsNoKey(t *testing.T) {
	t.Parallel()
	v := newVault(t, map[string]string{"password": random(t)})
	s, _ := secretStand(t, v)
	config := s.config(tfproto.Object{"secrets": map[string]any{
		"P": v.secret("password"), "T": map[string]any{"value_wo": random(t), "value_wo_version": "1"},
	}})
	state := s.create(config)
	v.takeKey()
	s.restart()
	before := s.Writes()
	imported, diags := s.provider.Import(t.Context(), t, kind, s.AccountID+"/"+s.worker+"/"+state.Object["id"].(string), nil)
	if diags.HasError() {
		t.Fatal(diags)
	}
	if p := s.plan(imported, config); len(p.Replace) > 0 {
		t.Errorf("the plan replaces because of %v", p.Replace)
	}
	updated := s.provider.Change(t.Context(), t, imported, config)
	if diff := cmp.Diff(map[string]any(state.Object), map[string]any(updated.Object)); diff != "" {
		t.Errorf("the state differs from that of the create (-want +got):\n%s", diff)
	}
	if p := s.plan(updated, config); !p.Empty() {
		t.Errorf("the second plan changes %v", changed(p))
	}
	if n := s.Writes() - before; n != 0 {
		t.Errorf("%d requests wrote something", n)
	}
}

func TestAVersionSaysWhichSecretsItCarries(t *testing.T) {
	t.Parallel()
	v := newVault(t, map[string]string{"password": random(t), "other": random(t)})
	s, _ := secretStand(t, v)
	secrets := map[string]any{"P": v.secret("password"), "Q": v.secret("password"), "T": map[string]any{"value_wo": random(t), "value_wo_version": "1"}}
	config := s.config(tfproto.Object{"secrets": secrets, "message": "sec=mine"})
	state := s.create(config)
	f, err := sealed.Read(v.file, "")
	if err != nil {
		t.Fatal(err)
	}
	password, _ := f.Digest(sealed.Path{"password"})
	other, _ := f.Digest(sealed.Path{"other"})
	made, err := s.client().Version(t.Context(), s.name, state.Object["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	marking := cloudflare.ParseMarker(made.Annotations[cloudflare.AnnotationMessage])
	if !marking.HasSecret(password) || marking.HasSecret(other) || len(marking.Secrets) != 2 || marking.Message != "sec=mine" {
		t.Errorf("the version says %+v", marking)
	}
	// It is adopted as before: the marker counts, and not what follows it.
	s.restart()
	if again := s.create(config); again.Object["id"] != state.Object["id"] {
		t.Errorf("version %v was made beside %v", again.Object["id"], state.Object["id"])
	}
	s.wantVersions(1)
}

// send makes a request of the API that no resource makes.
func (s *stand) send(method, path string, body any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+"/accounts/"+s.AccountID+"/"+path, strings.NewReader(text(s.t, body)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}
