// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"errors"
	"fmt"
	"strings"
)

// Code says what is wrong with a file, a key path or an identity.
type Code string

// The codes. Their texts are in explanations.
const (
	Unreadable      Code = "unreadable"
	TooLarge        Code = "too_large"
	Malformed       Code = "malformed"
	NotSOPS         Code = "not_sops"
	BadMetadata     Code = "bad_metadata"
	BadPath         Code = "bad_key_path"
	KeyUnknown      Code = "key_unknown"
	NotScalar       Code = "not_scalar"
	NotEncrypted    Code = "not_encrypted"
	EmptyValue      Code = "empty_value"
	BadCiphertext   Code = "bad_ciphertext"
	BadType         Code = "bad_type"
	BadMAC          Code = "bad_mac"
	NoIdentity      Code = "no_identity"
	IdentityPending Code = "identity_pending"
	KeyFileMissing  Code = "key_file_missing"
	KeyFileExposed  Code = "key_file_exposed"
	KeyFileBad      Code = "key_file_malformed"
	Unsupported     Code = "unsupported"
	CannotEncrypt   Code = "cannot_encrypt"
	RecipientBad    Code = "recipient_malformed"
	NoRecipients    Code = "no_recipients"
	NoCreationRule  Code = "no_creation_rule"
	BadCreationRule Code = "bad_creation_rule"
)

// explanations are what is wrong and, after the semicolon, what to do.
var explanations = map[Code]string{
	Unreadable:      "the file cannot be read; check the path and its permissions",
	TooLarge:        "the file is larger than 16 MiB; keep secrets in files of their own",
	Malformed:       "the file cannot be parsed in its format; compare it with the last version in your history, or edit it with `sops edit`",
	NotSOPS:         "the file carries no SOPS metadata, so nothing says that it is encrypted; encrypt it with `sops encrypt --in-place`",
	BadMetadata:     "the SOPS metadata of the file is incomplete; take the last good version of the file from your history",
	BadPath:         "the key path cannot be read; write it like `db.password`, `hosts[0].token` or `[\"name.with.dots\"]`",
	KeyUnknown:      "the file has no such key; correct the key path",
	NotScalar:       "the key holds a map or a list; name one value in it",
	NotEncrypted:    "the value stands in the file in the clear; take it out, set it again with `sops edit` or encrypt the whole file anew, and treat it as leaked if the file was ever shared",
	EmptyValue:      "the value is empty, and SOPS does not encrypt empty values; set one with `sops edit`",
	BadCiphertext:   "the value cannot be authenticated: it was changed without SOPS, or moved from another key; take the last good version of the file from your history",
	BadType:         "the value does not have the type that its ciphertext claims, which only a change without SOPS explains; take the last good version of the file from your history",
	BadMAC:          "the file as a whole cannot be authenticated: values were removed, added, or exchanged without SOPS; take the last good version of the file from your history",
	NoIdentity:      "no identity at hand opens the file; provide one that belongs to the recipients, or add yours with `sops updatekeys`",
	IdentityPending: "an identity to open the file with is not known yet, and nothing stands in for it; create what it depends on first, or take it from a variable",
	KeyFileMissing:  "the key file cannot be read; check the path",
	KeyFileExposed:  "the key file may be read or replaced by others; make it a regular file, owned by you, with `chmod 600`",
	KeyFileBad:      "the key file holds no usable identity; it needs lines like AGE-SECRET-KEY-1..., or one unencrypted SSH key",
	Unsupported:     "this is not supported",
	CannotEncrypt:   "the data key cannot be encrypted for a recipient; check the recipient and the access to it",
	RecipientBad:    "this is no recipient; it needs to look like age1... or ssh-ed25519 AAAA...",
	NoRecipients:    "nobody could decrypt the file; name a recipient, e.g. with --age",
	NoCreationRule:  "no creation rule of .sops.yaml fits this path; add one, or name a recipient with --age",
	BadCreationRule: "the creation rules cannot be read; compare them with the documentation of SOPS",
}

// Error is the only type of error of this package.
type Error struct {
	Code Code
	File string // as it was given; may be empty
	Key  string // key path; may be empty
	// Detail says more: names of files, keys or recipients, a line number. It
	// never holds a value, a ciphertext or the text of another error.
	Detail string
}

// Error says what is wrong where, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ": ")
	}
	if e.Key != "" {
		b.WriteString("key " + e.Key + ": ")
	}
	what, todo, _ := strings.Cut(explanations[e.Code], "; ")
	b.WriteString(what)
	if e.Detail != "" {
		b.WriteString(" (" + e.Detail + ")")
	}
	if todo != "" {
		b.WriteString(": " + todo)
	}
	return b.String()
}

// fail makes an error without a place, which located adds.
func fail(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// located adds file and key path where err has none. An error of another type is
// replaced by one with this code: its text could hold anything.
func located(err error, otherwise Code, file, key string) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Code: otherwise, File: file, Key: key}
	}
	out := *e
	if out.File == "" {
		out.File = file
	}
	if out.Key == "" {
		out.Key = key
	}
	return &out
}

// CodeOf is the code of an error of this package; empty for any other error.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
