// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

const (
	// detailLimit is how many characters of a stranger's text a verdict repeats:
	// enough for an error message, too little to flood a terminal.
	detailLimit = 300

	withheld = "[withheld]"
	// shortSecret is the length in bytes below which a value is likely to be part of
	// ordinary words: a text that has one is withheld whole.
	shortSecret = 4
)

// printable makes a text of unknown origin fit for a terminal and a log: one line,
// valid UTF-8, no control and no formatting characters, at most limit characters.
func printable(s string, limit int) string {
	var b strings.Builder
	count, space := 0, false
	for _, r := range s {
		if unicode.IsPrint(r) && r != ' ' {
			if space && b.Len() > 0 {
				b.WriteByte(' ')
				count++
			}
			if count >= limit {
				b.WriteString("…")
				break
			}
			b.WriteRune(r)
			count++
			space = false
			continue
		}
		space = true
	}
	return b.String()
}

// withhold takes credentials out of a text that may echo them, in the forms in
// which they are likely to come back.
func withhold(s string, credentials []string) string {
	var forms []string
	for _, c := range credentials {
		values := []string{c}
		if _, after, ok := strings.Cut(c, " "); ok { // "Bearer x", "Basic x"
			values = append(values, after)
			if raw, err := base64.StdEncoding.DecodeString(after); err == nil {
				_, password, _ := strings.Cut(string(raw), ":")
				values = append(values, string(raw), password)
			}
		}
		for _, v := range values {
			if v == "" {
				continue
			}
			if len(v) < shortSecret && strings.Contains(s, v) {
				return withheld
			}
			quoted, _ := json.Marshal(v) // a string always marshals
			forms = append(forms, v, strings.Trim(string(quoted), `"`), url.QueryEscape(v), url.PathEscape(v),
				base64.StdEncoding.EncodeToString([]byte(v)))
		}
	}
	// At one place the longest form wins, or the rest of it would stay.
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		s = strings.ReplaceAll(s, form, withheld)
	}
	return s
}

// cause is an error's text without the URL that net/http puts before it.
func cause(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return printable(err.Error(), detailLimit)
}
