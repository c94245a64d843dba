// SPDX-License-Identifier: MPL-2.0

package analytics

import (
	"slices"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// point is what conditions are about: the dimensions of some requests.
type point struct {
	name, version string
	at            time.Time
	outcome       traffic.Outcome
}

// condition decides about a point.
type condition func(*point) bool

// strings that are dimensions.
var textDimensions = map[string]func(*point) string{
	"scriptName":    func(p *point) string { return p.name },
	"scriptVersion": func(p *point) string { return p.version },
	"status":        func(p *point) string { return p.outcome.String() },
}

const day = 24 * time.Hour

// timeDimensions are the times that are dimensions, by how long each lasts.
var timeDimensions = map[string]time.Duration{
	"datetime":               time.Second,
	"datetimeMinute":         time.Minute,
	"datetimeFiveMinutes":    5 * time.Minute,
	"datetimeFifteenMinutes": 15 * time.Minute,
	"datetimeHour":           time.Hour,
	"date":                   day,
}

// filterReader makes conditions of filters.
type filterReader struct {
	now time.Time
}

// read makes the condition of a filter, which is nil, an object, or in AND and OR a
// list of such.
func (r filterReader) read(filter any) (condition, error) {
	if filter == nil {
		return func(*point) bool { return true }, nil
	}
	given, ok := filter.(map[string]any)
	if !ok {
		return nil, badArgs("filter: it must be an object")
	}
	var all []condition
	for name, value := range given {
		c, err := r.member(name, value)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return func(p *point) bool {
		for _, c := range all {
			if !c(p) {
				return false
			}
		}
		return true
	}, nil
}

func (r filterReader) member(name string, value any) (condition, error) {
	if name == "AND" || name == "OR" {
		return r.branches(value, name == "OR")
	}
	dimension, op, _ := strings.Cut(name, "_")
	if text := textDimensions[dimension]; text != nil {
		return textCondition(text, name, op, value)
	}
	if unit := timeDimensions[dimension]; unit != 0 {
		return r.timeCondition(unit, name, op, value)
	}
	return nil, badArgs("filter: %q is not known", name)
}

func (r filterReader) branches(value any, anyOf bool) (condition, error) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value} // as GraphQL coerces
	}
	var branches []condition
	for _, v := range list {
		c, err := r.read(v)
		if err != nil {
			return nil, err
		}
		branches = append(branches, c)
	}
	return func(p *point) bool {
		for _, c := range branches {
			if c(p) == anyOf {
				return anyOf
			}
		}
		return !anyOf
	}, nil
}

func textCondition(text func(*point) string, name, op string, value any) (condition, error) {
	list, isList := value.([]any)
	if !isList || op == "" || op == "neq" {
		list = []any{value}
	}
	wanted := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, badArgs("filter: the value of %s must be a string", name)
		}
		wanted[i] = s
	}
	switch op {
	case "", "in":
		return func(p *point) bool { return slices.Contains(wanted, text(p)) }, nil
	case "neq", "notin":
		return func(p *point) bool { return !slices.Contains(wanted, text(p)) }, nil
	}
	return nil, badArgs("filter: %q is not known", name)
}

func (r filterReader) timeCondition(unit time.Duration, name, op string, value any) (condition, error) {
	s, _ := value.(string)
	layout, example := time.RFC3339Nano, "2026-11-25T12:00:00Z"
	if unit == day {
		layout, example = time.DateOnly, "2026-11-25"
	}
	limit, err := time.Parse(layout, s)
	if err != nil {
		return nil, badArgs("filter: the value of %s must be a time like %q", name, example)
	}
	if op != "lt" && op != "leq" && limit.Before(r.now.Add(-traffic.Retention).Truncate(unit)) {
		return nil, tooOld()
	}
	var holds func(c int) bool
	switch op {
	case "":
		holds = func(c int) bool { return c == 0 }
	case "gt":
		holds = func(c int) bool { return c > 0 }
	case "geq":
		holds = func(c int) bool { return c >= 0 }
	case "lt":
		holds = func(c int) bool { return c < 0 }
	case "leq":
		holds = func(c int) bool { return c <= 0 }
	default:
		return nil, badArgs("filter: %q is not known", name)
	}
	return func(p *point) bool { return holds(p.at.Truncate(unit).Compare(limit)) }, nil
}
