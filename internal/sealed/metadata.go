// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// textOf returns a member as text; empty if there is none. Flat formats write
// numbers and booleans as texts, so every scalar is one.
func textOf(o object, name string) string {
	for _, m := range o {
		if m.comment == nil && m.name == name {
			text, _ := textValue(m.value)
			return text
		}
	}
	return ""
}

func valueOf(o object, name string) any {
	for _, m := range o {
		if m.comment == nil && m.name == name {
			return m.value
		}
	}
	return nil
}

// objectsOf returns the objects in a list member.
func objectsOf(o object, name string) []object {
	var out []object
	if l, ok := valueOf(o, name).(list); ok {
		for _, element := range l {
			if entry, ok := element.(object); ok {
				out = append(out, entry)
			}
		}
	}
	return out
}

// set puts a member in the place of the one of that name, or at the end.
func (o object) set(name string, value any) object {
	for i := range o {
		if o[i].comment == nil && o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name: name, value: value})
}

// metadata is what a file says about itself.
type metadata struct {
	raw          object // as it stands in the file
	rules        rules
	mac          string
	lastModified time.Time
	macOnly      bool // the MAC covers encrypted values alone
	groups       []group
	threshold    int // how many groups open the file
}

func readMetadata(raw object) (metadata, error) {
	m := metadata{raw: raw, mac: textOf(raw, "mac")}
	var err error
	if m.rules, err = rulesFrom(raw); err != nil {
		return m, err
	}
	if m.lastModified, err = time.Parse(time.RFC3339, textOf(raw, "lastmodified")); err != nil {
		return m, fail(BadMetadata, "lastmodified is no time")
	}
	m.macOnly = macOnly(raw)
	if m.groups, err = readGroups(raw); err != nil {
		return m, err
	}
	m.threshold = len(m.groups)
	if text := textOf(raw, "shamir_threshold"); text != "" && text != "0" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(m.groups) {
			return m, fail(BadMetadata, "shamir_threshold does not fit the %d key groups", len(m.groups))
		}
		m.threshold = n
	}
	return m, nil
}

func macOnly(raw object) bool {
	only, err := strconv.ParseBool(textOf(raw, "mac_only_encrypted"))
	return err == nil && only
}

// How flat formats write the way to a value.
const (
	flatMap  = "__map_"
	flatList = "__list_"
	maxFlat  = 1000 // most elements of a list
)

// unflatten makes nested values of names like age__list_0__map_enc.
func unflatten(flat object) (object, error) {
	var root flatNode
	for _, m := range flat {
		if m.comment != nil {
			continue
		}
		if strings.Count(m.name, flatMap)+strings.Count(m.name, flatList) > maxDepth {
			return nil, fail(BadMetadata, "it is nested more than %d levels deep", maxDepth)
		}
		if err := root.put(strings.ReplaceAll(m.name, flatList, flatMap+"#"), m.value); err != nil {
			return nil, err
		}
	}
	value, err := root.build()
	if err != nil {
		return nil, err
	}
	o, ok := value.(object)
	if !ok {
		return nil, &Error{Code: BadMetadata}
	}
	return o, nil
}

type flatNode struct {
	names []string // of the children, in order
	child map[string]*flatNode
	value any
	leaf  bool
}

func (n *flatNode) put(way string, value any) error {
	name, rest, more := strings.Cut(way, flatMap)
	if n.leaf {
		return fail(BadMetadata, "%s is both a value and a map", shortened(name))
	}
	next := n.child[name]
	if next == nil {
		if n.child == nil {
			n.child = map[string]*flatNode{}
		}
		next = &flatNode{}
		n.child[name] = next
		n.names = append(n.names, name)
	} else if !more {
		return fail(BadMetadata, "%s occurs twice", shortened(name))
	}
	if more {
		return next.put(rest, value)
	}
	next.value, next.leaf = value, true
	return nil
}

func (n *flatNode) build() (any, error) {
	if n.leaf {
		return n.value, nil
	}
	if len(n.names) > 0 && strings.HasPrefix(n.names[0], "#") {
		if len(n.names) > maxFlat {
			return nil, fail(BadMetadata, "a list has more than %d elements", maxFlat)
		}
		l := make(list, len(n.names))
		for i := range l {
			element := n.child["#"+strconv.Itoa(i)]
			if element == nil {
				return nil, fail(BadMetadata, "a list lacks its element %d", i)
			}
			value, err := element.build()
			if err != nil {
				return nil, err
			}
			l[i] = value
		}
		return l, nil
	}
	o := make(object, 0, len(n.names))
	for _, name := range n.names {
		value, err := n.child[name].build()
		if err != nil {
			return nil, err
		}
		o = append(o, member{name: name, value: value})
	}
	return o, nil
}

// flatten is the inverse of unflatten.
func flatten(prefix string, value any) object {
	var out object
	switch v := value.(type) {
	case object:
		for _, m := range v {
			if m.comment == nil {
				out = append(out, flatten(join(prefix, flatMap, m.name), m.value)...)
			}
		}
	case list:
		for i, element := range v {
			out = append(out, flatten(prefix+flatList+strconv.Itoa(i), element)...)
		}
	default:
		text, _ := textValue(v)
		out = object{{name: prefix, value: text}}
	}
	return out
}

func join(prefix, separator, name string) string {
	if prefix == "" {
		return name
	}
	return fmt.Sprint(prefix, separator, name)
}
