// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"bytes"
	"io"
	"testing"
)

// discard counts what it is given.
type discard struct{ n int64 }

func (d *discard) Put(r io.Reader) (string, int64, error) {
	n, err := io.Copy(io.Discard, r)
	d.n += n
	return "", n, err
}

func FuzzParseMultipart(f *testing.F) {
	for _, b := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"main_module\":\"index.js\"}\r\n--b\r\nContent-Disposition: form-data; name=\"index.js\"; filename=\"index.js\"\r\nContent-Type: application/javascript+module\r\n\r\nexport default {}\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a/\xc3\xa9.js\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json\r\n\r\n{\"body_part\":\"files\"}\r\n--b--\r\n",
		"--b\r\n\r\n--b--",
	} {
		f.Add([]byte(b))
	}
	lim := Limits{Code: 1 << 10, Metadata: 1 << 10, Parts: 8}
	f.Fuzz(func(t *testing.T, data []byte) {
		store := &discard{}
		u, err := Parse(`multipart/form-data; boundary=b`, bytes.NewReader(data), store, lim)
		if store.n > lim.Code {
			t.Fatalf("%d bytes of code were stored, the limit is %d", store.n, lim.Code)
		}
		if (u == nil) && err == nil {
			t.Fatal("neither an upload nor an error")
		}
		if err == nil && (len(u.Content.Modules) == 0 || len(u.Content.Modules) >= lim.Parts) {
			t.Fatalf("an upload with %d modules passed", len(u.Content.Modules))
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	for _, s := range []string{
		`{"main_module":"index.js","bindings":[{"type":"plain_text","name":"A","text":"x"},{"type":"inherit","name":"B"}],"keep_bindings":["secret_text"],"tags":null,"tail_consumers":[{"service":"w"}],"observability":{"enabled":true},"limits":{},"exports":{"default":{"type":"worker"}}}`,
		`{"bindings":[{"type":"json","name":"J","json":{"a":[null]}}],"migrations":{"steps":[]},"annotations":{"workers/message":"m"}}`,
		`[]`, `null`, `{"bindings":null,"observability":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := ParseMetadata(data)
		if err != nil {
			return
		}
		for i, b := range u.Content.Bindings {
			if b.Name == "" || b.Type == "" || (i > 0 && u.Content.Bindings[i-1].Name >= b.Name) {
				t.Fatalf("bindings out of order or nameless: %q", b.Name)
			}
		}
		_, _ = Resolve(u.Content.Bindings, u.Keep, Previous{Latest: u.Content.Bindings}, true)
	})
}
