// SPDX-License-Identifier: MPL-2.0

package jsonupload

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// memoryStore keeps bytes by their hash.
type memoryStore map[string]string

func (m memoryStore) Put(r io.Reader) (string, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	sum := hashOf(b)
	m[sum] = string(b)
	return sum, int64(len(b)), nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

var limits = upload.Limits{Code: 1 << 16, Metadata: 1 << 12, Parts: 4}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestReadTakesTheModulesOutOfTheObject(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body, rest string
		modules          []registry.Module
		contents         []string
	}{
		{"no modules", ` { "a" : [ 1 , { "b" : null } ] , "c" : "x\"y" } `, `{"a":[1,{"b":null}],"c":"x\"y"}`, nil, nil},
		{"empty", `{}`, `{}`, nil, nil},
		{"null modules", `{"modules":null,"a":1}`, `{"a":1}`, nil, nil},
		{
			"members in every order", `{"main_module":"a","modules":[{"name":"a","content_type":"t","content_base64":"` + b64("one") +
				`"},{"content_base64":"` + b64("") + `","x":{"y":[]},"content_type":"t","name":"b\/c"}],"tail":true}`,
			`{"main_module":"a","tail":true}`, []registry.Module{{Name: "a", ContentType: "t"}, {Name: "b/c", ContentType: "t"}}, []string{"one", ""},
		},
		{"escapes in base64", `{"modules":[{"name":"a","content_base64":"Pz8\/Pj4\u002b"}]}`, `{}`, []registry.Module{{Name: "a"}}, []string{"??" + "?>>>"}},
		{"lines in base64", `{"modules":[{"name":"a","content_base64":"b25l\r\nb25l"}]}`, `{}`, []registry.Module{{Name: "a"}}, []string{"oneone"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store := memoryStore{}
			// One byte at a time: no boundary of a buffer may matter.
			rest, modules, err := Read(iotest.OneByteReader(strings.NewReader(tc.body)), store, limits)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tc.modules {
				tc.modules[i].SHA256, tc.modules[i].Size = hashOf([]byte(tc.contents[i])), int64(len(tc.contents[i]))
			}
			if diff := cmp.Diff(tc.modules, modules); diff != "" {
				t.Errorf("modules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(compact(t, tc.rest), compact(t, string(rest))); diff != "" {
				t.Errorf("the rest (-want +got):\n%s", diff)
			}
		})
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return out.String()
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		code       int
		text       string
	}{
		{"nothing", ``, upload.CodeBadBody, "ends in the middle"},
		{"no object", `[]`, upload.CodeBadBody, "unexpected"},
		{"an object cut off", `{"a":1`, upload.CodeBadBody, "ends in the middle"},
		{"code cut off", `{"modules":[{"name":"a","content_base64":"b25l`, upload.CodeBadBody, "ends in the middle"},
		{"more after the end", `{} {}`, upload.CodeBadBody, "unexpected"},
		{"a wrong literal", `{"a":nope}`, upload.CodeBadBody, "no valid JSON"},
		{"wrong null for modules", `{"modules":nope}`, upload.CodeBadBody, "no valid JSON"},
		{"two literals in a row", `{"a":[1 2]}`, upload.CodeBadBody, "no valid JSON"},
		{"a comma too many", `{"a":1,}`, upload.CodeBadBody, "unexpected"},
		{"mismatched brackets", `{"a":[}]}`, upload.CodeBadBody, "no valid JSON"},
		{"modules twice", `{"modules":[],"modules":[]}`, upload.CodeBadBody, "two members modules"},
		{"modules that are no list", `{"modules":{}}`, upload.CodeBadBody, "unexpected"},
		{"content twice", `{"modules":[{"name":"a","content_base64":"","content_base64":""}]}`, upload.CodeBadBody, "two members content_base64"},
		{"wrong base64", `{"modules":[{"name":"a","content_base64":"???"}]}`, upload.CodeBadBody, "modules[0] is not valid base64"},
		{"base64 cut off", `{"modules":[{"name":"a","content_base64":"b25"}]}`, upload.CodeBadBody, "not valid base64"},
		{"content that is no string", `{"modules":[{"name":"a","content_base64":7}]}`, upload.CodeBadBody, "unexpected"},
		{"a name that is no string", `{"modules":[{"name":7}]}`, upload.CodeBadBody, "must be a string"},
		{"no name", `{"modules":[{"content_base64":""}]}`, upload.CodeInvalid, "modules[0] has no name"},
		{"no content", `{"modules":[{"name":"a"}]}`, upload.CodeInvalid, `module "a" has no content_base64`},
		{"an ignored member that is no JSON", `{"modules":[{"name":"a","content_base64":"","x":01}]}`, upload.CodeBadBody, "no valid JSON"},
		{"too much metadata", `{"a":"` + strings.Repeat("a", 1<<13) + `"}`, upload.CodeTooLarge, "too much"},
		{"too much code", `{"modules":[{"name":"a","content_base64":"` + b64(strings.Repeat("a", 1<<17)) + `"}]}`, upload.CodeTooLarge, "more code"},
		{"too many modules", `{"modules":[` + strings.Repeat(`{"name":"a","content_base64":""},`, 4) + `{"name":"a","content_base64":""}]}`, upload.CodeTooLarge, "more than 4 modules"},
		{"too deep", `{"a":` + strings.Repeat("[", 1<<11) + strings.Repeat("]", 1<<11) + `}`, upload.CodeTooLarge, "too much"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Read(strings.NewReader(tc.body), memoryStore{}, limits)
			var refused *upload.Error
			if !errors.As(err, &refused) || refused.Code != tc.code || !strings.Contains(refused.Message, tc.text) {
				t.Errorf("got %v, want code %d with %q", err, tc.code, tc.text)
			}
		})
	}
}

func TestReadKeepsFailuresOfBodyAndStoreApart(t *testing.T) {
	t.Parallel()
	broken := errors.New("the line is dead")
	body := io.MultiReader(strings.NewReader(`{"modules":[{"name":"a","content_base64":"b25l`), iotest.ErrReader(broken))
	if _, _, err := Read(body, memoryStore{}, limits); !errors.Is(err, broken) {
		t.Errorf("a broken body: %v", err)
	}
	full := errors.New("no space left")
	if _, _, err := Read(strings.NewReader(`{"modules":[{"name":"a","content_base64":"b25l"}]}`), failingStore{full}, limits); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
}

type failingStore struct{ err error }

func (f failingStore) Put(io.Reader) (string, int64, error) { return "", 0, f.err }

type discardStore struct{}

func (discardStore) Put(r io.Reader) (string, int64, error) {
	n, err := io.Copy(io.Discard, r)
	return strings.Repeat("0", 64), n, err
}

//nolint:paralleltest // it measures the whole process
func TestA50MBUploadCostsNoMemoryToSpeakOf(t *testing.T) {
	const size = 50 << 20
	body := io.MultiReader(
		strings.NewReader(`{"main_module":"a","modules":[{"name":"a","content_type":"t","content_base64":"`),
		io.LimitReader(repeating("QUJD"), size/3*4),
		strings.NewReader(`"}]}`),
	)
	lim := limits
	lim.Code = size
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, modules, err := Read(body, discardStore{}, lim)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if modules[0].Size != size/3*3 {
		t.Errorf("%d bytes came through", modules[0].Size)
	}
	// All allocations of the test process together, whether they were freed or not.
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("the upload allocated %d bytes", used)
	}
}

// repeating yields text over and over.
type repeating string

func (r repeating) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

// FuzzRead compares with encoding/json: what Read takes, that takes too, and both
// find the same.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"modules":null}`, `{"a":[1,{"b":"\u0041\n"}],"modules":[{"name":"a","content_type":"t","content_base64":"b25l","z":[null]}]}`,
		`{"modules":[{"content_base64":"Pz8\/Pj4\u002b","name":"\ud83d\ude00"}],"x":-1.5e3}`, `{"modules":[],"modules":[]}`, `{"modules":[{"name":"a","content_base64":"b25"}]}`,
		"{\"modules\":[{\"name\":\"a\",\"content_base64\":\"\\t\"}]}", `{"a":1e`, "{\"a\":\"\x01\"}",
	} {
		f.Add(seed, uint64(0))
	}
	f.Fuzz(func(t *testing.T, body string, chunks uint64) {
		store := memoryStore{}
		rest, modules, err := Read(&choppy{strings.NewReader(body), rand.New(rand.NewPCG(chunks, 0))}, store, limits)
		var refused *upload.Error
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("an error that is no refusal: %v", err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("Read took what encoding/json refuses: %v", err)
		}
		var wantModules []struct {
			Name    string `json:"name"`
			Type    string `json:"content_type"`
			Content string `json:"content_base64"`
		}
		if m := want["modules"]; m != nil {
			if err := json.Unmarshal(m, &wantModules); err != nil {
				t.Fatalf("Read took modules that encoding/json refuses: %v", err)
			}
		}
		if len(wantModules) != len(modules) {
			t.Fatalf("%d modules, want %d", len(modules), len(wantModules))
		}
		for i, w := range wantModules {
			content, err := base64.StdEncoding.DecodeString(w.Content)
			if err != nil {
				t.Fatalf("Read took base64 that is refused: %v", err)
			}
			// encoding/json matches members whatever their case; Read does not.
			if strings.Contains(strings.ToLower(body), `"name"`) && modules[i].Name == w.Name && store[modules[i].SHA256] != string(content) {
				t.Fatalf("module %d is %q, want %q", i, store[modules[i].SHA256], content)
			}
		}
		delete(want, "modules")
		var got map[string]json.RawMessage
		if err := json.Unmarshal(rest, &got); err != nil {
			t.Fatalf("the rest is no object: %v", err)
		}
		if len(got) != len(want) {
			t.Fatalf("the rest has %d members, want %d", len(got), len(want))
		}
		for k, v := range want {
			if compact(t, string(v)) != compact(t, string(got[k])) {
				t.Fatalf("member %q is %s, want %s", k, got[k], v)
			}
		}
	})
}

// choppy reads pieces of random sizes.
type choppy struct {
	r io.Reader
	n *rand.Rand
}

func (c *choppy) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), 1+c.n.IntN(7))]) }
