// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"
)

var compare = cmp.AllowUnexported(member{}, comment{})

func TestFlatMetadataUnfoldToWhatTheyWere(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[a-z][a-z_]{0,5}[a-z]`).Filter(func(s string) bool { return !strings.Contains(s, "__") })
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			kind := rapid.IntRange(0, 2).Draw(t, "kind")
			if depth == 0 {
				kind = 0
			}
			switch kind {
			case 1:
				var o object
				for _, n := range rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "names") {
					o = append(o, member{name: n, value: value(depth-1).Draw(t, n)})
				}
				return o
			case 2:
				return list(rapid.SliceOfN(value(depth-1), 1, 3).Draw(t, "elements"))
			default:
				return rapid.String().Draw(t, "text")
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		var o object
		for _, n := range rapid.SliceOfNDistinct(name, 1, 4, rapid.ID[string]).Draw(t, "names") {
			o = append(o, member{name: n, value: value(3).Draw(t, n)})
		}
		got, err := unflatten(flatten("", o))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, got, compare); diff != "" {
			t.Fatalf("flattened (-), unfolded (+):\n%s", diff)
		}
	})
}

func TestFlatMetadataThatFitNothingAreRefused(t *testing.T) {
	t.Parallel()
	for name, names := range map[string][]string{
		"a value and a map":  {"a", "a__map_b"},
		"a map and a value":  {"a__map_b", "a"},
		"twice":              {"a", "a"},
		"a list with a hole": {"a__list_0", "a__list_2"},
		"no first element":   {"a__list_1"},
		"a word as index":    {"a__list_x"},
		"a huge list":        slices.Repeat([]string{}, 0),
	} {
		var flat object
		for _, n := range names {
			flat = append(flat, member{name: n, value: "x"})
		}
		if name == "a huge list" {
			for i := range maxFlat + 1 {
				flat = append(flat, member{name: fmt.Sprintf("a__list_%d", i), value: "x"})
			}
		}
		if o, err := unflatten(flat); CodeOf(err) != BadMetadata {
			t.Errorf("%s: %v, %v", name, o, err)
		}
	}
}

func TestPathsReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Path(rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z.\[\]"0-9\\]{0,4}`)), 1, 4).Draw(t, "steps"))
		got, err := ParsePath(p.String())
		if err != nil || !slices.Equal(p, got) {
			t.Fatalf("%q is written %s and read as %q, %v", []string(p), p, []string(got), err)
		}
	})
	for text, want := range map[string]Path{
		"":                          nil,
		"a":                         {"a"},
		"db.password":               {"db", "password"},
		"hosts[0].token":            {"hosts", "0", "token"},
		`["a.b"].c`:                 {"a.b", "c"},
		`["db"]["password"][0]`:     {"db", "password", "0"},
		`a["b\"]"]`:                 {"a", `b"]`},
		"list.0":                    {"list", "0"},
		"with space.and-dash.and/x": {"with space", "and-dash", "and/x"},
	} {
		if got, err := ParsePath(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is read as %q, %v", text, []string(got), err)
		}
	}
}

func TestValuesOpenAsTheyWereSealed(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, 32)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int(), func(n int) any { return n }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
			rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		).Draw(t, "value")
		text, err := sealValue(value, key, "a:b:", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, nonce, err := openValue(text, key, "a:b:")
		if err != nil || got != value {
			t.Fatalf("%v is read as %v, %v", value, got, err)
		}
		again, err := sealValue(value, key, "a:b:", nonce)
		if err != nil || again != text {
			t.Fatalf("sealed again with its nonce it differs: %v", err)
		}
		if text != "" {
			if _, _, err := openValue(text, key, "a:c:"); CodeOf(err) != BadCiphertext {
				t.Fatalf("at another place: %v", err)
			}
		}
	})
}

func TestASecretShowsItselfToNobody(t *testing.T) {
	t.Parallel()
	const value = "hunter2-hunter2"
	s := NewSecret(value)
	holder := struct {
		Name   string
		Secret Secret
		Ptr    *Secret
		Map    map[string]Secret
	}{"x", s, &s, map[string]Secret{"k": s}}
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%p", "%10s", "%-5v", "%08b", "%U"} {
		fmt.Fprintf(&shown, verb+verb+"\n", s, holder)
	}
	for _, v := range []any{s, &s, holder, []Secret{s}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
	}
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "s", s, "holder", holder)
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "s", s, "holder", holder)
	for _, asJSON := range []bool{true, false} {
		hclog.New(&hclog.LoggerOptions{Output: &shown, JSONFormat: asJSON}).Info("x", "s", s, "holder", holder)
	}
	if err := template.Must(template.New("").Parse("{{.}} {{.Secret}} {{printf \"%v %s\" .Secret .Secret}}")).Execute(&shown, holder); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { fmt.Fprint(&shown, recover()) }()
		panic(s)
	}()
	fmt.Fprint(&shown, fmt.Errorf("it is %v", s))
	for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprint([]byte(value))} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("%q is in\n%s", form, shown.String())
		}
	}
	if !strings.Contains(shown.String(), masked) || s.Reveal() != value {
		t.Error("the secret is not masked, or is lost")
	}
}

// FuzzParse: whatever a file holds, reading it ends, and says what is wrong in one
// of our errors.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a: ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]\nsops:\n    lastmodified: \"2026-01-01T00:00:00Z\"\n    mac: x\n    age:\n        - recipient: r\n          enc: e\n",
		`{"a":["x",1,true,null],"sops":{"lastmodified":"2026-01-01T00:00:00Z","mac":"x","pgp":[{"fp":"f","enc":"e"}]}}`,
		"A=b\n#c\nsops_lastmodified=2026-01-01T00:00:00Z\nsops_age__list_0__map_enc=e\nsops_age__list_0__map_recipient=r\n",
		"[s]\na = b\n; c\n[sops]\nlastmodified = 2026-01-01T00:00:00Z\nkms__list_0__map_arn = a\nkms__list_0__map_enc = e\n",
		"a: &x [1]\nb: *x\n---\n# c\nd: {}\n", "- x", "", "\x00", "sops: {}",
	} {
		for i := range Formats() {
			f.Add(uint8(i), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, format uint8, text []byte) {
		kinds := Formats()
		file, err := Parse("x", Format(kinds[int(format)%len(kinds)]), text)
		if err != nil {
			if CodeOf(err) == "" || strings.Contains(err.Error(), "ENC[") {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, key := range file.Keys() {
			p, err := ParsePath(key)
			if err != nil {
				t.Fatalf("the key path %s cannot be read: %v", key, err)
			}
			_, _ = file.Digest(p)
			_ = file.Scalar(p)
		}
		_, _ = file.Digest(nil)
		_, _ = file.Plain(), file.Recipients()
		if _, err := NewStore(Identities{}).Open(t.Context(), file); CodeOf(err) == "" {
			t.Fatalf("opened without a key: %v", err)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a.b[0]", `["x"].y`, `a["\"]"]`, "..", "[", `["`, "a.[0]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			if CodeOf(err) != BadPath {
				t.Fatal(err)
			}
			return
		}
		again, err := ParsePath(p.String())
		if err != nil || !slices.Equal(p, again) {
			t.Fatalf("%q is read as %q and, written %s, as %q (%v)", text, []string(p), p, []string(again), err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add("age__list_0__map_enc", "age__list_0__map_recipient", "x")
	f.Add("a__map_b__list_0", "a__map_b", "")
	f.Add("__list_0", "__map_", "y")
	f.Fuzz(func(t *testing.T, first, second, value string) {
		o, err := unflatten(object{{name: first, value: value}, {name: second, value: value}})
		if err != nil {
			if CodeOf(err) != BadMetadata {
				t.Fatal(err)
			}
			return
		}
		if _, err := readMetadata(o); err != nil && CodeOf(err) != BadMetadata {
			t.Fatal(err)
		}
	})
}

func FuzzValue(f *testing.F) {
	key := bytes.Repeat([]byte{7}, 32)
	good, err := sealValue("x", key, "a:", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]")
	f.Add("ENC[AES256_GCM,data:=,iv:=,tag:=,type:x]")
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := openValue(text, key, "a:"); err != nil && CodeOf(err) == "" {
			t.Fatal(err)
		}
	})
}
