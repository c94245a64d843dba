// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// idleTimeout is how long a connection may wait for its next request. workerd
	// closes after 15 s of silence, and a request that crosses that close is lost.
	idleTimeout = 5 * time.Second
	// maxIdle bounds the descriptors that a burst leaves behind per version.
	maxIdle = 256
	// dialPatience is how long a request waits for a process that is being
	// restarted: a crash costs about 40 ms, and a caller who waits that long loses
	// less than one who is refused.
	dialPatience = time.Second
	// maxResponseHeader bounds what one response header may take in memory.
	maxResponseHeader = 1 << 20
)

// upstream keeps connections to one unix socket.
//
// It takes the place of http.Transport because that one runs two goroutines per
// connection, and the hand-overs between them cost more than the request itself
// on a hop of some ten microseconds.
type upstream struct {
	path string

	mu     sync.Mutex
	idle   []*upstreamConn // oldest first; the newest is used next
	closed bool
	timer  *time.Timer // runs reap; nil while nothing is idle
}

// upstreamConn is one connection. It belongs to one request at a time.
type upstreamConn struct {
	net.Conn
	br        *bufio.Reader // reads through the conn's own Read, which counts
	allowance int64         // bytes that may still be read; negative: no limit
	idleSince time.Time
}

var errHeaderTooLarge = fmt.Errorf("response header is larger than %d bytes", maxResponseHeader)

func newUpstream(path string) *upstream { return &upstream{path: path} }

// Read counts against the allowance, so that a header cannot grow without end.
func (c *upstreamConn) Read(p []byte) (int, error) {
	if c.allowance < 0 {
		return c.Conn.Read(p)
	}
	if c.allowance == 0 {
		return 0, errHeaderTooLarge
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.allowance)])
	c.allowance -= int64(n)
	return n, err
}

// get returns an idle connection that its peer has not closed, or a new one.
func (u *upstream) get(ctx context.Context) (*upstreamConn, error) {
	for {
		c := u.pop()
		if c == nil {
			break
		}
		if time.Since(c.idleSince) < idleTimeout && alive(c.Conn) {
			return c, nil
		}
		_ = c.Close() // nothing was sent on it
	}
	nc, err := u.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &upstreamConn{Conn: nc}
	c.br = bufio.NewReader(c)
	return c, nil
}

func (u *upstream) pop() *upstreamConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.idle)
	if n == 0 {
		return nil
	}
	c := u.idle[n-1]
	u.idle[n-1] = nil
	u.idle = u.idle[:n-1]
	return c
}

// put takes back a connection on which a whole response has been read.
func (u *upstream) put(c *upstreamConn) {
	c.idleSince = time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || len(u.idle) >= maxIdle {
		_ = c.Close()
		return
	}
	u.idle = append(u.idle, c)
	if u.timer == nil {
		u.timer = time.AfterFunc(idleTimeout, u.reap)
	}
}

// reap closes what has been idle for too long.
func (u *upstream) reap() {
	u.mu.Lock()
	defer u.mu.Unlock()
	deadline := time.Now().Add(-idleTimeout)
	n := 0
	for n < len(u.idle) && !u.idle[n].idleSince.After(deadline) {
		_ = u.idle[n].Close()
		n++
	}
	u.idle = slices.Delete(u.idle, 0, n)
	if len(u.idle) == 0 || u.closed {
		u.timer = nil
		return
	}
	u.timer.Reset(idleTimeout - time.Since(u.idle[0].idleSince))
}

// closeIdle closes every idle connection and keeps none from now on.
func (u *upstream) closeIdle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, c := range u.idle {
		_ = c.Close()
	}
	u.idle = nil
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
}

// dial connects, and waits up to dialPatience for a socket that is not there or
// that nobody listens on.
func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	deadline := time.Now().Add(dialPatience)
	for pause := 2 * time.Millisecond; ; pause *= 2 {
		c, err := d.DialContext(ctx, "unix", u.path)
		if err == nil {
			return c, nil
		}
		restarting := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
		if !restarting || time.Now().Add(pause).After(deadline) {
			return nil, fmt.Errorf("connecting to the version: %w", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to the version: %w", ctx.Err())
		}
	}
}
