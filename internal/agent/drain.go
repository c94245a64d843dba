// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// freshLimit is how long the end of a server waits for accepted connections
// whose request has not come yet. Clients send it with the connection.
const freshLimit = 2 * time.Second

// warmFor is how long after its last request an idle HTTP/1 connection is expected to
// bring another one. Closed meanwhile, that one may be lost: its client cannot
// tell whether it was begun, and only repeats what may be repeated.
const warmFor = 500 * time.Millisecond

// drainPoll is how often connections are looked at.
const drainPoll = 5 * time.Millisecond

// drain makes the end of an http.Server lose no request. Shutdown alone drops a request whose header
// is read after it was called (net/http, conn.serve), and so what arrives on
// a connection that was accepted just before, or that was kept alive. quiesce is called first. It
// ends each connection with the answer to its next request, which tells the client so, while new ones
// are still accepted; then it stops accepting, and returns when each accepted connection has brought a
// request or is gone.
type drain struct {
	limit, warmFor time.Duration // freshLimit and warmFor, outside tests

	mu       sync.Mutex
	stopping bool // each answer ends its connection
	refusing bool // nothing more is accepted
	conns    map[net.Conn]*connection
	entered  chan struct{} // closed when Serve will accept no more
}

// connection is one that is open.
type connection struct {
	fresh bool      // without a request so far
	http2 bool      // has an end of its own (GOAWAY), which loses nothing
	told  bool      // its answer says that it ends
	idle  time.Time // since when; zero while it has a request
}

// warm reports whether another request is expected on it that could be lost.
func (c *connection) warm(stopped time.Time, limit time.Duration) bool {
	since := c.idle
	if since.IsZero() {
		since = stopped // its answer, which says nothing, is on its way
	}
	return !c.fresh && !c.http2 && !c.told && time.Since(since) < limit
}

type drainKey struct{}

func newDrain() *drain {
	return &drain{limit: freshLimit, warmFor: warmFor, conns: map[net.Conn]*connection{}, entered: make(chan struct{})}
}

// attach makes s and ln the drain's. It is called before s serves the listener that it returns.
func (d *drain) attach(s *http.Server, ln net.Listener) *drainListener {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.conns[c] = &connection{fresh: true}
		return context.WithValue(ctx, drainKey{}, c)
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		d.mu.Lock()
		defer d.mu.Unlock()
		open := d.conns[c]
		switch {
		case open == nil:
		case state == http.StateIdle:
			open.idle = time.Now()
		case state == http.StateActive:
			open.idle = time.Time{}
		case state == http.StateClosed || state == http.StateHijacked:
			delete(d.conns, c)
		}
	}
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if c, ok := req.Context().Value(drainKey{}).(net.Conn); ok && d.begun(c, req.ProtoMajor) && req.Header.Get("Upgrade") == "" {
			w.Header().Set("Connection", "close") // its client opens another one, to our successor
		}
		next.ServeHTTP(w, req)
	})
	return &drainListener{Listener: ln, drain: d, closed: make(chan struct{})}
}

// begun notes that a connection has brought a request.
func (d *drain) begun(c net.Conn, protocol int) (stopping bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if open := d.conns[c]; open != nil {
		open.fresh, open.http2, open.told = false, protocol == 2, d.stopping
	}
	return d.stopping
}

func (d *drain) isRefusing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusing
}

// none waits until no connection is so, or ctx ends.
func (d *drain) none(ctx context.Context, so func(*connection) bool) {
	for ctx.Err() == nil {
		d.mu.Lock()
		found := false
		for _, open := range d.conns {
			found = found || so(open)
		}
		d.mu.Unlock()
		if !found {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(drainPoll):
		}
	}
}

func (d *drain) quiesce(ctx context.Context, ln *drainListener) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	stopped := time.Now()
	d.none(ctx, func(c *connection) bool { return c.warm(stopped, d.warmFor) })
	d.mu.Lock()
	d.refusing = true
	d.mu.Unlock()
	_ = ln.Listener.Close() // the kernel keeps queueing where systemd holds the socket too
	select {
	case <-d.entered:
	case <-ctx.Done():
	}
	d.none(ctx, func(c *connection) bool { return c.fresh })
}

// drainListener does not end Serve when it is quiesced, only when it is closed.
type drainListener struct {
	net.Listener
	drain   *drain
	once    sync.Once
	noticed sync.Once
	closed  chan struct{}
}

func (l *drainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil && l.drain.isRefusing() {
		l.noticed.Do(func() { close(l.drain.entered) })
		<-l.closed
	}
	return c, err
}

func (l *drainListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		if !l.drain.isRefusing() {
			err = l.Listener.Close()
		}
	})
	return err
}
