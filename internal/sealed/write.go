// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getsops/sops/v3/shamir"
	"go.yaml.in/yaml/v3"
)

// writtenVersion is the version of SOPS whose format is written.
const writtenVersion = "3.13.3"

// Entry is a named value at the top of a file.
type Entry struct {
	Name  string
	Value Secret
}

// Seal writes a new file of entries for recipients. name is used in errors
// alone. The format is YAML, JSON or dotenv.
func Seal(name string, format Format, entries []Entry, to Recipients, now time.Time) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, &Error{Code: CannotEncrypt, File: name}
	}
	meta, err := to.metadata(key)
	if err != nil {
		return nil, located(err, CannotEncrypt, name, "")
	}
	return seal(name, format, entries, meta, key, nil, now)
}

// Reseal writes the file anew with these entries instead of what it had. Data
// key, recipients and rules stay, and so does the ciphertext of each value that
// does not change: to Terraform, only what changed is new.
func (o *Opened) Reseal(entries []Entry, now time.Time) ([]byte, error) {
	return seal(o.file.Name, o.file.Format, entries, o.file.meta.raw, o.inside().key, o.inside().nonces, now)
}

func seal(name string, format Format, entries []Entry, raw object, key []byte, nonces map[nonceKey][]byte, now time.Time) ([]byte, error) {
	if format != YAML && format != JSON && format != Dotenv {
		return nil, &Error{Code: Unsupported, File: name, Detail: "writing is possible as yaml, json and dotenv"}
	}
	rules, err := rulesFrom(raw)
	if err != nil {
		return nil, located(err, BadMetadata, name, "")
	}
	var values object
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[e.Name] {
			return nil, &Error{Code: CannotEncrypt, File: name, Key: e.Name, Detail: "the name occurs twice"}
		}
		seen[e.Name] = true
		if err := checkName(format, e.Name); err != nil {
			return nil, located(err, CannotEncrypt, name, e.Name)
		}
		values = append(values, member{name: e.Name, value: e.Value.Reveal()})
	}
	doc := document{values}
	mac := newMAC(macOnly(raw))
	err = doc.walk(rules, func(l leaf) (any, error) {
		if !l.encrypted {
			return nil, fail(Unsupported, "the file's rules would leave it in the clear")
		}
		if err := mac.add(l.value, true); err != nil {
			return nil, err
		}
		bound := boundTo(l.names)
		text, err := sealValue(l.value, key, bound, nonces[nonceKey{bound, l.value}])
		if err != nil {
			return nil, located(err, CannotEncrypt, name, l.path.String())
		}
		return text, nil
	})
	if err != nil {
		return nil, located(err, CannotEncrypt, name, "")
	}
	modified := now.UTC().Format(time.RFC3339)
	sum, err := sealValue(mac.sum(), key, modified, nil)
	if err != nil {
		return nil, located(err, CannotEncrypt, name, "")
	}
	raw = copyValue(raw).(object) //nolint:forcetypeassert // the copy of an object is one
	return emit(format, doc[0], raw.set("lastmodified", modified).set("mac", sum).set("version", writtenVersion))
}

// checkName refuses names that the format, or the metadata, could not be told
// from.
func checkName(format Format, name string) error {
	switch {
	case name == "":
		return fail(CannotEncrypt, "a value has no name")
	case !utf8.ValidString(name):
		return fail(CannotEncrypt, "the name is not UTF-8")
	case format == Dotenv && (strings.ContainsAny(name, "=\n") || name[0] == '#' || strings.HasPrefix(name, metadataName+"_")),
		name == metadataName:
		return fail(CannotEncrypt, "the name cannot be written as %s", format)
	}
	return nil
}

// emit writes values and metadata in a format.
func emit(format Format, values, meta object) ([]byte, error) {
	var out bytes.Buffer
	switch format {
	case JSON:
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "\t")
		if err := encoder.Encode(append(values, member{name: metadataName, value: meta})); err != nil {
			return nil, &Error{Code: CannotEncrypt}
		}
	case Dotenv:
		all := append(object{}, values...)
		for _, m := range flatten("", meta) {
			all = append(all, member{name: metadataName + "_" + m.name, value: m.value})
		}
		for _, m := range all {
			text, _ := textValue(m.value)
			out.WriteString(m.name + "=" + strings.ReplaceAll(text, "\n", `\n`) + "\n")
		}
	default:
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(4)
		if err := encoder.Encode(yamlNode(append(values, member{name: metadataName, value: meta}))); err != nil {
			return nil, &Error{Code: CannotEncrypt}
		}
		if err := encoder.Close(); err != nil {
			return nil, &Error{Code: CannotEncrypt}
		}
	}
	return out.Bytes(), nil
}

// MarshalJSON keeps the order of the members.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	first := true
	for _, m := range o {
		if m.comment != nil {
			continue
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		for i, part := range []any{m.name, m.value} {
			if i == 1 {
				out.WriteByte(':')
			}
			text, err := json.Marshal(part)
			if err != nil {
				return nil, err
			}
			out.Write(text)
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func yamlNode(value any) *yaml.Node {
	switch v := value.(type) {
	case object:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range v {
			if m.comment == nil {
				node.Content = append(node.Content, yamlNode(m.name), yamlNode(m.value))
			}
		}
		return node
	case list:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for _, element := range v {
			node.Content = append(node.Content, yamlNode(element))
		}
		return node
	default:
		node := &yaml.Node{}
		if node.Encode(v) != nil {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
		}
		return node
	}
}

// split shares the data key out to the groups.
func split(key []byte, groups, threshold int) ([][]byte, error) {
	if groups == 1 {
		return [][]byte{key}, nil
	}
	parts, err := shamir.Split(key, groups, threshold)
	if err != nil {
		return nil, fail(CannotEncrypt, "the data key cannot be split")
	}
	return parts, nil
}
