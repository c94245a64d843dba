// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

// MinTokenKeyBytes is what a key of tokens has at least.
const MinTokenKeyBytes = 32

// tokenBytes of the HMAC are in a token.
const tokenBytes = 16

// Redactor makes entries of events. Its zero value has no key for tokens, and
// withholds what would be one.
type Redactor struct {
	key   []byte
	epoch string
}

// NewRedactor takes the key of tokens, and the name of the time in which it is used
// ("2026"): tokens are equal within one epoch only. Whoever has the key can try out
// addresses and names, so it lies where the disclosures lie, and never in a sink.
func NewRedactor(key []byte, epoch string) (Redactor, error) {
	if len(key) < MinTokenKeyBytes {
		return Redactor{}, fmt.Errorf("the key of tokens has %d bytes, and MUST have %d at least", len(key), MinTokenKeyBytes)
	}
	if epoch == "" || strings.ContainsAny(epoch, ":\" ") {
		return Redactor{}, fmt.Errorf("the epoch of tokens %q is no name", epoch)
	}
	return Redactor{bytes.Clone(key), epoch}, nil
}

// Token is what stands for a value at a path ("actor.ip"), so that somebody who has the
// key finds what concerns a value.
func (r Redactor) Token(path, value string) string {
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(path))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return "hmac:" + r.epoch + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenBytes])
}

// Redact makes the entry of an event: the leaf in canonical form (keys sorted, no
// white space), and the disclosures of what it withholds.
func (r Redactor) Redact(e Event) (ledger.Entry, error) {
	e, err := e.withDefaults()
	if err != nil {
		return ledger.Entry{}, err
	}
	if !slices.Contains(types, e.Type()) {
		return ledger.Entry{}, fmt.Errorf("redacting an event: the catalogue has no type %q", e.Type())
	}
	w := &redaction{redactor: r}
	data, err := w.object("", reflect.ValueOf(e.Data))
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("redacting %s: %w", e.Type(), err)
	}
	envelope := map[string]any{
		"specversion": "1.0",
		"id":          clean(e.ID),
		"source":      clean(e.Source),
		"type":        e.Type(),
		"time":        e.Time.UTC().Format(time.RFC3339Nano),
		"data":        data,
	}
	if e.Subject != "" {
		envelope["subject"] = clean(e.Subject)
	}
	if len(w.digests) > 0 {
		slices.Sort(w.digests) // their order says nothing about the fields
		envelope["_sd"] = w.digests
	}
	var leaf bytes.Buffer
	encoder := json.NewEncoder(&leaf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(envelope); err != nil {
		return ledger.Entry{}, fmt.Errorf("redacting %s: %w", e.Type(), err)
	}
	return ledger.Entry{Leaf: bytes.TrimSuffix(leaf.Bytes(), []byte("\n")), Disclosures: w.disclosures}, nil
}

// redaction is one event on its way.
type redaction struct {
	redactor    Redactor
	disclosures []string
	digests     []string
}

// object redacts a struct field by field.
func (w *redaction) object(path string, v reflect.Value) (map[string]any, error) {
	object := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		at := strings.TrimPrefix(path+"."+name, ".")
		class := field.Tag.Get("audit")
		if name == "" || class != "public" && class != "token" && class != "withheld" {
			return nil, fmt.Errorf("%s.%s has no class: give it public, token or withheld", v.Type(), field.Name)
		}
		value := v.Field(i)
		if value.IsZero() && (strings.Contains(options, "omit") || class != "public") {
			continue
		}
		if err := w.field(object, name, at, class, value); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func (w *redaction) field(object map[string]any, name, path, class string, value reflect.Value) error {
	if value.Kind() == reflect.Struct {
		if class != "public" {
			return fmt.Errorf("%s is an object: classify its fields", path)
		}
		inner, err := w.object(path, value)
		if len(inner) > 0 {
			object[name] = inner
		}
		return err
	}
	var plain any
	switch value.Kind() {
	case reflect.String:
		plain = clean(value.String())
	case reflect.Int, reflect.Int64:
		plain = value.Int()
	case reflect.Bool:
		plain = value.Bool()
	default:
		return fmt.Errorf("%s has the type %s, which events do not have", path, value.Type())
	}
	switch {
	case class == "public":
		object[name] = plain
	case class == "token" && w.redactor.key != nil:
		object[name] = w.redactor.Token(path, fmt.Sprint(plain))
	default:
		disclosure, digest, err := ledger.Commit(path, plain)
		if err != nil {
			return err
		}
		w.disclosures = append(w.disclosures, disclosure)
		w.digests = append(w.digests, digest)
	}
	return nil
}

// maxText bounds one field, in bytes. A text of somebody else's may have any length.
const maxText = 4 << 10

// clean makes a text valid UTF-8 of bounded length, so that a leaf has one form only.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
