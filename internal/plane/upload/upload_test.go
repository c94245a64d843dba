// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// memory keeps blobs in a map.
type memory map[string]string

func (m memory) Put(r io.Reader) (string, int64, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	sum := sha256.Sum256(data)
	m[hex.EncodeToString(sum[:])] = string(data)
	return hex.EncodeToString(sum[:]), int64(len(data)), nil
}

// form is a multipart body under construction; a filename of "-" leaves it out.
type form struct {
	bytes.Buffer
	w *multipart.Writer
}

func newForm() *form {
	f := &form{}
	f.w = multipart.NewWriter(&f.Buffer)
	return f
}

func (f *form) part(name, filename, contentType, content string) *form {
	h := textproto.MIMEHeader{}
	d := `form-data; name="` + name + `"`
	if filename != "-" {
		d += `; filename="` + filename + `"`
	}
	h.Set("Content-Disposition", d)
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	w, err := f.w.CreatePart(h)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, content)
	return f
}

func (f *form) parse(t *testing.T) (*Upload, memory, error) {
	t.Helper()
	_ = f.w.Close()
	blobs := memory{}
	u, err := Parse(f.w.FormDataContentType(), &f.Buffer, blobs, DefaultLimits)
	return u, blobs, err
}

func names(ms []registry.Module) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.Name
	}
	return out
}

func code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

const esm = "application/javascript+module"

func TestParseUnderstandsEveryDialect(t *testing.T) {
	t.Parallel()
	const meta = `{"main_module":"index.js","compatibility_date":"2026-01-01"}`
	for name, f := range map[string]*form{
		"wrangler": newForm().part("metadata", "-", "", meta).
			part("lib/a.js", "lib/a.js", esm, "export default 1").part("index.js", "index.js", esm, "export default {}"),
		"official provider": newForm().part("lib/a.js", "lib/a.js", esm, "export default 1").
			part("index.js", "index.js", esm, "export default {}").part("metadata", "-", "application/json", meta),
		"cloudflare-go": newForm().part("files", "lib/a.js", esm, "export default 1").
			part("files", "index.js", esm, "export default {}").part("metadata", "-", "application/json", meta),
		"entry by part name": newForm().part("metadata", "-", "", meta).
			part("files", "lib/a.js", esm, "export default 1").part("index.js", "dist/bundle.js", esm, "export default {}"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, blobs, err := f.parse(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"index.js", "lib/a.js"}, names(u.Content.Modules)); diff != "" {
				t.Errorf("modules, entry first (-want +got):\n%s", diff)
			}
			main := u.Content.Modules[0]
			if got := blobs[main.SHA256]; got != "export default {}" || main.Size != int64(len(got)) {
				t.Errorf("the entry's blob is %q, its size %d", got, main.Size)
			}
			if u.Content.MainModule != "index.js" || u.Content.CompatibilityDate != "2026-01-01" {
				t.Errorf("content = %+v", u.Content)
			}
		})
	}
}

func TestParseTakesAServiceWorkerFromItsBodyPart(t *testing.T) {
	t.Parallel()
	u, _, err := newForm().part("script", "-", "application/javascript", "addEventListener('fetch', e => {})").
		part("metadata", "-", "application/json", `{"body_part":"script"}`).parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if u.Content.BodyPart != "script" || u.Content.MainModule != "" || len(u.Content.Modules) != 1 {
		t.Errorf("content = %+v", u.Content)
	}
	if code(u.CheckVersioned()) != CodeInvalid {
		t.Errorf("a service worker passes as a version")
	}
}

func TestAServiceWorkerMayHaveASourceMapAndNothingElse(t *testing.T) {
	t.Parallel()
	sw := func() *form {
		return newForm().part("metadata", "-", "", `{"body_part":"sw.js"}`).part("sw.js", "sw.js", "application/javascript", "addEventListener('fetch', e => {})")
	}
	u, _, err := sw().part("sw.js.map", "sw.js.map", "application/source-map", "{}").parse(t)
	if err != nil || len(u.Content.Modules) != 2 || u.Content.Modules[0].Name != "sw.js" {
		t.Errorf("with a source map: %+v, %v", u, err)
	}
	if _, _, err := sw().part("a.wasm", "a.wasm", "application/wasm", "x").parse(t); code(err) != CodeInvalid {
		t.Errorf("with another module: %v", err)
	}
}

func TestParseTakesARawScript(t *testing.T) {
	t.Parallel()
	u, err := Parse("application/javascript", strings.NewReader("addEventListener('fetch', e => {})"), memory{}, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if u.Content.BodyPart == "" || u.Content.CompatibilityDate != "2021-11-02" {
		t.Errorf("content = %+v", u.Content)
	}
}

func TestParseRefusesBadUploads(t *testing.T) {
	t.Parallel()
	const meta = `{"main_module":"index.js"}`
	ok := func() *form { return newForm().part("index.js", "index.js", esm, "export default {}") }
	for name, tc := range map[string]struct {
		form *form
		code int
	}{
		"no metadata":               {ok(), CodeBadBody},
		"metadata twice":            {ok().part("metadata", "-", "", meta).part("metadata", "-", "", meta), CodeBadBody},
		"metadata is no JSON":       {ok().part("metadata", "-", "", `{`), CodeBadBody},
		"metadata of another kind":  {ok().part("metadata", "-", "", `{"main_module":7}`), CodeBadBody},
		"no entry":                  {ok().part("metadata", "-", "", `{"main_module":"other.js"}`), CodeUnparsable},
		"entry not named":           {ok().part("metadata", "-", "", `{}`), CodeBadBody},
		"both kinds of entry":       {ok().part("metadata", "-", "", `{"main_module":"index.js","body_part":"x"}`), CodeBadBody},
		"module twice":              {ok().part("files", "index.js", esm, "1").part("metadata", "-", "", meta), CodeInvalid},
		"Python":                    {ok().part("a.py", "a.py", "text/x-python", "1").part("metadata", "-", "", meta), CodeInvalid},
		"unknown content type":      {ok().part("a.png", "a.png", "image/png", "1").part("metadata", "-", "", meta), CodeInvalid},
		"entry is WebAssembly":      {newForm().part("index.js", "index.js", "application/wasm", "1").part("metadata", "-", "", meta), CodeInvalid},
		"bad date":                  {ok().part("metadata", "-", "", `{"main_module":"index.js","compatibility_date":"today"}`), CodeInvalid},
		"assets":                    {ok().part("metadata", "-", "", `{"main_module":"index.js","assets":{"jwt":"x"}}`), CodeInvalid},
		"containers":                {ok().part("metadata", "-", "", `{"main_module":"index.js","containers":[{"class_name":"X"}]}`), CodeInvalid},
		"nameless binding":          {ok().part("metadata", "-", "", `{"main_module":"index.js","bindings":[{"type":"plain_text","text":"x"}]}`), CodeBindingNameless},
		"unknown binding type":      {ok().part("metadata", "-", "", `{"main_module":"index.js","bindings":[{"type":"teapot","name":"X"}]}`), CodeInvalid},
		"binding twice":             {ok().part("metadata", "-", "", `{"main_module":"index.js","bindings":[{"type":"plain_text","name":"X","text":"1"},{"type":"json","name":"X","json":1}]}`), CodeInvalid},
		"binding of the wrong kind": {ok().part("metadata", "-", "", `{"main_module":"index.js","bindings":[{"type":"plain_text","name":"X","text":1}]}`), CodeInvalid},
		"variable too large":        {ok().part("metadata", "-", "", `{"main_module":"index.js","bindings":[{"type":"plain_text","name":"X","text":"`+strings.Repeat("x", 6000)+`"}]}`), CodeVariableTooLarge},
		"control character":         {ok().part("files", "a%0Ab.js", esm, "1").part("metadata", "-", "", meta), CodeInvalid},
		"nameless module":           {ok().part("", "", esm, "1").part("metadata", "-", "", meta), CodeInvalid},
		"metadata too long":         {ok().part("metadata", "-", "", strings.Repeat(" ", 2<<20)+meta), CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := tc.form.parse(t)
			if code(err) != tc.code {
				t.Errorf("error %v has code %d, want %d", err, code(err), tc.code)
			}
		})
	}
}

func TestParseBoundsCodeAndParts(t *testing.T) {
	t.Parallel()
	build := func() *form {
		f := newForm().part("metadata", "-", "", `{"main_module":"index.js"}`)
		f.part("index.js", "index.js", esm, strings.Repeat("x", 600)).part("b.js", "b.js", esm, strings.Repeat("x", 600))
		_ = f.w.Close()
		return f
	}
	for name, lim := range map[string]Limits{
		"code":  {Code: 1000, Metadata: 1000, Parts: 10},
		"parts": {Code: 10000, Metadata: 1000, Parts: 2},
	} {
		f := build()
		if _, err := Parse(f.w.FormDataContentType(), &f.Buffer, memory{}, lim); code(err) != CodeTooLarge {
			t.Errorf("%s: error %v has code %d, want %d", name, err, code(err), CodeTooLarge)
		}
	}
	f := build()
	if _, err := Parse(f.w.FormDataContentType(), &f.Buffer, memory{}, Limits{Code: 1200, Metadata: 1000, Parts: 3}); err != nil {
		t.Errorf("exactly at the limits: %v", err)
	}
}

func TestParseReportsATruncatedBodyAsTheClients(t *testing.T) {
	t.Parallel()
	f := newForm().part("metadata", "-", "", `{"main_module":"index.js"}`).part("index.js", "index.js", esm, "export default {}")
	_ = f.w.Close()
	whole := f.Bytes()
	for _, cut := range []int{0, 10, len(whole) / 2, len(whole) - 10} {
		_, err := Parse(f.w.FormDataContentType(), bytes.NewReader(whole[:cut]), memory{}, DefaultLimits)
		if code(err) != CodeBadBody {
			t.Errorf("cut at %d: error %v has code %d, want %d", cut, err, code(err), CodeBadBody)
		}
	}
}

type brokenDisk struct{}

func (brokenDisk) Put(io.Reader) (string, int64, error) { return "", 0, errors.New("disk full") }

func TestParseKeepsTheMachinesFaultsApartFromTheClients(t *testing.T) {
	t.Parallel()
	f := newForm().part("index.js", "index.js", esm, "export default {}")
	_ = f.w.Close()
	_, err := Parse(f.w.FormDataContentType(), &f.Buffer, brokenDisk{}, DefaultLimits)
	if err == nil || code(err) != 0 {
		t.Errorf("a full disk is reported with code %d: %v", code(err), err)
	}
}

func TestErrorsNeverQuoteValues(t *testing.T) {
	t.Parallel()
	const canary = "CANARY-VALUE"
	for _, meta := range []string{
		`{"main_module":"index.js","bindings":[{"type":"secret_text","name":"X","text":["` + canary + `"]}]}`,
		`{"main_module":"index.js","bindings":"` + canary + `"}`,
		`{"main_module":"index.js","logpush":"` + canary + `"}`,
		`{"main_module":"index.js","bindings":[{"type":"secret_text","name":"X","text":"` + canary + `"]}`,
	} {
		_, err := ParseMetadata([]byte(meta))
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("metadata %s gives the error %v", meta, err)
		}
	}
}

func TestParsePatchTakesSettingsOnly(t *testing.T) {
	t.Parallel()
	f := newForm().part("settings", "-", "", `{"bindings":[{"type":"plain_text","name":"A"}]}`)
	_ = f.w.Close()
	u, err := ParsePatch(f.w.FormDataContentType(), &f.Buffer, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if !u.Given.Versioned() || len(u.Content.Bindings) != 1 {
		t.Errorf("patch = %+v", u)
	}
	f = newForm().part("settings", "-", "", `{}`).part("index.js", "index.js", esm, "1")
	_ = f.w.Close()
	if _, err := ParsePatch(f.w.FormDataContentType(), &f.Buffer, DefaultLimits); code(err) != CodeBadBody {
		t.Errorf("a patch with code gives %v", err)
	}
	if _, err := ParsePatch("application/json", strings.NewReader(`{}`), DefaultLimits); code(err) != CodeUnsupportedContentType {
		t.Errorf("a JSON patch gives %v", err)
	}
}

func TestSettingsTellNullFromAbsent(t *testing.T) {
	t.Parallel()
	s, err := ParseSettings([]byte(`{"observability":{"enabled":true},"tags":null,"tail_consumers":[{"service":"w1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Logpush != nil || s.Tags == nil || *s.Tags != nil {
		t.Errorf("settings = %+v", s)
	}
	if got := string(*s.TailConsumers); got != `[{"name":"w1"}]` {
		t.Errorf("tail consumers are kept as %s", got)
	}
	if got := string(*s.Observability); got != `{"enabled":true}` {
		t.Errorf("observability is kept as %s", got)
	}
}

func TestModuleTypeMapsContentTypes(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]workerd.ModuleType{
		esm:                         workerd.ESModule,
		"application/javascript":    workerd.CommonJS,
		"application/wasm":          workerd.Wasm,
		"text/plain; charset=utf-8": workerd.Text,
		"application/octet-stream":  workerd.Data,
		"application/json":          workerd.JSON,
	} {
		got, ok, err := ModuleType(registry.Module{Name: "m", ContentType: contentType})
		if got != want || !ok || err != nil {
			t.Errorf("%s: %s, %v, %v", contentType, got, ok, err)
		}
	}
	if _, ok, err := ModuleType(registry.Module{Name: "m", ContentType: "application/source-map"}); ok || err != nil {
		t.Errorf("a source map: %v, %v", ok, err)
	}
}

func TestAVariableMayBeNull(t *testing.T) {
	t.Parallel()
	got, err := ParseBindings([]byte(`[{"name":"NOTHING","type":"json","json":null},{"name":"TEXT","type":"plain_text","text":null}]`))
	if err != nil {
		t.Fatal(err)
	}
	if string(got[0].Fields["json"]) != "null" {
		t.Errorf("the variable's value is %q, want null", got[0].Fields["json"])
	}
	if text, given := got[1].Fields["text"]; given {
		t.Errorf("a null text is given as %q, want it absent: it keeps the value of the version before", text)
	}
}
