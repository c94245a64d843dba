// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Path leads to a value in a file. A step is the name of a member of a map, or,
// as a decimal number, the index of an element of a list.
type Path []string

// ParsePath reads a key path: names separated by dots, indices in brackets, and
// names of any characters as quoted text in brackets, e.g. `db.password`,
// `hosts[0].token`, `["a.b"].c`. What `sops decrypt --extract` takes, e.g.
// `["db"]["password"][0]`, is a key path, too. The empty text is the whole file.
func ParsePath(text string) (Path, error) {
	var p Path
	rest := text
	for rest != "" {
		if rest[0] == '[' {
			step, after, err := bracket(rest)
			if err != nil {
				return nil, err
			}
			p, rest = append(p, step), after
		} else {
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, fail(BadPath, "a name is missing at character %d", len(text)-len(rest)+1)
			}
			p, rest = append(p, rest[:end]), rest[end:]
		}
		if rest == "" || rest[0] == '[' {
			continue
		}
		if rest[0] != '.' || len(rest) == 1 || rest[1] == '[' {
			return nil, fail(BadPath, "a name is missing at character %d", len(text)-len(rest)+1)
		}
		rest = rest[1:]
	}
	return p, nil
}

// bracket reads `[0]` or `["name"]` at the beginning of text.
func bracket(text string) (step, rest string, err error) {
	if quoted, qerr := strconv.QuotedPrefix(text[1:]); qerr == nil && quoted[0] == '"' {
		name, uerr := strconv.Unquote(quoted)
		after, closed := strings.CutPrefix(text[1+len(quoted):], "]")
		if uerr != nil || !closed {
			return "", "", fail(BadPath, "a bracket is not closed")
		}
		return name, after, nil
	}
	inner, after, closed := strings.Cut(text[1:], "]")
	if !closed {
		return "", "", fail(BadPath, "a bracket is not closed")
	}
	if n, nerr := strconv.Atoi(inner); nerr != nil || n < 0 || strconv.Itoa(n) != inner {
		return "", "", fail(BadPath, "brackets hold an index or a quoted name")
	}
	return inner, after, nil
}

// String writes the path so that ParsePath reads the same one.
func (p Path) String() string {
	var b strings.Builder
	for i, step := range p {
		switch {
		case step == "" || strings.ContainsAny(step, ".[]\"\\") || !printable(step):
			b.WriteString("[" + strconv.Quote(step) + "]")
		case i == 0:
			b.WriteString(step)
		default:
			b.WriteString("." + step)
		}
	}
	return b.String()
}

func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}
