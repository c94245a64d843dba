// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnelLinger is how long the second direction of an upgraded connection may
// go on after the first has ended, for the closing handshake.
const tunnelLinger = 5 * time.Second

// tunnels are the upgraded connections that are open. net/http forgets a
// connection once it is hijacked, so shutting down needs a list of its own.
type tunnels struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// add reports false if no tunnel may be opened any more.
func (t *tunnels) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.open == nil {
		t.open = make(map[net.Conn]struct{})
	}
	t.open[c] = struct{}{}
	return true
}

func (t *tunnels) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
}

func (t *tunnels) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.open {
		_ = c.Close()
	}
}

// upgrade answers 101 and copies in both directions until both have ended. An
// error means that the client has got nothing.
func (x *exchange) upgrade(w http.ResponseWriter, open *tunnels) error {
	if !x.stop() { // the client may be silent for hours: its context no longer matters
		return fmt.Errorf("switching protocols: the client has gone")
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("switching protocols: %w", err)
	}
	defer func() { _ = client.Close() }()
	_ = client.SetDeadline(time.Time{}) // what the server set was for the request
	if !open.add(client) {
		return nil
	}
	defer open.remove(client)

	h := make(http.Header, len(x.res.Header))
	moveResponseHeader(h, x.res.Header)
	h.Del("Content-Length")
	delete(h, "Content-Type")
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", x.res.Header.Get("Upgrade"))
	x.res.Header = h
	if err := x.res.Write(buffered); err != nil {
		return nil //nolint:nilerr // the client has gone; there is nobody to tell
	}
	if err := buffered.Flush(); err != nil {
		return nil //nolint:nilerr // as above
	}

	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(x.c.Conn, buffered.Reader) // the client may have sent frames already
		closeWrite(x.c.Conn)
		done <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(client, x.c.br)
		closeWrite(client)
		done <- struct{}{}
	}()
	<-done
	deadline := time.Now().Add(tunnelLinger)
	_ = client.SetDeadline(deadline)
	_ = x.c.SetDeadline(deadline)
	<-done
	return nil
}

func closeWrite(c net.Conn) {
	if hc, ok := c.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
		return
	}
	_ = c.Close()
}
