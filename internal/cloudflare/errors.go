// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Codes of the Cloudflare API that somebody branches on.
const (
	codeAuthentication   = 10000 // token unknown or without the permission
	codeInternal         = 10013 // "unknown error"; beta endpoints send it for ids they do not know
	codePreconditionFail = 10018
	codeSecretsChanged   = 10220 // what is to be deployed is older than a change of secrets
	codeNoRoute          = 7003  // no such endpoint, account or zone; never "the object is gone"
)

// Error is an answer of the plane that is an error, in the API's own terms.
type Error struct {
	Status     int
	Code       int   // of the first error; 0 if the answer had none
	Codes      []int // of all errors
	Message    string
	Method     string
	Path       string // below the base URL, without query
	RequestID  string // cf-ray
	Plane      string
	Permission string // what a 403 probably lacks, in Cloudflare's words
	permanent  bool   // x-should-retry: false
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s on %s: %d", e.Method, e.Path, planeLabel(e.Plane), e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, " (code %d)", e.Code)
	}
	if e.RequestID != "" {
		b.WriteString(" [ray " + e.RequestID + "]")
	}
	switch {
	case e.Status == http.StatusUnauthorized || (e.Status == http.StatusBadRequest && e.isAuth()):
		b.WriteString("; the API token is not valid on this plane: check api_token or CLOUDFLARE_API_TOKEN")
	case e.Status == http.StatusForbidden && e.Permission != "":
		b.WriteString("; the API token needs the permission " + e.Permission + " on this account")
	case e.Status == http.StatusTooManyRequests:
		b.WriteString("; lower requests_per_second, or raise max_retries")
	case e.Status == http.StatusNotFound && e.hasCode(codeNoRoute):
		b.WriteString("; check account_id and base_url")
	}
	return b.String()
}

func (e *Error) isAuth() bool {
	return e.hasCode(codeAuthentication) || e.hasCode(6003) || e.hasCode(6111) || e.hasCode(9106)
}

func (e *Error) hasCode(code int) bool {
	for _, c := range e.Codes {
		if c == code {
			return true
		}
	}
	return false
}

// TokenError says that the API token, or the secret for Cloudflare Access, could not
// be fetched. Nothing was sent.
type TokenError struct {
	Plane string
	What  string // "the API token"
	Err   error
}

func (e *TokenError) Error() string {
	return fmt.Sprintf("%s of %s cannot be had: %v", e.What, planeLabel(e.Plane), e.Err)
}

func (e *TokenError) Unwrap() error { return e.Err }

// TransportError says that no complete answer arrived.
type TransportError struct {
	Plane   string
	BaseURL string
	Method  string
	Path    string
	// Sent is whether the request may have reached the plane. If not, nothing
	// happened there.
	Sent bool
	Err  error
}

func (e *TransportError) Error() string {
	var socket *socketError
	switch {
	case !e.Sent && errors.As(e.Err, &socket):
		return fmt.Sprintf("%s cannot be reached: %v", planeLabel(e.Plane), e.Err)
	case !e.Sent:
		return fmt.Sprintf("%s at %s cannot be reached: %v; check base_url, and that the plane runs", planeLabel(e.Plane), e.BaseURL, e.Err)
	}
	return fmt.Sprintf("%s %s on %s at %s: no complete answer: %v", e.Method, e.Path, planeLabel(e.Plane), e.BaseURL, e.Err)
}

func (e *TransportError) Unwrap() error { return e.Err }

// IsUnreachable reports whether an error means that the plane was never asked: it
// cannot be reached, its token cannot be had, or Cloudflare Access stands before it.
func IsUnreachable(err error) bool {
	var transport *TransportError
	var token *TokenError
	var access *AccessError
	return errors.As(err, &token) || errors.As(err, &access) && access.Proven || errors.As(err, &transport) && !transport.Sent
}

// AnswerError says that something answered that is not the Cloudflare API.
type AnswerError struct {
	Plane       string
	BaseURL     string
	Method      string
	Path        string
	Status      int
	ContentType string
	Detail      string // instead of the content type, e.g. for a redirect
	Result      error  // why nothing can be made of an otherwise good answer's result
}

func (e *AnswerError) Unwrap() error { return e.Result }

func (e *AnswerError) Error() string {
	if e.Result != nil {
		return fmt.Sprintf("%s %s: %s at %s answered with a result that is not what the Cloudflare API documents: %v",
			e.Method, e.Path, planeLabel(e.Plane), e.BaseURL, e.Result)
	}
	what := e.Detail
	if what == "" {
		what = e.ContentType
		if what == "" {
			what = "something without a content type"
		}
		what = "answered " + what + ", not the Cloudflare API"
	}
	return fmt.Sprintf("%s %s: %s at %s %s (status %d): check base_url", e.Method, e.Path, planeLabel(e.Plane), e.BaseURL, what, e.Status)
}

// ConflictError says that the live deployment is not the one that the caller
// has seen. Nothing was deployed.
type ConflictError struct {
	Worker string
	Live   *Deployment // nil if nothing is live any more
}

func (e *ConflictError) Error() string {
	if e.Live == nil {
		return fmt.Sprintf("nothing is deployed any more for Worker %q, although something was when the plan was made; plan again", e.Worker)
	}
	return fmt.Sprintf("Worker %q: deployment %s is live, which the plan has not seen; plan again", e.Worker, e.Live.ID)
}

// SameNameError says that an answer was lost, and that an object of the wanted name is
// there now which may be somebody else's.
type SameNameError struct{ Kind, Name string }

func (e *SameNameError) Error() string {
	return fmt.Sprintf("the answer was lost, and a %s %q exists now; whether this run made it is unknown", e.Kind, e.Name)
}

// ErrGone says that the plane still knows an object that was deleted. It is
// IsNotFound.
var ErrGone = errors.New("it was deleted")

// IsNotFound reports whether the plane says that the object does not exist.
// It is false if the endpoint, the account or the API itself was not found:
// then nothing is known about the object.
func IsNotFound(err error) bool {
	if errors.Is(err, ErrGone) {
		return true
	}
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && !e.hasCode(codeNoRoute)
}

// IsConflict reports whether the object exists already, or changed under the call.
func IsConflict(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusConflict
}

// IsUncertain reports whether the same call may succeed another time: there was no answer,
// none of an API, or one that says that it is the plane's fault. It may have been done.
func IsUncertain(err error) bool {
	var transport *TransportError
	var answer *AnswerError
	var access *AccessError
	var e *Error
	return errors.As(err, &transport) || errors.As(err, &answer) || errors.As(err, &access) ||
		errors.As(err, &e) && (e.Status >= http.StatusInternalServerError || e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests)
}

// IsSecretsChanged reports whether the plane refuses to deploy a version that is
// older than a change of secrets.
func IsSecretsChanged(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.hasCode(codeSecretsChanged)
}

// IsForbidden reports whether the token lacks a permission.
func IsForbidden(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusForbidden
}

// outcomeUnknown reports whether a call that failed with err may have taken
// effect on the plane nevertheless.
func outcomeUnknown(err error) bool {
	var te *TransportError
	if errors.As(err, &te) {
		return te.Sent
	}
	var ae *AnswerError
	if errors.As(err, &ae) {
		// A page of a proxy: before the plane (nothing happened) or instead of
		// the plane's answer. A redirect is never the plane's.
		return ae.Detail == ""
	}
	var access *AccessError
	if errors.As(err, &access) {
		return !access.Proven
	}
	var e *Error
	return errors.As(err, &e) && e.Status >= 500 && !e.permanent
}

func planeLabel(name string) string {
	if name == "" {
		return "the default plane"
	}
	return fmt.Sprintf("plane %q", name)
}
