// SPDX-License-Identifier: MPL-2.0

package ingress

import "net/http"

// serveOther lets somebody else answer, if there is one at the host.
func (r *Router) serveOther(w http.ResponseWriter, req *http.Request, entry *requestLog) bool {
	find := r.others.Load()
	if find == nil {
		return false
	}
	name, h := (*find)(req.Host)
	if h == nil {
		return false
	}
	entry.other = name
	h.ServeHTTP(&statusWriter{ResponseWriter: w, entry: entry}, req)
	return true
}

// statusWriter notes the status for the access log.
type statusWriter struct {
	http.ResponseWriter
	entry *requestLog
}

func (w *statusWriter) WriteHeader(status int) {
	if w.entry.status < http.StatusOK {
		w.entry.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.entry.status < http.StatusOK {
		w.entry.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController: flushing and hijacking.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
