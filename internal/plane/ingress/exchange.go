// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	copyBufferSize = 32 << 10
	// lateBody is how much of a request's body is still read, and for how long,
	// once the response is complete: a client that is sending would see a reset
	// connection instead of its answer.
	lateBody     = 256 << 10
	lateBodyTime = time.Second
	// bodyGrace is how long a response may wait for the end of its request's body.
	// A version often answers before the sender has noticed that it is done, and
	// taking that for a pending body would cost two connections.
	bodyGrace = 5 * time.Millisecond
)

var (
	headBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}
	copyBuffers = sync.Pool{New: func() any { b := make([]byte, copyBufferSize); return &b }}
)

// exchange is one request on one connection to a version.
type exchange struct {
	c    *upstreamConn
	res  *http.Response
	body *bodySender // nil for a request without body
	// stop ends the watch on the client and reports whether the connection is
	// still ours, that is, whether the client has not gone.
	stop func() bool
}

// start sends the request and reads the response's header. 1xx responses go to
// w. An error means that nothing of a final response has reached w. If the
// exchange is not nil the caller MUST end it with finish, abandon or a tunnel,
// also after an error.
func start(w http.ResponseWriter, r *http.Request, t *Target, head []byte) (*exchange, error) {
	x, again, err := attempt(w, r, t, head)
	if err != nil && again && r.Context().Err() == nil {
		x.abandon(w)
		x, _, err = attempt(w, r, t, head)
	}
	return x, err
}

// attempt is start on one connection. again is true if the version has
// certainly not seen the whole request and r's body is untouched.
func attempt(w http.ResponseWriter, r *http.Request, t *Target, head []byte) (x *exchange, again bool, err error) {
	c, err := t.upstream.get(r.Context())
	if err != nil {
		return nil, false, err // it has been patient already
	}
	x = &exchange{c: c}
	x.stop = context.AfterFunc(r.Context(), func() { _ = c.Close() })
	if _, err := c.Write(head); err != nil {
		return x, true, fmt.Errorf("sending the request: %w", err)
	}
	if hasBody(r) {
		x.body = sendBody(w, r, c)
	}
	x.res, err = readResponse(w, r, c)
	if err != nil {
		// The kernel reports a reset, not an end, if a unix socket was closed with
		// data unread: then the process went before it had read this request. An end
		// may mean that this very request killed it, and is never repeated.
		again = x.body == nil && errors.Is(err, syscall.ECONNRESET)
		return x, again, fmt.Errorf("reading the response: %w", err)
	}
	return x, false, nil
}

// readResponse reads up to the header of the final response.
func readResponse(w http.ResponseWriter, r *http.Request, c *upstreamConn) (*http.Response, error) {
	c.allowance = maxResponseHeader
	for {
		res, err := http.ReadResponse(c.br, r)
		if err != nil {
			return nil, err
		}
		switch {
		case res.StatusCode == http.StatusContinue: // our server has sent its own
		case res.StatusCode > 100 && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols:
			h := w.Header()
			moveResponseHeader(h, res.Header)
			w.WriteHeader(res.StatusCode)
			clear(h)
		default:
			c.allowance = -1
			return res, nil
		}
	}
}

// finish copies the response's body and trailers and gives the connection back.
// An error means that the client has got a part of the response.
func (x *exchange) finish(w http.ResponseWriter, t *Target) error {
	err := copyBody(w, x.res)
	if err != nil {
		x.abandon(w)
		return err
	}
	if len(x.res.Trailer) > 0 {
		_ = http.NewResponseController(w).Flush() // or a short body would go out without trailers
	}
	for key, values := range x.res.Trailer {
		if !hopByHop[key] {
			w.Header()[http.TrailerPrefix+key] = values
		}
	}
	clean := true
	if x.body != nil {
		clean = x.body.settle(w, x.c)
	}
	// Data after the response is nobody's answer: such a connection is not reused.
	if x.stop() && clean && !x.res.Close && x.c.br.Buffered() == 0 {
		t.upstream.put(x.c)
	} else {
		_ = x.c.Close()
	}
	return nil
}

// bodyPending reports whether the client may still be sending.
func (x *exchange) bodyPending() bool {
	if x == nil || x.body == nil {
		return false
	}
	select {
	case <-x.body.done:
		return x.body.err != nil
	default:
	}
	grace := time.NewTimer(bodyGrace)
	defer grace.Stop()
	select {
	case <-x.body.done:
		return x.body.err != nil
	case <-grace.C:
		return true
	}
}

// abandon closes the connection and waits until the request's body is no longer
// read. Whatever the client gets is to be written before.
func (x *exchange) abandon(w http.ResponseWriter) {
	x.stop()
	_ = x.c.Close()
	if x.body != nil {
		x.body.settle(w, x.c)
	}
}

// copyBody streams the response's body: what has arrived goes out at once.
func copyBody(w http.ResponseWriter, res *http.Response) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	var flush func() error
	for left := res.ContentLength; ; {
		n, rerr := res.Body.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return fmt.Errorf("%w: %w", errClientWrite, err)
			}
			left -= int64(n)
			if left != 0 && rerr == nil { // the server itself flushes at the end
				if flush == nil {
					flush = http.NewResponseController(w).Flush
				}
				if err := flush(); err != nil {
					return fmt.Errorf("%w: %w", errClientWrite, err)
				}
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return fmt.Errorf("reading from the version: %w", rerr)
		}
	}
}

// bodySender copies a request's body to a version while its response is read.
type bodySender struct {
	done chan struct{}
	err  error // valid once done is closed; nil: the version has the whole body
	over chan struct{}
}

var errClientBody = errors.New("reading the request's body")

// sendBody starts copying. The caller MUST call settle.
func sendBody(w http.ResponseWriter, r *http.Request, c *upstreamConn) *bodySender {
	// Otherwise net/http eats the rest of the body when the response begins.
	// A writer that cannot do it (HTTP/2) needs no permission.
	_ = http.NewResponseController(w).EnableFullDuplex()
	s := &bodySender{done: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(s.done)
		if s.err = copyRequestBody(r, c); s.err == nil {
			return
		}
		if errors.Is(s.err, errClientBody) {
			_ = c.Close() // half a body must not look like a whole one
			return
		}
		// The version stopped reading. Its answer may be on its way all the same.
		<-s.over
		_, _ = io.CopyN(io.Discard, r.Body, lateBody)
	}()
	return s
}

// settle waits for the end of the copying once the response is over, and
// reports whether the connection can carry another request.
func (s *bodySender) settle(w http.ResponseWriter, c *upstreamConn) bool {
	close(s.over)
	select {
	case <-s.done:
		return s.err == nil
	default:
	}
	_ = c.Close()
	rc := http.NewResponseController(w)
	_ = rc.Flush() // the client should have its answer while we wait
	// The deadline stays: this connection is not used again (bodyPending was true
	// when the response began), and net/http must not wait for the rest either.
	_ = rc.SetReadDeadline(time.Now().Add(lateBodyTime))
	<-s.done
	return false
}

func copyRequestBody(r *http.Request, c *upstreamConn) error {
	if r.ContentLength > 0 {
		return copyFixed(c, r.Body)
	}
	if err := copyChunked(c, r.Body); err != nil {
		return err
	}
	end := []byte("0\r\n")
	for key, values := range r.Trailer { // complete, now that the body has ended
		for _, v := range values {
			if hopByHop[key] || reserved(key) {
				continue
			}
			if line, ok := appendField(end, key, v); ok {
				end = line
			}
		}
	}
	_, err := c.Write(append(end, '\r', '\n'))
	return err
}

func copyFixed(w io.Writer, body io.Reader) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, rerr := body.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return fmt.Errorf("%w: %w", errClientBody, rerr)
		}
	}
}

// copyChunked writes each piece of body as one chunk, in one write.
func copyChunked(w io.Writer, body io.Reader) error {
	const room = 8 // "ffff\r\n" before the data, with space to spare
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	b := *buf
	for {
		n, rerr := body.Read(b[room : len(b)-2])
		if n > 0 {
			size := strconv.FormatInt(int64(n), 16)
			begin := room - 2 - len(size)
			copy(b[begin:], size)
			copy(b[room-2:], "\r\n")
			copy(b[room+n:], "\r\n")
			if _, err := w.Write(b[begin : room+n+2]); err != nil {
				return err
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return fmt.Errorf("%w: %w", errClientBody, rerr)
		}
	}
}
