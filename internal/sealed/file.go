// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/pgp"
)

// maxFileBytes bounds what is read of a file.
const maxFileBytes = 16 << 20

// File is an encrypted file. What it tells needs no key.
type File struct {
	Name   string // as it was given
	Format Format

	values document
	leaves []leaf // of values: the values and no comments
	// lookalikes are the key paths of values that look encrypted, although the
	// rules of the file leave them in the clear: nothing decrypts them.
	lookalikes []string
	meta       metadata
	sum        [sha256.Size]byte // of the whole text
}

// Parse reads an encrypted file. name is used in errors alone.
func Parse(name string, format Format, text []byte) (*File, error) {
	if len(text) > maxFileBytes {
		return nil, &Error{Code: TooLarge, File: name}
	}
	values, raw, err := load(format, text)
	if err != nil {
		return nil, located(err, Malformed, name, "")
	}
	meta, err := readMetadata(raw)
	if err != nil {
		return nil, located(err, BadMetadata, name, "")
	}
	f := &File{Name: name, Format: format, values: values, meta: meta, sum: sha256.Sum256(text)}
	err = values.walk(meta.rules, func(l leaf) (any, error) {
		if _, isComment := l.value.(comment); isComment {
			return l.value, nil
		}
		f.leaves = append(f.leaves, l)
		if text, _ := l.value.(string); !l.encrypted && isSealed(text) {
			f.lookalikes = append(f.lookalikes, l.path.String())
		}
		return l.value, nil
	})
	if err != nil {
		return nil, located(err, Malformed, name, "")
	}
	return f, nil
}

// Read reads the encrypted file at path. An empty format is that of the file's
// name.
func Read(path string, format Format) (*File, error) {
	if format == "" {
		format = FormatOf(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, format, text)
}

func unreadable(path string, err error) *Error {
	e := &Error{Code: Unreadable, File: path}
	switch {
	case os.IsNotExist(err):
		e.Detail = "it does not exist"
	case os.IsPermission(err):
		e.Detail = "permission denied"
	}
	return e
}

// Recipients names who can open the file: age recipients as they are, other keys
// with their kind before them.
func (f *File) Recipients() []string { return recipients(f.meta.groups) }

// Remote reports whether opening the file may ask a service over the network,
// which the file itself names.
func (f *File) Remote() bool {
	return slices.ContainsFunc(slices.Concat(f.meta.groups...), func(k keys.MasterKey) bool {
		return k.TypeToIdentifier() != age.KeyTypeIdentifier && k.TypeToIdentifier() != pgp.KeyTypeIdentifier
	})
}

// Keys lists the key paths of all values, encrypted or not, in the order of the
// file.
func (f *File) Keys() []string {
	var out []string
	for _, l := range f.leaves {
		out = append(out, l.path.String())
	}
	return out
}

// Plain lists the key paths of values that stand in the file in the clear,
// although its rules want them encrypted.
func (f *File) Plain() []string {
	var out []string
	for _, l := range f.leaves {
		text, isText := l.value.(string)
		if l.encrypted && !(isText && (text == "" || isSealed(text))) {
			out = append(out, l.path.String())
		}
	}
	return out
}

// Digest identifies what stands at a key path without opening it: SHA-256, in
// hex, of the ciphertext as it stands in the file. An edit of another key leaves
// it alone, and so does `sops updatekeys`; `sops rotate` changes it, because it
// encrypts every value anew.
//
// For a map, a list, or the whole file it is that of the lines "PATH DIGEST\n" of
// all encrypted values in it, in the order of the file.
func (f *File) Digest(path Path) (string, error) {
	value, err := f.at(path)
	if err != nil {
		return "", err
	}
	if text, isText := value.(string); isText {
		if err := f.checkSealed(path, text); err != nil {
			return "", err
		}
		return digestText(text), nil
	}
	switch value.(type) {
	case object, list:
	case nil:
		return "", &Error{Code: EmptyValue, File: f.Name, Key: path.String()}
	default:
		return "", &Error{Code: NotEncrypted, File: f.Name, Key: path.String()}
	}
	var lines strings.Builder
	for _, l := range f.leaves {
		if text, _ := l.value.(string); l.encrypted && hasPrefix(l.path, path) && isSealed(text) {
			fmt.Fprintf(&lines, "%s %s\n", l.path, digestText(text))
		}
	}
	if lines.Len() == 0 {
		return "", &Error{Code: NotEncrypted, File: f.Name, Key: path.String()}
	}
	return digestText(lines.String()), nil
}

// Scalar reports as an error if no single encrypted value stands at path.
func (f *File) Scalar(path Path) error {
	value, err := f.at(path)
	if err != nil {
		return err
	}
	switch v := value.(type) {
	case object, list:
		return &Error{Code: NotScalar, File: f.Name, Key: path.String()}
	case nil:
		return &Error{Code: EmptyValue, File: f.Name, Key: path.String()}
	case string:
		return f.checkSealed(path, v)
	default:
		return &Error{Code: NotEncrypted, File: f.Name, Key: path.String()}
	}
}

func (f *File) checkSealed(path Path, text string) error {
	switch {
	case text == "":
		return &Error{Code: EmptyValue, File: f.Name, Key: path.String()}
	case !isSealed(text), slices.Contains(f.lookalikes, f.resolve(path).String()):
		return &Error{Code: NotEncrypted, File: f.Name, Key: path.String()}
	}
	return nil
}

// binaryPath is where the bytes of a binary file are.
var binaryPath = Path{"data"}

// resolve is the path of the whole content: that of a binary file is one value.
func (f *File) resolve(path Path) Path {
	if len(path) == 0 && f.Format == Binary {
		return binaryPath
	}
	return path
}

func (f *File) at(path Path) (any, error) {
	path = f.resolve(path)
	if len(path) == 0 {
		return f.whole(), nil
	}
	value, ok := f.values.find(path)
	if !ok {
		return nil, f.unknown(path)
	}
	return value, nil
}

func (f *File) whole() any {
	if len(f.values) == 1 {
		return f.values[0]
	}
	out := make(list, len(f.values))
	for i, o := range f.values {
		out[i] = o
	}
	return out
}

// unknown says which keys there are. Their names are public: SOPS does not
// encrypt them.
func (f *File) unknown(path Path) *Error {
	e := &Error{Code: KeyUnknown, File: f.Name, Key: path.String()}
	if names := f.Keys(); len(names) > 0 {
		e.Detail = "it has " + listed(names)
	}
	return e
}

func hasPrefix(path, prefix Path) bool {
	if len(path) < len(prefix) {
		return false
	}
	for i := range prefix {
		if path[i] != prefix[i] {
			return false
		}
	}
	return true
}

func digestText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
