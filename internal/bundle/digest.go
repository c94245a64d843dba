// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Content is everything that makes a version. Two versions with the same digest
// are interchangeable, whoever made them: what only describes a version (its
// message and tag) or only says how it was made (the bundler) is no part of it.
type Content struct {
	// CodeSHA256 is Code.SHA256: the modules, which of them is the main one, and
	// the bundler's options.
	CodeSHA256 string
	// Bindings maps each binding's name to the JSON object that the API takes,
	// without "name". Secrets MUST NOT be here.
	Bindings           map[string]json.RawMessage
	CompatibilityDate  string
	CompatibilityFlags []string        // a set: neither order nor repetition counts
	Placement          json.RawMessage // nil: none
	Limits             json.RawMessage // nil: none
	AssetsSHA256       string          // of the manifest of static assets; empty: none
	// SecretDigests maps each secret's name to a digest that reveals nothing
	// about its value, e.g. that of its ciphertext.
	SecretDigests map[string]string
}

// Digest is the identity of a version: 64 hex digits.
//
// Canonical form "hb1". SHA-256 over the bytes "hb1 version\n" followed by one
// JSON object: no white space; members in order of their names' bytes, here and
// in every object within; numbers as written; no escapes but those that
// encoding/json makes with HTML escaping off. Members: "assets", "bindings",
// "code", "compatibility_date", "compatibility_flags" (sorted, each once),
// "limits", "placement", "secrets". A member without a value is left out.
//
// The form never changes: a new one gets a new prefix here and in the marker.
func (c Content) Digest() (string, error) {
	form := map[string]any{"code": c.CodeSHA256}
	if len(c.Bindings) > 0 {
		bindings := map[string]any{}
		for name, raw := range c.Bindings {
			value, err := canonicalValue(raw)
			if err != nil {
				return "", fmt.Errorf("binding %s is not JSON: %w", name, err)
			}
			bindings[name] = value
		}
		form["bindings"] = bindings
	}
	for member, raw := range map[string]json.RawMessage{"placement": c.Placement, "limits": c.Limits} {
		if len(raw) == 0 {
			continue
		}
		value, err := canonicalValue(raw)
		if err != nil {
			return "", fmt.Errorf("%s is not JSON: %w", member, err)
		}
		form[member] = value
	}
	if c.CompatibilityDate != "" {
		form["compatibility_date"] = c.CompatibilityDate
	}
	if flags := set(c.CompatibilityFlags); len(flags) > 0 {
		form["compatibility_flags"] = flags
	}
	if c.AssetsSHA256 != "" {
		form["assets"] = c.AssetsSHA256
	}
	if len(c.SecretDigests) > 0 {
		form["secrets"] = c.SecretDigests
	}
	return canonicalHash("hb1 version", form), nil
}

// CanonicalJSON writes a JSON text in the form that digests are made over. Two
// texts of the same value, however written, give the same bytes; numbers are
// kept as written.
func CanonicalJSON(text []byte) ([]byte, error) {
	value, err := canonicalValue(text)
	if err != nil {
		return nil, err
	}
	return marshal(value), nil
}

// canonicalValue decodes JSON so that marshalling it again sorts the members of
// objects and keeps numbers as they were written.
func canonicalValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text after the JSON value")
	}
	return value, nil
}

// canonicalHash is SHA-256 over a label, a line feed and the value's JSON. The
// value MUST consist of maps, structs and decoded JSON only.
func canonicalHash(label string, value any) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", label)
	h.Write(marshal(value))
	return hex.EncodeToString(h.Sum(nil))
}

func marshal(value any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		// Decoded JSON, strings and booleans always encode.
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// set is the distinct strings, sorted.
func set(list []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	sort.Strings(out)
	return out
}
