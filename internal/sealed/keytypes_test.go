// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// sealAndOpen writes a file by a creation rule, and opens it with the environment.
// It is run in a process of its own, which has the credentials.
func sealAndOpen(t *testing.T) {
	t.Helper()
	dir := os.Getenv("SEALED_TEST_DIR")
	rule, err := sealed.RuleFor(filepath.Join(dir, sealed.ConfigName), filepath.Join(dir, "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []sealed.Entry
	for _, name := range []string{"a", "b", "c"} {
		entries = append(entries, sealed.Entry{Name: name, Value: sealed.NewSecret("value of " + name)})
	}
	text, err := sealed.Seal("a.yaml", sealed.YAML, entries, rule, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	ids := sealed.Identities{Environment: true}
	if vault := os.Getenv("SEALED_TEST_VAULT"); vault != "" {
		ids.VaultAllowlist = []string{vault}
	}
	store := sealed.NewStore(ids)
	for _, e := range entries {
		got, err := store.Secret(t.Context(), filepath.Join(dir, "a.yaml"), "", sealed.Path{e.Name})
		if err != nil || got.Reveal() != e.Value.Reveal() {
			t.Errorf("%s is %q, %v", e.Name, got.Reveal(), err)
		}
	}
	f, err := store.File(filepath.Join(dir, "a.yaml"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.NewStore(sealed.Identities{}).Open(t.Context(), f); sealed.CodeOf(err) != sealed.NoIdentity {
		t.Errorf("without the environment: %v", err)
	}
}

// service is a key service on loopback. It counts what it is asked.
type service struct {
	*httptest.Server
	encrypted, decrypted atomic.Int64
}

// newService answers through answer, which gets the operation, "encrypt" or
// "decrypt", and the members of the request's body.
func newService(t *testing.T, operation func(*http.Request) string, answer func(operation string, body map[string]string) any) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		var members map[string]json.RawMessage
		_ = json.Unmarshal(text, &members)
		body := map[string]string{}
		for name, raw := range members {
			var value string
			if json.Unmarshal(raw, &value) == nil {
				body[name] = value
			}
		}
		what := strings.ToLower(operation(r))
		switch what {
		case "encrypt":
			s.encrypted.Add(1)
		case "decrypt":
			s.decrypted.Add(1)
		default:
			http.Error(w, "no such operation "+r.URL.Path, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer(what, body))
	}))
	t.Cleanup(s.Close)
	return s
}

// wrap and unwrap are the services' cryptography: what matters here is the way.
func wrap(plain string) string {
	return base64.StdEncoding.EncodeToString([]byte("wrapped:" + plain))
}

func unwrap(wrapped string) string {
	text, _ := base64.StdEncoding.DecodeString(wrapped)
	return strings.TrimPrefix(string(text), "wrapped:")
}

func (s *service) wantOneOfEach(t *testing.T) {
	t.Helper()
	if e, d := s.encrypted.Load(), s.decrypted.Load(); e != 1 || d != 1 {
		t.Errorf("the service encrypted %d times and decrypted %d times; three values of one file need it once each", e, d)
	}
}

func TestKeysOfAWS(t *testing.T) {
	t.Parallel()
	if os.Getenv("SEALED_TEST_DIR") != "" {
		sealAndOpen(t)
		return
	}
	s := newService(t, func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.") },
		func(operation string, body map[string]string) any {
			if operation == "encrypt" {
				return map[string]string{"CiphertextBlob": wrap(body["Plaintext"]), "KeyId": body["KeyId"]}
			}
			return map[string]string{"Plaintext": unwrap(body["CiphertextBlob"]), "KeyId": body["KeyId"]}
		})
	w := newWorkshop(t)
	w.write(sealed.ConfigName, "creation_rules:\n  - kms: arn:aws:kms:eu-west-3:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\n")
	rerun(t, "TestKeysOfAWS", "SEALED_TEST_DIR="+w.dir, "AWS_ENDPOINT_URL_KMS="+s.URL, "AWS_ENDPOINT_URL="+s.URL, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	s.wantOneOfEach(t)
}

func TestKeysOfGoogleCloud(t *testing.T) {
	t.Parallel()
	if os.Getenv("SEALED_TEST_DIR") != "" {
		sealAndOpen(t)
		return
	}
	s := newService(t, func(r *http.Request) string {
		_, operation, _ := strings.Cut(r.URL.Path, "/cryptoKeys/k:")
		return operation
	},
		func(operation string, body map[string]string) any {
			if operation == "encrypt" {
				return map[string]string{"ciphertext": wrap(body["plaintext"])}
			}
			return map[string]string{"plaintext": unwrap(body["ciphertext"])}
		})
	w := newWorkshop(t)
	w.write(sealed.ConfigName, "creation_rules:\n  - gcp_kms: projects/p/locations/global/keyRings/r/cryptoKeys/k\n")
	rerun(t, "TestKeysOfGoogleCloud", "SEALED_TEST_DIR="+w.dir, "SOPS_GCP_KMS_CLIENT_TYPE=rest", "SOPS_GCP_KMS_ENDPOINT="+s.URL,
		"GOOGLE_OAUTH_ACCESS_TOKEN=test", "NO_GCE_CHECK=true")
	s.wantOneOfEach(t)
}

func TestKeysOfVault(t *testing.T) {
	t.Parallel()
	if os.Getenv("SEALED_TEST_DIR") != "" {
		sealAndOpen(t)
		return
	}
	s := newVault(t)
	w := newWorkshop(t)
	w.write(sealed.ConfigName, "creation_rules:\n  - hc_vault_transit_uri: "+s.URL+"/v1/transit/keys/k\n")
	rerun(t, "TestKeysOfVault", "SEALED_TEST_DIR="+w.dir, "VAULT_TOKEN=test-token-of-vault", "SEALED_TEST_VAULT="+s.URL)
	s.wantOneOfEach(t)
}

func newVault(t *testing.T) *service {
	return newService(t, func(r *http.Request) string {
		return strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/k")
	}, func(operation string, body map[string]string) any {
		if operation == "encrypt" {
			return map[string]any{"data": map[string]string{"ciphertext": "vault:v1:" + wrap(body["plaintext"])}}
		}
		return map[string]any{"data": map[string]string{"plaintext": unwrap(strings.TrimPrefix(body["ciphertext"], "vault:v1:"))}}
	})
}

// TestNoTokenGoesToAVaultThatIsNotAllowed: the address stands in the file, so
// whoever can change the file could collect tokens.
func TestNoTokenGoesToAVaultThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	s := newVault(t)
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: one\n")
	key := "    hc_vault:\n        - vault_address: ADDRESS\n          engine_path: transit\n          key_name: k\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: vault:v1:x\n    lastmodified"
	host := strings.TrimPrefix(s.URL, "http://")
	for address, allowed := range map[string][]string{
		s.URL:                             {},
		s.URL + "/":                       {s.URL + "0"},
		s.URL + "/v1":                     {s.URL + "/v"},
		"http://user@" + host:             {s.URL},
		"https://" + host:                 {s.URL},
		"http://" + host + ".example.com": {s.URL},
		"http://" + host + "@127.0.0.1:1": {s.URL},
	} {
		text := replaced(t, w.read("a.yaml"), `(?s)    age:.*?    lastmodified`, strings.ReplaceAll(key, "ADDRESS", address))
		f, err := sealed.Parse("a.yaml", sealed.YAML, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = sealed.NewStore(sealed.Identities{Environment: true, VaultAllowlist: allowed}).Open(t.Context(), f)
		if sealed.CodeOf(err) != sealed.NoIdentity || !strings.Contains(err.Error(), "vault_allowlist") {
			t.Errorf("%s with %v: %v", address, allowed, err)
		}
	}
	if n := s.encrypted.Load() + s.decrypted.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestKeysOfGnuPG(t *testing.T) {
	t.Parallel()
	if os.Getenv("SEALED_TEST_DIR") != "" {
		sealAndOpen(t)
		return
	}
	home, err := os.MkdirTemp("", "gpg") // the agent's socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	gpg := func(program string, args ...string) string {
		out, err := exec.Command(program, append([]string{"--homedir", home}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("this test runs GnuPG (package gnupg): %s %v: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() {
		gpg("gpgconf", "--kill", "all")
		os.RemoveAll(home)
	})
	gpg("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "test@example.com", "future-default", "default", "never")
	match := regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`).FindStringSubmatch(gpg("gpg", "--with-colons", "--list-keys"))
	if match == nil {
		t.Fatal("there is no key")
	}
	w := newWorkshop(t)
	w.write(sealed.ConfigName, "creation_rules:\n  - pgp: "+match[1]+"\n")
	rerun(t, "TestKeysOfGnuPG", "SEALED_TEST_DIR="+w.dir, "GNUPGHOME="+home)
	// This process knows nothing of the directory but by its setting.
	o, err := sealed.NewStore(sealed.Identities{GnuPGHome: home}).Open(t.Context(), w.parse("a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.Secret(sealed.Path{"a"}); err != nil || got.Reveal() != "value of a" {
		t.Errorf("a is %q, %v", got.Reveal(), err)
	}
}

// TestKeysOfServicesThatCannotBeHere: the clients of these two speak to their
// clouds alone, so what is shown is that their keys are understood, and that
// nobody is asked without leave.
func TestKeysOfServicesThatCannotBeHere(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: one\n")
	for name, c := range map[string]struct{ key, describes string }{
		"Azure":  {"azure_kv:\n        - vault_url: https://v.vault.azure.net\n          name: k\n          version: '1'\n", "azure_kv https://v.vault.azure.net/keys/k/1"},
		"Huawei": {"hckms:\n        - key_id: tr-west-1:abc-123\n", "hckms tr-west-1:abc-123"},
	} {
		key := "    " + c.key + "          created_at: \"2026-01-01T00:00:00Z\"\n          enc: eA==\n    lastmodified"
		f, err := sealed.Parse("a.yaml", sealed.YAML, []byte(replaced(t, w.read("a.yaml"), `(?s)    age:.*?    lastmodified`, key)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := f.Recipients(); len(got) != 1 || got[0] != c.describes {
			t.Errorf("%s: recipients %q, want %q", name, got, c.describes)
		}
		_, err = w.store().Open(t.Context(), f)
		if sealed.CodeOf(err) != sealed.NoIdentity || !strings.Contains(err.Error(), "which is switched off") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
