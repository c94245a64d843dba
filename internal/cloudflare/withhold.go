// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	redacted = "[redacted]"

	// shortSecret is the length in bytes below which a secret is likely to be part
	// of ordinary words. A text that holds one is withheld whole.
	shortSecret = 4
)

// withheld are values that no text of foreign origin may carry into an error or a
// log: a plane may echo what it was sent.
type withheld struct {
	mu       sync.RWMutex
	values   map[string]bool
	short    []string
	replacer *strings.Replacer // nil: nothing is withheld
}

// Withhold makes the client take values out of every error and log line from now
// on, also where they are escaped or encoded.
func (c *Client) Withhold(values ...string) { c.wire.withheld.add(values...) }

func (w *withheld) add(values ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.values == nil {
		w.values = map[string]bool{}
	}
	for _, v := range values {
		if v != "" && !w.values[v] {
			w.values[v] = true
			w.replacer = nil
		}
	}
	if w.replacer != nil || len(w.values) == 0 {
		return
	}
	w.short = nil
	var forms []string
	for v := range w.values {
		if len(v) < shortSecret {
			w.short = append(w.short, v)
			continue
		}
		forms = append(forms, writtenForms(v)...)
	}
	// At one place the longest form wins, or the rest of it would stay.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, redacted)
	}
	w.replacer = strings.NewReplacer(pairs...)
}

// writtenForms are the ways in which a value is likely to come back.
func writtenForms(v string) []string {
	quoted, err := json.Marshal(v)
	if err != nil {
		// A string always marshals.
		panic(err)
	}
	forms := []string{
		v, strings.Trim(string(quoted), `"`), url.QueryEscape(v), url.PathEscape(v),
		base64.StdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
		hex.EncodeToString([]byte(v)),
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(v) == nil {
		forms = append(forms, strings.Trim(strings.TrimSpace(plain.String()), `"`))
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// redact takes the values out of a text.
func (w *withheld) redact(s string) string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.replacer == nil {
		return s
	}
	if slices.ContainsFunc(w.short, func(v string) bool { return strings.Contains(s, v) }) {
		return "[redacted: the text could repeat a secret]"
	}
	return w.replacer.Replace(s)
}
