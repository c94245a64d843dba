// SPDX-License-Identifier: MPL-2.0

// Package supervise runs child processes: it starts them, learns when they are
// ready, watches that they answer, restarts them with back-off, captures what
// they print, and stops them. It knows nothing about what they do.
//
// On Linux no child outlives the parent, not even one that was killed with
// SIGKILL: children are started from one thread that lives as long as the Host,
// with a parent death signal.
package supervise

import (
	"context"
	"io"
	"os"
	"time"
)

// The descriptors of a child beside its standard streams.
const (
	ControlFD = 3 // the write end of the pipe that Spec.Ready reads
	FirstFD   = 4 // the first of Spec.Files
)

// The defaults of a Spec.
const (
	// DefaultStartTimeout is ample for a process that starts in 25 ms on a quiet
	// machine and in a second on one that starts a hundred of them.
	DefaultStartTimeout = 30 * time.Second
	// DefaultProbeInterval and the two below find a process that spins within
	// about 800 ms, which leaves room to be answering again within a second.
	DefaultProbeInterval = 250 * time.Millisecond
	DefaultProbeTimeout  = 300 * time.Millisecond
	DefaultProbeFailures = 2
	// DefaultFirstDelay is waited before the second restart in a row (the first is
	// immediate) and doubles from there to DefaultMaxDelay.
	DefaultFirstDelay = 100 * time.Millisecond
	DefaultMaxDelay   = 10 * time.Second
	// DefaultStableAfter is how long a process must have been ready for its next
	// failure to count as the first one again.
	DefaultStableAfter = 10 * time.Second
	// DefaultCrashLoop is the number of failures in a row that make a crash loop.
	DefaultCrashLoop = 5
)

// Spec is a child process as a value.
type Spec struct {
	Name string   // for errors
	Argv []string // Argv[0] is the path of the executable
	Env  []string // the whole environment; the parent's is never passed on
	Dir  string   // working directory; empty is the root directory

	// Files opens the descriptors that the child gets from FirstFD on. It is
	// called for every start; the parent's copies are closed after it.
	Files func() ([]*os.File, error)
	// Ready returns nil once the child serves. control ends when the child closes
	// it or exits. nil: ready as soon as it runs.
	Ready func(ctx context.Context, control io.Reader) error
	// Probe asks the child whether it still answers. nil: no watchdog.
	Probe func(ctx context.Context) error
	// Stdout and Stderr get each line without its end, cut after 64 KiB; the slice
	// is valid during the call only. nil: dropped.
	Stdout, Stderr func(line []byte)
	// Redact is applied to output before it becomes part of an error. nil: identity.
	Redact func(string) string
	// OnState is told of each change, one call at a time, and must not block.
	OnState func(State)

	// Once: a child that has ended is not started again.
	Once bool
	// MaxRSS kills and restarts a child whose resident set exceeds that many
	// bytes; 0 is no limit. It is looked at once per ProbeInterval.
	MaxRSS int64

	StartTimeout time.Duration
	// StartCPU is the CPU time that a child may use until it is ready; 0 is no
	// limit. Unlike StartTimeout it does not depend on what else the machine does.
	StartCPU time.Duration

	ProbeInterval time.Duration
	ProbeTimeout  time.Duration
	ProbeFailures int
	FirstDelay    time.Duration
	MaxDelay      time.Duration
	StableAfter   time.Duration
	CrashLoop     int
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (s Spec) withDefaults() Spec {
	orDefault(&s.StartTimeout, DefaultStartTimeout)
	orDefault(&s.ProbeInterval, DefaultProbeInterval)
	orDefault(&s.ProbeTimeout, DefaultProbeTimeout)
	orDefault(&s.ProbeFailures, DefaultProbeFailures)
	orDefault(&s.FirstDelay, DefaultFirstDelay)
	orDefault(&s.MaxDelay, DefaultMaxDelay)
	orDefault(&s.StableAfter, DefaultStableAfter)
	orDefault(&s.CrashLoop, DefaultCrashLoop)
	orDefault(&s.Dir, "/")
	if s.Env == nil {
		s.Env = []string{}
	}
	if s.Redact == nil {
		s.Redact = func(text string) string { return text }
	}
	if s.OnState == nil {
		s.OnState = func(State) {}
	}
	return s
}

// delay is how long to wait before the next start after that many failures in a row.
func (s Spec) delay(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	d := s.FirstDelay
	for range failures - 2 {
		if d *= 2; d >= s.MaxDelay {
			return s.MaxDelay
		}
	}
	return min(d, s.MaxDelay)
}

// Phase is where a process is in its life.
type Phase string

// The phases of a process. CrashLoop is a BackingOff after so many failures in a
// row that somebody should look; it goes on trying.
const (
	Starting   Phase = "starting"
	Ready      Phase = "ready"
	Stopping   Phase = "draining"
	BackingOff Phase = "backing-off"
	CrashLoop  Phase = "crash-loop"
	Stopped    Phase = "stopped"
)

// State is a process as its supervisor sees it.
type State struct {
	Phase     Phase
	PID       int // 0 where none runs
	Restarts  int
	LastError string // why the last child ended, with its last lines; redacted
}

// ExitError says that a child ended, or was ended, against the supervisor's will.
type ExitError struct {
	Reason string // e.g. "exit status 1", "did not answer for 600ms"
	Output string // its last lines on stderr; redacted
	// TimedOut: it was not ready within StartTimeout or StartCPU.
	TimedOut bool
}

func (e *ExitError) Error() string {
	if e.Output == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Output
}
