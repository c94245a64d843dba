// SPDX-License-Identifier: MPL-2.0

package fault

import (
	"fmt"
	"net/http"
	"strconv"
)

// answer is what a fault says in place of the plane; zero for faults that are
// no answer.
func (r Rule) answer() (status int, header http.Header, body string) {
	header = http.Header{}
	switch r.Kind {
	case TooMany:
		header.Set("Retry-After", strconv.Itoa(int(r.RetryAfter.Seconds())))
		return envelope(header, http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed")
	case ErrorBefore:
		return envelope(header, or(r.Status, http.StatusServiceUnavailable), 10002, "scripted failure before the commit")
	case ErrorAfter:
		return envelope(header, or(r.Status, http.StatusInternalServerError), 10002, "scripted failure after the commit")
	case Conflict:
		header.Set("X-Should-Retry", "false")
		return envelope(header, http.StatusConflict, 10035, "scripted conflict")
	case Unauthorized:
		return envelope(header, http.StatusForbidden, 10000, "Authentication error")
	case HTML:
		return page(header, or(r.Status, http.StatusOK))
	case HTMLAfter:
		return page(header, or(r.Status, http.StatusBadGateway))
	}
	return 0, nil, ""
}

func envelope(h http.Header, status, code int, message string) (int, http.Header, string) {
	h.Set("Content-Type", "application/json")
	return status, h, fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":%q}],"messages":[],"result":null}`, code, message)
}

func page(h http.Header, status int) (int, http.Header, string) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	return status, h, "<!doctype html><title>Welcome</title><h1>It works</h1>"
}

func or(n, other int) int {
	if n != 0 {
		return n
	}
	return other
}
