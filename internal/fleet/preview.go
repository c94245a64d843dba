// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
)

// preview finds, and starts where necessary, the version behind a preview host.
func (f *Fleet) preview(ctx context.Context, workerID, prefix string) (t *ingress.Target, release func(), found bool, err error) {
	f.mu.Lock()
	source := f.source
	f.mu.Unlock()
	if source == nil {
		return nil, nil, false, nil
	}
	v, found, err := source.PreviewVersion(ctx, workerID, prefix)
	if err != nil || !found {
		return nil, nil, false, err
	}
	inst, err := f.acquire(v)
	if err != nil {
		return nil, nil, true, fmt.Errorf("starting a preview: %w", err)
	}
	if err := inst.waitReady(ctx); err != nil {
		f.release(inst, f.cfg.Limits.PreviewIdle)
		return nil, nil, true, fmt.Errorf("starting a preview: %w", err)
	}
	return inst.target, func() { f.release(inst, f.cfg.Limits.PreviewIdle) }, true, nil
}

// reapPreviews retires versions that nobody has used for a while, until Close.
func (f *Fleet) reapPreviews() {
	ticker := time.NewTicker(max(f.cfg.Limits.PreviewIdle/4, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-f.quit:
			return
		case <-ticker.C:
		}
		f.mu.Lock()
		for _, inst := range f.instances {
			if inst.refs == 0 && time.Since(inst.idleSince) >= f.cfg.Limits.PreviewIdle {
				f.retire(inst)
			}
		}
		f.mu.Unlock()
	}
}
