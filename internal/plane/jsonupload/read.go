// SPDX-License-Identifier: MPL-2.0

// Package jsonupload reads the JSON dialect of uploads: one object whose member
// "modules" holds the code as base64. The code streams into a store as it comes
// in, so that an upload costs the memory of its metadata, whatever its size.
package jsonupload

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// bufferSize is what one upload costs besides its metadata.
const bufferSize = 64 << 10

// Read reads one upload from r. It returns the object without its member
// "modules", as JSON, and the modules in the order they came, stored in store. A
// refusal is an *upload.Error; an error of r itself is wrapped.
func Read(r io.Reader, store upload.BlobStore, lim upload.Limits) (metadata []byte, modules []registry.Module, err error) {
	rd := &reader{s: scanner{r: bufio.NewReaderSize(r, bufferSize), left: lim.Metadata}, store: store, code: lim.Code, parts: lim.Parts}
	if err := rd.document(); err != nil {
		return nil, nil, err
	}
	// What was copied is well-formed as far as strings and brackets go; a last look
	// makes sure of the rest.
	if !json.Valid(rd.rest.Bytes()) {
		return nil, nil, refuse(upload.CodeBadBody, "the request body is no valid JSON")
	}
	return rd.rest.Bytes(), rd.modules, nil
}

func refuse(code int, format string, args ...any) error {
	status := http.StatusBadRequest
	if code == upload.CodeTooLarge {
		status = http.StatusRequestEntityTooLarge
	}
	return &upload.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

type reader struct {
	s     scanner
	store upload.BlobStore
	code  int64 // bytes of code that may still come
	parts int   // modules that may come

	rest    bytes.Buffer // the object without modules
	seen    bool         // modules
	modules []registry.Module
}

func (rd *reader) document() error {
	rd.rest.WriteByte('{')
	first := true
	err := rd.s.object(func(name string) error {
		if name == "modules" {
			if rd.seen {
				return refuse(upload.CodeBadBody, "the request body has two members modules")
			}
			rd.seen = true
			return rd.readModules()
		}
		if !first {
			rd.rest.WriteByte(',')
		}
		first = false
		quoted, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("reading the upload: %w", err)
		}
		rd.rest.Write(quoted)
		rd.rest.WriteByte(':')
		return rd.s.copyValue(&rd.rest)
	})
	if err != nil {
		return err
	}
	rd.rest.WriteByte('}')
	return rd.s.end()
}

func (rd *reader) readModules() error {
	c, err := rd.s.peek()
	if err != nil {
		return err
	}
	if c == 'n' {
		return rd.s.skipValue("null")
	}
	return rd.s.array(func() error {
		if len(rd.modules) >= rd.parts {
			return refuse(upload.CodeTooLarge, "the upload has more than %d modules", rd.parts)
		}
		m, err := rd.readModule()
		rd.modules = append(rd.modules, m)
		return err
	})
}

func (rd *reader) readModule() (registry.Module, error) {
	var m registry.Module
	err := rd.s.object(func(member string) error {
		switch member {
		case "name", "content_type":
			var raw bytes.Buffer
			if err := rd.s.copyValue(&raw); err != nil {
				return err
			}
			into := &m.Name
			if member == "content_type" {
				into = &m.ContentType
			}
			if json.Unmarshal(raw.Bytes(), into) != nil {
				return refuse(upload.CodeBadBody, "%s of modules[%d] must be a string", member, len(rd.modules))
			}
			return nil
		case "content_base64":
			if m.SHA256 != "" {
				return refuse(upload.CodeBadBody, "modules[%d] has two members content_base64", len(rd.modules))
			}
			return rd.storeContent(&m)
		default:
			return rd.s.skipValue("")
		}
	})
	if err != nil {
		return m, err
	}
	switch {
	case m.Name == "":
		return m, refuse(upload.CodeInvalid, "modules[%d] has no name", len(rd.modules))
	case m.SHA256 == "":
		return m, refuse(upload.CodeInvalid, "module %q has no content_base64", m.Name)
	}
	return m, nil
}

// storeContent streams one base64 string into the store.
func (rd *reader) storeContent(m *registry.Module) error {
	text, err := rd.s.string()
	if err != nil {
		return err
	}
	src := &decoded{r: base64.NewDecoder(base64.StdEncoding, text), left: &rd.code}
	m.SHA256, m.Size, err = rd.store.Put(src)
	switch bad := (base64.CorruptInputError)(0); {
	case text.err != nil:
		return text.err
	case src.over:
		return refuse(upload.CodeTooLarge, "the upload holds more code than a Worker may have: leave out what it does not need, or split it into several Workers")
	case errors.As(src.err, &bad), errors.Is(src.err, io.ErrUnexpectedEOF):
		return refuse(upload.CodeBadBody, "content_base64 of modules[%d] is not valid base64", len(rd.modules))
	case err != nil:
		return fmt.Errorf("storing a module: %w", err)
	}
	return nil
}

// decoded counts what the base64 decoder yields, and keeps its error apart from
// the store's.
type decoded struct {
	r    io.Reader
	left *int64
	over bool
	err  error
}

var errOver = errors.New("more code than allowed")

func (d *decoded) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if *d.left -= int64(n); *d.left < 0 {
		d.over = true
		return 0, errOver
	}
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
}
