// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// newCanary is a value that occurs nowhere by chance.
func newCanary(t testing.TB) string {
	t.Helper()
	random := make([]byte, 12)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	return "canary-" + hex.EncodeToString(random)
}

// mustNotShow fails if any way of printing an error, or one that it wraps, has
// one of the secrets in it.
func mustNotShow(t testing.TB, err error, secrets ...string) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		var ours *sealed.Error
		if !errors.As(err, &ours) {
			t.Errorf("a %T in the chain: %v", err, err)
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err)} {
			for _, secret := range secrets {
				if forms := canary.In([]byte(text), secret); len(forms) > 0 {
					t.Errorf("the error shows a secret (%v): %s", forms, text)
				}
			}
		}
	}
}

var ciphertext = regexp.MustCompile(`ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*),type:([a-z]*)\]`)

// broken is an encrypted file to damage: the values password, user and role, in
// this order, and what its format calls them.
type broken struct {
	format   sealed.Format
	text     string
	key, any string // paths of password and user
	secrets  []string
}

// sealedValue returns the nth ciphertext; the last is the MAC.
func (b broken) sealedValue(n int) string {
	all := ciphertext.FindAllString(b.text, -1)
	if n < 0 {
		n += len(all)
	}
	return all[n]
}

// put puts text in the place of the nth ciphertext.
func (b broken) put(n int, text string) string {
	return strings.Replace(b.text, b.sealedValue(n), text, 1)
}

// flip changes one bit in a part of the nth ciphertext.
func (b broken) flip(n, part int) string {
	value := b.sealedValue(n)
	encoded := ciphertext.FindStringSubmatch(value)[part]
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		panic(err)
	}
	raw[len(raw)/2] ^= 1
	return b.put(n, strings.Replace(value, encoded, base64.StdEncoding.EncodeToString(raw), 1))
}

func (b broken) kind(kind string) string {
	return b.put(0, strings.Replace(b.sealedValue(0), "type:str", "type:"+kind, 1))
}

// line is the whole line of the nth ciphertext.
func (b broken) line(n int) string {
	at := strings.Index(b.text, b.sealedValue(n))
	from := strings.LastIndex(b.text[:at], "\n") + 1
	return b.text[from : at+strings.Index(b.text[at:], "\n")+1]
}

// describe adds a member to the metadata.
func (b broken) describe(name, value string) string {
	before, after := map[sealed.Format]string{
		sealed.YAML: "\nsops:\n", sealed.JSON: `"sops": {`, sealed.INI: "[sops]\n",
	}[b.format], map[sealed.Format]string{
		sealed.YAML: "    " + name + ": '" + value + "'\n", sealed.JSON: `"` + name + `": "` + value + `",`, sealed.INI: name + " = " + value + "\n",
	}[b.format]
	if b.format == sealed.Dotenv {
		return b.text + "sops_" + name + "=" + value + "\n"
	}
	if !strings.Contains(b.text, before) {
		panic("no metadata in\n" + b.text)
	}
	return strings.Replace(b.text, before, before+after, 1)
}

func replace(text, pattern, with string) string {
	re := regexp.MustCompile(pattern)
	if !re.MatchString(text) {
		panic(pattern + " does not occur in\n" + text)
	}
	return re.ReplaceAllString(text, with)
}

func brokenFiles(t testing.TB) (workshop, map[string]broken) {
	t.Helper()
	w := newWorkshop(t)
	out := map[string]broken{}
	for name, c := range map[string]struct{ format, key, any string }{
		"a.yaml": {"db:\n  password: %s\n  user: %s\n  role: %s\n", "db.password", "db.user"},
		"a.json": {`{"db":{"password":%q,"user":%q,"role":%q}}`, "db.password", "db.user"},
		"a.env":  {"PASSWORD=%s\nUSER=%s\nROLE=%s\n", "PASSWORD", "USER"},
		"a.ini":  {"[db]\npassword = %s\nuser = %s\nrole = %s\n", "db.password", "db.user"},
	} {
		secrets := []string{newCanary(t), newCanary(t), newCanary(t)}
		w.encrypt(name, fmt.Sprintf(c.format, secrets[0], secrets[1], secrets[2]))
		b := broken{format: sealed.FormatOf(name), text: w.read(name), key: c.key, any: c.any, secrets: secrets}
		if n := len(ciphertext.FindAllString(b.text, -1)); n != 4 {
			t.Fatalf("%s has %d ciphertexts, want 4:\n%s", name, n, b.text)
		}
		out[string(b.format)] = b
	}
	return w, out
}

// openAt does all that Store.Secret does for one value.
func openAt(t testing.TB, store *sealed.Store, format sealed.Format, text, key string) (sealed.Secret, error) {
	t.Helper()
	f, err := sealed.Parse("broken", format, []byte(text))
	if err != nil {
		return sealed.Secret{}, err
	}
	if err := f.Scalar(path(t, key)); err != nil {
		return sealed.Secret{}, err
	}
	o, err := store.Open(t.Context(), f)
	if err != nil {
		return sealed.Secret{}, err
	}
	return o.Secret(path(t, key))
}

func TestABrokenFileHasOneCodeAndShowsNothing(t *testing.T) {
	t.Parallel()
	w, files := brokenFiles(t)
	type damage struct {
		do   func(broken) string
		want sealed.Code
		only sealed.Format // if it makes sense in one format alone
	}
	damages := map[string]damage{
		"flipped ciphertext":         {func(b broken) string { return b.flip(0, 1) }, sealed.BadCiphertext, ""},
		"flipped iv":                 {func(b broken) string { return b.flip(0, 2) }, sealed.BadCiphertext, ""},
		"flipped tag":                {func(b broken) string { return b.flip(0, 3) }, sealed.BadCiphertext, ""},
		"flipped sibling":            {func(b broken) string { return b.flip(1, 1) }, sealed.BadCiphertext, ""},
		"type int":                   {func(b broken) string { return b.kind("int") }, sealed.BadType, ""},
		"type float":                 {func(b broken) string { return b.kind("float") }, sealed.BadType, ""},
		"type bool":                  {func(b broken) string { return b.kind("bool") }, sealed.BadType, ""},
		"type time":                  {func(b broken) string { return b.kind("time") }, sealed.BadType, ""},
		"type comment":               {func(b broken) string { return b.kind("comment") }, sealed.BadType, ""},
		"type bytes":                 {func(b broken) string { return b.kind("bytes") }, "", ""},
		"type unknown":               {func(b broken) string { return b.kind("secret") }, sealed.BadType, ""},
		"value removed":              {func(b broken) string { return strings.Replace(b.text, b.line(1), "", 1) }, sealed.BadMAC, ""},
		"ciphertext copied":          {func(b broken) string { return b.put(1, b.sealedValue(2)) }, sealed.BadCiphertext, ""},
		"values swapped":             {func(b broken) string { return b.swap(0, 1) }, sealed.BadCiphertext, ""},
		"plaintext pasted":           {func(b broken) string { return b.put(0, b.secrets[0]) }, sealed.NotEncrypted, ""},
		"plaintext pasted beside":    {func(b broken) string { return b.put(1, b.secrets[1]) }, sealed.NotEncrypted, ""},
		"plaintext as ciphertext":    {func(b broken) string { return b.put(0, "ENC[AES256_GCM,data:"+b.secrets[0]+"]") }, sealed.NotEncrypted, ""},
		"value added in the clear":   {func(b broken) string { return b.add("x_unencrypted", b.secrets[0]) }, sealed.BadMAC, ""},
		"value emptied":              {func(b broken) string { return b.put(0, "") }, sealed.EmptyValue, ""},
		"value beside emptied":       {func(b broken) string { return b.put(1, "") }, sealed.BadMAC, ""},
		"mac emptied":                {func(b broken) string { return b.put(-1, "") }, sealed.BadMAC, ""},
		"mac in the clear":           {func(b broken) string { return b.put(-1, "ABCDEF") }, sealed.BadMAC, ""},
		"mac of something else":      {func(b broken) string { return b.put(-1, b.sealedValue(1)) }, sealed.BadMAC, ""},
		"mac flipped":                {func(b broken) string { return b.flip(-1, 1) }, sealed.BadMAC, ""},
		"lastmodified changed":       {func(b broken) string { return replace(b.text, `20\d\d-\d\d-\d\dT`, "2001-01-01T") }, sealed.BadMAC, ""},
		"lastmodified no time":       {func(b broken) string { return replace(b.text, `20\d\d-\d\d-\d\dT`, "yesterday") }, sealed.BadMetadata, ""},
		"no metadata":                {func(b broken) string { return replace(b.text, `\bsops(_|\b)`, "x_") }, sealed.NotSOPS, ""},
		"metadata no map":            {func(b broken) string { return replace(b.text, `(?s)\nsops:.*`, "\nsops: text\n") }, sealed.BadMetadata, sealed.YAML},
		"metadata no map, in JSON":   {func(b broken) string { return replace(b.text, `(?s)"sops": .*`, `"sops": [1]}`) }, sealed.BadMetadata, sealed.JSON},
		"no keys":                    {func(b broken) string { return replace(b.text, `\bage(:|":)|(\b|_)age__`, "x$1") }, sealed.BadMetadata, ""},
		"threshold above groups":     {func(b broken) string { return b.describe("shamir_threshold", "7") }, sealed.BadMetadata, ""},
		"threshold negative":         {func(b broken) string { return b.describe("shamir_threshold", "-1") }, sealed.BadMetadata, ""},
		"threshold no number":        {func(b broken) string { return b.describe("shamir_threshold", "many") }, sealed.BadMetadata, ""},
		"two rules":                  {func(b broken) string { return b.describe("encrypted_suffix", "_x") }, sealed.BadMetadata, ""},
		"bad regex":                  {func(b broken) string { return b.describe("encrypted_regex", "(") }, sealed.BadMetadata, ""},
		"endless regex":              {func(b broken) string { return b.describe("encrypted_regex", strings.Repeat("(a|b)", 2000)) }, sealed.BadMetadata, ""},
		"other rule":                 {func(b broken) string { return b.otherRule() }, sealed.BadMAC, ""},
		"mac of encrypted alone":     {func(b broken) string { return b.describe("mac_only_encrypted", "true") }, sealed.BadMAC, ""},
		"truncated":                  {func(b broken) string { return replace(b.text, `(?s)(lastmodified[": =]+20).*`, "$1") }, sealed.BadMetadata, ""},
		"truncated JSON":             {func(b broken) string { return b.text[:len(b.text)-20] }, sealed.Malformed, sealed.JSON},
		"more JSON":                  {func(b broken) string { return b.text + "{}" }, sealed.Malformed, sealed.JSON},
		"empty":                      {func(broken) string { return "" }, sealed.NotSOPS, ""},
		"no UTF-8":                   {func(b broken) string { return strings.Replace(b.text, "user", "us\xffer", 1) + "\xff" }, sealed.Malformed, ""},
		"name twice":                 {func(b broken) string { return strings.Replace(b.text, b.line(1), b.line(1)+b.line(1), 1) }, sealed.Malformed, ""},
		"name twice in the metadata": {func(b broken) string { return b.describe("lastmodified", "2026-01-01T00:00:00Z") }, sealed.Malformed, ""},
		"huge":                       {func(b broken) string { return b.text + strings.Repeat("\n", 16<<20) }, sealed.TooLarge, ""},
		"deep YAML": {func(b broken) string {
			return "x: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n" + b.text
		}, sealed.Malformed, sealed.YAML},
		"deep JSON": {func(b broken) string {
			return `{"x":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "," + b.text[1:]
		}, sealed.Malformed, sealed.JSON},
		"deep metadata":                 {func(b broken) string { return b.describe("x"+strings.Repeat("__map_a", 100_000), "1") }, sealed.BadMetadata, sealed.Dotenv},
		"bomb of aliases":               {func(b broken) string { return bomb() + b.text }, sealed.Malformed, sealed.YAML},
		"bomb of comments":              {func(b broken) string { return commentBomb() + b.text }, sealed.Malformed, sealed.YAML},
		"bomb of text":                  {func(b broken) string { return textBomb() + b.text }, sealed.Malformed, sealed.YAML},
		"alias of itself":               {func(b broken) string { return "x: &x [*x]\n" + b.text }, sealed.Malformed, sealed.YAML},
		"name no text":                  {func(b broken) string { return "1: x\n" + b.text }, sealed.Malformed, sealed.YAML},
		"name a list":                   {func(b broken) string { return "? [a, b]\n: x\n" + b.text }, sealed.Malformed, sealed.YAML},
		"a secret as a wrong YAML line": {func(b broken) string { return b.secrets[0] + "\n" + b.text }, sealed.Malformed, sealed.YAML},
		"a secret with a wrong tag":     {func(b broken) string { return "x: !!int " + b.secrets[0] + "\n" + b.text }, sealed.Malformed, sealed.YAML},
		"a secret as a wrong JSON":      {func(b broken) string { return strings.Replace(b.text, "{", "{"+b.secrets[0], 1) }, sealed.Malformed, sealed.JSON},
		"a secret as a dotenv line":     {func(b broken) string { return b.secrets[0] + "\n" + b.text }, sealed.Malformed, sealed.Dotenv},
		"a secret as an INI line":       {func(b broken) string { return b.secrets[0] + "\n" + b.text }, sealed.Malformed, sealed.INI},
	}
	for format, b := range files {
		for name, d := range damages {
			if d.only != "" && d.only != b.format {
				continue
			}
			t.Run(format+"/"+name, func(t *testing.T) {
				t.Parallel()
				want := d.want
				switch {
				case name == "truncated" && (b.format == sealed.JSON || b.format == sealed.YAML), name == "empty" && b.format == sealed.JSON:
					want = sealed.Malformed // a quote, or the whole, lacks its end
				case name == "name twice in the metadata" && b.format == sealed.Dotenv:
					want = sealed.BadMetadata
				case b.format == sealed.INI && strings.HasPrefix(name, "name twice"):
					want = "" // its parser, which is that of SOPS, takes the last one
				case name == "type bytes":
					want = "" // the same text
				}
				_, err := openAt(t, w.store(), b.format, d.do(b), b.key)
				if got := sealed.CodeOf(err); got != want {
					t.Errorf("code %q, want %q: %v", got, want, err)
				}
				secrets := b.secrets
				for _, parts := range ciphertext.FindAllStringSubmatch(b.text, -1) {
					secrets = append(secrets[:len(secrets):len(secrets)], parts[2]) // its nonce tells a ciphertext
				}
				mustNotShow(t, err, secrets...)
			})
		}
	}
}

// swap exchanges two ciphertexts.
func (b broken) swap(i, j int) string {
	return strings.NewReplacer(b.sealedValue(i), b.sealedValue(j), b.sealedValue(j), b.sealedValue(i)).Replace(b.text)
}

// add adds a value after user.
func (b broken) add(name, value string) string {
	line := b.line(1)
	return strings.Replace(b.text, line, line+strings.NewReplacer(b.sealedValue(1), value, "user", name, "USER", name).Replace(line), 1)
}

// otherRule makes the rules of the file leave user in the clear.
func (b broken) otherRule() string {
	name := b.any[strings.LastIndex(b.any, ".")+1:]
	return replace(b.text, `(unencrypted_suffix[": =]+)_unencrypted`, "${1}"+name)
}

func bomb() string {
	var text strings.Builder
	text.WriteString("a0: &a0 [x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&text, "a%d: &a%d [*a%d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d]\n", i, i, i-1)
	}
	return text.String()
}

func commentBomb() string {
	return strings.Repeat("# note\n", 5000) + "a: &a\n" + strings.Repeat("  # note\n", 5000) + "  b: c\nmany: [" + strings.Repeat("*a, ", 5000) + "]\n"
}

func textBomb() string {
	return "a: &a " + strings.Repeat("x", 1<<20) + "\nmany: [" + strings.Repeat("*a, ", 5000) + "]\n"
}

func TestValuesThatCannotBeAskedFor(t *testing.T) {
	t.Parallel()
	w, files := brokenFiles(t)
	for format, b := range files {
		for name, c := range map[string]struct {
			key  string
			want sealed.Code
		}{
			"unknown":       {"db.nothing", sealed.KeyUnknown},
			"below a value": {b.key + ".deeper", sealed.KeyUnknown},
			"a map":         {"db", sealed.NotScalar},
			"everything":    {"", sealed.NotScalar},
		} {
			want := c.want
			if b.format == sealed.Dotenv && name == "a map" {
				want = sealed.KeyUnknown // it has none
			}
			_, err := openAt(t, w.store(), b.format, b.text, c.key)
			if got := sealed.CodeOf(err); got != want {
				t.Errorf("%s, %s: code %q, want %q: %v", format, name, got, want, err)
			}
			mustNotShow(t, err, b.secrets...)
		}
	}
}

func TestExchangedElementsOfAListAreFound(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	secrets := []string{newCanary(t), newCanary(t)}
	w.encrypt("a.yaml", "list:\n  - "+secrets[0]+"\n  - "+secrets[1]+"\n")
	b := broken{format: sealed.YAML, text: w.read("a.yaml")}
	for name, text := range map[string]string{
		"exchanged": b.swap(0, 1),
		"repeated":  b.put(0, b.sealedValue(1)),
		"hidden as a comment": strings.Replace(b.text, b.sealedValue(1),
			strings.Replace(b.sealedValue(1), "type:str", "type:comment", 1), 1),
	} {
		_, err := openAt(t, w.store(), sealed.YAML, text, "list[0]")
		if sealed.CodeOf(err) != sealed.BadMAC {
			t.Errorf("%s: %v", name, err)
		}
		mustNotShow(t, err, secrets...)
	}
}

// SOPS writes comments in lists as elements, which must not shift the others.
func TestCommentsInAListDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "list:\n  # above\n  - one # beside\n  # between\n  - two\n")
	f, o := w.parse("a.yaml"), w.open("a.yaml")
	for key, want := range map[string]string{"list[0]": "one", "list[1]": "two"} {
		if err := f.Scalar(path(t, key)); err != nil {
			t.Error(err)
		}
		got, err := o.Secret(path(t, key))
		if err != nil || got.Reveal() != want {
			t.Errorf("%s is %q, want %q (%v)", key, got.Reveal(), want, err)
		}
	}
	if got := strings.Join(f.Keys(), " "); got != "list.0 list.1" {
		t.Errorf("keys %q", got)
	}
}

// Who can change a file, and nothing else, chooses what stands in its metadata.
func TestNamesFromAFileDoNotReachTheTerminalRaw(t *testing.T) {
	t.Parallel()
	w, files := brokenFiles(t)
	b := files["yaml"]
	text := replace(b.text, `recipient: age1\w+`, `recipient: "age1\e[31m`+strings.Repeat("x", 10_000)+`"`)
	other := newWorkshop(t)
	_, err := openAt(t, other.store(), sealed.YAML, text, b.key)
	if sealed.CodeOf(err) != sealed.NoIdentity {
		t.Fatal(err)
	}
	if strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1000 {
		t.Errorf("%d bytes: %.300q", len(err.Error()), err)
	}
	_, err = openAt(t, w.store(), sealed.YAML, `"`+`\e[31m`+`": x`+"\n"+b.text, "nothing")
	if sealed.CodeOf(err) != sealed.KeyUnknown || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}
