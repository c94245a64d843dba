// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet/rpcstate"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

const (
	// rpcBuffer is kept per connection; larger messages get memory of their own.
	rpcBuffer = 64 << 10
	// rpcPatience is how long RPC sessions with a retired version may go on where
	// sessions overlap, so that none of the moments between them is quiet.
	rpcPatience = 30 * time.Second
	// rpcOpenTimeout is for a process that has stopped answering but has not been
	// restarted yet.
	rpcOpenTimeout = 10 * time.Second
)

var errRefused = errors.New("it refused an RPC connection")

// rpcConn is a caller's RPC connection. A caller keeps one open for all its
// sessions, however long it lives; left alone, it would keep calling the version
// that was live when it began. So the relay watches the protocol: whenever no
// session is open, the next one may go to another version, over another
// connection, and the caller cannot tell.
type rpcConn struct {
	relay  *relay
	caller net.Conn

	mu      sync.Mutex
	tracker rpcstate.Tracker
	up      *rpcUpstream // nil: to be picked
}

// rpcUpstream is a connection to a version.
type rpcUpstream struct {
	inst    *instance
	target  *ingress.Target
	conn    net.Conn
	release func() // nil while no session is open; guarded by rpcConn.mu
	done    chan struct{}
}

// serve passes messages on until the caller or the relay ends.
func (c *rpcConn) serve(caller *bufio.Reader) {
	var pumps sync.WaitGroup
	defer pumps.Wait()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(c.up)
	}()
	var buf []byte
	for {
		msg, err := rpcstate.ReadMessage(caller, buf)
		if err != nil {
			return
		}
		up, fresh, err := c.route(msg)
		if err != nil {
			c.relay.fleet.log.Warn("service binding failed", "service", c.relay.key.service,
				"entrypoint", c.relay.key.entrypoint, "reason", err)
			return
		}
		if fresh {
			pumps.Go(func() { c.pump(up) })
			pumps.Go(func() { c.guard(up) })
		}
		if _, err := up.conn.Write(msg); err != nil {
			return
		}
		c.park(up) // the caller's letting go is what ends a session
		if buf = msg; cap(buf) > rpcBuffer {
			buf = nil
		}
	}
}

// route finds where a message of the caller goes: where the session's others
// went, or, if it opens a session, to the version that the deployment picks.
// fresh: the connection is new.
func (c *rpcConn) route(msg []byte) (up *rpcUpstream, fresh bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tracker.AtRest() && (c.up == nil || c.up.release == nil) {
		if fresh, err = c.open(); err != nil {
			return nil, false, err
		}
	}
	if c.up == nil {
		return nil, false, errors.New("the version's process ended in the middle of a session")
	}
	c.tracker.Message(rpcstate.Client, msg)
	return c.up, fresh, nil
}

// open picks a version for a session and connects to it, unless the connection
// at hand leads there. It is called with c.mu held and no session open.
func (c *rpcConn) open() (fresh bool, err error) {
	f := c.relay.fleet
	workerID, ok := c.relay.worker()
	if !ok {
		return false, errors.New(c.relay.notDeployed())
	}
	t, release, err := f.cfg.Router.Pick(workerID, nil)
	if err != nil {
		return false, errors.New(c.relay.notDeployed())
	}
	if c.up != nil && c.up.target == t {
		c.up.release = release
		return false, nil
	}
	inst, e := f.endpoint(t, c.relay.key.entrypoint)
	if e == nil {
		release()
		return false, errors.New(c.relay.noEntrypoint(t))
	}
	conn, err := e.openRPC(c.relay.ctx)
	if err != nil {
		release()
		return false, fmt.Errorf("Worker %q does not answer: %w", c.relay.key.service, err)
	}
	if want, ok := c.tracker.Bootstrapped(); ok {
		if err := bootstrap(conn, want); err != nil {
			conn.Close()
			release()
			return false, fmt.Errorf("Worker %q does not answer: %w", c.relay.key.service, err)
		}
	}
	c.drop(c.up)
	c.up = &rpcUpstream{inst: inst, target: t, conn: conn, release: release, done: make(chan struct{})}
	return true, nil
}

// bootstrap brings a new connection to the state that the caller is in: it
// holds one reference to the bootstrap capability, by the number it knows.
func bootstrap(conn net.Conn, want uint32) error {
	_ = conn.SetDeadline(time.Now().Add(rpcOpenTimeout))
	defer func() { _ = conn.SetDeadline(time.Time{}) }()
	var t rpcstate.Tracker
	ask, finish := rpcstate.Bootstrap()
	t.Message(rpcstate.Client, ask)
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	answer, err := rpcstate.ReadMessage(conn, nil)
	if err != nil {
		return err
	}
	t.Message(rpcstate.Server, answer)
	t.Message(rpcstate.Client, finish)
	if got, ok := t.Bootstrapped(); !ok || got != want || !t.AtRest() {
		return errRefused
	}
	_, err = conn.Write(finish)
	return err
}

// drop gives a connection to a version up. It is called with c.mu held.
func (c *rpcConn) drop(up *rpcUpstream) {
	if up == nil {
		return
	}
	_ = up.conn.Close()
	if up.release != nil {
		up.release()
		up.release = nil
	}
	if c.up == up {
		c.up = nil
	}
}

// pump passes the version's messages to the caller until either ends. Where a
// version ends in the middle of a session, so does the caller's connection:
// that is how it learns that its calls have failed.
func (c *rpcConn) pump(up *rpcUpstream) {
	defer close(up.done)
	r := bufio.NewReader(up.conn)
	var buf []byte
	for {
		msg, err := rpcstate.ReadMessage(r, buf)
		if err != nil {
			c.mu.Lock()
			if c.up == up && !c.tracker.AtRest() {
				_ = c.caller.Close()
			}
			c.drop(up)
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		current := c.up == up
		if current {
			c.tracker.Message(rpcstate.Server, msg)
		}
		c.mu.Unlock()
		if !current {
			return // a late word about what the caller has let go of, or it would be current
		}
		if _, err := c.caller.Write(msg); err != nil {
			return
		}
		if buf = msg; cap(buf) > rpcBuffer {
			buf = nil
		}
		c.park(up)
	}
}

// park ends the use of the version if no session is open. A connection to a
// retired version is not kept.
func (c *rpcConn) park(up *rpcUpstream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up != up || !c.tracker.AtRest() {
		return
	}
	if up.release != nil {
		up.release()
		up.release = nil
	}
	select {
	case <-up.inst.retiring:
		c.drop(up)
	default:
	}
}

// guard gives the connection up once its version is retired: at once if no
// session is open, after rpcPatience otherwise.
func (c *rpcConn) guard(up *rpcUpstream) {
	select {
	case <-up.done:
		return
	case <-up.inst.retiring:
	}
	c.park(up)
	timer := time.NewTimer(rpcPatience)
	defer timer.Stop()
	select {
	case <-up.done:
	case <-timer.C:
		_ = up.conn.Close() // pump tells the caller
	}
}

// openRPC opens a Cap'n Proto connection to the entry point.
func (e *endpoint) openRPC(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", e.path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", workerd.RPCHost); err != nil {
		conn.Close()
		return nil, err
	}
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK || br.Buffered() > 0 { // the server speaks when spoken to
		conn.Close()
		return nil, errRefused
	}
	return conn, nil
}
