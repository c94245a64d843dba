// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// Target is one running version behind a unix socket. It counts what is in
// flight, so that its owner knows when nothing can reach the process any more.
// Upgraded connections (WebSockets) count until they close.
//
// A Target outlives restarts of its process as long as the socket path stays
// the same. It is safe for concurrent use.
type Target struct {
	workerName string
	workerID   string
	versionID  string
	socketPath string

	upstream *upstream
	counters *traffic.Counters
	served   atomic.Bool

	inflight atomic.Int64
	retired  atomic.Bool
	once     sync.Once
	drained  chan struct{}
	release  func() // Release, bound once: Pick hands it out without allocating
}

// NewTarget describes a version that listens, or will listen, on the unix
// socket at socketPath. Nothing is dialled before the first request.
func NewTarget(workerName, workerID, versionID, socketPath string) *Target {
	t := &Target{
		workerName: workerName,
		workerID:   workerID,
		versionID:  versionID,
		socketPath: socketPath,
		upstream:   newUpstream(socketPath),
		counters:   new(traffic.Counters),
		drained:    make(chan struct{}),
	}
	t.release = t.Release
	return t
}

// WorkerName is the Worker's name when the Target was made.
func (t *Target) WorkerName() string { return t.workerName }

// WorkerID is the immutable id of the Worker.
func (t *Target) WorkerID() string { return t.workerID }

// VersionID is the UUID of the version that runs behind the Target.
func (t *Target) VersionID() string { return t.versionID }

// SocketPath is the unix socket on which the version listens.
func (t *Target) SocketPath() string { return t.socketPath }

// CountInto makes the Target count into c, which may be the counters of other
// processes of the version too. It MUST be called before the Target is routed to.
func (t *Target) CountInto(c *traffic.Counters) { t.counters = c }

// Served reports whether a request has been passed on to the version.
func (t *Target) Served() bool { return t.served.Load() }

func (t *Target) markServed() {
	if !t.served.Load() { // a store each time would take the line from other cores
		t.served.Store(true)
	}
}

// Acquire counts one more use and reports whether the Target may be used. When
// it returns true the caller MUST call Release exactly once; when it returns
// false the Target is retired, and the caller picks again from a newer table.
func (t *Target) Acquire() bool {
	// Counting first and looking second is what makes a switch lossless: either
	// Retire sees this use and waits for it, or this use sees Retire and goes away.
	t.inflight.Add(1)
	if t.retired.Load() {
		t.Release()
		return false
	}
	return true
}

// Release ends one use.
func (t *Target) Release() {
	if t.inflight.Add(-1) == 0 && t.retired.Load() {
		t.markDrained()
	}
}

// Retire refuses every later use. Call it after no Route names the Target any
// more: requests that picked it before then go on. It does not wait; Drained
// does. Retiring twice does no harm.
func (t *Target) Retire() {
	t.retired.Store(true)
	if t.inflight.Load() == 0 {
		t.markDrained()
	}
}

// Drained is closed once the Target is retired and its last use has ended.
// It says nothing about a Worker's waitUntil: grant that time afterwards.
func (t *Target) Drained() <-chan struct{} { return t.drained }

// InFlight is the number of uses now, upgraded connections included.
func (t *Target) InFlight() int64 { return t.inflight.Load() }

// Dial opens a connection of its own to the version, for protocols other than
// plain HTTP requests. The caller holds a use (Acquire or Router.Pick) for as
// long as the connection is open.
func (t *Target) Dial(ctx context.Context) (net.Conn, error) { return t.upstream.dial(ctx) }

func (t *Target) markDrained() {
	t.once.Do(func() {
		t.upstream.closeIdle()
		close(t.drained)
	})
}
