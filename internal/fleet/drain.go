// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"time"
)

// retire takes the instance out of use and stops it in the background. It is
// called with f.mu held, after no route names the instance any more.
func (f *Fleet) retire(inst *instance) {
	if inst.retired {
		return
	}
	inst.retired = true
	if f.instances[inst.version.ID] == inst {
		delete(f.instances, inst.version.ID)
	}
	inst.target.Retire()
	close(inst.retiring)
	f.wg.Go(func() { f.drain(inst) })
}

// drain lets requests in flight end, then waitUntil(), then stops the process:
// workerd gives up pending waitUntil() at SIGTERM.
func (f *Fleet) drain(inst *instance) {
	<-inst.started
	if inst.startErr == nil {
		f.pause(f.cfg.Limits.Drain, inst.target.Drained())
		if inst.called.Load() || inst.target.Served() {
			f.pause(f.cfg.Limits.WaitUntil, inst.proc.Done())
		}
	}
	if inst.proc != nil {
		inst.proc.Stop(f.cfg.Limits.Stop)
	}
	inst.closeListeners()
	for _, e := range inst.endpoints {
		e.transport.CloseIdleConnections()
	}
	for _, r := range inst.relays {
		f.closeRelay(r)
	}
	f.mu.Lock()
	delete(f.targets, inst.target)
	f.mu.Unlock()
	f.traffic.Release(inst.trafficKey())
	inst.log.Debug("Worker's process has stopped")
}

// pause waits for at most d, until done, or until Close has lost its patience.
func (f *Fleet) pause(d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-f.ctx.Done():
	}
}
