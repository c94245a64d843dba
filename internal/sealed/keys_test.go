// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// service is a key service on loopback. It hides data keys behind tickets.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	tickets  map[string]string
	requests []string // "METHOD PATH" or what handle made of it
	before   func(*http.Request)
}

// newService serves a protocol: handle says what a request is for and answers it.
func newService(t testing.TB, handle func(s *service, r *http.Request, body map[string]string) (name string, answer any)) *service {
	t.Helper()
	s := &service{tickets: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		fields := map[string]any{}
		_ = json.Unmarshal(raw, &fields)
		body := map[string]string{}
		for name, value := range fields {
			body[name], _ = value.(string)
		}
		if s.before != nil {
			s.before(r)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		name, answer := handle(s, r, body)
		s.requests = append(s.requests, name)
		if answer == nil {
			http.Error(w, `{"errors":["no"]}`, http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// hide gives a ticket for a text, and find the text for a ticket.
func (s *service) hide(text string) string {
	ticket := fmt.Sprintf("ticket-%d", len(s.tickets))
	s.tickets[ticket] = text
	return ticket
}

// served returns and forgets the requests.
func (s *service) served() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}

const vaultToken = "s.token-of-the-test"

// newVault is the transit engine of a Vault server. wantToken is what clients
// have to show.
func newVault(t testing.TB, wantToken string) *service {
	t.Helper()
	return newService(t, func(s *service, r *http.Request, body map[string]string) (string, any) {
		name := r.Method + " " + r.URL.Path
		if r.Header.Get("X-Vault-Token") != wantToken {
			return name + " with a wrong token", nil
		}
		switch r.URL.Path {
		case "/v1/transit/encrypt/app":
			return name, map[string]any{"data": map[string]string{"ciphertext": "vault:v1:" + s.hide(body["plaintext"])}}
		case "/v1/transit/decrypt/app":
			return name, map[string]any{"data": map[string]string{"plaintext": s.tickets[strings.TrimPrefix(body["ciphertext"], "vault:v1:")]}}
		}
		return name, nil
	})
}

func TestVaultKeysOpenWithTheTokenOfTheEnvironmentWhereItMayGo(t *testing.T) {
	t.Parallel()
	w, vault := newWorkshop(t), newVault(t, vaultToken)
	w.env = []string{"VAULT_TOKEN=" + vaultToken}
	w.write("a.yaml", "a: value\nb: value\n")
	w.sops("encrypt", "--in-place", "--hc-vault-transit", vault.URL+"/v1/transit/keys/app", "a.yaml")
	vault.served()
	if got := w.parse("a.yaml").Recipients(); !cmp.Equal(got, []string{"hc_vault " + vault.URL + "/v1/transit/keys/app"}) {
		t.Errorf("recipients %q", got)
	}
	token := "VAULT_TOKEN=" + vaultToken
	open := job{File: w.path("a.yaml"), Keys: []string{"a", "b"}, Environment: true, VaultAllowlist: []string{vault.URL}}
	with := func(change func(*job)) job { j := open; change(&j); return j }

	w.run(open, token).opens(t, "value")
	if got := vault.served(); !cmp.Equal(got, []string{"PUT /v1/transit/decrypt/app"}) {
		t.Errorf("requests %q", got)
	}
	for _, got := range w.runAll([]job{
		with(func(j *job) { j.VaultAllowlist = []string{"all"} }),
		with(func(j *job) { j.VaultAllowlist = []string{"https://other", vault.URL + "/"} }),
	}, token) {
		got.opens(t, "value")
	}
	w.write(".vault-token", vaultToken)
	w.run(open).opens(t, "value")
	must(t, os.Remove(w.path(".vault-token")))
	vault.served()

	w.run(open, "VAULT_TOKEN=s.wrong").fails(t, sealed.NoIdentity, vault.URL, "did not open")
	if got := vault.served(); len(got) == 0 || !strings.HasSuffix(got[0], "with a wrong token") {
		t.Errorf("requests %q", got)
	}
	var refused []job
	for _, list := range [][]string{
		nil,
		{"https://vault.example.com"},
		{strings.Replace(vault.URL, "http:", "https:", 1)},
		{vault.URL[:len(vault.URL)-1]}, // the beginning of the port
		{vault.URL + "0"},
		{strings.Replace(vault.URL, "127.0.0.1", "127.0.0", 1), "http://127.0.0.1"},
		{vault.URL + "/prefix"},
		{strings.Replace(vault.URL, "127.", "x@127.", 1) + "/y"},
		{"ALL", "*", "none", ""},
	} {
		refused = append(refused, with(func(j *job) { j.VaultAllowlist = list }))
	}
	for _, got := range w.runAll(refused, token) {
		got.fails(t, sealed.NoIdentity, vault.URL, "vault_allowlist")
	}
	w.run(with(func(j *job) { j.Environment = false }), token).fails(t, sealed.NoIdentity, "switched off")
	if got := vault.served(); len(got) > 0 {
		t.Errorf("requests in spite of all: %q", got)
	}
}

func TestAFileCannotSendTheVaultTokenElsewhere(t *testing.T) {
	t.Parallel()
	w, vault := newWorkshop(t), newVault(t, "")
	vault.before = func(r *http.Request) { t.Errorf("a request: %s %s", r.Method, r.URL) }
	host := strings.TrimPrefix(vault.URL, "http://")
	for address, allowed := range map[string]string{
		"http://" + host:                                        "http://1" + host,
		"http://allowed@" + host:                                "http://allowed",
		"http://allowed:1@" + host:                              "http://allowed:1",
		"http://" + host + "/a":                                 "http://" + host + "/ab",
		"http://" + host + "/ab":                                "http://" + host + "/a",
		"http://" + host + "/a/../b":                            "http://" + host + "/a",
		"http://" + host + "/a/%2e%2e/b":                        "http://" + host + "/a",
		"http://" + host + "?x=":                                "http://" + host,
		"http://" + host + "#x":                                 "http://" + host,
		"http://user:password@" + host:                          "http://" + host,
		strings.Replace("http://"+host, "http", "HTTP+unix", 1): "http://" + host,
		"vault:8200":                                            "vault:8201",
		"":                                                      "",
	} {
		text := w.withKey("hc_vault:\n        - vault_address: '" + address + "'\n          engine_path: transit\n          key_name: app\n          created_at: '2026-01-01T00:00:00Z'\n          enc: vault:v1:x")
		store := sealed.NewStore(sealed.Identities{Environment: true, VaultAllowlist: []string{allowed}})
		if _, err := openAt(t, store, sealed.YAML, text, "a"); sealed.CodeOf(err) != sealed.NoIdentity || !strings.Contains(err.Error(), "vault_allowlist") || strings.Contains(err.Error(), "password@ ") {
			t.Errorf("%s with %s allowed: %v", address, allowed, err)
		}
	}
	// On a server that is allowed the request goes to a transit engine, and nowhere
	// else, whatever the file says.
	for engine, key := range map[string]string{
		"transit": "../../sys/seal", "..": "app", "transit/../sys": "app", "auth/token/revoke-self?": "app", "transit#": "app", "": "app",
		"a//b": "app", "a/./b": "app", "b": "x/../../auth/token/revoke-self", "c": "", "d": ".", "e": "%2e%2e", "f": `x\y`,
	} {
		text := w.withKey("hc_vault:\n        - vault_address: '" + vault.URL + "'\n          engine_path: '" + engine + "'\n          key_name: '" + key + "'\n          created_at: '2026-01-01T00:00:00Z'\n          enc: vault:v1:x")
		store := sealed.NewStore(sealed.Identities{Environment: true, VaultAllowlist: []string{vault.URL}})
		if _, err := openAt(t, store, sealed.YAML, text, "a"); sealed.CodeOf(err) != sealed.BadMetadata {
			t.Errorf("engine %q, key %q: %v", engine, key, err)
		}
	}
}

// withKey is a file with the value a whose only key is this part of its metadata.
func (w workshop) withKey(key string) string {
	w.t.Helper()
	if _, err := os.Stat(w.path("template.yaml")); err != nil {
		w.encrypt("template.yaml", "a: value\n")
	}
	re := regexp.MustCompile(`(?s)    age:\n.*?(    lastmodified)`)
	text := w.read("template.yaml")
	if !re.MatchString(text) {
		w.t.Fatalf("no key in\n%s", text)
	}
	return re.ReplaceAllString(text, "    "+strings.ReplaceAll(key, "$", "$$")+"\n${1}")
}

func TestAWSKeysOpenWithTheCredentialsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	kms := newService(t, func(s *service, r *http.Request, body map[string]string) (string, any) {
		name := r.Header.Get("X-Amz-Target")
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIATEST/") {
			return name + " without the credentials", nil
		}
		switch name {
		case "TrentService.Encrypt":
			return name, map[string]string{"KeyId": body["KeyId"], "CiphertextBlob": base64.StdEncoding.EncodeToString([]byte(s.hide(body["Plaintext"])))}
		case "TrentService.Decrypt":
			ticket, _ := base64.StdEncoding.DecodeString(body["CiphertextBlob"])
			return name, map[string]string{"KeyId": body["KeyId"], "Plaintext": s.tickets[string(ticket)]}
		}
		return name, nil
	})
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/00000000-1111-2222-3333-444444444444"
	env := []string{
		"AWS_ENDPOINT_URL=" + kms.URL, "AWS_ENDPOINT_URL_KMS=" + kms.URL, "AWS_ACCESS_KEY_ID=AKIATEST", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
	w.env = env
	w.write("a.yaml", "a: value\n")
	w.sops("encrypt", "--in-place", "--kms", arn, "--encryption-context", "app:test", "a.yaml")
	kms.served()
	if got := w.parse("a.yaml").Recipients(); !cmp.Equal(got, []string{"kms " + arn + "|app:test"}) {
		t.Errorf("recipients %q", got)
	}
	got := w.runAll([]job{{File: w.path("a.yaml"), Keys: []string{"a"}}, {File: w.path("a.yaml"), Keys: []string{"a"}, Environment: true}}, env...)
	got[1].opens(t, "value")
	if got := kms.served(); !cmp.Equal(got, []string{"TrentService.Decrypt"}) {
		t.Errorf("requests %q", got)
	}
	got[0].fails(t, sealed.NoIdentity, arn, "switched off") // which made no request, as the count says
}

func TestGCPKeysOpenWithTheTokenOfTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	const id = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
	kms := newService(t, func(s *service, r *http.Request, body map[string]string) (string, any) {
		name := r.Method + " " + r.URL.Path
		if r.Header.Get("Authorization") != "Bearer token-of-the-test" {
			return name + " without the token", nil
		}
		switch r.URL.Path {
		case "/v1/" + id + ":encrypt":
			return name, map[string]string{"name": id, "ciphertext": base64.StdEncoding.EncodeToString([]byte(s.hide(body["plaintext"])))}
		case "/v1/" + id + ":decrypt":
			ticket, _ := base64.StdEncoding.DecodeString(body["ciphertext"])
			return name, map[string]string{"plaintext": s.tickets[string(ticket)]}
		}
		return name, nil
	})
	env := []string{
		"SOPS_GCP_KMS_ENDPOINT=" + kms.URL, "SOPS_GCP_KMS_CLIENT_TYPE=rest", "GOOGLE_OAUTH_ACCESS_TOKEN=token-of-the-test",
		"GCE_METADATA_HOST=127.0.0.1:1", "NO_GCE_CHECK=true",
	}
	w.env = env
	w.write("a.yaml", "a: value\n")
	w.sops("encrypt", "--in-place", "--gcp-kms", id, "a.yaml")
	kms.served()
	if got := w.parse("a.yaml").Recipients(); !cmp.Equal(got, []string{"gcp_kms " + id}) {
		t.Errorf("recipients %q", got)
	}
	got := w.runAll([]job{{File: w.path("a.yaml"), Keys: []string{"a"}}, {File: w.path("a.yaml"), Keys: []string{"a"}, Environment: true}}, env...)
	got[1].opens(t, "value")
	if got := kms.served(); !cmp.Equal(got, []string{"POST /v1/" + id + ":decrypt"}) {
		t.Errorf("requests %q", got)
	}
	got[0].fails(t, sealed.NoIdentity, id, "switched off") // which made no request, as the count says
}

// The clients of these two know no address but those of their clouds, so nothing
// is opened here.
func TestAzureAndHuaweiKeysAreReadAndNotAskedWithoutTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	for want, key := range map[string]string{
		"azure_kv https://v.vault.azure.net/keys/k/1":           "azure_kv:\n        - vault_url: https://v.vault.azure.net\n          name: k\n          version: '1'\n          created_at: '2026-01-01T00:00:00Z'\n          enc: eA",
		"hckms cn-north-1:00000000-1111-2222-3333-444444444444": "hckms:\n        - key_id: cn-north-1:00000000-1111-2222-3333-444444444444\n          created_at: '2026-01-01T00:00:00Z'\n          enc: eA==",
	} {
		file := w.write("a.yaml", w.withKey(key))
		if got := w.parse("a.yaml").Recipients(); !cmp.Equal(got, []string{want}) {
			t.Errorf("recipients %q", got)
		}
		w.run(job{File: file, Keys: []string{"a"}, VaultAllowlist: []string{"all"}}).fails(t, sealed.NoIdentity, want, "switched off")
	}
	_, err := openAt(t, w.store(), sealed.YAML, w.withKey("hckms:\n        - key_id: nonsense\n          enc: eA=="), "a")
	if sealed.CodeOf(err) != sealed.BadMetadata {
		t.Error(err)
	}
}

func TestPGPKeysOpenWithGnuPG(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	home, err := os.MkdirTemp("", "gpg") // the socket of its agent has to have a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	gpg := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{"--homedir", home}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("this test needs GnuPG: %v\n%s", err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { gpg("gpgconf", "--kill", "all") })
	gpg("gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", "test@example.com", "rsa2048", "default", "never")
	listed := gpg("gpg", "--batch", "--with-colons", "--list-keys")
	fingerprint := regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`).FindStringSubmatch(listed)[1]
	// RSA keys made like this sign; one for encryption is added.
	gpg("gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-add-key", fingerprint, "rsa2048", "encr", "never")

	w.env = []string{"GNUPGHOME=" + home}
	w.write("a.yaml", "a: value\n")
	w.sops("encrypt", "--in-place", "--pgp", fingerprint, "a.yaml")
	if got := w.parse("a.yaml").Recipients(); !cmp.Equal(got, []string{"pgp " + fingerprint}) {
		t.Errorf("recipients %q", got)
	}
	file := job{File: w.path("a.yaml"), Keys: []string{"a"}}
	explicit, open := file, file
	explicit.GnuPGHome, open.Environment = home, true
	w.run(explicit).opens(t, "value")
	got := w.runAll([]job{open, file}, "GNUPGHOME="+home)
	got[0].opens(t, "value")
	got[1].fails(t, sealed.NoIdentity, fingerprint, "gnupg_home")
	// Another program than gpg is a matter of the environment.
	w.run(explicit, "SOPS_GPG_EXEC=/bin/false").fails(t, sealed.NoIdentity, "SOPS_GPG_EXEC")
	empty := explicit
	empty.GnuPGHome = w.path("empty")
	must(t, os.Mkdir(empty.GnuPGHome, 0o700))
	w.run(empty).fails(t, sealed.NoIdentity, fingerprint, "did not open")
	gpgconf := exec.CommandContext(t.Context(), "gpgconf", "--homedir", empty.GnuPGHome, "--kill", "all")
	if out, err := gpgconf.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOneQuestionForAllValuesOfAFile(t *testing.T) {
	t.Parallel()
	w, vault := newWorkshop(t), newVault(t, vaultToken)
	w.env = []string{"VAULT_TOKEN=" + vaultToken}
	var text strings.Builder
	j := job{File: w.path("a.yaml"), Environment: true, VaultAllowlist: []string{vault.URL}}
	for i := range 200 {
		fmt.Fprintf(&text, "k%d: value\n", i)
		j.Keys = append(j.Keys, fmt.Sprintf("k%d", i))
	}
	w.write("a.yaml", text.String())
	w.sops("encrypt", "--in-place", "--hc-vault-transit", vault.URL+"/v1/transit/keys/app", "a.yaml")
	vault.served()
	w.run(j, "VAULT_TOKEN="+vaultToken).opens(t, "value")
	if got := vault.served(); len(got) != 1 {
		t.Errorf("%d requests, want 1: %q", len(got), got)
	}
}

// Who gives up must not take the answer from those who wait with him.
func TestAnAttemptThatIsGivenUpIsRepeated(t *testing.T) {
	t.Parallel()
	w, vault := newWorkshop(t), newVault(t, "")
	w.write("a.yaml", "a: value\n")
	w.sops("encrypt", "--in-place", "--hc-vault-transit", vault.URL+"/v1/transit/keys/app", "a.yaml")
	vault.served()
	asked, first := make(chan struct{}), sync.Once{}
	vault.before = func(r *http.Request) {
		first.Do(func() {
			close(asked)
			<-r.Context().Done()
		})
	}
	store := sealed.NewStore(sealed.Identities{Environment: true, VaultAllowlist: []string{vault.URL}})
	read := func(ctx context.Context) error {
		_, err := store.Secret(ctx, w.path("a.yaml"), "", sealed.Path{"a"})
		return err
	}
	ctx, giveUp := context.WithCancel(t.Context())
	results := make(chan error, 1)
	go func() { results <- read(ctx) }()
	<-asked
	waiting := make(chan error, 1)
	go func() { waiting <- read(t.Context()) }()
	giveUp()
	if err := <-results; sealed.CodeOf(err) != sealed.NoIdentity {
		t.Errorf("who gave up: %v", err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("who waited: %v", err)
	}
	if err := read(t.Context()); err != nil {
		t.Error(err)
	}
	if errors.Is(t.Context().Err(), context.Canceled) {
		t.Fatal("the test is over too early")
	}
}

func TestAStoreServesManyAndSeesChanges(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	const files = 4
	for i := range files {
		w.encrypt(fmt.Sprintf("f%d.yaml", i), fmt.Sprintf("a: value %d\nlist: [x, %d]\n", i, i))
	}
	store := w.store()
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			i := n % files
			name, want := w.path(fmt.Sprintf("f%d.yaml", i)), fmt.Sprintf("value %d", i)
			got, err := store.Secret(t.Context(), name, "", sealed.Path{"a"})
			if err != nil || got.Reveal() != want {
				t.Errorf("%s: %q, %v", name, got.Reveal(), err)
			}
			f, err := store.File(name, "")
			if err != nil {
				t.Error(err)
				return
			}
			_, _, _ = f.Keys(), f.Plain(), f.Recipients()
			o, err := store.Open(t.Context(), f)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := o.Value(nil); err != nil {
				t.Error(err)
			}
			if _, err := o.Reseal([]sealed.Entry{{Name: "a", Value: got}}, time.Now()); err != nil {
				t.Error(err)
			}
			// The same file in two stores at once.
			if _, err := w.store().Open(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.encrypt("f0.yaml", "a: another value\n")
	if got, err := store.Secret(t.Context(), w.path("f0.yaml"), "", sealed.Path{"a"}); err != nil || got.Reveal() != "another value" {
		t.Errorf("after a change: %q, %v", got.Reveal(), err)
	}
	// Errors name the file that was asked for, not one that had the same content.
	w.write("copy.yaml", w.read("f0.yaml"))
	if _, err := store.Secret(t.Context(), w.path("copy.yaml"), "", sealed.Path{"b"}); err == nil || !strings.Contains(err.Error(), "copy.yaml") {
		t.Errorf("of the copy: %v", err)
	}
	none := sealed.NewStore(sealed.Identities{})
	for _, name := range []string{"f0.yaml", "copy.yaml"} {
		if _, err := none.Secret(t.Context(), w.path(name), "", sealed.Path{"a"}); err == nil || !strings.HasPrefix(err.Error(), w.path(name)+":") {
			t.Errorf("of %s: %v", name, err)
		}
	}
	if _, err := store.File(w.dir, sealed.YAML); sealed.CodeOf(err) != sealed.Unreadable {
		t.Errorf("a directory: %v", err)
	}
}
