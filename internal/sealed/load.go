// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/ini.v1"
)

// metadataName is the member, section or prefix that holds the metadata.
const metadataName = "sops"

// maxDepth bounds the nesting of a file, so that a hostile one cannot exhaust the
// stack.
const maxDepth = 100

// load reads a file into its values and its metadata.
func load(format Format, text []byte) (document, object, error) {
	if !utf8.Valid(text) {
		return nil, nil, fail(Malformed, "it is not UTF-8")
	}
	values, meta, err := parse(format, text)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range values {
		if err := checkUnique(o, nil); err != nil {
			return nil, nil, err
		}
	}
	return values, meta, checkUnique(meta, Path{metadataName})
}

// checkUnique refuses names that occur twice: one of the values could never be
// named, and readers do not agree about which.
func checkUnique(value any, at Path) error {
	switch v := value.(type) {
	case object:
		seen := make(map[string]bool, len(v))
		for _, m := range v {
			if m.comment != nil {
				continue
			}
			path := with(at, m.name)
			if seen[m.name] {
				return fail(Malformed, "the name %s occurs twice", shortened(Path(path).String()))
			}
			seen[m.name] = true
			if err := checkUnique(m.value, path); err != nil {
				return err
			}
		}
	case list:
		for i, element := range v {
			if err := checkUnique(element, with(at, strconv.Itoa(i))); err != nil {
				return err
			}
		}
	}
	return nil
}

func parse(format Format, text []byte) (document, object, error) {
	switch format {
	case YAML:
		d, err := loadYAML(text)
		if err != nil {
			return nil, nil, err
		}
		return nestedMetadata(d)
	case JSON, Binary:
		o, err := loadJSON(text)
		if err != nil {
			return nil, nil, err
		}
		return nestedMetadata(document{o})
	case Dotenv:
		return loadDotenv(text)
	case INI:
		return loadINI(text)
	default:
		return nil, nil, fail(Unsupported, "format %q; known are %s", format, strings.Join(Formats(), ", "))
	}
}

// nestedMetadata takes the member sops out of every document. That of the first
// one is the metadata.
func nestedMetadata(d document) (document, object, error) {
	var meta object
	for i, o := range d {
		kept := make(object, 0, len(o))
		for _, m := range o {
			if m.comment != nil || m.name != metadataName {
				kept = append(kept, m)
				continue
			}
			found, isObject := m.value.(object)
			switch {
			case i > 0:
			case !isObject:
				return nil, nil, fail(BadMetadata, "sops is no map")
			case meta != nil:
				return nil, nil, fail(BadMetadata, "sops occurs twice")
			default:
				meta = found
			}
		}
		d[i] = kept
	}
	if meta == nil {
		return nil, nil, &Error{Code: NotSOPS}
	}
	return d, meta, nil
}

func loadJSON(text []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := jsonValue(decoder, 0)
	if err != nil {
		return nil, located(err, Malformed, "", "")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fail(Malformed, "text follows the JSON value")
	}
	o, ok := value.(object)
	if !ok {
		return nil, fail(Malformed, "it is no JSON object")
	}
	return o, nil
}

func jsonValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fail(Malformed, "it is no JSON, at byte %d", d.InputOffset())
	}
	if depth > maxDepth {
		return nil, fail(Malformed, "it is nested more than %d levels deep", maxDepth)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return jsonObject(d, depth+1)
		}
		l := list{}
		for d.More() {
			v, err := jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			l = append(l, inList(v))
		}
		return l, jsonEnd(d)
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return int(n), nil
		}
		f, err := t.Float64()
		if err != nil {
			return nil, fail(Malformed, "a number is too large")
		}
		return f, nil
	default:
		return t, nil // string, bool or nil
	}
}

func jsonObject(d *json.Decoder, depth int) (object, error) {
	o := object{}
	for d.More() {
		name, err := d.Token()
		text, isText := name.(string)
		if err != nil || !isText {
			return nil, fail(Malformed, "it is no JSON, at byte %d", d.InputOffset())
		}
		value, err := jsonValue(d, depth)
		if err != nil {
			return nil, err
		}
		o = append(o, member{name: text, value: value})
	}
	return o, jsonEnd(d)
}

func jsonEnd(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fail(Malformed, "it is no JSON, at byte %d", d.InputOffset())
	}
	return nil
}

// loadDotenv reads NAME=VALUE lines. Metadata are the names that begin with sops_.
func loadDotenv(text []byte) (document, object, error) {
	var values, flat object
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" {
			continue
		}
		if line[0] == '#' {
			values = append(values, member{comment: &comment{text: line[1:]}})
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return nil, nil, fail(Malformed, "line %d has no =", i+1)
		}
		m := member{name: name, value: strings.ReplaceAll(value, `\n`, "\n")}
		if rest, isMeta := strings.CutPrefix(name, metadataName+"_"); isMeta {
			m.name = rest
			flat = append(flat, m)
		} else {
			values = append(values, m)
		}
	}
	if flat == nil {
		return nil, nil, &Error{Code: NotSOPS}
	}
	meta, err := unflatten(flat)
	return document{values}, meta, err
}

// loadINI reads sections of NAME = VALUE lines. Metadata are the section sops.
func loadINI(text []byte) (document, object, error) {
	file, err := ini.LoadSources(ini.LoadOptions{AllowNonUniqueSections: true}, text)
	if err != nil {
		return nil, nil, &Error{Code: Malformed} // the error quotes the line
	}
	var values object
	var meta object
	for _, section := range file.Sections() {
		o := object{}
		if section.Comment != "" {
			o = append(o, member{comment: iniComment(section.Comment)})
		}
		for _, key := range section.Keys() {
			o = append(o, member{name: key.Name(), value: key.Value()})
			if key.Comment != "" {
				o = append(o, member{comment: iniComment(key.Comment)})
			}
		}
		if section.Name() != metadataName {
			values = append(values, member{name: section.Name(), value: o})
			continue
		}
		if meta != nil {
			return nil, nil, fail(BadMetadata, "sops occurs twice")
		}
		for i := range o {
			if text, ok := o[i].value.(string); ok {
				o[i].value = strings.ReplaceAll(text, `\n`, "\n")
			}
		}
		if meta, err = unflatten(o); err != nil {
			return nil, nil, err
		}
	}
	if meta == nil {
		return nil, nil, &Error{Code: NotSOPS}
	}
	return document{values}, meta, nil
}

// iniComment drops the sign of a comment as SOPS does.
func iniComment(text string) *comment {
	switch {
	case strings.HasPrefix(text, ";"):
		text = strings.TrimLeft(text, "; ")
	case strings.HasPrefix(text, "#"):
		text = strings.TrimLeft(text, "# ")
	}
	return &comment{text: text}
}
