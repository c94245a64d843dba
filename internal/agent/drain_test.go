// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// drained is a server that is about to end.
type drained struct {
	t        *testing.T
	server   *http.Server
	drain    *drain
	listener *drainListener
	served   chan error
}

func newDrained(t *testing.T) *drained {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &drained{t: t, drain: newDrain(), served: make(chan error, 1)}
	s.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })}
	s.listener = s.drain.attach(s.server, ln)
	go func() { s.served <- s.server.Serve(s.listener) }()
	return s
}

// end does what the Agent does, and returns how long that took.
func (s *drained) end() (took chan time.Duration) {
	took = make(chan time.Duration, 1)
	go func() {
		start := time.Now()
		s.drain.quiesce(context.Background(), s.listener)
		if err := s.server.Shutdown(context.Background()); err != nil {
			s.t.Error(err)
		}
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
		took <- time.Since(start)
	}()
	return took
}

// keeper is one connection.
type keeper struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

func (s *drained) connect() *keeper {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &keeper{t: s.t, Conn: conn, answers: bufio.NewReader(conn)}
}

// ask sends a request and reports whether its answer says that the connection ends.
func (c *keeper) ask() (last bool) {
	c.t.Helper()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "hello" {
		c.t.Errorf("%q %v", text, err)
	}
	return resp.Close
}

func TestAConnectionThatIsKeptAliveEndsWithAnAnswerThatSaysSo(t *testing.T) {
	t.Parallel()
	s := newDrained(t)
	s.drain.limit, s.drain.warmFor = time.Minute, time.Minute // whatever else the machine does
	busy, fresh := s.connect(), s.connect()
	if busy.ask() {
		t.Error("it ends before anybody said so")
	}
	took := s.end()
	time.Sleep(50 * time.Millisecond)
	late := s.connect() // still accepted, while others end
	for _, c := range []*keeper{busy, fresh, late} {
		if !c.ask() {
			t.Error("the answer does not say that the connection ends")
		}
	}
	if d := <-took; d > s.drain.limit/2 {
		t.Errorf("the end took %s", d)
	}
}

func TestAConnectionThatIsLongIdleHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := newDrained(t)
	s.drain.limit, s.drain.warmFor = time.Minute, 50*time.Millisecond
	if s.connect().ask() {
		t.Error("it ends before anybody said so")
	}
	time.Sleep(2 * s.drain.warmFor)
	if d := <-s.end(); d > s.drain.limit/2 {
		t.Errorf("the end took %s", d)
	}
}
