// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// reply is the answer to a request.
type reply struct {
	status int // 0 means 200
	header http.Header
	result any
	info   *pageInfo
	// raw, if set, writes the body itself instead of an envelope, after status and
	// header have been sent. Its error can only be logged.
	raw func(w http.ResponseWriter) error
	// upgrade, if set, takes the connection over, and answers itself. Its error can only be
	// logged.
	upgrade func(w http.ResponseWriter) error
	// bare writes result without an envelope; for /hybridge/v1.
	bare bool
}

func ok(result any) *reply { return &reply{result: result} }

func page(result any, info pageInfo) *reply { return &reply{result: result, info: &info} }

// with adds a header to the reply.
func (r *reply) with(key, value string) *reply {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(key, value)
	return r
}

type envelope struct {
	Success bool  `json:"success"`
	Errors  []any `json:"errors"`
	// Messages is always empty: cloudflared wants strings there, others objects.
	Messages   []any     `json:"messages"`
	Result     any       `json:"result"`
	ResultInfo *pageInfo `json:"result_info,omitempty"`
}

type envelopeError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// stamp is a time as Cloudflare writes it: microseconds, always six digits, and Z.
type stamp time.Time

const stampLayout = "2006-01-02T15:04:05.000000Z"

func (s stamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(s).UTC().Format(stampLayout)), nil
}

func nullStamp(t *time.Time) *stamp {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}

// writeReply sends a reply and returns the status that was sent.
func writeReply(w http.ResponseWriter, r *reply) (status int, err error) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	status = r.status
	if status == 0 {
		status = http.StatusOK
	}
	switch {
	case r.upgrade != nil:
		return http.StatusSwitchingProtocols, r.upgrade(w)
	case r.raw != nil:
		w.WriteHeader(status)
		return status, r.raw(w)
	case r.bare:
		return status, writeJSON(w, status, r.result)
	default:
		return status, writeJSON(w, status, envelope{Success: true, Errors: []any{}, Messages: []any{}, Result: r.result, ResultInfo: r.info})
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	// Exactly this value: cloudflared compares it, and a charset would break that.
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeError sends the envelope for err and returns the status and the first code
// that were sent. What is no *Error is the plane's own fault and shows no detail.
func writeError(w http.ResponseWriter, err error) (status, code int) {
	list := asErrors(err)
	if len(list) == 0 {
		list = Errors{{Status: http.StatusInternalServerError, Code: codeInternal, Transient: true,
			Message: "An unknown error has occurred in the plane; its log has the details."}}
	}
	if registry.IsFull(err) {
		list = Errors{fail(http.StatusInsufficientStorage, codeFull,
			"The plane's disk is full or refuses writes, and nothing was changed; Workers go on serving. Make room on the machine (\"hybridge doctor\" looks), then repeat.")}
	}
	first := list[0]
	if !first.Transient {
		w.Header().Set("X-Should-Retry", "false")
	}
	env := envelope{Errors: make([]any, len(list)), Messages: []any{}}
	for i, e := range list {
		env.Errors[i] = envelopeError{e.Code, e.Message}
	}
	// A client that has gone does not read the error; the log line has it.
	_ = writeJSON(w, first.Status, env)
	return first.Status, first.Code
}

// asErrors finds what err tells the client; nil where it is the plane's own fault.
func asErrors(err error) Errors {
	if many := (Errors)(nil); errors.As(err, &many) {
		return many
	}
	if one := (*Error)(nil); errors.As(err, &one) {
		return Errors{one}
	}
	if many := (upload.Errors)(nil); errors.As(err, &many) {
		out := make(Errors, len(many))
		for i, e := range many {
			out[i] = fail(e.Status, e.Code, "%s", e.Message)
		}
		return out
	}
	if one := (*upload.Error)(nil); errors.As(err, &one) {
		return Errors{fail(one.Status, one.Code, "%s", one.Message)}
	}
	if refused := (*workerd.InvalidVersionError)(nil); errors.As(err, &refused) {
		code := refused.Code
		if code == 0 {
			code = codeInvalid
		}
		return Errors{fail(http.StatusBadRequest, code, "%s", refused.Message)}
	}
	return nil
}
