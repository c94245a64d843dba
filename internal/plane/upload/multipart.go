// SPDX-License-Identifier: MPL-2.0

// Package upload reads what clients upload to make a version of a Worker. The
// three dialects in use (wrangler, the official Terraform provider, cloudflare-go)
// differ in the order and the names of their multipart parts; all of them end in
// one registry.VersionContent. Module bytes stream into a BlobStore and are never
// held in memory.
package upload

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// BlobStore keeps module bytes by their content.
type BlobStore interface {
	// Put stores what r yields and returns its SHA-256 as 64 hex digits. Bytes that
	// are there already cost nothing. After an error of r nothing is stored.
	Put(r io.Reader) (sha256 string, size int64, err error)
}

// Limits bound one upload.
type Limits struct {
	Code     int64 // bytes of all modules together
	Metadata int64 // bytes of the metadata part
	Parts    int   // parts of the body, metadata included
}

// DefaultLimits are Cloudflare's where it documents one (64 MiB of code before
// compression); the others are far above what a client sends.
var DefaultLimits = Limits{Code: 64 << 20, Metadata: 2 << 20, Parts: 4096}

// part is one stored multipart part that is a module.
type part struct {
	name, filename string
	module         registry.Module
}

// body is a read multipart body: the JSON part and the modules in order.
type body struct {
	metadata []byte // nil where the body has none
	parts    []part
}

// readMultipart reads a multipart body whose JSON part is called jsonPart, in
// whatever order the parts come.
func readMultipart(contentType string, r io.Reader, jsonPart string, store BlobStore, lim Limits) (*body, error) {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "multipart/form-data" || params["boundary"] == "" {
		return nil, refuse(CodeUnsupportedContentType, "the content type %q is not supported: send multipart/form-data with a part %q", contentType, jsonPart)
	}
	mr := multipart.NewReader(r, params["boundary"])
	var b body
	left := lim.Code
	for n := 0; ; n++ {
		p, err := mr.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a body that ends too early wraps io.EOF
			return &b, nil
		}
		if err != nil {
			return nil, readError("reading the multipart body", err)
		}
		if n >= lim.Parts {
			return nil, refuse(CodeTooLarge, "the upload has more than %d parts", lim.Parts)
		}
		// Part.FileName cuts directories off, and module names have them.
		_, disposition, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, refuse(CodeBadBody, "part %d of the upload has an unreadable Content-Disposition header", n+1)
		}
		name, filename := unescape(disposition["name"]), unescape(disposition["filename"])
		if name == jsonPart {
			if b.metadata != nil {
				return nil, refuse(CodeBadBody, "the upload has two parts %q", jsonPart)
			}
			if b.metadata, err = readBounded(p, lim.Metadata); err != nil {
				return nil, fmt.Errorf("reading the part %q: %w", jsonPart, err)
			}
			continue
		}
		m, err := storeModule(store, p, &left)
		if err != nil {
			return nil, fmt.Errorf("part %q of the upload: %w", name, err)
		}
		m.ContentType = p.Header.Get("Content-Type")
		b.parts = append(b.parts, part{name: name, filename: filename, module: m})
	}
}

// storeModule streams r into the store and counts down what is left of the limit.
func storeModule(store BlobStore, r io.Reader, left *int64) (registry.Module, error) {
	capped := &cappedReader{r: r, left: left}
	sum, size, err := store.Put(capped)
	if capped.exceeded {
		return registry.Module{}, refuse(CodeTooLarge, "the upload holds more code than a Worker may have: leave out what it does not need, or split it into several Workers")
	}
	if err != nil {
		if capped.err != nil {
			return registry.Module{}, readError("reading a module", capped.err)
		}
		return registry.Module{}, fmt.Errorf("storing a module: %w", err)
	}
	return registry.Module{SHA256: sum, Size: size}, nil
}

// cappedReader fails once *left bytes have been read, and keeps apart an error of
// the reader (the client's) from one of the store (ours).
type cappedReader struct {
	r        io.Reader
	left     *int64
	exceeded bool
	err      error
}

var errTooMuchCode = errors.New("more code than allowed")

func (c *cappedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.left -= int64(n)
	if *c.left < 0 {
		c.exceeded = true
		return 0, errTooMuchCode
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, readError("reading", err)
	}
	if int64(len(data)) > limit {
		return nil, refuse(CodeTooLarge, "it is longer than %d bytes", limit)
	}
	return data, nil
}

// readError makes a refusal out of a broken body: whatever goes wrong while the
// client's bytes are read is the client's to mend.
func readError(doing string, err error) error {
	if isOurs(err) {
		return err
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return refuse(CodeTooLarge, "the upload is larger than the %d bytes that a request may have", tooLarge.Limit)
	}
	return refuse(CodeBadBody, "%s: %v", doing, err)
}

func isOurs(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// unescape undoes what WHATWG form encoding does to the three characters that
// cannot stand in a header.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(s)
}
