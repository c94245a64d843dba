// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// startCPUInterval is how often the CPU time of a starting child is looked at.
const startCPUInterval = 100 * time.Millisecond

// Process is a supervised process: a succession of children, one at a time.
type Process struct {
	host *Host
	spec Spec

	ready chan struct{} // closed when the first child is ready
	done  chan struct{} // closed when no child will run any more
	final error         // valid once done is closed; why it ended by itself

	stopOnce sync.Once
	stop     context.Context // done once Stop is called
	stopNow  context.CancelFunc
	grace    time.Duration // valid once stop is done

	mu    sync.Mutex
	state State
}

// Start begins to run spec. The caller MUST call Stop in the end.
//
// A first child that does not become ready ends the process: whoever starts
// something wants to know. Later ones are started again and again.
func (h *Host) Start(spec Spec) (*Process, error) {
	spec = spec.withDefaults()
	if len(spec.Argv) == 0 {
		return nil, fmt.Errorf("starting %s: no command", spec.Name)
	}
	if err := h.begin(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	p := &Process{host: h, spec: spec, ready: make(chan struct{}), done: make(chan struct{}), state: State{Phase: Starting}}
	p.stop, p.stopNow = context.WithCancel(context.Background())
	go p.run()
	return p, nil
}

// WaitReady returns nil once the first child is ready, an error that holds an
// *ExitError if it ended before, and the context's error if that ends first.
func (p *Process) WaitReady(ctx context.Context) error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		select {
		case <-p.ready:
			return nil
		default:
		}
		if p.final == nil {
			return fmt.Errorf("starting %s: stopped", p.spec.Name)
		}
		return fmt.Errorf("starting %s: %w", p.spec.Name, p.final)
	case <-ctx.Done():
		return fmt.Errorf("starting %s: %w", p.spec.Name, ctx.Err())
	}
}

// State is the process as it is now.
func (p *Process) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Done is closed when the process has ended and will not be started again.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop asks the child to end by SIGTERM, kills it after grace, and returns when
// it is gone. The grace of the first call counts. Stopping a process that has
// ended does no harm.
func (p *Process) Stop(grace time.Duration) {
	p.stopOnce.Do(func() {
		p.grace = grace
		p.stopNow()
	})
	<-p.done
}

func (p *Process) set(change func(*State)) {
	p.mu.Lock()
	change(&p.state)
	s := p.state
	p.mu.Unlock()
	p.spec.OnState(s)
}

func (p *Process) run() {
	defer p.host.running.Done()
	defer close(p.done)
	defer p.set(func(s *State) { s.Phase, s.PID = Stopped, 0 })
	everReady, failures := false, 0
	for {
		wasReady, err := p.runChild()
		if p.stop.Err() != nil {
			return
		}
		everReady = everReady || wasReady > 0
		if p.spec.Once || !everReady {
			p.final = err
			p.set(func(s *State) { s.LastError = err.Error() })
			return
		}
		if wasReady >= p.spec.StableAfter {
			failures = 0
		}
		failures++
		p.set(func(s *State) {
			s.Phase, s.PID, s.LastError = BackingOff, 0, err.Error()
			if failures >= p.spec.CrashLoop {
				s.Phase = CrashLoop
			}
		})
		select {
		case <-p.stop.Done():
			return
		case <-time.After(p.spec.delay(failures)):
		}
		p.set(func(s *State) { s.Phase, s.Restarts = Starting, s.Restarts+1 })
	}
}

// runChild runs one child until it has ended. It returns for how long it was
// ready (0: never) and why it ended; with p.stop done, the error means nothing.
func (p *Process) runChild() (ready time.Duration, err error) {
	c, err := p.host.launch(p.spec)
	if err != nil {
		return 0, err
	}
	defer c.control.Close()
	p.set(func(s *State) { s.PID = c.pid })
	if err := p.awaitReady(c); err != nil {
		return 0, err
	}
	since := time.Now()
	p.set(func(s *State) { s.Phase = Ready })
	select {
	case <-p.ready:
	default:
		close(p.ready)
	}
	reason := p.watch(c)
	if p.stop.Err() != nil {
		p.shutDown(c)
		return time.Since(since), nil
	}
	c.end()
	if reason == "" {
		reason = c.reason()
	}
	return max(time.Since(since), 1), &ExitError{Reason: reason, Output: p.spec.Redact(c.tail.String())}
}

func (p *Process) awaitReady(c *child) error {
	ctx, cancel := context.WithTimeout(p.stop, p.spec.StartTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		if p.spec.Ready == nil {
			result <- nil
			return
		}
		result <- p.spec.Ready(ctx, c.control)
	}()
	// fail ends the child, then words why.
	fail := func(timedOut bool, reason func() string) error {
		_ = c.control.SetReadDeadline(time.Unix(1, 0)) // wakes Ready
		c.end()
		return &ExitError{Reason: reason(), Output: p.spec.Redact(c.tail.String()), TimedOut: timedOut}
	}
	cpuTicker := time.NewTicker(startCPUInterval)
	defer cpuTicker.Stop()
	for {
		select {
		case err := <-result:
			if err == nil {
				return nil
			}
			// Its own last words say more than the end of the control pipe does: let it
			// finish them.
			select {
			case <-c.exited:
				return fail(false, c.reason)
			case <-time.After(outputGrace):
				return fail(false, func() string { return fmt.Sprintf("not ready: %v", err) })
			}
		case <-ctx.Done():
			err := fail(p.stop.Err() == nil, func() string { return fmt.Sprintf("not ready after %s", p.spec.StartTimeout) })
			<-result
			return err
		case <-cpuTicker.C:
			if cpu, _, err := usage(c.pid); p.spec.StartCPU > 0 && err == nil && cpu >= p.spec.StartCPU {
				err := fail(true, func() string { return fmt.Sprintf("not ready after %s of CPU time", p.spec.StartCPU) })
				<-result
				return err
			}
		}
	}
}

func (p *Process) shutDown(c *child) {
	p.set(func(s *State) { s.Phase = Stopping })
	if p.grace > 0 {
		terminate(c.pid)
		select {
		case <-c.exited:
		case <-time.After(p.grace):
		}
	}
	c.end()
}
