// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// nested generates what metadata can be: texts in maps and lists, none of which
// is empty, because flat formats cannot write that.
func nested(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 2).Draw(t, "kind")
		switch {
		case depth == 0 || kind == 0:
			return rapid.String().Draw(t, "text")
		case kind == 1:
			var l list
			for _, v := range rapid.SliceOfN(nested(depth-1), 1, 4).Draw(t, "list") {
				l = append(l, v)
			}
			return l
		default:
			return nestedObject(depth).Draw(t, "map")
		}
	})
}

func nestedObject(depth int) *rapid.Generator[object] {
	name := rapid.StringMatching(`[a-z]{1,5}(_[a-z0-9]{1,3})?`) // two underscores in a row are ambiguous
	return rapid.Custom(func(t *rapid.T) object {
		var o object
		for _, name := range rapid.SliceOfNDistinct(name, 1, 4, rapid.ID[string]).Draw(t, "names") {
			o = append(o, member{name: name, value: nested(depth-1).Draw(t, "value")})
		}
		return o
	})
}

// shown writes a value so that two of them compare.
func shown(value any) string { return fmt.Sprintf("%#v", value) }

func TestUnflattenIsTheInverseOfFlatten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := nestedObject(4).Draw(t, "metadata")
		flat := flatten("", want)
		got, err := unflatten(flat)
		if err != nil {
			t.Fatalf("%v, of %#v", err, flat)
		}
		if diff := cmp.Diff(shown(want), shown(got)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAPathReadsAsItIsWritten(t *testing.T) {
	t.Parallel()
	step := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z.\[\]"\\0-9 ]{0,6}`), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		want := Path(rapid.SliceOfN(step, 1, 6).Draw(t, "path"))
		got, err := ParsePath(want.String())
		if err != nil {
			t.Fatalf("%v, of %s", err, want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestWhatIsSealedOpensAsItWas(t *testing.T) {
	t.Parallel()
	key := []byte(strings.Repeat("k", 32))
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(
			rapid.Map(rapid.String(), func(v string) any { return v }),
			rapid.Map(rapid.Int(), func(v int) any { return v }),
			rapid.Map(rapid.Bool(), func(v bool) any { return v }),
			rapid.Map(rapid.Float64(), func(v float64) any { return v }),
			rapid.Map(rapid.StringN(1, -1, -1), func(v string) any { return comment{text: v} }),
		).Draw(t, "value")
		bound := rapid.String().Draw(t, "bound")
		text, err := sealValue(want, key, bound, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, nonce, err := openValue(text, key, bound)
		if err != nil || got != want {
			t.Fatalf("%#v became %#v, %v", want, got, err)
		}
		if text == "" {
			return
		}
		if again, err := sealValue(want, key, bound, nonce); err != nil || again != text {
			t.Fatalf("with its nonce it is %s, not %s, %v", again, text, err)
		}
		if _, _, err := openValue(text, key, bound+"x"); CodeOf(err) != BadCiphertext {
			t.Fatalf("in another place: %v", err)
		}
	})
}

func mustBeOurs(t *testing.T, err error) {
	t.Helper()
	var ours *Error
	if err == nil {
		return
	}
	if !errors.As(err, &ours) || explanations[ours.Code] == "" {
		t.Fatalf("a %T: %v", err, err)
	}
	if errors.Unwrap(err) != nil {
		t.Fatalf("it wraps %v", errors.Unwrap(err))
	}
	if len(ours.Error()) > 10_000 {
		t.Fatalf("an error of %d bytes", len(ours.Error()))
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("a=1\nb__map_c=2\nl__list_0=x\nl__list_1__map_y=z")
	f.Add("a__list_1=x\na__list_0=y\na=b")
	f.Add("__map_=\n__list_0=\n#0=a")
	f.Add("age__list_0__map_enc=x\nlastmodified=2026-01-01T00:00:00Z\nshamir_threshold=1")
	f.Add(strings.Repeat("__map_", 200) + "=x")
	f.Fuzz(func(t *testing.T, text string) {
		var flat object
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			flat = append(flat, member{name: name, value: value})
		}
		o, err := unflatten(flat)
		mustBeOurs(t, err)
		if err != nil {
			return
		}
		_, err = readMetadata(o)
		mustBeOurs(t, err)
		again, err := unflatten(flatten("", o))
		if err == nil && shown(flatten("", again)) != shown(flatten("", o)) {
			t.Fatalf("%#v\nbecame\n%#v", o, again)
		}
	})
}

func FuzzValue(f *testing.F) {
	key := []byte(strings.Repeat("k", 32))
	sealed, err := sealValue("a secret of some length", key, "db:password:", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, "db:password:")
	f.Add(strings.Replace(sealed, "type:str", "type:int", 1), "db:password:")
	f.Add("ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]", "")
	f.Add("", "x")
	f.Add("plain text", "x:")
	f.Fuzz(func(t *testing.T, text, bound string) {
		value, _, err := openValue(text, key, bound)
		mustBeOurs(t, err)
		if err != nil && value != nil {
			t.Fatalf("a value with an error: %#v", value)
		}
		if err == nil && text != "" && !isSealed(text) {
			t.Fatalf("%q is no ciphertext and opened", text)
		}
		// As a plaintext it comes back.
		out, err := sealValue(text, key, bound, nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, _, err := openValue(out, key, bound); err != nil || back != text {
			t.Fatalf("%q became %#v, %v", text, back, err)
		}
		for _, kind := range []string{"str", "bytes", "int", "float", "bool", "time", "comment", text} {
			value, err := typed([]byte(text), kind)
			mustBeOurs(t, err)
			if err == nil {
				if _, _, err := canonical(value); err != nil {
					t.Fatalf("%q as %s cannot be written: %v", text, kind, err)
				}
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, text := range []string{"db.password", "hosts[0].token", `["a.b"].c`, `["db"]["password"][0]`, "a..b", "[", `["`, "a[-1]", "\xff", "a.[0]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		mustBeOurs(t, err)
		if err == nil {
			again, err := ParsePath(p.String())
			if err != nil || !cmp.Equal(p, again) {
				t.Fatalf("%q is %#v, written %q, which is %#v, %v", text, p, p.String(), again, err)
			}
		}
		steps := Path(strings.Split(text, "\x00"))
		if again, err := ParsePath(steps.String()); err != nil || !cmp.Equal(steps, again) {
			t.Fatalf("%#v is written %q, which is %#v, %v", steps, steps.String(), again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	to, err := AgeRecipients("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
	if err != nil {
		f.Fatal(err)
	}
	for _, format := range []Format{YAML, JSON, Dotenv} {
		text, err := Seal("seed", format, []Entry{{Name: "a", Value: NewSecret("one")}, {Name: "b", Value: NewSecret("two")}}, to, time.Unix(1_700_000_000, 0))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("; note\n[db]\npassword = ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\n[sops]\nage__list_0__map_enc = x\nlastmodified = 2026-01-01T00:00:00Z\nmac = x\n"))
	f.Add([]byte("# head\na: &a {b: [1, 2.5, true, null, 2026-01-01]} # beside\nc: *a\n<<: *a\nl:\n  # in\n  - ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:comment]\n---\nd: x\nsops: {age: [{enc: x}], lastmodified: 2026-01-01T00:00:00Z}\n"))
	f.Add([]byte(`{"a":[1,{"b":null}],"sops":{"key_groups":[{"age":[{"enc":"x"}]},{"pgp":[{"enc":"x"}]}],"shamir_threshold":2,"lastmodified":"2026-01-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range Formats() {
			file, err := Parse("fuzz", Format(name), text)
			mustBeOurs(t, err)
			if err != nil {
				if file != nil {
					t.Fatal("a file with an error")
				}
				continue
			}
			_, _ = file.Recipients(), file.Plain()
			keys := file.Keys()
			if len(keys) > 50 {
				keys = keys[:50]
			}
			for _, key := range append(keys, "", "nothing") {
				p, err := ParsePath(key)
				if err != nil {
					t.Fatalf("the key %q is no path: %v", key, err)
				}
				_, digestErr := file.Digest(p)
				mustBeOurs(t, digestErr)
				mustBeOurs(t, file.Scalar(p))
				if key != "nothing" && key != "" && CodeOf(digestErr) == KeyUnknown {
					t.Fatalf("%s has the key %q and does not know it", name, key)
				}
			}
		}
		Sniff(string(text))
	})
}
