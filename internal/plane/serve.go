// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// refusedBodyTime is how long a client may go on sending what is refused.
const refusedBodyTime = 2 * time.Second

// serve answers one request and writes one line about it.
func (p *Plane) serve(w http.ResponseWriter, hr *http.Request) {
	start := time.Now()
	r := &request{Request: hr}
	line := []any{"method", hr.Method, "path", hr.URL.EscapedPath()}

	rep, err := p.answer(w, r)
	var status, code int
	if err == nil {
		status, err = writeReply(w, rep)
	} else {
		// net/http reads what is left of the body before it answers, and a sender that
		// trickles would hold the connection for ever, without a token too.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBodyTime))
		status, code = writeError(w, err)
	}
	line = append(line, "status", status, "duration", time.Since(start).Round(time.Microsecond))
	if r.token.Name != "" {
		line = append(line, "account", r.token.AccountID, "token", r.token.Name)
	}
	if err != nil {
		line = append(line, "code", code, "error", err)
	}
	switch {
	case rep != nil && rep.raw != nil && err != nil:
		p.log.Error("request broke off", line...)
		// A body that ends properly would look whole to the client.
		panic(http.ErrAbortHandler)
	case status >= http.StatusInternalServerError:
		p.log.Error("request", line...)
	case code == codeNoRoute:
		p.log.Warn("request to an endpoint that this plane does not have", line...)
	default:
		p.log.Info("request", line...)
	}
}

// answer finds the route, checks the caller and calls the handler. A panic
// becomes an error with its stack in the log.
func (p *Plane) answer(w http.ResponseWriter, r *request) (rep *reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // a recovered value, compared as net/http does
				panic(v)
			}
			p.log.Error("panic in a handler", "method", r.Method, "path", r.URL.EscapedPath(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			rep, err = nil, errors.New("a handler panicked")
		}
	}()
	found, params, allowed := p.routes.find(r.Method, r.URL.EscapedPath())
	if found == nil {
		if len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return nil, fail(http.StatusMethodNotAllowed, codeMethodNotAllowed, "Method %s is not allowed for this endpoint: it takes %s.", r.Method, strings.Join(allowed, ", "))
		}
		return nil, fail(http.StatusNotFound, codeNoRoute, "Could not route to %s, perhaps your object identifier is invalid, or this plane does not have the endpoint.", r.URL.EscapedPath())
	}
	r.params = params
	if err := p.authorize(r, found); err != nil {
		return nil, err
	}
	limit := found.maxBody
	if limit == 0 {
		limit = defaultMaxBody
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	return found.handle(r)
}

var accountID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// authorize finds the caller and checks that the route is open to it.
func (p *Plane) authorize(r *request, to *route) error {
	if to.permission == public {
		return nil
	}
	text, err := credentials(r.Header)
	if err != nil {
		return err
	}
	t, err := p.authenticate(r.Request, text)
	if err != nil {
		return err
	}
	r.token = t
	if asked, ok := r.params["account"]; ok && asked != t.AccountID {
		if !accountID.MatchString(asked) {
			return fail(http.StatusNotFound, codeNoRoute, "Could not route to %s, perhaps your object identifier is invalid?", r.URL.EscapedPath())
		}
		return fail(http.StatusForbidden, codeOtherAccount, "Unauthorized to access requested resource: the API token belongs to another account than %s.", asked)
	}
	if to.permission != anyToken && !grants(t.Permissions, to.permission) {
		return fail(http.StatusForbidden, codeAuthentication, "Authentication error: the API token %q lacks the permission %q.", t.Name, to.permission)
	}
	if r.account, err = p.reg.Account(r.Context(), t.AccountID); err != nil {
		return transientIfCancelled(err)
	}
	return nil
}

// authenticate finds whose token text is. Failed attempts are bounded; clients whose token
// is good never feel that.
func (p *Plane) authenticate(hr *http.Request, text string) (registry.Token, error) {
	if wait := p.attempts.wait(hr, text); wait > 0 {
		return registry.Token{}, &Error{Status: http.StatusTooManyRequests, Code: codeTooManyAttempts, Transient: true, RetryAfter: wait,
			Message: "Too many failed attempts to authenticate: wait, and check the API token."}
	}
	t, err := p.reg.Authenticate(hr.Context(), text)
	if err == nil && t.Expired(p.now()) {
		err = registry.ErrTokenExpired
	}
	switch {
	case err == nil:
		p.attempts.succeeded(text)
		return t, nil
	case errors.Is(err, registry.ErrNotFound):
		p.attempts.failed(hr, text)
		return registry.Token{}, fail(http.StatusUnauthorized, codeAuthentication, "Authentication error: this plane does not know the API token.")
	case errors.Is(err, registry.ErrTokenExpired):
		p.attempts.failed(hr, text)
		return registry.Token{}, fail(http.StatusUnauthorized, codeAuthentication, "Authentication error: the API token %q expired on %s: make a new one.", t.Name, t.ExpiresOn.Format(time.RFC3339))
	}
	return registry.Token{}, transientIfCancelled(err)
}

// credentials finds the token in an Authorization header, or as a legacy API key.
func credentials(h http.Header) (string, error) {
	auth := h.Get("Authorization")
	if auth == "" {
		if key := h.Get("X-Auth-Key"); key != "" && h.Get("X-Auth-Email") != "" {
			return key, nil
		}
		return "", fail(http.StatusBadRequest, codeNoCredentials, "Missing X-Auth-Key, X-Auth-Email or Authorization headers: send an API token.")
	}
	scheme, text, _ := strings.Cut(auth, " ")
	if text = strings.TrimSpace(text); !strings.EqualFold(scheme, "Bearer") || text == "" {
		return "", fail(http.StatusBadRequest, codeBadHeaders, "Invalid request headers: the Authorization header must be \"Bearer\" and an API token.")
	}
	return text, nil
}

// transientIfCancelled keeps a client that went away from looking like a fault of
// the plane.
func transientIfCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return &Error{Status: statusClientGone, Code: codeInternal, Message: "The client closed the request.", Transient: true}
	}
	return err
}

// statusClientGone is the conventional status for a request that its client
// cancelled; nobody reads it but the log.
const statusClientGone = 499
