// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"errors"
	"net/http"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// How the failures of a version look from here, measured with workerd 2026-11-17
// and held by TestHowFailuresLook:
//
//	what happened                          what arrives
//	exception, sync or async; a hung       500, "Connection: close", "Content-Length: 21", no
//	promise; no Response returned; a       other header, "Internal Server Error"; one line
//	WebSocket that nobody asked for        "Uncaught exception: ..." on stderr
//	exception in a streamed body           the header as usual, then the end of the connection
//	                                       in the middle of the body; the same line on stderr
//	  ... before its first byte            the end of the connection, no header
//	exception in waitUntil, and a          nothing at all, neither here nor on stderr
//	rejection that nobody handles
//	new Response("...", {status: 500})     500, whatever the Worker set, connection kept
//	passThroughOnException                 500, "Content-Length: 0", connection kept
//	endless loop                           nothing, until the watchdog kills the process
//	heap exhausted, process killed         the end of the connection, for all its requests
//
// So an exception is told from a deliberate 500 by what a Worker cannot do: the
// header Connection is taken out of every Response, and with a body that is not
// empty and no Content-Type of its own a Worker has to go out of its way (bytes
// instead of text). workerd itself closes after an answer if the request's body was not
// read to its end, or if it is stopping; only a Worker that then returns the 21 bytes
// of "Internal Server Error" without any header is taken for one that threw.
//
// Cloudflare knows an exception in waitUntil too. A tail Worker could tell us,
// at two and a half times the CPU for every request, so here it does not count.
const (
	runtimeErrorBody = "Internal Server Error"
	// runtimeErrorHeaders is Content-Length alone: net/http turns "Connection: close"
	// into Response.Close.
	runtimeErrorHeaders = 1
)

// errClientWrite marks what went wrong on the client's side of a response.
var errClientWrite = errors.New("writing to the client")

// threw reports whether x got workerd's own answer in place of the Worker's. It
// may wait for a body that short, but takes nothing of it.
func (x *exchange) threw() bool {
	res := x.res
	if res.StatusCode != http.StatusInternalServerError || !res.Close || len(res.Header) != runtimeErrorHeaders ||
		res.ContentLength != int64(len(runtimeErrorBody)) {
		return false
	}
	if res.Request.Method == http.MethodHead {
		return true
	}
	body, err := x.c.br.Peek(len(runtimeErrorBody))
	return err == nil && string(body) == runtimeErrorBody
}

// interrupted is the outcome of a response that broke off with err.
func interrupted(req *http.Request, err error) traffic.Outcome {
	if req.Context().Err() != nil || errors.Is(err, errClientWrite) {
		return traffic.ClientDisconnected
	}
	return traffic.InternalError
}

// count counts one request to t, from its arrival until now: the answer to a client
// that reads slowly takes long, as Cloudflare's wall time does.
func (t *Target) count(entry *requestLog) {
	if entry.marked {
		t.counters.ObserveMarked(entry.outcome)
		return
	}
	t.counters.Observe(entry.outcome, entry.status, time.Since(entry.start))
}
