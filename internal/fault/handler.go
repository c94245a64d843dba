// SPDX-License-Identifier: MPL-2.0

package fault

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// Handler returns a Handler that lets requests meet the script on their way to
// next. Unlike Transport it breaks real connections; a reset "before" is then
// one that the client cannot tell from one after.
func (s *Script) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rule := s.meet(req)
		if rule.Kind == Slow {
			select {
			case <-time.After(rule.Delay):
			case <-req.Context().Done():
				return
			}
		}
		if rule.Kind == "" || rule.Kind == Slow {
			next.ServeHTTP(w, req)
			return
		}
		if rule.Kind == ResetBefore {
			panic(http.ErrAbortHandler)
		}
		rec := recorder{header: http.Header{}, status: http.StatusOK}
		if rule.Kind.Committed() {
			next.ServeHTTP(&rec, req)
		}
		switch rule.Kind {
		case ResetAfter:
			panic(http.ErrAbortHandler)
		case Truncated:
			for k, v := range rec.header {
				w.Header()[k] = v
			}
			w.Header().Set("Content-Length", strconv.Itoa(rec.body.Len()))
			w.WriteHeader(rec.status)
			_, _ = w.Write(rec.body.Bytes()[:rec.body.Len()/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		status, header, body := rule.answer()
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// recorder keeps an answer that is not going to arrive as it is.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
