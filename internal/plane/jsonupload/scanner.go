// SPDX-License-Identifier: MPL-2.0

package jsonupload

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// maxDepth is as deep as encoding/json goes too.
const maxDepth = 10000

// scanner walks through JSON without holding it. encoding/json's own decoder gives
// a string only as a whole.
type scanner struct {
	r    *bufio.Reader
	left int64 // bytes outside of code that may still come
}

// failed tells a body that ends too early from one that cannot be read.
func failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(upload.CodeBadBody, "the request body ends in the middle of its JSON")
	}
	return fmt.Errorf("reading the upload: %w", err)
}

func unexpected(c byte) error {
	return refuse(upload.CodeBadBody, "the request body is no valid JSON of an upload: unexpected %q", c)
}

func (s *scanner) next() (byte, error) {
	if s.left--; s.left < 0 {
		return 0, refuse(upload.CodeTooLarge, "the upload has too much beside the modules' code")
	}
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, failed(err)
	}
	return c, nil
}

// peek skips white space and shows the byte after it.
func (s *scanner) peek() (byte, error) {
	for {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		s.left++
		return c, s.r.UnreadByte()
	}
}

// expect skips white space and takes one byte, which must be want.
func (s *scanner) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return unexpected(c)
	}
	_, err = s.next()
	return err
}

// end makes sure that only white space follows.
func (s *scanner) end() error {
	for {
		c, err := s.r.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return failed(err)
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return unexpected(c)
	}
}

// object reads an object and calls member when a member's value comes next; member
// takes that value.
func (s *scanner) object(member func(name string) error) error {
	return s.list('{', '}', func() error {
		var raw bytes.Buffer
		if c, err := s.peek(); err != nil || c != '"' {
			if err == nil {
				err = unexpected(c)
			}
			return err
		}
		if err := s.copyString(&raw); err != nil {
			return err
		}
		var name string
		if json.Unmarshal(raw.Bytes(), &name) != nil {
			return refuse(upload.CodeBadBody, "the request body has a member whose name is no valid JSON string")
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(name)
	})
}

// array reads an array and calls element when an element comes next.
func (s *scanner) array(element func() error) error { return s.list('[', ']', element) }

func (s *scanner) list(open, end byte, item func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if c, err := s.peek(); err != nil || c == end {
		if err == nil {
			err = s.expect(end)
		}
		return err
	}
	for {
		if err := item(); err != nil {
			return err
		}
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == end {
			return s.expect(end)
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// copyValue copies one value as it is. Whether its literals are valid is left to
// encoding/json; that it ends where it should is not.
func (s *scanner) copyValue(out *bytes.Buffer) error {
	depth := 0
	for {
		c, err := s.peek()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			if err := s.copyString(out); err != nil {
				return err
			}
		case '{', '[', '}', ']', ',', ':':
			if depth == 0 && c != '{' && c != '[' {
				return unexpected(c)
			}
			if _, err := s.next(); err != nil {
				return err
			}
			out.WriteByte(c)
			switch c {
			case '{', '[':
				if depth++; depth > maxDepth {
					return refuse(upload.CodeBadBody, "the request body is nested too deeply")
				}
			case '}', ']':
				depth--
			}
		default:
			if err := s.copyLiteral(out); err != nil {
				return err
			}
			// Two literals in a row must not melt into a valid one.
			if depth > 0 {
				out.WriteByte(' ')
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

// skipValue takes one valid value, which must be want unless that is empty.
func (s *scanner) skipValue(want string) error {
	var raw bytes.Buffer
	if err := s.copyValue(&raw); err != nil {
		return err
	}
	if !json.Valid(raw.Bytes()) || (want != "" && raw.String() != want) {
		return refuse(upload.CodeBadBody, "the request body is no valid JSON of an upload")
	}
	return nil
}

// copyLiteral copies a number, true, false or null up to what ends it.
func (s *scanner) copyLiteral(out *bytes.Buffer) error {
	for {
		c, err := s.next()
		if err != nil {
			return err
		}
		switch c {
		case ' ', '\t', '\r', '\n', '"', '{', '[', '}', ']', ',', ':':
			s.left++
			return s.r.UnreadByte()
		}
		out.WriteByte(c)
	}
}

// copyString copies a string with its quotes and escapes.
func (s *scanner) copyString(out *bytes.Buffer) error {
	escaped := false
	for n := 0; ; n++ {
		c, err := s.next()
		if err != nil {
			return err
		}
		out.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"' && n > 0:
			return nil
		}
	}
}

// string begins a string whose text the reader yields; it MUST be read to its end.
func (s *scanner) string() (*textReader, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	return &textReader{s: s}, nil
}

// textReader yields a string's text with its escapes undone.
type textReader struct {
	s    *scanner
	over bool
	// err is the first failure of the JSON or of the body, nil at a proper end.
	err error
}

func (t *textReader) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.over {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		c, err := t.s.r.ReadByte()
		if err != nil {
			t.err = failed(err)
			return n, t.err
		}
		switch {
		case c == '"':
			t.over = true
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
		case c == '\\':
			if c, err = t.escape(); err != nil {
				t.err = err
				return n, err
			}
		case c < ' ':
			t.err = refuse(upload.CodeBadBody, "the request body is no valid JSON: a string holds a control character")
			return n, t.err
		}
		p[n] = c
		n++
	}
	return n, nil
}

// escape reads what follows a backslash. Base64 is ASCII, so nothing else needs to
// be yielded faithfully.
func (t *textReader) escape() (byte, error) {
	c, err := t.s.r.ReadByte()
	if err != nil {
		return 0, failed(err)
	}
	switch c {
	case '"', '\\', '/':
		return c, nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't', 'b', 'f':
		return 0, nil
	case 'u':
		var hex [4]byte
		if _, err := io.ReadFull(t.s.r, hex[:]); err != nil {
			return 0, failed(err)
		}
		code, err := strconv.ParseUint(string(hex[:]), 16, 16)
		if err != nil {
			return 0, refuse(upload.CodeBadBody, "the request body is no valid JSON: a string holds a wrong escape")
		}
		if code >= utf8.RuneSelf {
			return 0, nil // no base64 digit either
		}
		return byte(code), nil
	}
	return 0, refuse(upload.CodeBadBody, "the request body is no valid JSON: a string holds a wrong escape")
}
