// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

func TestAKeyFileThatOthersCouldUseIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: one\n")
	f := w.parse("a.yaml")
	key := w.identity.Reveal()
	for name, c := range map[string]struct {
		make func(path string) error
		want sealed.Code // empty: it opens
		says string
	}{
		"good":             {func(p string) error { return os.WriteFile(p, []byte(key), 0o600) }, "", ""},
		"read only":        {func(p string) error { return os.WriteFile(p, []byte(key), 0o400) }, "", ""},
		"several":          {func(p string) error { return os.WriteFile(p, []byte(other(t)+"\n# mine\n"+key), 0o600) }, "", ""},
		"line ends of DOS": {func(p string) error { return os.WriteFile(p, []byte(strings.ReplaceAll(key, "\n", "\r\n")), 0o600) }, "", ""},
		"missing":          {func(string) error { return nil }, sealed.NoIdentity, "cannot be read"},
		"for the group":    {func(p string) error { return create(p, key, 0o640) }, sealed.KeyFileExposed, "chmod 600"},
		"for everybody":    {func(p string) error { return create(p, key, 0o604) }, sealed.KeyFileExposed, "its mode is 0604"},
		"a link":           {func(p string) error { return os.Symlink(w.key, p) }, sealed.KeyFileExposed, "symbolic link"},
		"a directory":      {func(p string) error { return os.Mkdir(p, 0o700) }, sealed.KeyFileExposed, "no regular file"},
		"a pipe":           {func(p string) error { return syscall.Mkfifo(p, 0o600) }, sealed.KeyFileExposed, "no regular file"},
		"empty":            {func(p string) error { return create(p, "# nothing\n\n", 0o600) }, sealed.KeyFileBad, "AGE-SECRET-KEY-1"},
		"garbage":          {func(p string) error { return create(p, "AGE-SECRET-KEY-1GARBAGE\n", 0o600) }, sealed.KeyFileBad, "no usable identity"},
		"a public key":     {func(p string) error { return create(p, w.recipient+"\n", 0o600) }, sealed.KeyFileBad, "no usable identity"},
		"another's":        {func(p string) error { return create(p, other(t), 0o600) }, sealed.NoIdentity, w.recipient},
		"of another user": {func(p string) error {
			if os.Geteuid() != 0 {
				return create(p, key, 0o644) // only root can give files away; any refusal will do
			}
			if err := create(p, key, 0o600); err != nil {
				return err
			}
			return os.Chown(p, 12345, -1)
		}, sealed.KeyFileExposed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key.txt")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			_, err := sealed.NewStore(sealed.Identities{AgeKeyFile: path}).Open(t.Context(), f)
			if sealed.CodeOf(err) != c.want || (c.want == "") != (err == nil) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) && c.want != sealed.NoIdentity) {
				t.Errorf("%q or the path is not in %v", c.says, err)
			}
			tells(t, err, secretLine(key))
		})
	}
}

// create makes a file with exactly this mode, whatever the umask is.
func create(path, text string, mode os.FileMode) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// other is the text of a key file that opens nothing.
func other(t *testing.T) string {
	t.Helper()
	key, _, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return key.Reveal()
}

// secretLine is the line of a key file that is secret.
func secretLine(file string) string {
	for line := range strings.Lines(file) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func TestAnSSHKeyIsAnIdentity(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	recipient, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	open, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t)
	w.recipient = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(recipient)))
	w.encrypt("a.yaml", "a: one\n")
	for name, c := range map[string]struct {
		key  *pem.Block
		want sealed.Code
	}{"open": {open, ""}, "with a passphrase": {locked, sealed.KeyFileBad}} {
		text := string(pem.EncodeToMemory(c.key))
		file := w.write("id_"+strings.ReplaceAll(name, " ", "_"), text)
		for how, ids := range map[string]sealed.Identities{"file": {AgeKeyFile: file}, "text": {AgeKey: sealed.NewSecret(text)}} {
			_, err := sealed.NewStore(ids).Open(t.Context(), w.parse("a.yaml"))
			if sealed.CodeOf(err) != c.want || (c.want == "") != (err == nil) {
				t.Errorf("%s as %s: %v, want %s", name, how, err, c.want)
			}
		}
	}
}

// TestTheEnvironmentCountsOnlyIfAllowed looks at each place where SOPS finds age
// identities, in a process that has nothing else.
func TestTheEnvironmentCountsOnlyIfAllowed(t *testing.T) {
	t.Parallel()
	if file := os.Getenv("SEALED_TEST_FILE"); file != "" {
		f, err := sealed.Read(file, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.NewStore(sealed.Identities{}).Open(t.Context(), f); sealed.CodeOf(err) != sealed.NoIdentity {
			t.Errorf("not allowed: %v", err)
		}
		_, err = sealed.NewStore(sealed.Identities{Environment: true}).Open(t.Context(), f)
		if want := sealed.Code(os.Getenv("SEALED_TEST_WANT")); sealed.CodeOf(err) != want || (want == "") != (err == nil) {
			t.Errorf("allowed: %v, want %s", err, want)
		}
		return
	}
	w := newWorkshop(t)
	file := w.encrypt("a.yaml", "a: one\n")
	exposed := w.path("exposed.txt")
	if err := create(exposed, w.identity.Reveal(), 0o644); err != nil {
		t.Fatal(err)
	}
	usual := func(mode os.FileMode) string {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "sops", "age"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := create(filepath.Join(dir, "sops", "age", "keys.txt"), w.identity.Reveal(), mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, c := range map[string]struct {
		env  string
		want sealed.Code
	}{
		"nothing":              {"NOTHING=1", sealed.NoIdentity},
		"SOPS_AGE_KEY":         {"SOPS_AGE_KEY=" + secretLine(w.identity.Reveal()), ""},
		"SOPS_AGE_KEY_FILE":    {"SOPS_AGE_KEY_FILE=" + w.key, ""},
		"SOPS_AGE_KEY_CMD":     {"SOPS_AGE_KEY_CMD=cat " + w.key, ""},
		"an exposed file":      {"SOPS_AGE_KEY_FILE=" + exposed, sealed.KeyFileExposed},
		"the usual place":      {"XDG_CONFIG_HOME=" + usual(0o600), ""},
		"exposed at its place": {"XDG_CONFIG_HOME=" + usual(0o644), sealed.KeyFileExposed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rerun(t, "TestTheEnvironmentCountsOnlyIfAllowed", "SEALED_TEST_FILE="+file, "SEALED_TEST_WANT="+string(c.want), c.env)
		})
	}
}
