// SPDX-License-Identifier: MPL-2.0

package secretfile

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// shelf is a directory with a file to be mirrored into, and the key for it.
type shelf struct {
	t         *testing.T
	path      string
	recipient string
	store     *sealed.Store
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	key, recipient, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{
		t: t, path: filepath.Join(t.TempDir(), "prod.enc.yaml"), recipient: recipient, store: sealed.NewStore(sealed.Identities{AgeKey: key}),
	}
}

func (s *shelf) plan(values map[string]string) *Change {
	s.t.Helper()
	m := Mirror{Path: s.path, Age: []string{s.recipient}, Secrets: map[string]sealed.Secret{}}
	for name, value := range values {
		m.Secrets[name] = sealed.NewSecret(value)
	}
	c, err := m.Plan(s.t.Context(), s.store, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *shelf) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) text(path string) []byte {
	s.t.Helper()
	text, err := os.ReadFile(path)
	s.must(err)
	return text
}

// value is what the file says, to who has the key.
func (s *shelf) value(path, name string) string {
	s.t.Helper()
	secret, err := s.store.Secret(s.t.Context(), path, "", sealed.Path{name})
	s.must(err)
	return secret.Reveal()
}

func (s *shelf) names() []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(s.path))
	s.must(err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func random(t *testing.T) string {
	t.Helper()
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return "canary/<" + hex.EncodeToString(b)
}

func TestWhoeverIsKilledLeavesTheOldFileAndNoPlaintext(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	first, second := random(t), random(t)
	s.must(s.plan(map[string]string{"A": first}).Write())
	before := s.text(s.path)

	// Each state of the disk is one in which the process could have ended.
	states := map[string][]byte{}
	note := func(when string) {
		s.must(filepath.WalkDir(filepath.Dir(s.path), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				states[when+": "+e.Name()] = s.text(path)
			}
			return err
		}))
	}
	c := s.plan(map[string]string{"A": second, "B": first})
	note("planned")
	r, err := prepare(c.Path, c.after)
	s.must(err)
	note("prepared")
	if !bytes.Equal(s.text(s.path), before) || s.value(s.path, "A") != first {
		t.Error("before it is put in place the file is another one")
	}
	if info, err := os.Stat(r.temp); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file beside it is %v, %v", info.Mode(), err)
	}
	if !strings.HasSuffix(r.temp, ".yaml") || s.value(r.temp, "A") != second {
		t.Error("the file beside it is no whole SOPS file")
	}
	// Who comes after a killed one is not in its way.
	other := s.plan(map[string]string{"A": second})
	s.must(other.Write())
	note("written beside a left one")
	if s.value(s.path, "A") != second {
		t.Error("the next one did not write")
	}
	s.must(r.commit())
	note("put in place")
	if diff := cmp.Diff([]string{"prod.enc.yaml"}, s.names()); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	for where, text := range states {
		for _, secret := range []string{first, second} {
			if forms := canary.In(text, secret); len(forms) > 0 {
				t.Errorf("%s holds a secret (%s)", where, strings.Join(forms, ", "))
			}
		}
	}
}

func TestWhatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.must(s.plan(map[string]string{"A": "one"}).Write())
	c := s.plan(map[string]string{"A": "two"})
	s.must(os.WriteFile(s.path, []byte("somebody else's"), 0o600))
	if err := c.Write(); err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("over a change by somebody else: %v", err)
	}
	if got := string(s.text(s.path)); got != "somebody else's" {
		t.Errorf("the file is now %q", got)
	}
	s.must(os.Remove(s.path))
	s.must(os.Mkdir(s.path, 0o700)) // so that the rename fails
	if r, err := prepare(s.path, []byte("x")); err != nil {
		t.Error(err)
	} else if err := r.commit(); err == nil {
		t.Error("a directory was replaced")
	}
	if diff := cmp.Diff([]string{"prod.enc.yaml"}, s.names()); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if _, err := prepare(filepath.Join(s.path, "no", "file"), nil); err == nil || !strings.Contains(err.Error(), "check the directory") {
		t.Errorf("into no directory: %v", err)
	}
}

func TestALinkStaysOneAndAModeStays(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.must(s.plan(map[string]string{"A": "one"}).Write())
	s.must(os.Chmod(s.path, 0o640))
	target := s.path
	s.path = filepath.Join(t.TempDir(), "link.yaml")
	s.must(os.Symlink(target, s.path))
	s.must(s.plan(map[string]string{"A": "two"}).Write())
	if info, err := os.Lstat(s.path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o640 || s.value(target, "A") != "two" {
		t.Errorf("its target is %v, %v", info.Mode(), err)
	}
}

func TestOnlyWhatChangedIsNew(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.must(s.plan(map[string]string{"KEPT": "same", "EDITED": "old", "GONE": "x", "a.b": "dots", "EMPTY": ""}).Write())
	digest := func() string {
		f, err := sealed.Read(s.path, "")
		s.must(err)
		d, err := f.Digest(sealed.Path{"KEPT"})
		s.must(err)
		return d
	}
	before := digest()
	if c := s.plan(map[string]string{"KEPT": "same", "EDITED": "old", "GONE": "x", "a.b": "dots", "EMPTY": ""}); !c.Nothing() || len(c.Retained) != 5 {
		t.Errorf("without a change: %+v", c)
	}
	c := s.plan(map[string]string{"KEPT": "same", "EDITED": "new", "NEW": "y", "a.b": "dots", "EMPTY": ""})
	s.must(c.Write())
	got := [][]string{c.Added, c.Changed, c.Removed, c.Retained}
	want := [][]string{{"NEW"}, {"EDITED"}, {"GONE"}, {"EMPTY", "KEPT", `["a.b"]`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if digest() != before {
		t.Error("a value that did not change has another ciphertext")
	}
	// Recipients stay, and that they differ from what was asked for is said.
	_, stranger, err := sealed.NewAgeKey(time.Now())
	s.must(err)
	m := Mirror{Path: s.path, Age: []string{stranger}, Secrets: map[string]sealed.Secret{"KEPT": sealed.NewSecret("same")}}
	c, err = m.Plan(t.Context(), s.store, time.Now())
	s.must(err)
	if !c.OtherRecipients || !cmp.Equal(c.Recipients, []string{s.recipient}) {
		t.Errorf("recipients are %v", c.Recipients)
	}
	m.Rotate = true
	c, err = m.Plan(t.Context(), s.store, time.Now())
	s.must(err)
	if !c.Rotated || !cmp.Equal(c.Recipients, []string{stranger}) || c.Nothing() {
		t.Errorf("rotated: %+v", c)
	}
}

func TestAFileWithoutRecipientsIsNotWritten(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	m := Mirror{Path: s.path, Secrets: map[string]sealed.Secret{"A": sealed.NewSecret("x")}}
	for _, tc := range [][2]string{
		{"", "name a recipient with --age"},
		{"creation_rules: []", "no creation rule of .sops.yaml fits"},
		{"creation_rules: [{}]", "nobody could decrypt the file"},
		{"creation_rules:\n - {age: 1", "the creation rules cannot be read"},
		{"creation_rules: [{age: x}]", "this is no recipient"},
	} {
		config, want := tc[0], tc[1]
		if config != "" {
			s.must(os.WriteFile(filepath.Join(filepath.Dir(s.path), sealed.ConfigName), []byte(config), 0o600))
		}
		_, err := m.Plan(t.Context(), s.store, time.Now())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", config, err)
		}
	}
	if _, err := os.Stat(s.path); err == nil {
		t.Error("the file is there")
	}
}
