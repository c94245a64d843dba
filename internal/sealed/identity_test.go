// SPDX-License-Identifier: MPL-2.0

//go:build unix

package sealed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// open opens the value a of a.yaml with these identities.
func (w workshop) openWith(ids sealed.Identities) (string, error) {
	w.t.Helper()
	value, err := sealed.NewStore(ids).Secret(w.t.Context(), w.path("a.yaml"), "", sealed.Path{"a"})
	return value.Reveal(), err
}

func TestWhichKeyFilesAreTaken(t *testing.T) {
	t.Parallel()
	other, _, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, w workshop) (path string)
		want sealed.Code
		text string // in the error
	}{
		"as it should be": {func(_ *testing.T, w workshop) string { return w.key }, "", ""},
		"missing":         {func(_ *testing.T, w workshop) string { return w.path("none.txt") }, sealed.NoIdentity, "none.txt"},
		"readable by all": {func(t *testing.T, w workshop) string {
			must(t, os.Chmod(w.key, 0o644)) //nolint:gosec // that is the point
			return w.key
		}, sealed.KeyFileExposed, "0644"},
		"readable by the group": {func(t *testing.T, w workshop) string {
			must(t, os.Chmod(w.key, 0o640))
			return w.key
		}, sealed.KeyFileExposed, "0640"},
		"symbolic link": {func(t *testing.T, w workshop) string {
			must(t, os.Symlink(w.key, w.path("link")))
			return w.path("link")
		}, sealed.KeyFileExposed, "symbolic link"},
		"directory": {func(_ *testing.T, w workshop) string { return w.dir }, sealed.KeyFileExposed, "no regular file"},
		"fifo": {func(t *testing.T, w workshop) string {
			must(t, syscall.Mkfifo(w.path("fifo"), 0o600))
			return w.path("fifo")
		}, sealed.KeyFileExposed, "no regular file"},
		"of somebody else": {func(t *testing.T, w workshop) string {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			must(t, os.Chown(w.key, 12345, -1))
			return w.key
		}, sealed.KeyFileExposed, "user 12345"},
		"empty":   {func(_ *testing.T, w workshop) string { return w.write("empty", "\n") }, sealed.KeyFileBad, "empty"},
		"garbage": {func(_ *testing.T, w workshop) string { return w.write("garbage", "AGE-SECRET-KEY-1GARBAGE\n") }, sealed.KeyFileBad, "garbage"},
		"several": {func(_ *testing.T, w workshop) string {
			return w.write("several", other.Reveal()+"\n# more\r\n  "+strings.ReplaceAll(w.identity.Reveal(), "\n", "\r\n"))
		}, "", ""},
		"of another": {func(_ *testing.T, w workshop) string { return w.write("other", other.Reveal()) }, sealed.NoIdentity, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(t)
			secret := newCanary(t)
			w.encrypt("a.yaml", "a: "+secret+"\n")
			got, err := w.openWith(sealed.Identities{AgeKeyFile: c.make(t, w)})
			switch {
			case sealed.CodeOf(err) != c.want:
				t.Errorf("code %q, want %q: %v", sealed.CodeOf(err), c.want, err)
			case err == nil && got != secret:
				t.Errorf("got %q", got)
			case err != nil && !strings.Contains(err.Error(), c.text):
				t.Errorf("%q is not in %v", c.text, err)
			}
			if c.want == sealed.NoIdentity && !strings.Contains(err.Error(), w.recipient) {
				t.Errorf("it does not name the recipient: %v", err)
			}
			_, key, _ := strings.Cut(w.identity.Reveal(), "AGE-SECRET-KEY-")
			mustNotShow(t, err, secret, strings.TrimSpace(key), "AGE-SECRET-KEY-1GARBAGE")
		})
	}
}

func TestAKeyGivenAsTextWorksWithoutTheKeyFile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: value\n")
	got, err := w.openWith(sealed.Identities{AgeKey: w.identity, AgeKeyFile: w.path("none")})
	if err != nil || got != "value" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = w.openWith(sealed.Identities{AgeKey: sealed.NewSecret("AGE-SECRET-KEY-1GARBAGE")})
	if sealed.CodeOf(err) != sealed.KeyFileBad {
		t.Error(err)
	}
	mustNotShow(t, err, "AGE-SECRET-KEY-1GARBAGE")
	_, err = w.openWith(sealed.Identities{})
	if sealed.CodeOf(err) != sealed.NoIdentity || !strings.Contains(err.Error(), w.recipient) {
		t.Error(err)
	}
}

// sshKey makes an SSH key and returns the path of its file and the public key.
func (w workshop) sshKey(name, passphrase string) (file, public string) {
	w.t.Helper()
	file = w.path(name)
	out, err := exec.CommandContext(w.t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", file).CombinedOutput()
	if err != nil {
		w.t.Fatalf("this test needs ssh-keygen, of the package openssh-client: %v\n%s", err, out)
	}
	return file, strings.TrimSpace(w.read(name + ".pub"))
}

func TestSSHKeysOpenFiles(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	file, public := w.sshKey("id", "")
	w.write("a.yaml", "a: value\n")
	w.sops("encrypt", "--in-place", "--age", public, "a.yaml")
	got, err := w.openWith(sealed.Identities{AgeKeyFile: file})
	if err != nil || got != "value" {
		t.Errorf("got %q, %v", got, err)
	}
	locked, _ := w.sshKey("locked", "a passphrase of some length")
	_, err = w.openWith(sealed.Identities{AgeKeyFile: locked})
	if sealed.CodeOf(err) != sealed.KeyFileBad {
		t.Errorf("a key with a passphrase: %v", err)
	}
	mustNotShow(t, err, strings.Split(w.read("locked"), "\n")[1])
	// The usual place is looked at with the environment alone.
	must(t, os.Mkdir(w.path(".ssh"), 0o700))
	must(t, os.Rename(file, w.path(".ssh/id_ed25519")))
	answers := w.runAll([]job{{File: w.path("a.yaml"), Keys: []string{"a"}, Environment: true}, {File: w.path("a.yaml"), Keys: []string{"a"}}})
	answers[0].opens(t, "value")
	answers[1].fails(t, sealed.NoIdentity, "ssh-ed25519 ")

	to, err := sealed.AgeRecipients(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.Seal("b.yaml", sealed.YAML, []sealed.Entry{{Name: "b", Value: sealed.NewSecret("x")}}, to, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestAPrivateKeyIsNoRecipientAndStaysHidden(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	_, key, _ := strings.Cut(w.identity.Reveal(), "AGE-SECRET-KEY-")
	key = "AGE-SECRET-KEY-" + strings.TrimSpace(key)
	for _, text := range []string{key, " " + strings.ToLower(key)} {
		_, err := sealed.AgeRecipients(text)
		if sealed.CodeOf(err) != sealed.RecipientBad {
			t.Error(err)
		}
		mustNotShow(t, err, key, strings.ToLower(key))
		w.write(".sops.yaml", "creation_rules:\n  - age: '"+text+"'\n")
		_, err = sealed.RuleFor(w.path(".sops.yaml"), w.path("a.yaml"))
		if sealed.CodeOf(err) != sealed.RecipientBad {
			t.Error(err)
		}
		mustNotShow(t, err, key, strings.ToLower(key))
	}
}

func TestWhatIsTakenFromTheEnvironment(t *testing.T) {
	t.Parallel()
	// A key is in w, and never in the child's home.
	w, home := newWorkshop(t), newWorkshop(t)
	w.encrypt("a.yaml", "a: value\n")
	must(t, os.Remove(home.key))
	exposed := w.write("exposed.txt", w.identity.Reveal())
	must(t, os.Chmod(exposed, 0o644)) //nolint:gosec // that is the point
	usual := filepath.Join(home.dir, ".config", "sops", "age")
	must(t, os.MkdirAll(usual, 0o700))
	_, key, _ := strings.Cut(w.identity.Reveal(), "AGE-SECRET-KEY-")
	key = "AGE-SECRET-KEY-" + strings.TrimSpace(key)

	open := job{File: w.path("a.yaml"), Keys: []string{"a"}, Environment: true}
	closed := open
	closed.Environment = false
	explicit, missing := open, open
	explicit.AgeKeyFile = w.key
	missing.AgeKeyFile = w.path("none.txt")
	with := func(jobs ...job) func(env ...string) []answer {
		return func(env ...string) []answer { return home.runAll(jobs, env...) }
	}

	for _, env := range []string{"SOPS_AGE_KEY=" + key, "SOPS_AGE_KEY_FILE=" + w.key, "SOPS_AGE_KEY_CMD=cat " + w.key} {
		got := with(open, closed, missing)(env)
		got[0].opens(t, "value")
		got[1].fails(t, sealed.NoIdentity, w.recipient)
		got[2].opens(t, "value")
	}
	got := with(open, missing)()
	got[0].fails(t, sealed.NoIdentity, w.recipient)
	got[1].fails(t, sealed.NoIdentity, w.recipient, "none.txt")
	got = with(open, closed, explicit)("SOPS_AGE_KEY_FILE=" + exposed)
	got[0].fails(t, sealed.KeyFileExposed, exposed)
	got[1].fails(t, sealed.NoIdentity)
	got[2].opens(t, "value") // an explicit key goes first, and needs nothing else
	home.run(open, "SOPS_AGE_SSH_PRIVATE_KEY_FILE="+exposed).fails(t, sealed.KeyFileExposed, exposed)
	home.run(open, "SOPS_AGE_KEY=AGE-SECRET-KEY-1GARBAGE").fails(t, sealed.NoIdentity, w.recipient)

	file := filepath.Join(usual, "keys.txt")
	must(t, os.WriteFile(file, []byte(w.identity.Reveal()), 0o600))
	got = with(open, closed)()
	got[0].opens(t, "value")
	got[1].fails(t, sealed.NoIdentity)
	must(t, os.Chmod(file, 0o604))
	got = with(open, closed)()
	got[0].fails(t, sealed.KeyFileExposed, file)
	got[1].fails(t, sealed.NoIdentity)
}

func TestAKeyFileThatEverybodyCouldReplaceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: one\n")
	for mode, refused := range map[os.FileMode]bool{0o700: false, 0o755: false, 0o777: true, 0o777 | os.ModeSticky: false} {
		dir := filepath.Join(t.TempDir(), "keys")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(dir, "key.txt")
		if err := os.WriteFile(key, []byte(w.identity.Reveal()), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		_, err := sealed.NewStore(sealed.Identities{AgeKeyFile: key}).Open(t.Context(), w.parse("a.yaml"))
		if (sealed.CodeOf(err) == sealed.KeyFileExposed) != refused || (err == nil) == refused {
			t.Errorf("in a directory of mode %v: %v", mode, err)
		}
	}
}

func TestAFileCannotSayToWhomCredentialsOfAWSGo(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: one\n")
	good := w.read("a.yaml")
	at := strings.Index(good, "    age:")
	end := strings.Index(good, "    lastmodified:")
	for arn, reads := range map[string]bool{
		"arn:aws:kms:eu-west-3:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab": true,
		"arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/app":                     true,
		"arn:aws:kms:127.0.0.1:1/:111122223333:key/x":                                 false,
		"arn:aws:kms:evil.example.com#:111122223333:key/x":                            false,
		"arn:aws:s3:eu-west-3:111122223333:key/x":                                     false,
		"": false,
	} {
		text := good[:at] + "    kms:\n        - arn: '" + arn + "'\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: eA==\n          aws_profile: \"\"\n" + good[end:]
		if _, err := sealed.Parse("a.yaml", sealed.YAML, []byte(text)); (err == nil) != reads || !reads && sealed.CodeOf(err) != sealed.BadMetadata {
			t.Errorf("%q: %v", arn, err)
		}
	}
}
