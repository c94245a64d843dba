// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

// ServeHTTP answers a request from outside: it finds the Worker by host, picks
// a version, and streams in both directions.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e, _ := r.table.Load().lookup(normaliseHost(req.Host))
	if e == nil {
		http.Error(w, "no Worker answers at "+req.Host, http.StatusNotFound)
		return
	}
	r.serveWorker(w, req, e.WorkerID)
}

// Service returns a handler that brings requests to the Worker whatever their
// Host says: the far end of a service binding. Headers are passed on as they
// are, for the caller is a Worker of ours.
func (r *Router) Service(workerID string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serveWorker(w, req, workerID) })
}

func (r *Router) serveWorker(w http.ResponseWriter, req *http.Request, workerID string) {
	t, release, err := r.Pick(workerID, req.Header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer release()
	p := &httputil.ReverseProxy{
		Transport:     t.upstream.transport,
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: "worker"})
			pr.Out.Host = req.Host
		},
	}
	p.ServeHTTP(w, req)
}
