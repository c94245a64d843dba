// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"sort"
)

// Upload is the body of POST .../workers/workers/{id}/versions. It is written
// while it is read: of all modules together no more than a buffer is in memory.
type Upload struct {
	Bundle             *Bundle
	Bindings           map[string]json.RawMessage // name -> object without "name", as in Content
	CompatibilityDate  string
	CompatibilityFlags []string
	Placement          json.RawMessage // nil: none
	Limits             json.RawMessage // nil: none
	Annotations        map[string]string
}

// part is a stretch of the body: text, or else a module in base64.
type part struct {
	text   []byte
	module *Module
}

// Body opens the body anew and says its exact length in bytes. A module that is
// no longer what was inspected makes the reader fail with a *ChangedError before
// the end, so that the server gets no complete request.
func (u Upload) Body() (io.ReadCloser, int64, error) {
	parts, err := u.parts()
	if err != nil {
		return nil, 0, err
	}
	var size int64
	for _, p := range parts {
		size += int64(len(p.text))
		if p.module != nil {
			size += base64Len(p.module.Size)
		}
	}
	return &bodyReader{parts: parts}, size, nil
}

// base64Len is the length of the standard encoding, with padding.
func base64Len(n int64) int64 { return (n + 2) / 3 * 4 }

func (u Upload) parts() ([]part, error) {
	bindings, err := u.bindings()
	if err != nil {
		return nil, err
	}
	head := struct {
		Annotations        map[string]string `json:"annotations,omitempty"`
		Bindings           []map[string]any  `json:"bindings"`
		CompatibilityDate  string            `json:"compatibility_date,omitempty"`
		CompatibilityFlags []string          `json:"compatibility_flags,omitempty"`
		Limits             json.RawMessage   `json:"limits,omitempty"`
		MainModule         string            `json:"main_module"`
		Placement          json.RawMessage   `json:"placement,omitempty"`
	}{u.Annotations, bindings, u.CompatibilityDate, set(u.CompatibilityFlags), u.Limits, u.Bundle.Main, u.Placement}
	text := marshal(head)
	text = append(text[:len(text)-1], `,"modules":[`...)
	var parts []part
	for i := range u.Bundle.Modules {
		m := &u.Bundle.Modules[i]
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"name":`...)
		text = append(text, quoted(m.Name)...)
		text = append(text, `,"content_type":`...)
		text = append(text, quoted(m.ContentType)...)
		text = append(text, `,"content_base64":"`...)
		parts = append(parts, part{text: text}, part{module: m})
		text = []byte(`"}`)
	}
	return append(parts, part{text: append(text, `]}`...)}), nil
}

// bindings are the API's list, in order of name: the order in which it answers.
func (u Upload) bindings() ([]map[string]any, error) {
	list := make([]map[string]any, 0, len(u.Bindings))
	for name, raw := range u.Bindings {
		value, err := canonicalValue(raw)
		if err != nil {
			return nil, fmt.Errorf("binding %s is not JSON: %w", name, err)
		}
		object, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("binding %s is no JSON object", name)
		}
		object["name"] = name
		list = append(list, object)
	}
	//nolint:forcetypeassert // every object has got its name above
	sort.Slice(list, func(i, j int) bool { return list[i]["name"].(string) < list[j]["name"].(string) })
	return list, nil
}

// bodyReader reads the parts one after the other.
type bodyReader struct {
	parts   []part
	current io.Reader     // of parts[0]; nil before it is opened
	open    io.ReadCloser // the module behind current
}

func (r *bodyReader) Read(p []byte) (int, error) {
	for len(r.parts) > 0 {
		if r.current == nil {
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.current.Read(p)
		if err == io.EOF {
			if err := r.Close(); err != nil {
				return n, err
			}
			r.parts = r.parts[1:]
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

func (r *bodyReader) next() error {
	if m := r.parts[0].module; m != nil {
		f, err := m.Open()
		if err != nil {
			return err
		}
		r.open, r.current = f, newBase64Reader(f)
		return nil
	}
	r.current = bytes.NewReader(r.parts[0].text)
	return nil
}

// Close closes the module that is being read. Reading on opens it again.
func (r *bodyReader) Close() error {
	open := r.open
	r.open, r.current = nil, nil
	if open == nil {
		return nil
	}
	return open.Close()
}

// base64Chunk is how much of a module is encoded at a time: a multiple of 3, so
// that only the last chunk is padded, and about what an HTTP client copies.
const base64Chunk = 3 * 8 << 10

// base64Reader encodes what it reads. The standard library has only the writer.
type base64Reader struct {
	from io.Reader
	raw  []byte
	text []byte // encoded, not yet read
	buf  []byte
	err  error
}

func newBase64Reader(from io.Reader) *base64Reader {
	return &base64Reader{
		from: from,
		raw:  make([]byte, base64Chunk),
		buf:  make([]byte, base64.StdEncoding.EncodedLen(base64Chunk)),
	}
}

func (r *base64Reader) Read(p []byte) (int, error) {
	if len(r.text) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := io.ReadFull(r.from, r.raw)
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		r.err = err
		if err != nil && err != io.EOF {
			return 0, err
		}
		base64.StdEncoding.Encode(r.buf, r.raw[:n])
		r.text = r.buf[:base64.StdEncoding.EncodedLen(n)]
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	if n == 0 && r.err != nil {
		return 0, r.err
	}
	return n, nil
}
