// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// restoreParallel bounds how many Workers are brought up at a time. Each start
	// takes a core for some 25 ms, and the runtime bounds those by itself; the others
	// are for Workers that hang.
	restoreParallel = 8
	// DefaultRestorePatience is ample for a hundred Workers that start; those that
	// hang must not keep the others, and the API that could mend them, from serving.
	DefaultRestorePatience = 15 * time.Second
	// DefaultMendDelay is waited before a Worker that could not be brought up is
	// tried again. It doubles from there to maxMendDelay, for ever: what is missing
	// (memory, a disk, a Worker that it calls) may come back at any time.
	DefaultMendDelay = time.Second
	maxMendDelay     = time.Minute
)

// breakage is why a Worker does not run as the registry says.
type breakage struct {
	// starting: Restore has not come to a result yet.
	starting bool
	// mending: a goroutine tries again until the breakage is gone.
	mending bool
}

// Restore makes the runtime run what the registry says is live. It is called once,
// before the Handler serves. It returns once every Worker is up or has failed, but
// not later than Config.RestorePatience: the rest comes up in the background. A
// Worker that cannot be brought up is logged, shown in the plane's health, and
// tried again until it is up or Close is called. The others are not held up by it.
func (p *Plane) Restore(ctx context.Context) error {
	accounts, err := p.reg.Accounts(ctx)
	if err != nil {
		return fmt.Errorf("restoring the plane: %w", err)
	}
	var all []registry.Worker
	for _, a := range accounts {
		workers, err := p.reg.Workers(ctx, a.ID)
		if err != nil {
			return fmt.Errorf("restoring the plane: %w", err)
		}
		all = append(all, workers...)
	}
	p.brokenMu.Lock()
	for _, w := range all {
		p.broken[w.ID] = &breakage{starting: true}
	}
	p.brokenMu.Unlock()

	if err := p.outbox.Forget(ctx); err != nil {
		return fmt.Errorf("restoring the plane: %w", err)
	}
	p.inBackground(func() { p.outbox.Run(p.ctx) })
	if err := p.restoreTunnels(); err != nil {
		return fmt.Errorf("restoring the plane: %w", err)
	}

	done := make(chan struct{})
	p.background.Go(func() {
		defer close(done)
		p.reapplyAll(p.ctx, all)
	})
	patience := time.NewTimer(p.restorePatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		p.log.Warn("some Workers are not up yet; serving the others meanwhile", "waited", p.restorePatience)
	case <-ctx.Done():
		return fmt.Errorf("restoring the plane: %w", ctx.Err())
	}
	// Not before: a driver cannot be heard until the plane serves.
	if err := p.openLeases(ctx); err != nil {
		return fmt.Errorf("restoring the plane: %w", err)
	}
	return nil
}

// Close ends what the plane does on its own: bringing up Workers that could not be
// brought up, watching rollouts, streams, callbacks. It waits for the end of that. No
// request may be served any more.
func (p *Plane) Close() {
	p.brokenMu.Lock()
	p.closed = true
	p.brokenMu.Unlock()
	p.cancel()
	p.background.Wait()
}

// inBackground runs f until it ends, which it MUST when p.ctx does. After Close it runs
// nothing.
func (p *Plane) inBackground(f func()) {
	if p.enter() {
		go func() {
			defer p.background.Done()
			f()
		}()
	}
}

// enter has Close wait until p.background.Done is called, unless it has begun already.
func (p *Plane) enter() bool {
	p.brokenMu.Lock()
	defer p.brokenMu.Unlock()
	if p.closed {
		return false
	}
	p.background.Add(1)
	return true
}

// reapplyAccount makes the runtime run what the registry says for all Workers of
// the account, after its subdomain has changed. A Worker that cannot be brought up
// is logged, shown in the plane's health, and tried again.
func (p *Plane) reapplyAccount(ctx context.Context, accountID string) error {
	ctx = context.WithoutCancel(ctx)
	workers, err := p.reg.Workers(ctx, accountID)
	if err != nil {
		return err
	}
	p.reapplyAll(ctx, workers)
	return nil
}

func (p *Plane) reapplyAll(ctx context.Context, workers []registry.Worker) {
	var group errgroup.Group
	group.SetLimit(restoreParallel)
	for _, w := range workers {
		group.Go(func() error {
			if err := p.reapply(ctx, w); err != nil && p.ctx.Err() == nil {
				p.log.Error("the live deployment could not be brought up", "worker", w.Name, "error", err)
				p.markBroken(w)
			}
			return nil
		})
	}
	_ = group.Wait() // every error has been dealt with
}

// reapply brings one Worker up as the registry says. A deleted one is no error.
func (p *Plane) reapply(ctx context.Context, w registry.Worker) error {
	id := w.ID
	w, ctx, done, err := p.beginSwitch(ctx, w)
	if err != nil {
		if gone := (*Error)(nil); errors.As(err, &gone) && gone.Code == codeWorkerNotFound {
			p.markWhole(id)
			return nil
		}
		return err
	}
	defer done()
	// beginSwitch lets a change outlive its request, but this one ends with the plane.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	live, _, err := p.reg.LiveDeployment(ctx, w.ID)
	if err != nil {
		return err
	}
	for _, s := range live.Shares {
		v, err := p.reg.Version(ctx, w.ID, s.VersionID)
		if err != nil {
			return err
		}
		for _, m := range v.Modules {
			if err := p.reg.VerifyBlob(m.SHA256); err != nil {
				return fmt.Errorf("module %q of version %s: %w", m.Name, v.ID, err)
			}
		}
	}
	return p.apply(ctx, w, live.Shares)
}

// markBroken notes that the Worker does not run as the registry says, and has it
// tried again until it does.
func (p *Plane) markBroken(w registry.Worker) {
	p.brokenMu.Lock()
	defer p.brokenMu.Unlock()
	b := p.broken[w.ID]
	if b == nil {
		b = &breakage{}
		p.broken[w.ID] = b
	}
	b.starting = false
	if !b.mending && !p.closed {
		b.mending = true
		p.background.Go(func() { p.mend(w, b) })
	}
}

// markWhole notes that the Worker runs as the registry says, or is gone.
func (p *Plane) markWhole(workerID string) {
	p.brokenMu.Lock()
	defer p.brokenMu.Unlock()
	delete(p.broken, workerID)
}

// mend tries to bring w up until somebody, itself or a deployment, has done it.
func (p *Plane) mend(w registry.Worker, b *breakage) {
	for delay := p.mendDelay; ; delay = min(2*delay, maxMendDelay) {
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			timer.Stop()
			return
		}
		p.brokenMu.Lock()
		over := p.broken[w.ID] != b
		p.brokenMu.Unlock()
		if over {
			return
		}
		if err := p.reapply(p.ctx, w); err != nil {
			if p.ctx.Err() == nil {
				p.log.Warn("the live deployment still cannot be brought up", "worker", w.Name, "error", err)
			}
			continue
		}
		p.log.Info("the live deployment is up", "worker", w.Name)
		return
	}
}
