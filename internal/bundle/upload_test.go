// SPDX-License-Identifier: MPL-2.0

package bundle_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
)

type sent struct {
	Annotations map[string]string `json:"annotations"`
	Bindings    []map[string]any  `json:"bindings"`
	Date        string            `json:"compatibility_date"`
	Flags       []string          `json:"compatibility_flags"`
	Main        string            `json:"main_module"`
	Placement   map[string]any    `json:"placement"`
	Modules     []struct {
		Name    string `json:"name"`
		Type    string `json:"content_type"`
		Content []byte `json:"content_base64"`
	} `json:"modules"`
}

func TestUploadIsTheVersionAsTheAPITakesIt(t *testing.T) {
	t.Parallel()
	out := build(t, bundle.Directory{Path: tree(t, map[string]string{"index.js": "export default {}", "a&b.txt": "text", "empty.bin": ""}), Main: "index.js"})
	up := bundle.Upload{
		Bundle: out,
		Bindings: map[string]json.RawMessage{
			"Z": json.RawMessage(`{"type":"json","json":{"n":12345678901234567890}}`),
			"A": json.RawMessage(`{"type":"plain_text","text":"<a>"}`),
		},
		CompatibilityDate: "2026-11-01", CompatibilityFlags: []string{"nodejs_compat"},
		Placement:   json.RawMessage(`{"mode":"smart"}`),
		Annotations: map[string]string{"workers/message": "hb1:x"},
	}
	for range 2 { // a retry reads the same again
		r, size, err := up.Body()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != size {
			t.Errorf("length was announced as %d, got %d bytes", size, len(data))
		}
		if !strings.Contains(string(data), "12345678901234567890") {
			t.Error("a large number lost digits")
		}
		var got sent
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%v in\n%s", err, data)
		}
		var modules []string
		for _, m := range got.Modules {
			modules = append(modules, m.Name+"="+string(m.Content))
		}
		if diff := cmp.Diff([]string{"index.js=export default {}", "a&b.txt=text", "empty.bin="}, modules); diff != "" {
			t.Errorf("modules (-want +got):\n%s", diff)
		}
		got.Modules = nil
		got.Bindings[1]["json"] = "checked above"
		want := sent{
			Annotations: up.Annotations, Date: "2026-11-01", Flags: []string{"nodejs_compat"}, Main: "index.js",
			Placement: map[string]any{"mode": "smart"},
			Bindings: []map[string]any{
				{"name": "A", "type": "plain_text", "text": "<a>"},
				{"name": "Z", "type": "json", "json": "checked above"},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
}

func TestUploadSaysItsExactLengthForAnyModules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		script := rapid.StringOfN(rapid.Rune(), 1, 70000, -1).Filter(func(s string) bool { return strings.TrimSpace(s) != "" }).Draw(t, "script")
		b := bundle.NewBundler()
		code, err := b.Inspect(t.Context(), bundle.Script{Text: script})
		if err != nil {
			t.Fatal(err)
		}
		out, err := b.Build(t.Context(), bundle.Script{Text: script}, code)
		if err != nil {
			t.Fatal(err)
		}
		r, size, err := bundle.Upload{Bundle: out}.Body()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(&smallReads{r, rapid.IntRange(1, 5000).Draw(t, "read")})
		if err != nil {
			t.Fatal(err)
		}
		var got sent
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != size || string(got.Modules[0].Content) != script {
			t.Fatalf("announced %d bytes, got %d; content equal: %t", size, len(data), string(got.Modules[0].Content) == script)
		}
	})
}

type smallReads struct {
	r io.Reader
	n int
}

func (s *smallReads) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

func TestUploadOfAChangedModuleNeverCompletes(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"same size": "EXPORT default {}", "longer": "export default {} // more", "shorter": "export"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"index.js": "export default {}"})
			out := build(t, bundle.Directory{Path: dir, Main: "index.js"})
			write(t, filepath.Join(dir, "index.js"), content)
			up := bundle.Upload{Bundle: out}

			complete := make(chan bool, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				complete <- err == nil
			}))
			defer server.Close()
			body, size, err := up.Body()
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = size
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			var changed *bundle.ChangedError
			if !errors.As(err, &changed) {
				t.Errorf("got %v, want a ChangedError", err)
			}
			if <-complete {
				t.Error("the server got a complete request")
			}
		})
	}
}

//nolint:paralleltest // it measures the whole process
func TestUploadOfALargeModuleNeedsLittleMemory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.js"), []byte("export {}"), 0o644); err != nil {
		t.Fatal(err)
	}
	const size = 40 << 20
	f, err := os.Create(filepath.Join(dir, "big.bin")) // zeros: below the compressed limit
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	f.Close()

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out := build(t, bundle.Directory{Path: dir, Main: "index.js"})
	r, length, err := bundle.Upload{Bundle: out}.Body()
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n != length || n < size*4/3 {
		t.Fatalf("sent %d bytes, announced %d", n, length)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("inspecting, building and sending %d MiB allocated %d KiB", size>>20, allocated>>10)
	if allocated > 8<<20 {
		t.Errorf("allocated %d MiB for a module of 40 MiB", allocated>>20)
	}
}
