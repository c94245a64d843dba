// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"regexp"
	"slices"
	"strings"
)

// defaultUnencryptedSuffix marks values that stay in the clear in files that have
// no rule of their own.
const defaultUnencryptedSuffix = "_unencrypted"

// maxRegexp bounds the length of a regular expression, whose compiled form is much
// larger.
const maxRegexp = 4096

// rules say which values of a file are encrypted. At most one of them is set.
type rules struct {
	unencryptedSuffix, encryptedSuffix   string
	unencryptedRegex, encryptedRegex     *regexp.Regexp
	unencryptedComment, encryptedComment *regexp.Regexp
}

// rulesFrom reads the rules of a file's metadata.
func rulesFrom(meta object) (rules, error) {
	r := rules{
		unencryptedSuffix: textOf(meta, "unencrypted_suffix"),
		encryptedSuffix:   textOf(meta, "encrypted_suffix"),
	}
	count := 0
	for _, suffix := range []string{r.unencryptedSuffix, r.encryptedSuffix} {
		if suffix != "" {
			count++
		}
	}
	for name, into := range map[string]**regexp.Regexp{
		"unencrypted_regex": &r.unencryptedRegex, "encrypted_regex": &r.encryptedRegex,
		"unencrypted_comment_regex": &r.unencryptedComment, "encrypted_comment_regex": &r.encryptedComment,
	} {
		text := textOf(meta, name)
		if text == "" {
			continue
		}
		if len(text) > maxRegexp {
			return r, fail(BadMetadata, "%s is too long", name)
		}
		compiled, err := regexp.Compile(text)
		if err != nil {
			return r, fail(BadMetadata, "%s is no regular expression", name)
		}
		*into = compiled
		count++
	}
	switch count {
	case 0:
		r.unencryptedSuffix = defaultUnencryptedSuffix
	case 1:
	default:
		return r, fail(BadMetadata, "it has more than one rule about what is encrypted")
	}
	return r, nil
}

// encrypted says whether the value with these names on its way is encrypted.
// comments are those in force, outermost level first; for a comment they end with
// itself.
func (r rules) encrypted(names []string, comments [][]string, isComment bool) bool {
	switch {
	case r.unencryptedSuffix != "":
		return !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, r.unencryptedSuffix) })
	case r.encryptedSuffix != "":
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, r.encryptedSuffix) })
	case r.unencryptedRegex != nil:
		return !slices.ContainsFunc(names, r.unencryptedRegex.MatchString)
	case r.encryptedRegex != nil:
		return slices.ContainsFunc(names, r.encryptedRegex.MatchString)
	case r.unencryptedComment != nil:
		return !slices.ContainsFunc(comments, func(level []string) bool { return slices.ContainsFunc(level, r.unencryptedComment.MatchString) })
	case r.encryptedComment != nil:
		for i, level := range comments {
			if isComment && i == len(comments)-1 && len(level) > 0 {
				level = level[:len(level)-1] // the comment that switches encryption on stays readable
			}
			if slices.ContainsFunc(level, r.encryptedComment.MatchString) {
				return true
			}
		}
		return false
	default:
		return true
	}
}
