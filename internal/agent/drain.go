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

// freshPoll is how often they are looked at.
const freshPoll = 5 * time.Millisecond

// drain makes the end of an http.Server lose no request that it has accepted.
// Shutdown alone drops a request whose header is read after it was called
// (net/http, conn.serve), and so what arrives on a connection that was accepted
// just before. quiesce is called first: it stops accepting, and returns when
// each accepted connection has brought a request or is gone.
type drain struct {
	mu       sync.Mutex
	stopping bool
	fresh    map[net.Conn]bool // accepted, without a request so far
	entered  chan struct{}     // closed when Serve will accept no more
}

type drainKey struct{}

func newDrain() *drain { return &drain{fresh: map[net.Conn]bool{}, entered: make(chan struct{})} }

// attach makes s and ln the drain's. It is called before s serves the listener that it returns.
func (d *drain) attach(s *http.Server, ln net.Listener) *drainListener {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fresh[c] = true
		return context.WithValue(ctx, drainKey{}, c)
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			d.begun(c)
		}
	}
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if c, ok := req.Context().Value(drainKey{}).(net.Conn); ok && d.begun(c) && req.Header.Get("Upgrade") == "" {
			w.Header().Set("Connection", "close") // its client opens another one, to our successor
		}
		next.ServeHTTP(w, req)
	})
	return &drainListener{Listener: ln, drain: d, closed: make(chan struct{})}
}

// begun notes that a connection has brought a request, or is gone.
func (d *drain) begun(c net.Conn) (stopping bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.fresh, c)
	return d.stopping
}

func (d *drain) isStopping() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopping
}

func (d *drain) quiesce(ctx context.Context, ln *drainListener) {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	_ = ln.Listener.Close() // the kernel keeps queueing where systemd holds the socket too
	select {
	case <-d.entered:
	case <-ctx.Done():
	}
	for {
		d.mu.Lock()
		n := len(d.fresh)
		d.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(freshPoll):
		}
	}
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
	if err != nil && l.drain.isStopping() {
		l.noticed.Do(func() { close(l.drain.entered) })
		<-l.closed
	}
	return c, err
}

func (l *drainListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		if !l.drain.isStopping() {
			err = l.Listener.Close()
		}
	})
	return err
}
