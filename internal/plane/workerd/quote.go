// SPDX-License-Identifier: MPL-2.0

package workerd

import "strings"

const hexDigits = "0123456789abcdef"

// quote writes s as a literal of Cap'n Proto's text format. Everything outside
// printable ASCII is written as \xNN per byte, so the literal has one line and
// any byte string survives, valid UTF-8 or not.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= 0x20 && c < 0x7f:
			b.WriteByte(c)
		default:
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&0xf])
		}
	}
	b.WriteByte('"')
	return b.String()
}
