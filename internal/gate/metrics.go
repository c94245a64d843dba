// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// The defaults of MetricsConfig.
const (
	DefaultMinRequests  = 50
	DefaultMetricsEvery = 5 * time.Second
	// DefaultEdgeSettle is how long Cloudflare's analytics lag behind, with reserve.
	DefaultEdgeSettle = 5 * time.Minute
	// DefaultPlaneSettle lets requests that were under way at the end of the bake
	// time end; a self-hosted plane counts them at once.
	DefaultPlaneSettle = 2 * time.Second
)

// finalQueries is how often the last query is tried. The client behind Querier has
// retries of its own; these are for a plane that restarts.
const finalQueries = 3

// The values of MetricsConfig.OnInconclusive.
const (
	InconclusiveFails  = "fail"
	InconclusivePasses = "pass"
)

// MetricsConfig configures a metrics gate: what a plane has counted of the new
// version's requests since the step's deployment. Fields that are zero have the
// defaults above; at least one maximum is needed.
//
// There is no way to wait for more requests than came: a longer bake time says the
// same and has an end.
type MetricsConfig struct {
	// MaxFailureRate is the share, 0 to 1, of invocations that may fail: exceptions,
	// exceeded limits, internal errors; not answers with a status of 500 and above.
	MaxFailureRate *float64
	// MaxServerErrorRate is the share of answers that may have a status of 500 and
	// above. Only a self-hosted plane counts them.
	MaxServerErrorRate *float64
	// MaxP99, if not 0, is for the 99th percentile of the wall time.
	MaxP99 time.Duration
	// MinRequests is how many requests are needed for a judgement.
	MinRequests int
	// OnInconclusive is "fail" (the default) or "pass": what follows if there were
	// fewer requests, or if the plane did not answer.
	OnInconclusive string
	// Settle is how long after the bake time the plane is asked for the final numbers.
	Settle time.Duration
	// Every is the time between two queries.
	Every time.Duration

	// What the constructor needs besides.
	Querier    Querier
	AccountID  string
	WorkerName string
	// SelfHosted says that the plane counts every request, at once: the gate may fail
	// before the bake time is over. The edge samples and lags: it is asked at the end.
	SelfHosted bool
}

// Check reports everything that is wrong with what a user has written, as Problems.
func (c MetricsConfig) Check() error {
	var p Problems
	if c.MaxFailureRate == nil && c.MaxServerErrorRate == nil && c.MaxP99 == 0 {
		p.add("max_failure_rate", "at least one of max_failure_rate, max_server_error_rate and max_p99 is needed")
	}
	for _, rate := range []struct {
		attribute string
		value     *float64
	}{{"max_failure_rate", c.MaxFailureRate}, {"max_server_error_rate", c.MaxServerErrorRate}} {
		if rate.value != nil && !(*rate.value >= 0 && *rate.value < 1) { // so written, it also catches NaN
			p.add(rate.attribute, "must be at least 0 and below 1; 0.01 is one percent")
		}
	}
	checkPositive(&p, "max_p99", c.MaxP99)
	checkPositive(&p, "min_requests", c.MinRequests)
	checkPositive(&p, "settle", c.Settle)
	checkPositive(&p, "every", c.Every)
	switch c.OnInconclusive {
	case "", InconclusiveFails, InconclusivePasses:
	default:
		p.add("on_inconclusive", `must be "fail" or "pass"`)
	}
	return p.err()
}

// Metrics is a metrics gate.
type Metrics struct {
	MetricsConfig
	clock rollout.Clock
}

var _ rollout.Gate = (*Metrics)(nil)

// NewMetrics makes a metrics gate. An error is of type Problems.
func NewMetrics(c MetricsConfig, clock rollout.Clock) (*Metrics, error) {
	var p Problems
	p.include(c.Check())
	if c.MaxServerErrorRate != nil && !c.SelfHosted {
		p.add("max_server_error_rate", "needs a self-hosted plane: Cloudflare does not count answers by version and status")
	}
	if c.Querier == nil || c.AccountID == "" || c.WorkerName == "" {
		p.add("metrics", "lacks the plane, the account or the Worker to ask about")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	settle := DefaultEdgeSettle
	if c.SelfHosted {
		settle = DefaultPlaneSettle
	}
	c.MinRequests = or(c.MinRequests, DefaultMinRequests)
	c.OnInconclusive = or(c.OnInconclusive, InconclusiveFails)
	c.Settle = or(c.Settle, settle)
	c.Every = or(c.Every, DefaultMetricsEvery)
	return &Metrics{c, clock}, nil
}

// Asks is false: numbers are watched while the step bakes.
func (g *Metrics) Asks() bool { return false }

// Judge returns Settle after the bake time. On a self-hosted plane it fails before,
// as soon as a rate over at least MinRequests is above its maximum; the percentile is
// judged at the end only, because a cold start among few requests is all of it.
func (g *Metrics) Judge(ctx context.Context, c rollout.Candidate) rollout.Verdict {
	end := c.Since.Add(c.Bake)
	if g.SelfHosted {
		for {
			now := g.clock.Now()
			if !now.Before(end) {
				break
			}
			// A plane that does not answer is tolerated until the end.
			if n, err := g.numbers(ctx, c, now); err == nil && n.requests >= uint64(g.MinRequests) {
				if faults := g.rates(n); len(faults) > 0 {
					return n.verdict(faults)
				}
			}
			next := now.Add(g.Every)
			if next.After(end) {
				next = end
			}
			if sleepUntil(ctx, g.clock, next) != nil {
				return interrupted()
			}
		}
	}
	if sleepUntil(ctx, g.clock, end.Add(g.Settle)) != nil {
		return interrupted()
	}
	for try := 1; ; try++ {
		n, err := g.numbers(ctx, c, end)
		switch {
		case ctx.Err() != nil:
			return interrupted()
		case err == nil:
			return g.judge(n)
		case try == finalQueries:
			v := g.inconclusive(fmt.Sprintf("no numbers, %d queries failed", try))
			v.Detail = "the last query failed: " + cause(err)
			return v
		}
		if sleepUntil(ctx, g.clock, g.clock.Now().Add(g.Every)) != nil {
			return interrupted()
		}
	}
}

// judge is the judgement of the final numbers.
func (g *Metrics) judge(n numbers) rollout.Verdict {
	if n.requests < uint64(g.MinRequests) {
		v := g.inconclusive(fmt.Sprintf("%d requests, wanted at least %d", n.requests, g.MinRequests))
		v.Detail = n.String()
		return v
	}
	faults := g.rates(n)
	if g.MaxP99 > 0 && n.p99 > g.MaxP99 {
		faults = append(faults, fmt.Sprintf("p99 %s, allowed %s", round(n.p99), g.MaxP99))
	}
	return n.verdict(faults)
}

// rates are the rates above their maximum.
func (g *Metrics) rates(n numbers) (faults []string) {
	above := func(what string, part uint64, maximum *float64) {
		if maximum == nil {
			return
		}
		if rate := float64(part) / float64(n.requests); rate > *maximum {
			faults = append(faults, fmt.Sprintf("%s %s, allowed %s", what, percent(rate), percent(*maximum)))
		}
	}
	above("failure rate", n.failures, g.MaxFailureRate)
	above("server error rate", n.serverErrors, g.MaxServerErrorRate)
	return faults
}

func (g *Metrics) inconclusive(why string) rollout.Verdict {
	return rollout.Verdict{Pass: g.OnInconclusive == InconclusivePasses, Reason: "inconclusive: " + why}
}

// verdict passes if there are no faults.
func (n numbers) verdict(faults []string) rollout.Verdict {
	if len(faults) > 0 {
		return rollout.Verdict{Reason: fmt.Sprintf("%s (%d requests)", strings.Join(faults, "; "), n.requests), Detail: n.String()}
	}
	return rollout.Verdict{Pass: true, Reason: fmt.Sprintf("failure rate %s, p99 %s (%d requests)",
		percent(float64(n.failures)/float64(n.requests)), round(n.p99), n.requests), Detail: n.String()}
}

func percent(rate float64) string {
	return strconv.FormatFloat(rate*100, 'g', 3, 64) + " %"
}
