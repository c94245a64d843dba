// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bodyLimit is how much of a probe's answer is read.
const bodyLimit = 64 << 10

// prober sends the probes of one judgement.
type prober struct {
	gate        *HTTP
	client      *http.Client
	url         string
	versionID   string
	header      http.Header
	credentials []string
}

// newProber asks for the values of the headers. Its error is fit for a Reason.
func (g *HTTP) newProber(versionID string) (*prober, error) {
	p := &prober{gate: g, client: newClient(), versionID: versionID, header: http.Header{}}
	base := g.PreviewURL
	if g.LiveURL != "" {
		base = g.LiveURL
		value, err := override(g.WorkerName, versionID)
		if err != nil {
			return nil, errors.New("the version's id is no string of a structured header (RFC 8941)")
		}
		p.header.Set(overridesHeader, value)
	}
	separator := "?"
	if strings.Contains(g.Path, "?") {
		separator = "&"
	}
	p.url = strings.TrimSuffix(base, "/") + g.Path + separator + "hybridge-probe="
	p.header.Set("Cache-Control", "no-cache")
	for _, name := range slices.Sorted(maps.Keys(g.Headers)) {
		value, err := g.Headers[name]()
		if err != nil { // its text may hold what it was about
			return nil, fmt.Errorf("the value of the header %q could not be had", name)
		}
		if !isFieldValue(value) {
			return nil, fmt.Errorf("the value of the header %q has characters that no header can carry", name)
		}
		p.header.Set(name, value)
		p.credentials = append(p.credentials, value)
	}
	return p, nil
}

// result is what one probe has shown.
type result struct {
	proved  bool   // the answer is the candidate's
	counts  bool   // it is proved, or there is no answer at all
	fault   string // what was wrong; empty if nothing was. Fit for a Reason.
	detail  string
	latency time.Duration
}

// probe sends one request and judges the answer.
func (p *prober) probe(ctx context.Context) result {
	g := p.gate
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	start := g.clock.Now()
	// What counts is the Worker's time, not that of a handshake that a browser makes once.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { start = g.clock.Now() }})
	// Not url.Values: it would write the query anew, and a signed one would break.
	request, err := http.NewRequestWithContext(ctx, g.Method, p.url+rand.Text(), nil)
	if err != nil {
		return result{counts: true, fault: "the URL cannot be asked", detail: cause(err)}
	}
	request.Header = p.header.Clone()
	a, err := send(p.client, request, bodyLimit)
	latency := g.clock.Now().Sub(start)
	preview := g.PreviewURL != ""
	if err != nil {
		r := result{proved: preview, counts: true, fault: "no connection, or no answer", detail: withhold(cause(err), p.credentials)}
		if timedOut(err) {
			r.fault, r.detail = fmt.Sprintf("no answer within %s", g.Timeout), ""
		}
		return r
	}
	if !preview {
		if unproved := p.unproved(a.header); unproved != "" {
			return result{fault: fmt.Sprintf("status %d, %s", a.status, unproved), detail: p.quote(a)}
		}
	}
	r := result{proved: true, counts: true, fault: g.fault(a, latency), latency: latency}
	if r.fault != "" {
		r.detail = p.quote(a)
	}
	return r
}

// unproved says why an answer of the live URL may not be the candidate's; it is
// empty if the answer proves that it is.
func (p *prober) unproved(h http.Header) string {
	switch values := h.Values(p.gate.VersionHeader); {
	case len(values) == 0:
		return "without " + p.gate.VersionHeader
	case len(values) > 1:
		return "with more than one " + p.gate.VersionHeader
	case !strings.EqualFold(strings.TrimSpace(values[0]), p.versionID):
		return "with another version in " + p.gate.VersionHeader
	}
	return ""
}

// fault is what is wrong with a complete or broken answer.
func (g *HTTP) fault(a answer, latency time.Duration) string {
	switch {
	case !slices.Contains(g.Status, a.status):
		wanted := make([]string, len(g.Status))
		for i, s := range g.Status {
			wanted[i] = strconv.Itoa(s)
		}
		return fmt.Sprintf("status %d, wanted %s", a.status, strings.Join(wanted, " or "))
	case a.broken != nil && timedOut(a.broken):
		return fmt.Sprintf("status %d, but no complete body within %s", a.status, g.Timeout)
	case a.broken != nil:
		return fmt.Sprintf("status %d, but the body broke off after %d bytes", a.status, len(a.body))
	case !strings.Contains(string(a.body), g.BodyContains):
		what := fmt.Sprintf("the body of %d bytes", len(a.body))
		if a.more {
			what = fmt.Sprintf("the first %d bytes of the body", len(a.body))
		}
		return fmt.Sprintf("status %d, but the wanted text is not in %s", a.status, what)
	case g.MaxLatency > 0 && latency > g.MaxLatency:
		return fmt.Sprintf("an answer after %s, wanted at most %s", round(latency), g.MaxLatency)
	}
	return ""
}

// quote is the beginning of an answer's body, for people.
func (p *prober) quote(a answer) string {
	if len(a.body) == 0 {
		return ""
	}
	return "the body begins: " + printable(withhold(string(a.body), p.credentials), detailLimit)
}
