// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// Asks is false: probes watch while the step bakes.
func (g *HTTP) Asks() bool { return false }

// Judge probes from now on to the end of the bake time. It fails as soon as
// Failures counted probes in a row have failed. It passes at the end of the bake time
// or later, when MinProved probes were proved and the latest one was proved and good.
// It fails if that has not happened Patience after the bake time, or after now if
// that is later.
func (g *HTTP) Judge(ctx context.Context, c rollout.Candidate) rollout.Verdict {
	p, err := g.newProber(c.VersionID)
	if err != nil {
		return rollout.Verdict{Reason: err.Error()}
	}
	began := g.clock.Now()
	end := c.Since.Add(c.Bake)
	last := end.Add(g.Patience)
	if began.After(end) {
		last = began.Add(g.Patience)
	}
	w := watch{gate: g}
	for {
		started := g.clock.Now()
		w.count(p.probe(ctx))
		if ctx.Err() != nil {
			return interrupted()
		}
		now := g.clock.Now()
		switch {
		case w.row >= g.Failures:
			return w.failed()
		case !now.Before(end) && w.good && w.proved >= g.MinProved:
			return w.passed()
		case !now.Before(last):
			return w.undecided(now.Sub(began))
		}
		next := started.Add(g.Every)
		if now.Before(end) && next.After(end) {
			next = end // what counts most is how the version is in the end
		}
		if sleepUntil(ctx, g.clock, next) != nil {
			return interrupted()
		}
	}
}

// watch is what the probes of one judgement have shown so far.
type watch struct {
	gate                *HTTP
	probes, proved, row int
	good                bool // the latest probe was proved and good
	slowest             time.Duration
	last                result
}

func (w *watch) count(r result) {
	w.probes++
	w.last = r
	if r.proved {
		w.proved++
	}
	switch w.good = r.proved && r.fault == ""; {
	case w.good:
		w.row = 0
		w.slowest = max(w.slowest, r.latency)
	case r.counts:
		w.row++
	}
}

func (w *watch) failed() rollout.Verdict {
	in := ""
	if w.row > 1 {
		in = " in a row"
	}
	return rollout.Verdict{
		Reason: fmt.Sprintf("%s: %s (%s%s, %d of %d probes proved)", w.gate.subject(), w.last.fault, count(w.row, "failure"), in, w.proved, w.probes),
		Detail: w.last.detail,
	}
}

func (w *watch) passed() rollout.Verdict {
	return rollout.Verdict{Pass: true, Reason: fmt.Sprintf("%s: good (%d of %s proved, slowest %s)",
		w.gate.subject(), w.proved, count(w.probes, "probe"), round(w.slowest))}
}

func (w *watch) undecided(after time.Duration) rollout.Verdict {
	what := "too little proof that the new version answered"
	switch {
	case w.proved < w.gate.MinProved:
	case w.last.counts:
		what = "no good answer in the end"
	default:
		what = "no proof any more that the new version answers"
	}
	return rollout.Verdict{
		Reason: fmt.Sprintf("%s: %s within %s (%d of %s proved, wanted at least %d; the last one: %s)",
			w.gate.subject(), what, round(after), w.proved, count(w.probes, "probe"), w.gate.MinProved, or(w.last.fault, "good")),
		Detail: w.last.detail,
	}
}

// subject is what is probed, without the query, which may hold a key.
func (g *HTTP) subject() string {
	path, _, _ := strings.Cut(g.Path, "?")
	return g.Method + " " + path
}

// count says "1 probe", "2 probes".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// round takes away digits that nobody reads.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
