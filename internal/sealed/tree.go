// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"strconv"
	"strings"
	"time"
)

// A document is what a file holds besides its metadata: usually one object, in
// YAML one for each document of the stream. Order matters: the MAC is made over
// the values as they stand.
type document []object

// object is a map in the order of the file.
type object []member

// member is an entry of an object, or a comment between entries.
type member struct {
	name    string
	comment *comment // not nil: the member is just this comment
	value   any      // nil, string, int, float64, bool, time.Time, object, list
}

// list is a sequence; its elements are values and comments.
type list []any

// inList is the element of a list that v stands for: SOPS writes an encrypted
// comment there as an element, which must not take part in counting.
func inList(v any) any {
	if text, isText := v.(string); isText && strings.HasSuffix(text, ",type:comment]") && isSealed(text) {
		return comment{text: text}
	}
	return v
}

// comment is a comment without its sign. SOPS encrypts comments, too.
type comment struct{ text string }

// leaf is a value, or a comment, that the walk has come to.
type leaf struct {
	value any // string, int, float64, bool, time.Time, comment
	// names are the names of the maps on the way, which the ciphertext is bound
	// to. Elements of a list share those of the list.
	names []string
	path  Path // where the value is; that of its container for a comment
	// encrypted says that the rules of the file want the value encrypted.
	encrypted bool
}

// walk calls visit for every leaf in the order of the file and puts what it
// returns in the place of the value.
func (d document) walk(rules rules, visit func(leaf) (any, error)) error {
	w := walker{rules: rules, visit: visit}
	for _, o := range d {
		if err := w.object(o, nil, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	rules rules
	visit func(leaf) (any, error)
}

// object visits the members. above are the comments that apply further out: for
// each level those since the last value.
func (w walker) object(o object, names []string, path Path, above [][]string) error {
	level := len(above)
	stack := append(above[:level:level], nil)
	for i := range o {
		m := &o[i]
		if m.comment != nil {
			stack[level] = append(stack[level], m.comment.text)
			value, err := w.leaf(*m.comment, names, path, stack)
			if err != nil {
				return err
			}
			m.comment = asComment(value)
			continue
		}
		value, err := w.value(m.value, with(names, m.name), with(path, m.name), stack)
		if err != nil {
			return err
		}
		m.value = value
		stack[level] = nil
	}
	return nil
}

func (w walker) list(l list, names []string, path Path, above [][]string) error {
	level := len(above)
	stack := append(above[:level:level], nil)
	index := 0
	for i, element := range l {
		c, isComment := element.(comment)
		if isComment {
			stack[level] = append(stack[level], c.text)
		}
		at := path
		if !isComment {
			at = with(path, strconv.Itoa(index))
			index++
		}
		value, err := w.value(element, names, at, stack)
		if err != nil {
			return err
		}
		l[i] = value
		if !isComment {
			stack[level] = nil
		}
	}
	return nil
}

func (w walker) value(v any, names []string, path Path, stack [][]string) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil // nothing to encrypt, and no part of the MAC
	case object:
		return v, w.object(v, names, path, stack)
	case list:
		return v, w.list(v, names, path, stack)
	case string, int, float64, bool, time.Time, comment:
		return w.leaf(v, names, path, stack)
	default:
		return nil, &Error{Code: Malformed, Key: path.String(), Detail: "a value of a type that SOPS does not know"}
	}
}

func (w walker) leaf(v any, names []string, path Path, stack [][]string) (any, error) {
	_, isComment := v.(comment)
	return w.visit(leaf{value: v, names: names, path: path, encrypted: w.rules.encrypted(names, stack, isComment)})
}

func asComment(v any) *comment {
	switch v := v.(type) {
	case comment:
		return &v
	case string:
		return &comment{text: v}
	default:
		return &comment{}
	}
}

// with appends without ever sharing the array behind list.
func with(list []string, step string) []string {
	return append(list[:len(list):len(list)], step)
}

// copyOf copies what walk changes.
func (d document) copyOf() document {
	out := make(document, len(d))
	for i, o := range d {
		out[i] = copyValue(o).(object) //nolint:forcetypeassert // the copy of an object is one
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for i, m := range v {
			m.value = copyValue(m.value)
			out[i] = m
		}
		return out
	case list:
		out := make(list, len(v))
		for i, element := range v {
			out[i] = copyValue(element)
		}
		return out
	default:
		return v
	}
}

// find returns the value at path. In a stream of several documents it is that of
// the first one that has it.
func (d document) find(path Path) (any, bool) {
	for _, o := range d {
		if v, ok := lookup(o, path); ok {
			return v, true
		}
	}
	return nil, false
}

func lookup(v any, path Path) (any, bool) {
	if len(path) == 0 {
		return v, true
	}
	switch v := v.(type) {
	case object:
		for _, m := range v {
			if m.comment == nil && m.name == path[0] {
				return lookup(m.value, path[1:])
			}
		}
	case list:
		index := 0
		for _, element := range v {
			if _, isComment := element.(comment); isComment {
				continue
			}
			if strconv.Itoa(index) == path[0] {
				return lookup(element, path[1:])
			}
			index++
		}
	}
	return nil, false
}
