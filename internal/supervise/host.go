// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
)

// Host is what children hang on. All of them die with it.
type Host struct {
	starts chan start
	gone   chan struct{}

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // processes whose run loop has not ended
}

type start struct {
	cmd    *exec.Cmd
	result chan error
}

var errClosed = errors.New("the supervisor is closed")

// NewHost returns a Host. It MUST be closed.
func NewHost() *Host {
	h := &Host{starts: make(chan start), gone: make(chan struct{})}
	go h.fork()
	return h
}

// fork starts children one after the other. It never leaves its thread: the
// parent death signal follows the thread that forked, not the process, so a
// child would be killed as soon as the Go runtime retires the thread.
func (h *Host) fork() {
	defer close(h.gone)
	runtime.LockOSThread()
	// The thread is not unlocked: it has changed and ends with this goroutine.
	restrictThread()
	for s := range h.starts {
		err := s.cmd.Start()
		if err == nil {
			restrictChild(s.cmd.Process.Pid)
		}
		s.result <- err
	}
}

func (h *Host) start(cmd *exec.Cmd) error {
	prepare(cmd)
	s := start{cmd: cmd, result: make(chan error, 1)}
	h.starts <- s
	return <-s.result
}

// begin counts a process in, unless the Host is closed.
func (h *Host) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	h.running.Add(1)
	return nil
}

// Close waits until every process has been stopped, which is its callers' task,
// and gives the thread back.
func (h *Host) Close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	h.mu.Unlock()
	h.running.Wait()
	close(h.starts)
	<-h.gone
}
