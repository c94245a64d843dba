// SPDX-License-Identifier: MPL-2.0

// Package gate has the kinds of gates that a step of a rollout can have: HTTP
// probes of the new version, metrics about it, and a webhook that is asked.
//
// A configuration is checked in two moments. Check is for what a user wrote and
// needs nothing else, so that a plan can call it; the constructors check it again,
// together with what only the apply knows, such as URLs and ids.
//
// What a gate says in [rollout.Verdict.Reason] is made of its configuration and of
// numbers. What a Worker, a plane or a webhook wrote is in Detail only, bounded and
// without control characters.
package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// Problem is one thing that is wrong with a gate's configuration.
type Problem struct {
	// Attribute is where, relative to the object of the gate's kind: `status[0]`.
	Attribute string
	Message   string
}

// Problems are all that is wrong with a configuration: what every Check and every
// constructor returns. Callers who want the single ones use errors.As.
type Problems []Problem

// Error has one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Attribute + ": " + problem.Message
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(attribute, format string, args ...any) {
	*p = append(*p, Problem{attribute, fmt.Sprintf(format, args...)})
}

// include adds the problems that an error of this package holds.
func (p *Problems) include(err error) {
	var more Problems
	if errors.As(err, &more) {
		*p = append(*p, more...)
	}
}

// err is nil if there are no problems.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// or returns the first value that is not zero: a setting or its default.
func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// interrupted is the verdict that does not count, because the context has ended.
func interrupted() rollout.Verdict {
	return rollout.Verdict{Reason: "interrupted before it was judged"}
}

// sleepUntil returns ctx's error if that ends first.
func sleepUntil(ctx context.Context, clock rollout.Clock, at time.Time) error {
	if d := at.Sub(clock.Now()); d > 0 {
		return clock.Sleep(ctx, d)
	}
	return ctx.Err()
}
