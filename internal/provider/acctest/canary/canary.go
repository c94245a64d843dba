// SPDX-License-Identifier: MPL-2.0

// Package canary finds a secret where it must not be: in state, plans, logs and
// diagnostics, also if it was encoded on the way.
package canary

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// forms are the ways in which a secret could be written, by name.
func forms(secret string) map[string]string {
	raw := []byte(secret)
	quoted, twice := inJSON(secret, true), inJSON(inJSON(secret, true), true)
	all := map[string]string{
		"raw":          secret,
		"hex":          hex.EncodeToString(raw),
		"HEX":          strings.ToUpper(hex.EncodeToString(raw)),
		"URL query":    url.QueryEscape(secret),
		"URL path":     url.PathEscape(secret),
		"JSON":         quoted,
		"JSON, plain":  inJSON(secret, false),
		"JSON in JSON": twice,
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

// inJSON is the inside of a JSON string.
func inJSON(text string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	if err := encoder.Encode(text); err != nil { // a string always marshals
		panic(err)
	}
	quoted := strings.TrimSuffix(out.String(), "\n")
	return quoted[1 : len(quoted)-1]
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

// InFiles names the files below dir that hold one of the secrets, with the forms.
// It looks into archives, also within archives: a plan file is a zip, and a
// compressed leak is one all the same. except names files and directories, by
// their paths, that may hold a secret or cannot.
func InFiles(dir string, secrets []string, except ...string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // a temporary file is gone already
			}
			return err
		}
		if slices.Contains(except, path) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		found = append(found, inContent(path, data, secrets, 0)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for a secret in %s: %w", dir, err)
	}
	return found, nil
}

// maxNesting is how deep archives within archives are looked at.
const maxNesting = 3

func inContent(name string, data []byte, secrets []string, depth int) []string {
	var found []string
	for _, secret := range secrets {
		for _, form := range In(data, secret) {
			found = append(found, name+" ("+form+")")
		}
	}
	if depth == maxNesting {
		return found
	}
	if bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		if archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data))); err == nil {
			for _, member := range archive.File {
				if content, err := readAll(member.Open()); err == nil {
					found = append(found, inContent(name+"/"+member.Name, content, secrets, depth+1)...)
				}
			}
		}
	}
	if bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		if r, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			if content, err := readAll(r, nil); err == nil {
				found = append(found, inContent(name+" (gunzipped)", content, secrets, depth+1)...)
			}
		}
	}
	return found
}

func readAll(r io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// InProcesses names the processes that hold one of the secrets in their command
// line or their environment, which others can read in /proc. One that has ended
// holds nothing.
func InProcesses(pids []int, secrets []string) []string {
	var found []string
	for _, pid := range pids {
		for _, part := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, part))
			if err != nil {
				continue
			}
			for _, secret := range secrets {
				for _, form := range In(data, secret) {
					program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
					found = append(found, fmt.Sprintf("%s of process %d, %s (%s)", part, pid, filepath.Base(program), form))
				}
			}
		}
	}
	return found
}
