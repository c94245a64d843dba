// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// uploadRate is the slowest line on which an upload must not time out, in bytes
// per second.
const uploadRate = 64 << 10

// maxAnswer bounds what one answer may take in memory: a page of full versions
// is some hundred kilobytes.
const maxAnswer = 256 << 20

// dialTimeout is for making a connection.
const dialTimeout = 10 * time.Second

// wire sends the requests of one Client: paced, repeated where that is safe,
// logged without bodies. It reads each answer to its end, so that a broken one
// is an error here and never half a state later, and connections are reused.
type wire struct {
	plane   string
	at      address
	token   *token
	access  *access // nil: not behind Cloudflare Access
	next    http.RoundTripper
	pool    *http.Transport // nil where a test brought its own transport
	budget  *budget
	retries int
	timeout time.Duration
	agent   string
	log     Logger
	sleep   func(context.Context, time.Duration) error
	sent    atomic.Int64

	withheld withheld

	mu      sync.Mutex
	down    *TransportError // the plane could not be reached, whatever was tried
	downTil time.Time       // so long it is not tried again
}

// downFor is how long a plane that could not be reached is left alone: one that is
// down costs a run its retries once, and not once for each of its objects.
const downFor = 15 * time.Second

// isDown returns why the plane is left alone, as the error of this request.
func (w *wire) isDown(req *http.Request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down == nil || time.Now().After(w.downTil) {
		return nil
	}
	e := *w.down
	e.Method, e.Path = req.Method, w.path(req)
	return &e
}

// noteDown remembers the outcome of a request that is not tried any more.
func (w *wire) noteDown(err error) {
	var e *TransportError
	if !errors.As(err, &e) || e.Sent {
		e = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down, w.downTil = e, time.Now().Add(downFor)
}

func newWire(cfg Config, at address, edge bool, token *token) *wire {
	w := &wire{
		plane:   cfg.Plane,
		at:      at,
		token:   token,
		next:    cfg.HTTPTransport,
		retries: DefaultMaxRetries,
		timeout: cfg.RequestTimeout,
		agent:   cfg.UserAgent,
		log:     cfg.Logger,
		sleep:   cfg.Sleep,
	}
	if cfg.MaxRetries != nil {
		w.retries = max(0, *cfg.MaxRetries)
	}
	if w.timeout <= 0 {
		w.timeout = DefaultRequestTimeout
	}
	if w.sleep == nil {
		w.sleep = sleep
	}
	if w.next == nil {
		w.pool = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          idleConnections,
			MaxIdleConnsPerHost:   idleConnections,
			IdleConnTimeout:       60 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ExpectContinueTimeout: time.Second,
		}
		if at.socket != "" {
			w.pool.Proxy = nil
			w.pool.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", at.socket)
			}
		}
		w.next = w.pool
	}
	w.budget = newBudget(cfg.RequestsPerSecond, edge, w.sleep)
	return w
}

func (w *wire) close() {
	if w.pool != nil {
		w.pool.CloseIdleConnections()
	}
}

// Do sends req until there is an answer that counts. It returns a response
// only for a complete 2xx answer; every other outcome is an error of this
// package's types, or ctx's.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	keys, err := w.keys(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.isDown(req); err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		if err := w.budget.wait(ctx); err != nil {
			return nil, err
		}
		res, header, err := w.once(req, keys, attempt)
		if err == nil {
			w.noteDown(nil)
			return res, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if attempt >= w.retries || !repeatable(req.Method, header, err) {
			w.noteDown(err)
			return nil, err
		}
		wait := backoff(attempt)
		if d, ok := retryAfter(header); ok {
			wait = d
			if status(err) == http.StatusTooManyRequests {
				w.budget.hold(d)
				continue
			}
		}
		if err := w.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// repeatable decides whether a request that failed may be sent again without
// risk. A POST is only repeated when the plane has certainly not acted on it;
// whoever knows how to look first repeats the others.
func repeatable(method string, header http.Header, err error) bool {
	if header.Get("X-Should-Retry") == "false" {
		return false
	}
	var te *TransportError
	if errors.As(err, &te) {
		return !hopeless(te.Err) && (!te.Sent || idempotent(method))
	}
	switch s := status(err); {
	case s == http.StatusTooManyRequests:
		return true
	case s == http.StatusRequestTimeout || s >= 500:
		return idempotent(method)
	}
	return false
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

func status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	var ae *AnswerError
	if errors.As(err, &ae) {
		return ae.Status
	}
	return 0
}

// hopeless reports whether trying again gives the same error.
func hopeless(err error) bool {
	var dns *net.DNSError
	return (errors.As(err, &dns) && dns.IsNotFound) || isTLS(err) || errors.Is(err, fs.ErrPermission)
}

func isTLS(err error) bool {
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &cert) || errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// neverSent reports whether err proves that the plane got nothing.
func neverSent(err error) bool {
	var op *net.OpError
	return (errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")) || isTLS(err)
}

// once makes one attempt. header is the answer's, if there was one.
func (w *wire) once(orig *http.Request, keys keys, attempt int) (res *http.Response, header http.Header, err error) {
	body, size, err := openBody(orig)
	if err != nil {
		return nil, nil, err
	}
	timeout := w.timeout
	if size > 0 {
		timeout += time.Duration(size/uploadRate) * time.Second
	}
	ctx, cancel := context.WithTimeout(orig.Context(), timeout)
	defer cancel()
	req := orig.Clone(ctx)
	req.GetBody = nil
	req.Body, req.ContentLength = nil, 0
	if body != nil {
		req.Body, req.ContentLength = body, size
	}
	keys.set(req.Header)
	if w.agent != "" {
		req.Header.Set("User-Agent", w.agent)
	}

	start := time.Now()
	w.sent.Add(1)
	raw, err := w.next.RoundTrip(req)
	var content []byte
	if err == nil {
		header = raw.Header
		content, err = io.ReadAll(io.LimitReader(raw.Body, maxAnswer))
		_ = raw.Body.Close()
	}
	w.record(ctx, req, raw, attempt, size, len(content), time.Since(start), err)
	if err != nil {
		if body != nil {
			if readErr := body.failure(); readErr != nil {
				return nil, nil, fmt.Errorf("reading what to upload: %w", readErr)
			}
		}
		if orig.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s: raise request_timeout if the line is slow", timeout)
		}
		return nil, header, w.transportError(req, err)
	}
	return w.judge(req, raw, content)
}

// judge tells an answer of the API from an error of it, and from everything else.
func (w *wire) judge(req *http.Request, raw *http.Response, content []byte) (*http.Response, http.Header, error) {
	h := raw.Header
	if raw.StatusCode >= 300 && raw.StatusCode < 400 {
		if err := w.accessRefusal(req, raw, content); err != nil {
			return nil, h, err
		}
		target := "elsewhere"
		if u, err := raw.Location(); err == nil {
			target = "to " + u.Redacted()
		}
		return nil, h, w.answerError(req, raw, "redirects "+target)
	}
	if raw.StatusCode == http.StatusNoContent {
		content = []byte(`{"success":true,"result":null}`)
	}
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	if trimmed := bytes.TrimSpace(content); raw.StatusCode != http.StatusNoContent && !isJSON && !bytes.HasPrefix(trimmed, []byte("{")) {
		if err := w.accessRefusal(req, raw, content); err != nil {
			return nil, h, err
		}
		return nil, h, w.answerError(req, raw, "")
	}
	if !json.Valid(content) {
		return nil, h, w.transportError(req, errors.New("the answer breaks off or is no JSON"))
	}
	if raw.StatusCode >= 400 {
		return nil, h, w.apiError(req, raw, content)
	}
	raw.Request = req
	raw.Body = io.NopCloser(bytes.NewReader(content))
	raw.ContentLength = int64(len(content))
	return raw, h, nil
}

func (w *wire) apiError(req *http.Request, raw *http.Response, content []byte) error {
	var env struct {
		Success *bool `json:"success"`
		Errors  []struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	// {"error": "not found"} is what half of the world's servers say: it must never
	// count as this API saying that an object is gone.
	if err := json.Unmarshal(content, &env); err != nil || (env.Success == nil && env.Errors == nil) {
		return w.answerError(req, raw, "")
	}
	e := &Error{
		Status:     raw.StatusCode,
		Method:     req.Method,
		Path:       w.path(req),
		RequestID:  raw.Header.Get("Cf-Ray"),
		Plane:      w.plane,
		Permission: permissionFor(req.Method, w.path(req)),
		permanent:  raw.Header.Get("X-Should-Retry") == "false",
	}
	var messages []string
	for _, item := range env.Errors {
		e.Codes = append(e.Codes, item.Code)
		if item.Message != "" {
			messages = append(messages, item.Message)
		}
	}
	if len(e.Codes) > 0 {
		e.Code = e.Codes[0]
	}
	e.Message = w.redact(strings.Join(messages, "; "))
	return e
}

func (w *wire) transportError(req *http.Request, err error) error {
	sent := !neverSent(err)
	err = w.at.explain(err)
	return &TransportError{
		Plane: w.plane, BaseURL: w.at.String(), Method: req.Method, Path: w.path(req),
		Sent: sent, Err: w.redactError(err),
	}
}

func (w *wire) answerError(req *http.Request, raw *http.Response, detail string) *AnswerError {
	media, _, _ := mime.ParseMediaType(raw.Header.Get("Content-Type"))
	return &AnswerError{
		Plane: w.plane, BaseURL: w.at.String(), Method: req.Method, Path: w.path(req),
		Status: raw.StatusCode, ContentType: media, Detail: w.redact(detail),
	}
}

// path is the request's path below the base URL.
func (w *wire) path(req *http.Request) string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(req.URL.EscapedPath(), w.at.url.EscapedPath()), "/")
}

func (w *wire) record(ctx context.Context, req *http.Request, raw *http.Response, attempt int, sent int64, received int, took time.Duration, err error) {
	if w.log == nil {
		return
	}
	fields := map[string]any{
		"plane": w.plane, "method": req.Method, "path": w.path(req), "attempt": attempt + 1,
		"sent_bytes": sent, "received_bytes": received, "duration_ms": took.Milliseconds(),
	}
	if raw != nil {
		fields["status"] = raw.StatusCode
		if ray := raw.Header.Get("Cf-Ray"); ray != "" {
			fields["ray"] = ray
		}
	}
	if err != nil {
		fields["error"] = w.redact(err.Error())
	}
	w.log.Debug(ctx, "request to plane", fields)
}

// redact takes what is withheld out of a text of foreign origin.
func (w *wire) redact(s string) string { return w.withheld.redact(s) }

func (w *wire) redactError(err error) error {
	if text := err.Error(); w.redact(text) != text {
		return errors.New(w.redact(text))
	}
	return err
}
