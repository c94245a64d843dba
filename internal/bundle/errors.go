// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one thing that is wrong in a source file.
type Problem struct {
	File   string // relative to the project; empty if it concerns no file
	Line   int    // from 1; 0 if it concerns no line
	Column int    // from 1, in bytes
	Source string // the text of the line
	Text   string // what is wrong, lower-case or as the bundler says it
	Remedy string // what to do; empty if Text says it
}

// Error is the problem on one line, and its remedy, for logs.
func (p Problem) Error() string {
	var s strings.Builder
	s.WriteString(p.Position())
	if s.Len() > 0 {
		s.WriteString(": ")
	}
	s.WriteString(p.Text)
	if p.Remedy != "" {
		s.WriteString(": " + p.Remedy)
	}
	return s.String()
}

// Position is "file:line:column", as far as these are known.
func (p Problem) Position() string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Excerpt is the source line with a mark below the column, or empty.
func (p Problem) Excerpt() string {
	if p.Line == 0 || p.Source == "" {
		return ""
	}
	before := p.Source
	if p.Column > 0 && p.Column-1 <= len(before) {
		before = before[:p.Column-1]
	}
	// Tabs stay tabs, so that the mark lines up wherever they are expanded.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, before)
	gutter := fmt.Sprintf("%5d", p.Line)
	return gutter + " | " + p.Source + "\n" + strings.Repeat(" ", len(gutter)) + " | " + pad + "^"
}

// BuildError says why a project could not be bundled. It has at least one
// problem.
type BuildError struct {
	Root     string // the project's directory
	Problems []Problem
}

func (e *BuildError) Error() string {
	if len(e.Problems) == 1 {
		return "bundling " + e.Root + ": " + e.Problems[0].Error()
	}
	return fmt.Sprintf("bundling %s: %s (and %d more)", e.Root, e.Problems[0].Error(), len(e.Problems)-1)
}

// InputError says that an option, or the file or directory that it names,
// cannot be used.
type InputError struct {
	Option string // "entrypoint", "directory", "main", "include", ...
	Text   string
	Remedy string
}

func (e *InputError) Error() string { return e.Option + ": " + e.Text + ": " + e.Remedy }

// ChangedError says that the sources are not those that the plan was made from.
type ChangedError struct {
	Names []string // modules that were added, changed or removed; sorted
}

func (e *ChangedError) Error() string {
	what := "an option that is outside the files"
	if len(e.Names) > 0 {
		what = listed(e.Names)
	}
	return "the sources changed after they were planned (" + what + "): nothing was uploaded; plan again"
}

// TooLargeError says that a version is over a limit of the platform.
type TooLargeError struct {
	What    string // "gzip-compressed" or "uncompressed"
	Size    int64
	Limit   int64
	Biggest []ModuleSize // largest first
}

// ModuleSize is one module's share of a TooLargeError.
type ModuleSize struct {
	Name string
	Size int64 // bytes, uncompressed
}

func (e *TooLargeError) Error() string {
	parts := make([]string, len(e.Biggest))
	for i, m := range e.Biggest {
		parts[i] = fmt.Sprintf("%s %s", m.Name, bytesText(m.Size))
	}
	return fmt.Sprintf("the modules are %s %s, over the limit of %s (biggest: %s): minify, remove dependencies, or move data to KV, R2 or static assets",
		bytesText(e.Size), e.What, bytesText(e.Limit), strings.Join(parts, ", "))
}

// listLimit keeps messages readable; the rest is counted.
const listLimit = 10

func listed(names []string) string {
	if len(names) <= listLimit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:listLimit], ", "), len(names)-listLimit)
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// changedNames lists the keys at which two maps differ, sorted.
func changedNames(before, after map[string]string) []string {
	var names []string
	for name, sum := range after {
		if before[name] != sum {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
