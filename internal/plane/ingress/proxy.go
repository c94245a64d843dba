// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// statusClientGone is what the access log says of a request whose client did
// not wait for the answer. It is nginx's number for it; it is never sent.
const statusClientGone = 499

var errUnaskedUpgrade = errors.New("the version switched protocols unasked")

// requestLog is what the access log needs to know of one request.
type requestLog struct {
	start   time.Time
	worker  string
	other   string // who answered instead of a Worker
	version string
	ray     string
	status  int
	err     error
	outcome traffic.Outcome
	marked  bool // chose its version by a preview URL or an override
}

// ServeHTTP answers a request from outside: it finds the Worker by host, picks
// a version, and streams in both directions.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	entry := requestLog{start: time.Now()}
	defer r.logRequest(req, &entry) // also when a broken response aborts the handler

	id := identify(req)
	entry.ray = id.ray
	w.Header().Set("Cf-Ray", id.ray)

	route, prefix := r.table.Load().lookup(normaliseHost(req.Host))
	if route == nil && r.serveOther(w, req, &entry) {
		return
	}
	if route == nil {
		refuse(w, &entry, http.StatusNotFound, "no Worker answers at "+req.Host)
		return
	}
	entry.worker = route.WorkerName
	t, release, marked, err := r.pickFor(req, route, prefix)
	entry.marked = marked
	switch {
	case err != nil:
		entry.err = err
		refuse(w, &entry, http.StatusBadGateway, "the version "+prefix+" of Worker "+route.WorkerName+" cannot be started")
	case t == nil && prefix != "":
		refuse(w, &entry, http.StatusNotFound, "Worker "+route.WorkerName+" has no version "+prefix)
	case t == nil:
		refuse(w, &entry, http.StatusNotFound, "error code: 1042\nno version of Worker "+route.WorkerName+" is live: deploy one")
	default:
		defer release()
		r.forward(w, req, t, &id, &entry)
	}
}

// Service returns a handler that brings requests to the Worker whatever their
// Host says: the far end of a service binding. Headers are passed on as they
// are, for the caller is a Worker of ours.
func (r *Router) Service(workerID string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		entry := requestLog{start: time.Now()}
		defer r.logRequest(req, &entry)
		t, release, marked, err := r.pick(workerID, req.Header)
		if err != nil {
			refuse(w, &entry, http.StatusNotFound, "error code: 1042\nservice binding: "+err.Error())
			return
		}
		defer release()
		entry.worker, entry.marked = t.workerName, marked
		r.forward(w, req, t, nil, &entry)
	})
}

// pickFor picks the version that answers req; t is nil if there is none. marked
// says that the client asked for that very version.
func (r *Router) pickFor(req *http.Request, route *entry, prefix string) (t *Target, release func(), marked bool, err error) {
	if prefix != "" {
		t, release, err = r.pickPreview(req.Context(), route, prefix)
		return t, release, true, err
	}
	t, release, marked, err = r.pick(route.WorkerID, req.Header)
	if err != nil { // unknown now, or nothing live: the same to the client
		return nil, nil, false, nil //nolint:nilerr // the caller answers as for an unknown host
	}
	return t, release, marked, nil
}

func (r *Router) pickPreview(ctx context.Context, route *entry, prefix string) (*Target, func(), error) {
	if t := route.previewed(prefix); t != nil && t.Acquire() {
		return t, t.release, nil
	}
	find := r.preview.Load()
	if find == nil {
		return nil, nil, nil
	}
	t, release, found, err := (*find)(ctx, route.WorkerID, prefix)
	if err != nil || !found {
		return nil, nil, err
	}
	if !t.Acquire() {
		release()
		return nil, nil, fmt.Errorf("preview of version %s: it stopped before the request reached it", prefix)
	}
	return t, func() { t.Release(); release() }, nil
}

// forward brings one request to t and its response back.
func (r *Router) forward(w http.ResponseWriter, req *http.Request, t *Target, id *identity, entry *requestLog) {
	entry.version = t.versionID
	buf := headBuffers.Get().(*[]byte)
	head, ok := appendRequestHead((*buf)[:0], req, id)
	defer func() { *buf = head[:0]; headBuffers.Put(buf) }()
	if !ok || req.Method == http.MethodConnect {
		refuse(w, entry, http.StatusBadRequest, "this request cannot be passed on to a Worker")
		return // nor does it count: no version has seen it
	}
	t.markServed()
	counted := false
	defer func() {
		if !counted {
			t.count(entry)
		}
	}()

	x, err := start(w, req, t, head)
	if x.bodyPending() && req.ProtoMajor == 1 {
		// The client is sending while we answer. Unless it stops in time, what it
		// sends could be taken for its next request: so there is none.
		w.Header().Set("Connection", "close")
	}
	if err != nil {
		entry.err = err
		entry.outcome = interrupted(req, err)
		if entry.outcome == traffic.ClientDisconnected {
			entry.status = statusClientGone
		} else {
			x.blame(w, t, entry)
		}
		if x != nil {
			x.abandon(w)
		}
		return
	}
	entry.status = x.res.StatusCode
	if x.res.StatusCode == http.StatusSwitchingProtocols && !wantsWebSocket(req) {
		// Behind this there is no HTTP any more, and the client does not know.
		entry.err, entry.outcome = errUnaskedUpgrade, traffic.InternalError
		refuse(w, entry, http.StatusBadGateway, "Worker "+t.workerName+" switched protocols, which nobody had asked for")
		x.abandon(w)
		return
	}
	if x.res.StatusCode == http.StatusSwitchingProtocols {
		defer func() { _ = x.c.Close() }()
		// A WebSocket may last for days: what it took is the time to this point.
		t.count(entry)
		counted = true
		if err := x.upgrade(w, &r.tunnels); err != nil {
			entry.err = err
			refuse(w, entry, http.StatusBadGateway, "the connection cannot be upgraded")
		}
		return
	}
	if x.threw() {
		entry.outcome = traffic.ScriptThrew
	}
	h := w.Header()
	closing := h["Connection"]
	moveResponseHeader(h, x.res.Header)
	if id != nil {
		h["Cf-Ray"] = []string{id.ray}
	}
	if closing != nil {
		h["Connection"] = closing
	}
	w.WriteHeader(x.res.StatusCode)
	if err := x.finish(w, t); err != nil {
		entry.err, entry.outcome = err, interrupted(req, err)
		if entry.outcome == traffic.ClientDisconnected {
			entry.status = statusClientGone
		}
		// The client must not take a part for the whole.
		panic(http.ErrAbortHandler)
	}
}

// blame answers for a request that got no response: the fault is the client's if
// its body was broken, and the version's otherwise.
func (x *exchange) blame(w http.ResponseWriter, t *Target, entry *requestLog) {
	if x != nil && x.body != nil {
		select {
		case <-x.body.done:
			if errors.Is(x.body.err, errClientBody) {
				entry.outcome = traffic.ClientDisconnected
				refuse(w, entry, http.StatusBadRequest, "the request's body is malformed or broke off")
				return
			}
		default: // it is still being sent
		}
	}
	refuse(w, entry, http.StatusBadGateway, "error code: 1101\nWorker "+t.workerName+" did not answer")
}

// identify says who sent req, as far as the connection shows.
func identify(req *http.Request) identity {
	id := identity{scheme: "http"}
	if req.TLS != nil {
		id.scheme = "https"
	}
	id.clientIP = req.RemoteAddr
	if host, _, err := net.SplitHostPort(req.RemoteAddr); err == nil {
		id.clientIP = host
	}
	if i := strings.IndexByte(id.clientIP, '%'); i >= 0 { // an IPv6 zone is a name on this machine
		id.clientIP = id.clientIP[:i]
	}
	var digits [16]byte
	hex := strconv.AppendUint(digits[:0], rand.Uint64()|1<<63, 16) // always 16 digits
	id.ray = string(hex)
	return id
}

// refuse answers with the ingress's own text. A client that trickles its body must
// not hold the connection, for net/http reads some of it before it answers.
func refuse(w http.ResponseWriter, entry *requestLog, status int, text string) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lateBodyTime))
	entry.status = status
	http.Error(w, text, status)
}

func (r *Router) logRequest(req *http.Request, e *requestLog) {
	if !r.log.IsInfo() {
		return
	}
	args := []any{
		"worker", e.worker,
		"version", e.version,
		"status", e.status,
		"duration", time.Since(e.start),
		"method", req.Method,
		"host", req.Host,
		"path", req.URL.Path, // the query may carry secrets
		"ray", e.ray,
	}
	if e.other != "" {
		args = append(args, "tunnel", e.other)
	}
	if e.outcome != traffic.Success {
		args = append(args, "outcome", e.outcome.String())
	}
	if e.err != nil {
		args = append(args, "error", e.err)
	}
	r.log.Info("request", args...)
}
