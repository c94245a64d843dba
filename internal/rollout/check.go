// SPDX-License-Identifier: MPL-2.0

package rollout

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxBake is far beyond what anybody waits for, and far below what overflows in a sum.
const maxBake = 30 * 24 * time.Hour

// Check reports everything that is wrong with a plan, each with its place. What is live
// must be nothing, one of the two versions, or a split of them: where a third version
// is live, the caller first goes back to one.
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
	if p.Live.ID == "" && len(p.Live.Shares) > 0 {
		wrong("live: it has versions, and no id")
	}
	sum := 0.0
	for i, s := range p.Live.Shares {
		sum += s.Percentage
		if !(s.Percentage >= 0) {
			wrong("live: version %s has %v %%", s.VersionID, s.Percentage)
		}
		if slices.ContainsFunc(p.Live.Shares[:i], func(t Share) bool { return t.VersionID == s.VersionID }) {
			wrong("live: version %s is in it twice", s.VersionID)
		}
		if s.VersionID != p.Target && s.VersionID != p.Previous {
			wrong("live: version %s is neither the target nor the previous version", s.VersionID)
		}
	}
	if p.Live.ID != "" && !near(sum, 100) {
		wrong("live: its percentages sum up to %v", sum)
	}
	bakes := func(at string, bake time.Duration) {
		switch {
		case bake < 0:
			wrong("%s: it is negative", at)
		case bake > maxBake:
			wrong("%s: %v is more than %v", at, bake, maxBake)
		}
	}
	named := func(at string, names []string) {
		for i, name := range names {
			if p.Gates[name] == nil {
				wrong("%s[%d]: there is no gate %q", at, i, name)
			}
			if slices.Contains(names[:i], name) {
				wrong("%s[%d]: gate %q is named twice", at, i, name)
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
		bakes(at+".bake_time", s.Bake)
		named(at+".gates", s.Gates)
		held = held || s.Percentage == *p.HoldAt
	}
	bakes("final_bake_time", p.FinalBake)
	named("final_gates", p.FinalGates)
	if !held {
		wrong("hold_at: %v is no step", *p.HoldAt)
	}
	decided := func(at string, policy Policy) {
		if policy != Rollback && policy != Hold {
			wrong("%s: %q is neither rollback nor hold", at, policy)
		}
	}
	decided("on_failure", p.OnFailure)
	decided("on_interrupt", p.OnInterrupt)
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
