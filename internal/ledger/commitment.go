// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// saltBytes makes equal values look different and guesses fail.
const saltBytes = 16

// digestBytes is the length of a digest's text: 32 bytes in base64url.
const digestBytes = 43

// Disclosure is a withheld value with what is needed to show that an entry commits
// to it, as in SD-JWT (RFC 9901): base64url of the JSON array of salt, path, value.
type Disclosure struct {
	Path  string
	Value any
}

// Commit withholds a value: the disclosure is kept beside the entry, and the digest
// goes into the leaf's "_sd".
func Commit(path string, value any) (disclosure, digest string, err error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode([]any{base64.RawURLEncoding.EncodeToString(salt), path, value}); err != nil {
		return "", "", fmt.Errorf("withholding %s: %w", path, err)
	}
	disclosure = base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return disclosure, Digest(disclosure), nil
}

// Digest is what a leaf carries of a disclosure.
func Digest(disclosure string) string {
	sum := sha256.Sum256([]byte(disclosure))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ParseDisclosure reads what Commit has made.
func ParseDisclosure(text string) (Disclosure, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return Disclosure{}, errors.New("a disclosure is base64url")
	}
	var parts []any
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) != 3 {
		return Disclosure{}, errors.New("a disclosure is a JSON array of salt, path and value")
	}
	path, ok := parts[1].(string)
	if !ok {
		return Disclosure{}, errors.New("the path of a disclosure is a string")
	}
	return Disclosure{Path: path, Value: parts[2]}, nil
}

// Commitments are the digests in a leaf's "_sd". Within a JSON string the quotes of
// this name would be escaped, so what is found is a key; it is the first one of the
// canonical form, in which keys are sorted.
func commitments(leaf []byte) ([]string, error) {
	_, rest, ok := bytes.Cut(leaf, []byte(`"_sd":[`))
	if !ok {
		return nil, nil
	}
	list, _, ok := bytes.Cut(rest, []byte("]"))
	var digests []string
	for item := range bytes.SplitSeq(list, []byte(",")) {
		text := string(item)
		if !ok || len(text) != digestBytes+2 || text[0] != '"' || text[len(text)-1] != '"' || strings.ContainsAny(text[1:len(text)-1], "\"\\") {
			return nil, errors.New("the leaf's _sd is no list of digests")
		}
		digests = append(digests, text[1:len(text)-1])
	}
	return digests, nil
}

// checkDisclosures reports disclosures that a leaf does not commit to, and digests
// that have none.
func checkDisclosures(leaf []byte, disclosures []string) error {
	digests, err := commitments(leaf)
	if err != nil {
		return err
	}
	for _, d := range disclosures {
		i := slices.Index(digests, Digest(d))
		if i < 0 {
			return errors.New("a disclosure is not what the entry commits to")
		}
		digests = slices.Delete(digests, i, i+1)
	}
	if len(digests) > 0 {
		return fmt.Errorf("%d disclosures of the entry are missing", len(digests))
	}
	return nil
}

// disclosureLine is a line of the file of disclosures.
type disclosureLine struct {
	Seq         int64    `json:"seq"`
	Disclosures []string `json:"disclosures,omitempty"`
	// Erased says that the values were deleted on purpose. Every proof still holds.
	Erased bool `json:"erased,omitempty"`
}

func (d disclosureLine) bytes() []byte {
	line, _ := json.Marshal(d) // numbers and base64url
	return append(line, '\n')
}

// parseDisclosureLine takes exactly what bytes writes, without the line feed.
func parseDisclosureLine(line []byte) (disclosureLine, error) {
	var d disclosureLine
	if err := json.Unmarshal(line, &d); err != nil || !bytes.Equal(d.bytes(), append(bytes.Clone(line), '\n')) {
		return disclosureLine{}, errors.New("it is not written as disclosures are")
	}
	return d, nil
}
