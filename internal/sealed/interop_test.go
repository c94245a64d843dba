// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

const sampleYAML = `# head of the file
db: # beside a map
  # above a value
  password: hunter-22 # beside a value
  port: 5432
  ratio: 0.25
  big: 1e3
  on: true
  off: false
  none: null
  empty: ""
  since: 2026-11-25T01:02:03Z
  day: 2026-11-25
  quoted: "1234"
  lines: |
    first
    second
list:
  # above an element
  - one # beside an element
  - {name: inner, value: 7}
  - [nested, 2]
  # at the end
anchored: &a
  deep: value
again: *a
unicode: "grüße 🎉"
"name.with.dots": dotted
plain_unencrypted: readable
# the end
`

// values is what decrypting with SOPS gives.
func (w workshop) values(name string) any {
	w.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(w.sops("decrypt", "--output-type", "json", name)), &v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// asJSON takes a value through JSON, so that numbers compare.
func asJSON(t testing.TB, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilesOfSOPSOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		rule       []string // members of the creation rule
	}{
		"yaml":                   {"a.yaml", sampleYAML, nil},
		"yaml, several":          {"a.yml", "a: one\n---\nb: two\nlist: [x]\n", nil},
		"yaml, empty map":        {"a.yaml", "a: {}\nb: []\nc: text\n", nil},
		"json":                   {"a.json", `{"a":{"b":["x",1,2.5,true,null,{"c":"d"}]},"big":9007199254740993,"e":"","f":"ünï\u0000"}`, nil},
		"dotenv":                 {"a.env", "# note\nA=one\nB=two=2\nC=first\\nsecond\n", nil},
		"ini":                    {"a.ini", "; note\n[first]\na = one\n# more\nb = 2\n\n[second]\nc = three\n", nil},
		"yaml, merged":           {"a.yaml", "base: &b\n  x: 1\n  y: two\nother:\n  <<: *b\n  y: three\n", nil},
		"yaml, indented lists":   {"a.yaml", "a:\n- # beside a dash\n  b: c\n# between\n- [d, e] # beside\n# at the end\nf: g\n", nil},
		"ini, no section":        {"a.ini", "top = 1\n\n[a]\nb = x y ; z\nc = \"quoted\"\n", nil},
		"dotenv, odd":            {"a.env", "A=\n#B=c\nC = d \nE='f'\n", nil},
		"encrypted regex":        {"a.yaml", sampleYAML, []string{"encrypted_regex: ^(password|lines)$"}},
		"unencrypted regex":      {"a.yaml", sampleYAML, []string{"unencrypted_regex: ^(port|list)$"}},
		"encrypted suffix":       {"a.json", `{"a_secret":"x","b":"y","c_secret":{"d":1}}`, []string{"encrypted_suffix: _secret"}},
		"unencrypted suffix":     {"a.json", `{"a_open":"x","b":"y"}`, []string{"unencrypted_suffix: _open"}},
		"encrypted comments":     {"a.yaml", "a: 1\n# secret: this\nb: two\n# secret: map\nc:\n  d: 3\ne: 5\n", []string{"encrypted_comment_regex: 'secret:'"}},
		"unencrypted comments":   {"a.yaml", "a: 1\n# open\nb: two\nc:\n  # open\n  d: 3\n  e: 4\n", []string{"unencrypted_comment_regex: open"}},
		"mac of encrypted alone": {"a.yaml", sampleYAML, []string{"mac_only_encrypted: true", "encrypted_regex: ^password$"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(t)
			rule := "creation_rules:\n  - age: " + w.recipient + "\n"
			for _, member := range c.rule {
				rule += "    " + member + "\n"
			}
			w.write(".sops.yaml", rule)
			w.write(c.file, c.text)
			w.sops("encrypt", "--in-place", c.file)
			want := w.values(c.file)
			got, err := w.open(c.file).Value(nil)
			if err != nil {
				t.Fatal(err)
			}
			if list, several := got.([]any); several {
				got = list[0] // SOPS shows the first document as JSON
			}
			if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
				t.Errorf("SOPS says (-), we say (+):\n%s", diff)
			}
			if plain := w.parse(c.file).Plain(); len(plain) > 0 {
				t.Errorf("taken for plaintext: %v", plain)
			}
		})
	}
}

func TestABinaryFileIsOneValue(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("blob.bin", "any \x00\x01\xff bytes\n")
	got, err := w.open("blob.bin").Secret(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Reveal() != "any \x00\x01\xff bytes\n" {
		t.Errorf("got %q", got.Reveal())
	}
}

func TestADigestIsThatOfTheCiphertext(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	for file, c := range map[string]struct{ text, key, line string }{
		"a.yaml": {"db:\n  password: one\nother: two\n", "db.password", `password: (ENC\[.*\])`},
		"a.json": {`{"db":{"password":"one"},"other":"two"}`, "db.password", `"password": "(ENC\[.*\])"`},
		"a.env":  {"PASSWORD=one\nOTHER=two\n", "PASSWORD", `PASSWORD=(ENC\[.*\])`},
		"a.ini":  {"[db]\npassword = one\n[more]\nother = two\n", "db.password", `password\s*= (ENC\[.*\])`},
		"a.bin":  {"one", "", `"data": "(ENC\[.*\])"`},
	} {
		w.encrypt(file, c.text)
		match := regexp.MustCompile(c.line).FindStringSubmatch(w.read(file))
		if match == nil {
			t.Fatalf("%s: no ciphertext in\n%s", file, w.read(file))
		}
		sum := sha256.Sum256([]byte(match[1]))
		if got := digest(t, w.parse(file), c.key); got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: the digest is %s, that of the ciphertext %x", file, got, sum)
		}
	}
}

func TestWhatChangesADigest(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "db:\n  password: one\n  user: app\n")
	before := digest(t, w.parse("a.yaml"), "db.password")
	_, other, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.write(".sops.yaml", "creation_rules:\n  - age: "+w.recipient+","+other+"\n")
	for _, step := range []struct {
		name    string
		args    []string
		changes bool
	}{
		{"a sibling is edited", []string{"set", "a.yaml", `["db"]["user"]`, `"root"`}, false},
		{"the same value is set", []string{"set", "a.yaml", `["db"]["password"]`, `"one"`}, false},
		{"recipients change", []string{"updatekeys", "--yes", "a.yaml"}, false},
		{"the value is edited", []string{"set", "a.yaml", `["db"]["password"]`, `"two"`}, true},
		{"the data key is rotated", []string{"rotate", "--in-place", "a.yaml"}, true},
	} {
		w.sops(step.args...)
		now := digest(t, w.parse("a.yaml"), "db.password")
		if (now != before) != step.changes {
			t.Errorf("%s: the digest changed: %v, want %v", step.name, now != before, step.changes)
		}
		before = now
	}
	if n := len(w.parse("a.yaml").Recipients()); n != 2 {
		t.Errorf("%d recipients, want 2", n)
	}
}

func TestSOPSOpensWhatIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	entries := map[string]string{"A": "one", "B": "two\nlines", "EMPTY": "", "NUM": "0123", "UNI": "grüße"}
	to, err := sealed.AgeRecipients(w.recipient)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"a.yaml", "a.json", "a.env"} {
		text, err := sealed.Seal(file, sealed.FormatOf(file), sorted(entries), to, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.write(file, string(text))
		if diff := cmp.Diff(asJSON(t, entries), w.values(file)); diff != "" {
			t.Errorf("%s: sealed (-), SOPS reads (+):\n%s", file, diff)
		}
		before := map[string]string{}
		for _, name := range []string{"A", "B", "NUM"} {
			before[name] = digest(t, w.parse(file), name)
		}
		changed := maps.Clone(entries)
		changed["B"], changed["NEW"] = "other", "more"
		if text, err = w.open(file).Reseal(sorted(changed), time.Now()); err != nil {
			t.Fatal(err)
		}
		w.write(file, string(text))
		if diff := cmp.Diff(asJSON(t, changed), w.values(file)); diff != "" {
			t.Errorf("%s: resealed (-), SOPS reads (+):\n%s", file, diff)
		}
		for name, was := range before {
			if changed := digest(t, w.parse(file), name) != was; changed != (name == "B") {
				t.Errorf("%s: the digest of %s changed: %v", file, name, changed)
			}
		}
	}
}

func sorted(values map[string]string) []sealed.Entry {
	var out []sealed.Entry
	for _, name := range []string{"A", "B", "EMPTY", "NEW", "NUM", "UNI"} {
		if value, ok := values[name]; ok {
			out = append(out, sealed.Entry{Name: name, Value: sealed.NewSecret(value)})
		}
	}
	return out
}

func TestShamirGroupsOpenWithEnoughOfThem(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	second, recipient2, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, recipient3, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.write(".sops.yaml", "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n    - age: ["+w.recipient+"]\n    - age: ["+recipient2+"]\n    - age: ["+recipient3+"]\n")
	w.write("a.yaml", "a: one\n")
	w.sops("encrypt", "--in-place", "a.yaml")

	f := w.parse("a.yaml")
	_, err = w.store().Open(t.Context(), f)
	if sealed.CodeOf(err) != sealed.NoIdentity {
		t.Errorf("one of three groups: %v", err)
	}
	both := sealed.NewStore(sealed.Identities{AgeKey: sealed.NewSecret(w.identity.Reveal() + second.Reveal())})
	o, err := both.Open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.Secret(path(t, "a")); err != nil || got.Reveal() != "one" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}

	// What the same rule makes here, SOPS opens with two of the keys.
	rule, err := sealed.RuleFor(w.path(".sops.yaml"), w.path("b.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := sealed.Seal("b.yaml", sealed.YAML, []sealed.Entry{{Name: "b", Value: sealed.NewSecret("two")}}, rule, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.write("b.yaml", string(text))
	if err := os.WriteFile(w.key, []byte(w.identity.Reveal()+second.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"b": "two"}, w.values("b.yaml")); diff != "" {
		t.Error(diff)
	}
}
