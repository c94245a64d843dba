// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// random is a value that occurs nowhere by chance.
func random(t testing.TB) string {
	t.Helper()
	b := make([]byte, 12)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return "canary-" + hex.EncodeToString(b)
}

// tells fails if an error, however it is printed, holds a value or a ciphertext.
func tells(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
		for _, s := range secrets {
			if forms := canary.In([]byte(text), s); len(forms) > 0 {
				t.Errorf("the error holds a secret (%v):\n%s", forms, text)
			}
		}
		if strings.Contains(text, "ENC[") {
			t.Errorf("the error holds a ciphertext:\n%s", text)
		}
		var own *sealed.Error
		if !errors.As(err, &own) {
			t.Errorf("an error of type %T", err)
		}
	}
}

// replaced makes one change to a text, which MUST have a place for it.
func replaced(t *testing.T, text, pattern, by string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	at := re.FindStringSubmatchIndex(text)
	if at == nil {
		t.Fatalf("%s matches nothing in\n%s", pattern, text)
	}
	return text[:at[0]] + string(re.ExpandString(nil, by, text, at)) + text[at[1]:]
}

// flip changes a character of base64 to another one.
func flip(t *testing.T, text, before string) string {
	t.Helper()
	at := strings.Index(text, before)
	if at < 0 {
		t.Fatalf("%q is not in\n%s", before, text)
	}
	at += len(before) + 1
	other := byte('A')
	if text[at] == other {
		other = 'B'
	}
	return text[:at] + string(other) + text[at+1:]
}

func TestBrokenFilesGiveFixedErrors(t *testing.T) {
	t.Parallel()
	value, number := random(t), "4815162342421337"
	w := newWorkshop(t)
	const line = `(?m)^(password: ENC\[AES256_GCM,data:[^,]+,iv:[^,]+,tag:[^,]+,type:)str\]$`
	pasted := random(t)
	w.encrypt("a.yaml", "password: "+value+"\npin: "+number+"\nother: second-value-here\nlist: [one, two]\nmap: {deep: er}\n")
	good := w.read("a.yaml")
	for name, c := range map[string]struct {
		break_ func() string
		want   sealed.Code
	}{
		"a byte of a ciphertext": {func() string { return flip(t, good, "password: ENC[AES256_GCM,data:") }, sealed.BadCiphertext},
		"a byte of a nonce":      {func() string { return flip(t, good, ",iv:") }, sealed.BadCiphertext},
		"a byte of a tag":        {func() string { return flip(t, good, ",tag:") }, sealed.BadCiphertext},
		"a type of int":          {func() string { return replaced(t, good, line, "${1}int]") }, sealed.BadType},
		"a type of float":        {func() string { return replaced(t, good, line, "${1}float]") }, sealed.BadType},
		"a type of bool":         {func() string { return replaced(t, good, line, "${1}bool]") }, sealed.BadType},
		"a type of time":         {func() string { return replaced(t, good, line, "${1}time]") }, sealed.BadType},
		"an unknown type":        {func() string { return replaced(t, good, line, "${1}hex]") }, sealed.BadType},
		"a type of comment":      {func() string { return replaced(t, good, line, "${1}comment]") }, sealed.BadMAC},
		"a value removed":        {func() string { return replaced(t, good, `(?m)^password: .*\n`, "") }, sealed.BadMAC},
		"a value added":          {func() string { return replaced(t, good, `(?m)^(other: .*)\n`, "$1\nadded_unencrypted: x\n") }, sealed.BadMAC},
		"a value emptied":        {func() string { return replaced(t, good, `(?m)^password: .*$`, `password: ""`) }, sealed.BadMAC},
		"a value moved to another key": {func() string {
			return replaced(t, good, `(?m)^other: .*$`, "other: "+strings.TrimPrefix(regexp.MustCompile(`(?m)^password: .*$`).FindString(good), "password: "))
		}, sealed.BadCiphertext},
		"plaintext pasted": {func() string { return replaced(t, good, `(?m)^password: .*$`, "password: "+pasted) }, sealed.NotEncrypted},
		"a number pasted":  {func() string { return replaced(t, good, `(?m)^pin: .*$`, "pin: 4815162342421338") }, sealed.NotEncrypted},
		"half of a ciphertext": {func() string {
			return replaced(t, good, `(?m)^password: ENC\[.*$`, `password: ENC[AES256_GCM,data:`+hex.EncodeToString([]byte(value)))
		}, sealed.NotEncrypted},
		"no MAC":      {func() string { return replaced(t, good, `(?m)^(\s+)mac: .*$`, `${1}mac: ""`) }, sealed.BadMAC},
		"another MAC": {func() string { return flip(t, good, "mac: ENC[AES256_GCM,data:") }, sealed.BadMAC},
		"another time": {func() string {
			return replaced(t, good, `lastmodified: "[^"]*"`, `lastmodified: "2020-01-01T00:00:00Z"`)
		}, sealed.BadMAC},
		"no time":                  {func() string { return replaced(t, good, `(?m)^\s+lastmodified: .*\n`, "") }, sealed.BadMetadata},
		"no metadata":              {func() string { return good[:strings.Index(good, "sops:")] }, sealed.NotSOPS},
		"metadata that are a text": {func() string { return good[:strings.Index(good, "sops:")] + "sops: yes\n" }, sealed.BadMetadata},
		"no keys":                  {func() string { return replaced(t, good, `(?s)    age:.*?    lastmodified`, "    lastmodified") }, sealed.BadMetadata},
		"a key without its data": {func() string {
			return replaced(t, good, `(?s)(recipient: \S+\n|- )\s*enc: \|.*?(\s+recipient|\n    lastmodified)`, "$1$2")
		}, sealed.BadMetadata},
		"two rules":                   {func() string { return good + "    encrypted_suffix: _x\n    unencrypted_regex: y\n" }, sealed.BadMetadata},
		"a rule that is none":         {func() string { return good + "    encrypted_regex: '('\n" }, sealed.BadMetadata},
		"a threshold beyond the keys": {func() string { return good + "    shamir_threshold: 3\n" }, sealed.BadMetadata},
		"a threshold that is none":    {func() string { return good + "    shamir_threshold: many\n" }, sealed.BadMetadata},
		"the end missing":             {func() string { return good[:len(good)*2/3] }, ""},
		"no YAML":                     {func() string { return good + "\t- : [" + pasted + "\n" }, sealed.Malformed},
		"bytes that are no text":      {func() string { return "a: \xff\xfe" + pasted + "\n" + good }, sealed.Malformed},
		"a name twice":                {func() string { return good + "password: " + pasted + "\n" }, sealed.Malformed},
		"a name that is a number":     {func() string { return "1: x\n" + good }, sealed.Malformed},
		"a list as document":          {func() string { return "- x\n- y\n" }, sealed.Malformed},
		"deep nesting":                {func() string { return "a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n" + good }, sealed.Malformed},
		"aliases of aliases":          {func() string { return bomb() + good }, sealed.Malformed},
		"a value that is too large":   {func() string { return "a: " + strings.Repeat("x", 17<<20) + "\n" + good }, sealed.TooLarge},
		"nothing":                     {func() string { return "" }, sealed.NotSOPS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := c.break_()
			f, err := sealed.Parse("a.yaml", sealed.YAML, []byte(text))
			if err == nil {
				_, err = w.store().Open(t.Context(), f)
			}
			if err == nil {
				t.Fatal("it opens")
			}
			if c.want != "" && sealed.CodeOf(err) != c.want {
				t.Errorf("the code is %s, want %s: %v", sealed.CodeOf(err), c.want, err)
			}
			if !strings.HasPrefix(err.Error(), "a.yaml: ") {
				t.Errorf("the error does not name the file: %v", err)
			}
			tells(t, err, value, number, pasted)
		})
	}
}

// bomb is a few lines that stand for very many values.
func bomb() string {
	var b strings.Builder
	b.WriteString("b0: &b0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "b%d: &b%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*b%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestOtherFormatsBreakTheSameWay(t *testing.T) {
	t.Parallel()
	value, pasted := random(t), random(t)
	w := newWorkshop(t)
	for file, c := range map[string]struct{ text, value string }{
		"a.json": {`{"password":"` + value + `","other":"x"}`, `("password": ")[^"]*`},
		"a.env":  {"PASSWORD=" + value + "\nOTHER=x\n", `(?m)^(PASSWORD=).*`},
		"a.ini":  {"[s]\npassword = " + value + "\nother = x\n", `(?m)^(password\s*= ).*`},
	} {
		w.encrypt(file, c.text)
		good := w.read(file)
		for name, b := range map[string]struct {
			text string
			want sealed.Code
		}{
			"flipped":  {flip(t, good, "ENC[AES256_GCM,data:"), sealed.BadCiphertext},
			"retyped":  {replaced(t, good, `type:str\]`, "type:int]"), sealed.BadType},
			"pasted":   {replaced(t, good, c.value, "${1}"+pasted), sealed.NotEncrypted},
			"emptied":  {replaced(t, good, c.value, "${1}"), sealed.BadMAC},
			"cut":      {good[:len(good)/2], ""},
			"no file":  {"just a text with " + pasted, ""},
			"no names": {"{}", ""},
		} {
			f, err := sealed.Parse(file, sealed.FormatOf(file), []byte(b.text))
			if err == nil {
				_, err = w.store().Open(t.Context(), f)
			}
			if err == nil || (b.want != "" && sealed.CodeOf(err) != b.want) {
				t.Errorf("%s, %s: %v, want %s", file, name, err, b.want)
			}
			tells(t, err, value, pasted)
		}
	}
}

func TestWhatCannotBeOpenedSaysWhoCould(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "a: one\n")
	stranger, _, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	missing := w.path("no-such-key.txt")
	for name, c := range map[string]struct {
		ids  sealed.Identities
		want []string
	}{
		"nothing":          {sealed.Identities{}, []string{w.recipient, "sops updatekeys"}},
		"another key":      {sealed.Identities{AgeKey: stranger}, []string{w.recipient}},
		"a missing file":   {sealed.Identities{AgeKeyFile: missing}, []string{w.recipient, missing}},
		"something useful": {sealed.Identities{AgeKey: w.identity, AgeKeyFile: missing}, nil},
	} {
		_, err := sealed.NewStore(c.ids).Open(t.Context(), w.parse("a.yaml"))
		if c.want != nil && sealed.CodeOf(err) != sealed.NoIdentity {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %v", name, part, err)
			}
		}
		tells(t, err, strings.TrimSpace(stranger.Reveal()))
	}
}

func TestKeyPathsThatLeadNowhereSaySo(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.encrypt("a.yaml", "db: {password: one, none: null, empty: '', port_unencrypted: 1}\nlist: [x]\n")
	f, o := w.parse("a.yaml"), w.open("a.yaml")
	for key, want := range map[string]sealed.Code{
		"db.pasword": sealed.KeyUnknown, "list[1]": sealed.KeyUnknown, "db.password.x": sealed.KeyUnknown, "list.x": sealed.KeyUnknown,
		"db": sealed.NotScalar, "list": sealed.NotScalar, "": sealed.NotScalar,
		"db.none": sealed.EmptyValue, "db.empty": sealed.EmptyValue, "db.port_unencrypted": sealed.NotEncrypted,
	} {
		if err := f.Scalar(path(t, key)); sealed.CodeOf(err) != want {
			t.Errorf("%s without a key: %v, want %s", key, err, want)
		}
		if _, err := o.Secret(path(t, key)); sealed.CodeOf(err) != want && want != sealed.NotEncrypted {
			t.Errorf("%s with a key: %v, want %s", key, err, want)
		}
	}
	if err := f.Scalar(path(t, "db.pasword")); !strings.Contains(err.Error(), "it has db.password") {
		t.Errorf("the error does not say what there is: %v", err)
	}
	for _, bad := range []string{".", "a.", "a..b", ".a", "a[", "a[x]", `a["x]`, "a[-1]", "a[01]", "a.[0]", "[]"} {
		if p, err := sealed.ParsePath(bad); sealed.CodeOf(err) != sealed.BadPath {
			t.Errorf("%q is read as %v, %v", bad, p, err)
		}
	}
}

func TestNothingIsPrinted(t *testing.T) {
	t.Parallel()
	if os.Getenv("SEALED_TEST_PRINT") == "" {
		out := rerun(t, "TestNothingIsPrinted", "SEALED_TEST_PRINT=1")
		for line := range strings.Lines(out) {
			if s := strings.TrimSpace(line); s != "" && s != "PASS" && !strings.HasPrefix(s, "ok ") {
				t.Errorf("printed: %s", s)
			}
		}
		return
	}
	value := random(t)
	w := newWorkshop(t)
	w.write(".sops.yaml", "creation_rules:\n  - age: "+w.recipient+"\n")
	w.encrypt("a.yaml", "# note\na: "+value+"\n")
	text := replaced(t, w.read("a.yaml"), `#ENC.*`, "#not encrypted "+value)
	f, err := sealed.Parse("a.yaml", sealed.YAML, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store().Open(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	stranger, _, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.NewStore(sealed.Identities{AgeKey: stranger, Environment: true}).Open(t.Context(), f); err == nil {
		t.Error("it opens with another key")
	}
}
