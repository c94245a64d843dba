// SPDX-License-Identifier: MPL-2.0

// Package sealed reads and writes SOPS files: which values a file has, a digest
// of each value's ciphertext that needs no key, and the values themselves for who
// has one.
//
// The keys are opened by the key packages of github.com/getsops/sops/v3, one for
// each kind of key. The file format around them is read here: the library's own
// readers link the clients of object stores and a database, and report errors
// that can quote the plaintext. Every error of this package is an *Error, which
// is made of fixed texts, file names and key paths, and never of a value, of a
// ciphertext or of an error from below.
package sealed

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// masked is what a Secret shows of itself.
const masked = "[secret]"

// Secret is a value that shows itself to nobody who does not call Reveal: every
// way of printing, formatting, marshalling or logging it gives "[secret]".
type Secret struct {
	// fmt calls no methods of values in unexported fields of other types, but
	// prints what they hold. Of a function that is an address.
	reveal func() string
}

var (
	_ fmt.Formatter  = Secret{}
	_ fmt.GoStringer = Secret{}
	_ json.Marshaler = Secret{}
	_ slog.LogValuer = Secret{}
)

// NewSecret keeps text as a secret.
func NewSecret(text string) Secret { return Secret{reveal: func() string { return text }} }

// Reveal returns the value. It MUST NOT be stored, logged or put into an error.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Empty reports whether there is no value.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// String implements fmt.Stringer.
func (s Secret) String() string { return masked }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return masked }

// Format implements fmt.Formatter, so that no verb reaches the field.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, masked) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + masked + `"`), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }
