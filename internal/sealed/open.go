// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"time"

	"github.com/getsops/sops/v3/shamir"
)

// macOnlyPrefix begins the MAC of files in which only encrypted values count:
// SHA-256 of "sops", as SOPS has it.
var macOnlyPrefix = sha256.Sum256([]byte("sops"))

// Opened is a file that was decrypted and authenticated as a whole.
type Opened struct {
	file   *File
	inside func() *contents // a function, for the reason that Secret has
}

// contents are what a file holds in the clear.
type contents struct {
	values document
	key    []byte
	// nonces are those of the encrypted values by place and value, so that an
	// unchanged value keeps its ciphertext when the file is written again.
	nonces map[nonceKey][]byte
}

// Format implements fmt.Formatter: what was opened is not for printing.
func (o Opened) Format(f fmt.State, _ rune) { fmt.Fprint(f, masked) }

type nonceKey struct {
	bound string
	value any
}

// open decrypts all values and compares the MAC. Its errors do not name the file:
// others with the same content get them, too.
func (f *File) open(ctx context.Context, k *keyring) (*Opened, error) {
	key, err := k.dataKey(ctx, f.meta.groups, f.meta.threshold, shamir.Combine)
	if err != nil {
		return nil, err
	}
	c := &contents{values: f.values.copyOf(), key: key, nonces: map[nonceKey][]byte{}}
	mac := newMAC(f.meta.macOnly)
	err = c.values.walk(f.meta.rules, func(l leaf) (any, error) {
		value, err := c.openLeaf(l)
		if err != nil {
			return nil, located(err, BadCiphertext, "", l.path.String())
		}
		return value, mac.add(value, l.encrypted)
	})
	if err != nil {
		return nil, located(err, Malformed, "", "")
	}
	written, _, err := openValue(f.meta.mac, key, f.meta.lastModified.Format(time.RFC3339))
	if text, ok := written.(string); err != nil || !ok || subtle.ConstantTimeCompare([]byte(text), []byte(mac.sum())) != 1 {
		return nil, &Error{Code: BadMAC}
	}
	return &Opened{file: f, inside: func() *contents { return c }}, nil
}

func (c *contents) openLeaf(l leaf) (any, error) {
	if !l.encrypted {
		return l.value, nil
	}
	bound := boundTo(l.names)
	if closed, isComment := l.value.(comment); isComment {
		value, nonce, err := openValue(closed.text, c.key, bound)
		if err != nil {
			return closed, nil //nolint:nilerr // older versions of SOPS left comments alone
		}
		c.nonces[nonceKey{bound, value}] = nonce
		return *asComment(value), nil
	}
	text, isText := l.value.(string)
	if !isText {
		return nil, &Error{Code: NotEncrypted}
	}
	value, nonce, err := openValue(text, c.key, bound)
	if err != nil {
		return nil, err
	}
	if _, isComment := value.(comment); isComment {
		return nil, &Error{Code: BadType} // else the value would vanish, and from the MAC, too
	}
	c.nonces[nonceKey{bound, value}] = nonce
	return value, nil
}

// mac is SHA-512 over the plaintexts in the order of the file, without comments.
type mac struct {
	hash hash.Hash
	only bool
}

func newMAC(only bool) mac {
	m := mac{hash: sha512.New(), only: only}
	if only {
		m.hash.Write(macOnlyPrefix[:])
	}
	return m
}

// add takes a value in and returns nil, or why it cannot.
func (m mac) add(value any, encrypted bool) error {
	if _, isComment := value.(comment); isComment || (m.only && !encrypted) {
		return nil
	}
	text, _, err := canonical(value)
	if err != nil {
		return err
	}
	m.hash.Write(text)
	return nil
}

func (m mac) sum() string { return fmt.Sprintf("%X", m.hash.Sum(nil)) }

// Secret returns the value at path as text. Numbers are written in decimal,
// booleans as true and false. The empty path is all of a binary file.
func (o *Opened) Secret(path Path) (Secret, error) {
	at := o.file.resolve(path)
	value, ok := o.inside().values.find(at)
	if !ok || len(at) == 0 {
		if len(at) == 0 {
			return Secret{}, &Error{Code: NotScalar, File: o.file.Name, Detail: "a key path is needed"}
		}
		return Secret{}, o.file.unknown(at)
	}
	text, scalar := textValue(value)
	switch {
	case scalar && text != "":
		return NewSecret(text), nil
	case scalar, value == nil:
		return Secret{}, &Error{Code: EmptyValue, File: o.file.Name, Key: at.String()}
	default:
		return Secret{}, &Error{Code: NotScalar, File: o.file.Name, Key: at.String()}
	}
}

// Value returns what stands at path: nil, string, int, float64, bool,
// map[string]any or []any, times as RFC 3339. The empty path is the whole file;
// of a YAML stream of several documents, a list of them.
func (o *Opened) Value(path Path) (any, error) {
	path = o.file.resolve(path)
	if len(path) == 0 {
		if len(o.inside().values) == 1 {
			return plain(o.inside().values[0]), nil
		}
		out := make([]any, len(o.inside().values))
		for i, v := range o.inside().values {
			out[i] = plain(v)
		}
		return out, nil
	}
	value, ok := o.inside().values.find(path)
	if !ok {
		return nil, o.file.unknown(path)
	}
	return plain(value), nil
}

// plain makes Go's own types of a value and drops comments.
func plain(value any) any {
	switch v := value.(type) {
	case object:
		out := make(map[string]any, len(v))
		for _, m := range v {
			if m.comment == nil {
				out[m.name] = plain(m.value)
			}
		}
		return out
	case list:
		out := []any{}
		for _, element := range v {
			if _, isComment := element.(comment); !isComment {
				out = append(out, plain(element))
			}
		}
		return out
	case time.Time:
		text, _ := textValue(v)
		return text
	default:
		return v
	}
}
