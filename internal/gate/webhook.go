// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

const (
	// DefaultWebhookTimeout is how long a person may take to decide.
	DefaultWebhookTimeout = 30 * time.Minute

	askTimeout  = 30 * time.Second // of one request, in real time
	answerLimit = 16 << 10

	firstPause    = time.Second
	longestPause  = 30 * time.Second
	retryAfterCap = 5 * time.Minute // or a wrong clock on the other side would decide
)

// WebhookConfig configures a webhook gate: after the bake time the rollout is
// described to a URL, which says whether it goes on.
//
// The request is a POST of JSON, signed as Standard Webhooks say
// (https://www.standardwebhooks.com): webhook-id, webhook-timestamp,
// webhook-signature. The answer has a status of 2xx and a body
//
//	{"verdict": "pass" | "fail" | "wait", "reason": "..."}
//
// After "wait" it is asked again, as it is after 429, 5xx and when there is no
// answer: after 1 s to 30 s, or later if Retry-After says so, up to 5 minutes.
// Everything else fails the gate at once. Redirects are not followed.
//
// A question is about one deployment of a rollout, and one gate. All its requests have the
// same webhook-id, so that a receiver can open one approval by that id and answer each
// request with its state; it must not drop them as duplicates. The requests of one run have
// the same body, too; those of a later run that takes the step up name that one's rollout.
// Their timestamps are new, or the receiver would refuse what it is asked after some minutes.
type WebhookConfig struct {
	// URL is https, or http to this machine.
	URL string
	// Timeout is from the first request; DefaultWebhookTimeout if 0. One last request
	// is made at its end.
	Timeout time.Duration

	// What the constructor needs besides.
	// Name is the gate's own.
	Name    string
	Subject Subject
	// Secret is the signing key: "whsec_" and base64, or else the bytes themselves. It
	// is asked for once for each judgement. See Key.
	Secret func() ([]byte, error)
}

// Check reports everything that is wrong with what a user has written, as Problems.
func (c WebhookConfig) Check() error {
	var p Problems
	if u := checkURL(&p, "url", c.URL); u != nil && u.Scheme == "http" && !local(u.Hostname()) {
		p.add("url", "must begin with https://: whoever can change the answer decides about the rollout")
	}
	checkPositive(&p, "timeout", c.Timeout)
	return p.err()
}

// CheckCredentials asks for the signing key and reports what is wrong with it, as
// Problems. Whoever makes the gate calls it before the first step: Judge could only fail,
// and the fault would be taken for the version's.
func (c WebhookConfig) CheckCredentials() error {
	var p Problems
	secret, err := c.Secret()
	if err != nil { // its text may hold what it was about
		p.add("signing_secret", "could not be had")
	} else if _, err := Key(secret); err != nil {
		p.add("signing_secret", "cannot be used: %s", err)
	}
	return p.err()
}

// Webhook is a webhook gate.
type Webhook struct {
	WebhookConfig
	clock rollout.Clock
}

var _ rollout.Gate = (*Webhook)(nil)

// NewWebhook makes a webhook gate. An error is of type Problems.
func NewWebhook(c WebhookConfig, clock rollout.Clock) (*Webhook, error) {
	var p Problems
	p.include(c.Check())
	if c.Secret == nil {
		p.add("signing_secret", "is needed")
	}
	if c.Name == "" || c.Subject.RolloutID == "" || c.Subject.Worker == "" || c.Subject.Target.ID == "" {
		p.add("webhook", "lacks the gate, the rollout, the Worker or the version to ask about")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	c.Timeout = or(c.Timeout, DefaultWebhookTimeout)
	return &Webhook{c, clock}, nil
}

// Asks is true: a webhook decides with the verdicts of the gates that watched.
func (g *Webhook) Asks() bool { return true }

// Judge asks until there is a decision, or Timeout is over.
func (g *Webhook) Judge(ctx context.Context, c rollout.Candidate) rollout.Verdict {
	began := g.clock.Now()
	deadline := began.Add(g.Timeout)
	ask, err := g.newAsker(c, began)
	if err != nil {
		return rollout.Verdict{Reason: err.Error()}
	}
	var waits, failures int
	for {
		r := ask.once(ctx)
		if ctx.Err() != nil {
			return interrupted()
		}
		now := g.clock.Now()
		switch {
		case r.decided:
			return rollout.Verdict{Pass: r.pass, Reason: r.what, Detail: r.detail}
		case r.waits:
			waits++
		default:
			failures++
		}
		if !now.Before(deadline) {
			return rollout.Verdict{
				Reason: fmt.Sprintf("the webhook has not decided within %s (%s to wait, %s without one)", g.Timeout, count(waits, "answer"), count(failures, "request")),
				Detail: r.detail,
			}
		}
		next := now.Add(max(pause(waits+failures), min(r.retryAfter, retryAfterCap)))
		if next.After(deadline) {
			next = deadline
		}
		if sleepUntil(ctx, g.clock, next) != nil {
			return interrupted()
		}
	}
}

// pause is how long to wait after the n-th request. It is spread by a quarter, so that
// the rollouts of one release do not ask in step.
func pause(n int) time.Duration {
	d := longestPause
	if n < 6 {
		d = min(firstPause<<(n-1), longestPause)
	}
	d += time.Duration((rand.Float64() - 0.5) / 2 * float64(d))
	return min(max(d, firstPause), longestPause)
}

// asker asks one question.
type asker struct {
	gate   *Webhook
	client *http.Client
	id     string
	body   []byte
	sign   func(at time.Time) (string, error)
}

// newAsker makes the question, and asks for the key. Its error is fit for a Reason.
func (g *Webhook) newAsker(c rollout.Candidate, at time.Time) (*asker, error) {
	a := &asker{gate: g, client: newClient(), id: messageID(c.Deployment, g.Name)}
	var err error
	if a.body, err = g.message(c, at); err != nil {
		return nil, fmt.Errorf("the question to the webhook could not be written")
	}
	a.sign, err = signer(g.Secret, a.id, a.body)
	return a, err
}

// reply is what one request has led to.
type reply struct {
	decided, pass, waits bool
	what                 string // if decided: fit for a Reason
	detail               string
	retryAfter           time.Duration
}

// once sends the question.
func (a *asker) once(ctx context.Context) reply {
	g := a.gate
	ctx, cancel := context.WithTimeout(ctx, min(askTimeout, g.Timeout))
	defer cancel()
	now := g.clock.Now()
	signature, err := a.sign(now)
	if err != nil {
		return reply{decided: true, what: "the question to the webhook could not be signed"}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, bytes.NewReader(a.body))
	if err != nil {
		return reply{decided: true, what: "the webhook's URL cannot be asked"}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Webhook-Id", a.id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature)
	got, err := send(a.client, request, answerLimit)
	if err != nil {
		return reply{detail: "the last request failed: " + cause(err)}
	}
	r := reply{retryAfter: retryAfter(got.header, g.clock.Now())}
	switch ok := got.status >= 200 && got.status < 300; {
	case got.status == http.StatusTooManyRequests || got.status >= 500:
		r.detail = fmt.Sprintf("the last answer had status %d: %s", got.status, printable(string(got.body), detailLimit))
	case !ok:
		r.decided, r.what = true, fmt.Sprintf("the webhook answered with status %d", got.status)
		r.detail = printable(string(got.body), detailLimit)
	case got.broken != nil:
		r.detail = "the last answer broke off: " + cause(got.broken)
	case got.more:
		r.decided, r.what = true, fmt.Sprintf("the webhook's answer has more than %d bytes", answerLimit)
	default:
		a.read(got.body, &r)
	}
	return r
}

// read takes the verdict out of a complete answer.
func (a *asker) read(body []byte, r *reply) {
	verdict, reason, err := decodeAnswer(body)
	if err != nil {
		r.decided, r.what, r.detail = true, "the webhook's answer is malformed: "+err.Error(), printable(string(body), detailLimit)
		return
	}
	r.waits, r.pass, r.decided = verdict == "wait", verdict == "pass", verdict != "wait"
	r.what = "the webhook said " + verdict
	if reason = printable(reason, detailLimit); reason != "" {
		r.detail = "the webhook's reason: " + reason
	}
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3); 0 if there is
// none, or none that makes sense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
