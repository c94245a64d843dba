// SPDX-License-Identifier: MPL-2.0

package rollout

import (
	"errors"
	"fmt"
	"time"
)

// Check reports everything that is wrong with a plan, each with its place.
func (p Plan) Check() error {
	var all []error
	wrong := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if p.Target == "" {
		wrong("target: there is no version")
	}
	if p.Target == p.Previous {
		wrong("previous: it is the target itself")
	}
	if p.Live.ID == "" && p.Previous != "" {
		wrong("live: nothing is live, and yet there is a previous version")
	}
	for _, s := range p.Live.Shares {
		if s.VersionID != p.Target && s.VersionID != p.Previous {
			wrong("live: version %s is neither the target nor the previous version", s.VersionID)
		}
	}
	named := func(at string, names []string) {
		for i, name := range names {
			if p.Gates[name] == nil {
				wrong("%s[%d]: there is no gate %q", at, i, name)
			}
		}
	}
	held := p.HoldAt == nil
	for i, s := range p.Steps {
		at := fmt.Sprintf("steps[%d]", i)
		if !(s.Percentage >= 0 && s.Percentage < 100) {
			wrong("%s.percentage: %v is not from 0 to below 100", at, s.Percentage)
		}
		if i > 0 && !(s.Percentage > p.Steps[i-1].Percentage) {
			wrong("%s.percentage: %v is not above the step before", at, s.Percentage)
		}
		if s.Bake < 0 {
			wrong("%s.bake_time: it is negative", at)
		}
		named(at+".gates", s.Gates)
		held = held || s.Percentage == *p.HoldAt
	}
	if p.FinalBake < 0 {
		wrong("final_bake_time: it is negative")
	}
	named("final_gates", p.FinalGates)
	if !held {
		wrong("hold_at: %v is no step", *p.HoldAt)
	}
	for at, policy := range map[string]Policy{"on_failure": p.OnFailure, "on_interrupt": p.OnInterrupt} {
		if policy != Rollback && policy != Hold {
			wrong("%s: %q is neither rollback nor hold", at, policy)
		}
	}
	return errors.Join(all...)
}

// Baking is how long all steps bake together.
func (p Plan) Baking() time.Duration {
	sum := p.FinalBake
	for _, s := range p.Steps {
		sum += s.Bake
	}
	return sum
}
