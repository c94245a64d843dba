// SPDX-License-Identifier: MPL-2.0

// Package fault makes planes misbehave on purpose, for tests: a script says
// which request meets which fault, either on the client's side (a RoundTripper)
// or on the server's (a Handler). It records what was asked, never a body and
// never a header that could hold a secret.
package fault

import (
	"net/http"
	"path"
	"sync"
	"time"
)

// Kind is a way to misbehave.
type Kind string

// The kinds. "Before" means that the plane never acted on the request, "after"
// that it did and the answer was lost.
const (
	TooMany      Kind = "429"                // before; with RetryAfter, which may be zero
	ErrorBefore  Kind = "5xx before commit"  // Status, default 503
	ErrorAfter   Kind = "5xx after commit"   // Status, default 500
	ResetBefore  Kind = "reset before send"  // the connection breaks, nothing arrived
	ResetAfter   Kind = "reset after commit" // the connection breaks instead of an answer
	Truncated    Kind = "truncated answer"   // half of the real answer, then the connection breaks
	HTML         Kind = "HTML answer"        // before; Status, default 200
	HTMLAfter    Kind = "HTML after commit"  // a proxy's error page; Status, default 502
	Slow         Kind = "slow"               // waits Delay, then behaves
	Conflict     Kind = "409"                // before, in the API's envelope
	Unauthorized Kind = "403"                // before, in the API's envelope
)

// Committed reports whether the plane acts on a request that meets k.
func (k Kind) Committed() bool {
	switch k {
	case ErrorAfter, ResetAfter, Truncated, HTMLAfter, Slow:
		return true
	}
	return false
}

// Rule lets requests meet a fault.
type Rule struct {
	Method string // empty: any
	Path   string // pattern as in path.Match over the whole path; empty: any
	Skip   int    // so many matching requests pass unharmed first
	Times  int    // how often; 0 means once, negative always

	Kind       Kind
	Status     int
	RetryAfter time.Duration // for TooMany; whole seconds
	Delay      time.Duration // for Slow
}

// Request is a request as recorded.
type Request struct {
	Method    string
	Path      string
	Query     string
	BodyBytes int64 // as announced; -1 if unknown
	IfMatch   string
	Kind      Kind // of the fault it met; empty if none
}

// Script holds rules and records. It is safe for concurrent use; its zero value
// harms nobody.
type Script struct {
	mu       sync.Mutex
	rules    []*active
	requests []Request
}

type active struct {
	Rule
	met int
}

// Add appends a rule. The first rule that matches and is not used up counts.
func (s *Script) Add(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rules {
		if r.Times == 0 {
			r.Times = 1
		}
		s.rules = append(s.rules, &active{Rule: r})
	}
}

// Clear removes all rules, and keeps the records.
func (s *Script) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// Requests returns the records and forgets them.
func (s *Script) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// Count counts the records that match, without forgetting them. An empty method
// or pattern matches all.
func (s *Script) Count(method, pattern string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if matches(method, pattern, r.Method, r.Path) {
			n++
		}
	}
	return n
}

// meet records a request and decides its fate.
func (s *Script) meet(req *http.Request) Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := Request{
		Method: req.Method, Path: req.URL.EscapedPath(), Query: req.URL.RawQuery,
		BodyBytes: req.ContentLength, IfMatch: req.Header.Get("If-Match") + req.Header.Get("If-None-Match"),
	}
	var fate Rule
	for _, r := range s.rules {
		if !matches(r.Method, r.Path, req.Method, rec.Path) {
			continue
		}
		if r.Times >= 0 && r.met >= r.Skip+r.Times {
			continue
		}
		r.met++
		if r.met > r.Skip {
			fate = r.Rule
		}
		break
	}
	rec.Kind = fate.Kind
	s.requests = append(s.requests, rec)
	return fate
}

func matches(method, pattern, gotMethod, gotPath string) bool {
	if method != "" && method != gotMethod {
		return false
	}
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, gotPath)
	if err != nil {
		panic("fault: pattern " + pattern + ": " + err.Error())
	}
	return ok
}
