// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"context"
	"fmt"
	"time"
)

const (
	// busyShare is the part of an interval's time from which on a child counts as
	// busy. One that spins on a machine with many others still gets this much.
	busyShare = 10 // 1/10
	// starvedShare is the part of a probe's time that a child may have waited for a
	// core: beyond it a late answer says nothing about the child.
	starvedShare = 0.75
	// quietIntervals is after how many intervals an idle child is probed too: it
	// may be stuck without spinning.
	quietIntervals = 20
	// idleFactor is how many times more failures an idle or starved child is
	// granted: on an overloaded machine a probe is late although nothing is wrong.
	idleFactor = 10
)

// watch returns when the child has ended ("") or must be ended (why), or when
// Stop was called. A busy child is probed at every interval, an idle one rarely:
// reading its CPU time costs a hundredth of a probe.
func (p *Process) watch(c *child) (reason string) {
	ticker := time.NewTicker(p.spec.ProbeInterval)
	defer ticker.Stop()
	var (
		probe          chan error // of the probe under way
		cancel         = func() {}
		busy, idle     int // failures in a row: of a child that spins, and of any other
		quiet          int // intervals since the last probe
		since          time.Time
		before, atLast time.Duration
		waited         time.Duration // for a core, before the probe
	)
	begin := func() {
		var ctx context.Context
		ctx, cancel = context.WithTimeout(p.stop, p.spec.ProbeTimeout)
		probe = make(chan error, 1)
		since, quiet = time.Now(), 0
		before, _, _ = usage(c.pid)
		waited = coreWait(c.pid)
		go func(result chan<- error) { result <- p.spec.Probe(ctx) }(probe)
	}
	defer func() {
		cancel()
		if probe != nil {
			<-probe
		}
	}()
	failingSince := time.Time{}
	for {
		select {
		case <-c.exited:
			return ""
		case <-p.stop.Done():
			return ""
		case err := <-probe:
			cancel()
			probe = nil
			if err == nil {
				busy, idle, failingSince = 0, 0, time.Time{}
				continue
			}
			if failingSince.IsZero() {
				failingSince = since
			}
			took := time.Since(since)
			starved := float64(coreWait(c.pid)-waited) > starvedShare*float64(took)
			if now, _, cpuErr := usage(c.pid); cpuErr != nil || now-before >= took/busyShare && !starved {
				busy++
			} else {
				idle++
			}
			if busy >= p.spec.ProbeFailures || busy+idle >= p.spec.ProbeFailures*idleFactor {
				return fmt.Sprintf("did not answer for %s", time.Since(failingSince).Round(time.Millisecond))
			}
			if time.Since(since) < p.spec.ProbeTimeout/2 {
				quiet = quietIntervals // it failed at once: asking again at once would tell nothing new
				continue
			}
			begin()
		case <-ticker.C:
			cpu, rss, err := usage(c.pid)
			if err == nil && p.spec.MaxRSS > 0 && rss > p.spec.MaxRSS {
				return fmt.Sprintf("used %d MiB of memory; the limit is %d MiB", rss>>20, p.spec.MaxRSS>>20)
			}
			quiet++
			spins := err != nil || cpu-atLast >= p.spec.ProbeInterval/busyShare
			atLast = cpu
			if p.spec.Probe != nil && probe == nil && (spins || quiet >= quietIntervals) {
				begin()
			}
		}
	}
}
