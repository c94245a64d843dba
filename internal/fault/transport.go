// SPDX-License-Identifier: MPL-2.0

package fault

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Transport returns a RoundTripper that lets requests meet the script on their
// way to next.
func (s *Script) Transport(next http.RoundTripper) http.RoundTripper {
	return transport{script: s, next: next}
}

type transport struct {
	script *Script
	next   http.RoundTripper
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	rule := t.script.meet(req)
	if rule.Kind == Slow {
		select {
		case <-time.After(rule.Delay):
		case <-req.Context().Done():
			closeBody(req)
			return nil, req.Context().Err()
		}
	}
	if rule.Kind == "" || rule.Kind == Slow {
		return t.next.RoundTrip(req)
	}
	if rule.Kind == ResetBefore {
		closeBody(req)
		return nil, reset("dial")
	}
	var real *http.Response
	var content []byte
	if rule.Kind.Committed() {
		var err error
		if real, err = t.next.RoundTrip(req); err != nil {
			return nil, err
		}
		content, err = io.ReadAll(real.Body)
		_ = real.Body.Close()
		if err != nil {
			return nil, err
		}
	} else {
		closeBody(req)
	}
	switch rule.Kind {
	case ResetAfter:
		return nil, reset("read")
	case Truncated:
		real.Body = io.NopCloser(io.MultiReader(bytes.NewReader(content[:len(content)/2]), broken{}))
		return real, nil
	}
	status, header, body := rule.answer()
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}

// closeBody keeps a RoundTripper's promise about bodies it does not send.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

func reset(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
