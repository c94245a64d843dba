// SPDX-License-Identifier: MPL-2.0

package agentfiles

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// decoder collects what is wrong with an input.
type decoder struct{ errs []error }

func (d *decoder) bad(path, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
}

// object is a part of the input. Its readers report what has the wrong type, and close
// what is not known.
type object struct {
	d      *decoder
	path   string // empty: the whole input
	values map[string]any
	known  []string
}

func (d *decoder) root(input any) *object {
	d.refuseSecrets("", input)
	values, ok := input.(map[string]any)
	if !ok {
		d.errs = append(d.errs, fmt.Errorf("it has to be an object such as { format = 1, ... }, not %s", kind(input)))
	}
	return &object{d: d, values: values}
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// soundsSecret is what a secret's name has in it.
	soundsSecret = regexp.MustCompile(`(?i)(secret|token|password|passphrase|credential|private|(^|_)key)`)
	// looksSecret are beginnings of keys of age, of PEM files, of tunnel tokens (base64 of {"a":") and
	// of the prefixes that well-known services give to theirs.
	looksSecret = regexp.MustCompile(`AGE-SECRET-KEY-1|-----BEGIN|\beyJ[A-Za-z0-9_-]{20,}|\bwhsec_|\bgh[pousr]_[A-Za-z0-9]{20,}|\bAKIA[A-Z0-9]{16}\b|\.atlasv1\.`)
)

// step is the path of a member, as HCL writes it.
func step(path, name string) string {
	switch {
	case !identifier.MatchString(name):
		return fmt.Sprintf("%s[%q]", path, name)
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// refuseSecrets looks for texts that are a secret by their form, wherever they stand. The
// error does not repeat them.
func (d *decoder) refuseSecrets(path string, value any) {
	switch v := value.(type) {
	case string:
		if looksSecret.MatchString(v) {
			d.bad(path, "this is a secret by its form; the files are stored in state and readable by many: leave it out, and put it on the machine as the guide \"A machine of your own\" says")
		}
	case []any:
		for i, one := range v {
			d.refuseSecrets(fmt.Sprintf("%s[%d]", path, i), one)
		}
	case map[string]any:
		for _, name := range sorted(v) {
			d.refuseSecrets(step(path, name), v[name])
		}
	}
}

// get returns a member and marks it as known.
func (o *object) get(name string) any {
	o.known = append(o.known, name)
	return o.values[name]
}

// end reports members that nobody has asked for.
func (o *object) end() {
	for _, name := range sorted(o.values) {
		switch {
		case slices.Contains(o.known, name):
		case soundsSecret.MatchString(name):
			o.d.bad(step(o.path, name), "no secret is accepted, and nothing that is named like one: the files are stored in state. They name the place of each secret on the machine; it is put there apart from Terraform")
		default:
			slices.Sort(o.known)
			o.d.bad(step(o.path, name), "there is no such attribute; there are %s", strings.Join(o.known, ", "))
		}
	}
}

func (o *object) wrong(name, want string, got any) {
	if got == nil {
		o.d.bad(step(o.path, name), "it is needed: %s", want)
		return
	}
	o.d.bad(step(o.path, name), "it has to be %s, not %s", want, kind(got))
}

// text reads a text; the default stands in for one that is null or not there, and nothing does
// if it is empty.
func (o *object) text(name, standard string) string {
	v := o.get(name)
	if v == nil && standard != "" {
		return standard
	}
	s, ok := v.(string)
	if !ok {
		o.wrong(name, "a text", v)
	}
	return s
}

// optional reads a text that may be missing.
func (o *object) optional(name string) string {
	if o.values[name] == nil {
		o.get(name)
		return ""
	}
	return o.text(name, "")
}

func (o *object) flag(name string) bool {
	v := o.get(name)
	b, ok := v.(bool)
	if v != nil && !ok {
		o.wrong(name, "true or false", v)
	}
	return b
}

// whole reads a whole number.
func (o *object) whole(name string, standard int64) int64 {
	v := o.get(name)
	if v == nil && standard != 0 {
		return standard
	}
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		o.wrong(name, "a whole number", v)
		return 0
	}
	return int64(f)
}

// child reads an object that may be missing: nil then.
func (o *object) child(name string) *object {
	v := o.get(name)
	if v == nil {
		return nil
	}
	values, ok := v.(map[string]any)
	if !ok {
		o.wrong(name, "an object", v)
		return nil
	}
	return &object{d: o.d, path: step(o.path, name), values: values}
}

// children reads a map of objects.
func (o *object) children(name string) map[string]*object {
	whole := o.child(name)
	if whole == nil {
		return nil
	}
	out := make(map[string]*object, len(whole.values))
	for _, key := range sorted(whole.values) {
		if one := whole.child(key); one != nil {
			out[key] = one
		} else if whole.values[key] == nil {
			whole.wrong(key, "an object", nil)
		}
	}
	return out
}

// texts reads a map of texts.
func (o *object) texts(name string) map[string]string {
	whole := o.child(name)
	if whole == nil {
		return nil
	}
	out := make(map[string]string, len(whole.values))
	for _, key := range sorted(whole.values) {
		out[key] = whole.text(key, "")
	}
	return out
}

// list reads a list that may be missing.
func (o *object) list(name string) []any {
	v := o.get(name)
	list, ok := v.([]any)
	if v != nil && !ok {
		o.wrong(name, "a list", v)
	}
	return list
}

// words reads a list of texts.
func (o *object) words(name string) []string {
	var out []string
	for i, v := range o.list(name) {
		s, ok := v.(string)
		if !ok {
			o.d.bad(fmt.Sprintf("%s[%d]", step(o.path, name), i), "it has to be a text, not %s", kind(v))
		}
		out = append(out, s)
	}
	return out
}

// kind says what a value is, in the words of HCL.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a text"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("a %T", v)
	}
}
