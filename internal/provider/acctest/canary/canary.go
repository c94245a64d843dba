// SPDX-License-Identifier: MPL-2.0

// Package canary finds a secret where it must not be: in state, plans, logs and
// diagnostics, also if it was encoded on the way.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// forms are the ways in which a secret could be written, by name.
func forms(secret string) map[string]string {
	raw := []byte(secret)
	quoted, err := json.Marshal(secret)
	if err != nil { // a string always marshals
		panic(err)
	}
	all := map[string]string{
		"raw":          secret,
		"hex":          hex.EncodeToString(raw),
		"HEX":          strings.ToUpper(hex.EncodeToString(raw)),
		"URL query":    url.QueryEscape(secret),
		"URL path":     url.PathEscape(secret),
		"JSON":         strings.Trim(string(quoted), `"`),
		"quoted by Go": strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"bytes":        strings.Trim(fmt.Sprint(raw), "[]"),
	}
	// Inside other text base64 starts at one of three bit offsets. What depends on
	// the neighbours is cut off at both ends.
	for offset := range 3 {
		padded := append(bytes.Repeat([]byte{0}, offset), raw...)
		first, last := (offset*8+5)/6, len(padded)*8/6
		for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			if text := e.EncodeToString(padded); first < last {
				all[fmt.Sprintf("%s at offset %d", name, offset)] = text[first:last]
			}
		}
	}
	return all
}

// In names the forms in which secret occurs in data; empty if it does not. The
// secret MUST be long enough not to occur by chance: 16 characters or more.
func In(data []byte, secret string) []string {
	if len(secret) < 16 {
		return []string{"the secret is too short to be looked for"}
	}
	var found []string
	for name, form := range forms(secret) {
		if bytes.Contains(data, []byte(form)) {
			found = append(found, name)
		}
	}
	return found
}

// InFiles names the files below dir that hold secret, with the forms.
func InFiles(dir, secret string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, form := range In(data, secret) {
			found = append(found, path+" ("+form+")")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for a secret in %s: %w", dir, err)
	}
	return found, nil
}
