// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// The defaults of HTTPConfig.
const (
	DefaultProbeEvery    = 2 * time.Second
	DefaultProbeFailures = 2 // one bad answer may be a restart or a lost packet
	DefaultProbeTimeout  = 10 * time.Second
	DefaultConnectTime   = 2 * time.Second
	// DefaultProbePatience is how long an edge may need until each of its places
	// knows a new deployment, with some reserve.
	DefaultProbePatience = 30 * time.Second
	DefaultMinProved     = 1
)

// The request headers that choose a version on the live URL.
// https://developers.cloudflare.com/workers/configuration/versions-and-deployments/gradual-deployments/
const (
	overridesHeader = "Cloudflare-Workers-Version-Overrides"
	keyHeader       = "Cloudflare-Workers-Version-Key"
)

// HTTPConfig configures an HTTP gate: requests to the new version while the step
// bakes. Fields that are zero have the defaults above.
//
// A probe counts only if the answer proves which version gave it. Either it went to
// the version's own preview URL; or it went to the live URL with the header
// Cloudflare-Workers-Version-Overrides, and the answer has the version's id in
// VersionHeader, which the Worker sets from its version_metadata binding. An override
// that is not applied (yet) routes by percentage and says nothing, so answers without
// proof are ignored. A request without any answer counts as a failure on both URLs.
//
// Each probe has "Cache-Control: no-cache" and a random parameter "hybridge-probe" at
// the end of its query, so that no cache answers in the version's place. Redirects
// are answers: they are not followed.
type HTTPConfig struct {
	// Path is where to ask, with an optional query. It comes after the URL's own path.
	Path string
	// Method is GET, HEAD or POST (without a body).
	Method string
	// Status are the good ones; only 200 if empty.
	Status []int
	// BodyContains must be in the first 64 KiB of the body.
	BodyContains string
	// MaxLatency, if not 0, is how long a good answer may take from the moment when
	// the connection stands to the end of the body, or of its first 64 KiB.
	MaxLatency time.Duration
	// Every is the time from the beginning of a probe to that of the next. Probes
	// never overlap: a slow one delays the next.
	Every time.Duration
	// Failures is how many in a row fail the gate.
	Failures int
	// Timeout, in real time and with the connection's, ends a probe. That is a failure.
	// With MaxLatency its default is that and DefaultConnectTime: waiting for longer
	// would only delay the verdict.
	Timeout time.Duration
	// Headers are added to each probe. Their values are asked for once for each
	// judgement and appear in no verdict, even if an answer repeats them.
	Headers map[string]func() (string, error)
	// VersionHeader is a response header in which the Worker says its version's id.
	VersionHeader string
	// Patience is how long after the bake time the gate waits for enough proof.
	Patience time.Duration
	// MinProved is how many probes have to be proved.
	MinProved int

	// Exactly one of PreviewURL and LiveURL is needed for the constructor.
	// PreviewURL is the candidate's own.
	PreviewURL string
	// LiveURL reaches whatever is live. It needs WorkerName and VersionHeader.
	LiveURL    string
	WorkerName string
}

// Check reports everything that is wrong with what a user has written, as Problems.
func (c HTTPConfig) Check() error {
	var p Problems
	switch path, _, _ := strings.Cut(c.Path, "?"); {
	case !strings.HasPrefix(path, "/"):
		p.add("path", "must begin with a slash")
	case strings.Contains(c.Path, "#"):
		p.add("path", "must not have a fragment: it is never sent")
	case strings.ContainsFunc(c.Path, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		p.add("path", "must be written in ASCII without spaces; escape other characters as %%20")
	default:
		if _, err := url.ParseRequestURI(c.Path); err != nil {
			p.add("path", "has an escape that is not one")
		}
	}
	switch c.Method {
	case "", http.MethodGet, http.MethodPost:
	case http.MethodHead:
		if c.BodyContains != "" {
			p.add("body_contains", "cannot be true: an answer to HEAD has no body")
		}
	default:
		p.add("method", "must be GET, HEAD or POST")
	}
	for i, s := range c.Status {
		if s < 200 || s > 599 {
			p.add(fmt.Sprintf("status[%d]", i), "is %d and must be from 200 to 599", s)
		}
	}
	checkPositive(&p, "max_latency", c.MaxLatency)
	checkPositive(&p, "every", c.Every)
	checkPositive(&p, "failures", c.Failures)
	checkPositive(&p, "timeout", c.Timeout)
	checkPositive(&p, "patience", c.Patience)
	checkPositive(&p, "min_proved", c.MinProved)
	if c.Timeout > 0 && c.MaxLatency > c.Timeout {
		p.add("max_latency", "is longer than the timeout of a probe, %s", c.Timeout)
	}
	if c.VersionHeader != "" && !isToken(c.VersionHeader) {
		p.add("version_header", "is not the name of a header")
	}
	c.checkHeaders(&p)
	for _, u := range []string{c.PreviewURL, c.LiveURL} {
		if u != "" {
			c.checkBase(&p, u)
		}
	}
	return p.err()
}

// CheckCredentials asks for the values of the headers and reports those that no header can
// carry, as Problems. Whoever makes the gate calls it before the first step: Judge could
// only fail, and the fault would be taken for the version's.
func (c HTTPConfig) CheckCredentials() error {
	var p Problems
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		switch value, err := c.Headers[name](); {
		case err != nil: // its text may hold what it was about
			p.add(fmt.Sprintf("headers[%q]", name), "could not be had")
		case !isFieldValue(value):
			p.add(fmt.Sprintf("headers[%q]", name), "has characters that no header can carry, e.g. a line break")
		}
	}
	return p.err()
}

// ours are the headers that a probe needs for itself.
var ours = []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect",
	"Accept-Encoding", "Cache-Control", "User-Agent", overridesHeader, keyHeader}

func (c HTTPConfig) checkHeaders(p *Problems) {
	seen := map[string]bool{}
	names := make([]string, 0, len(c.Headers))
	for name := range c.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		attribute, key := fmt.Sprintf("headers[%q]", name), http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			p.add(attribute, "is not the name of a header")
		case slices.Contains(ours, key):
			p.add(attribute, "is set by the gate itself")
		case seen[key]:
			p.add(attribute, "is there twice, in different spellings")
		}
		seen[key] = true
	}
}

func (c HTTPConfig) checkBase(p *Problems, text string) {
	u := checkURL(p, "url", text)
	if u == nil {
		return
	}
	if u.RawQuery != "" || u.ForceQuery {
		p.add("url", "must not have a query: put it into path")
	}
	if len(c.Headers) > 0 && u.Scheme == "http" && !local(u.Hostname()) {
		p.add("url", "must begin with https://, because headers may hold credentials")
	}
}

// HTTP is an HTTP gate.
type HTTP struct {
	HTTPConfig
	clock rollout.Clock
}

var _ rollout.Gate = (*HTTP)(nil)

// NewHTTP makes an HTTP gate. An error is of type Problems.
func NewHTTP(c HTTPConfig, clock rollout.Clock) (*HTTP, error) {
	var p Problems
	p.include(c.Check())
	if (c.PreviewURL == "") == (c.LiveURL == "") {
		p.add("url", "is needed: either the preview URL of the version or a live URL")
	}
	if c.LiveURL != "" {
		if c.VersionHeader == "" {
			p.add("version_header", "is needed where the version has no preview URL: without it no answer proves its version")
		}
		if _, err := override(c.WorkerName, ""); err != nil {
			p.add("url", "cannot reach one version of this Worker: its name %q is no key of a structured header (RFC 8941), "+
				"which begins with a lower-case letter; enable preview URLs", c.WorkerName)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	c.Method = or(c.Method, http.MethodGet)
	if len(c.Status) == 0 {
		c.Status = []int{http.StatusOK}
	}
	c.Every = or(c.Every, DefaultProbeEvery)
	c.Failures = or(c.Failures, DefaultProbeFailures)
	if c.Timeout == 0 && c.MaxLatency > 0 {
		c.Timeout = c.MaxLatency + DefaultConnectTime
	}
	c.Timeout = or(c.Timeout, DefaultProbeTimeout)
	c.Patience = or(c.Patience, DefaultProbePatience)
	c.MinProved = or(c.MinProved, DefaultMinProved)
	return &HTTP{c, clock}, nil
}

// override is the value of the header that asks for one version of a Worker.
func override(worker, versionID string) (string, error) {
	d := httpsfv.NewDictionary()
	d.Add(worker, httpsfv.NewItem(versionID))
	return httpsfv.Marshal(d)
}
