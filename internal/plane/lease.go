// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"sync"
	"time"
)

const (
	// DefaultRolloutLease is how long a rollout's driver may be silent. A driver that renews
	// every five seconds may lose two calls.
	DefaultRolloutLease = 15 * time.Second
	// leaseLook is how often the clock is looked at, which tests replace.
	leaseLook = 100 * time.Millisecond
)

// leases are those of the rollouts that go on. They are kept in memory, on the monotonic
// clock: what the plane slept through, being stopped or on a suspended machine, is nobody's
// silence. The zero value is ready.
type leases struct {
	mu   sync.Mutex
	open map[string]*lease // by rollout id
}

// lease is guarded by leases.mu.
type lease struct {
	worker string // id
	until  time.Time
	// calls of the driver are being answered. A switch may take longer than a lease lasts,
	// and its driver is not silent meanwhile.
	calls int
	// taken says that the plane acts in the driver's place, for good.
	taken bool
	// stuck says that it has tried in vain.
	stuck bool
	ended chan struct{}
}

// begin opens the lease of a rollout, if it is not open.
func (l *leases) begin(id, worker string, until time.Time, taken bool) (made *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]*lease{}
	}
	if l.open[id] != nil {
		return nil
	}
	made = &lease{worker: worker, until: until, taken: taken, ended: make(chan struct{})}
	l.open[id] = made
	return made
}

// end closes the lease of a rollout that has ended.
func (l *leases) end(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.open[id]; o != nil {
		close(o.ended)
		delete(l.open, id)
	}
}

// call notes that the driver speaks, unless the plane has taken over. done says that it
// has been answered, and gives the driver its time anew.
func (l *leases) call(id string, until func() time.Time) (done func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.open[id]
	if o == nil {
		return func() {}, true // the registry knows what has become of it
	}
	if o.taken {
		return nil, false
	}
	o.calls++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		o.calls--
		o.until = until()
	}, true
}

// take takes a lease away from its driver if it has run out, and reports whether the plane
// has it. It is called with the Worker's lock, so no deployment of the driver is under way.
func (l *leases) take(id string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.open[id]
	if o != nil && o.over(now) {
		o.taken = true
	}
	return o != nil && o.taken
}

// over reports whether the driver's time is over.
func (o *lease) over(now time.Time) bool { return o.taken || o.calls == 0 && !now.Before(o.until) }

// left is how long the lease lasts, 0 where it is over or there is none.
func (l *leases) left(id string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.open[id]
	switch {
	case o == nil || o.over(now):
		return 0
	case o.calls > 0:
		return leaseLook
	}
	return o.until.Sub(now)
}

// markStuck notes that what the plane does in the driver's place does not work.
func (l *leases) markStuck(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.open[id]; o != nil {
		o.stuck = true
	}
}

// stuck are the rollouts that could not be ended, by Worker id.
func (l *leases) stuck() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for id, o := range l.open {
		if o.stuck {
			out[o.worker] = id
		}
	}
	return out
}
