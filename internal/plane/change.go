// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// updateWorker changes a Worker's unversioned state: change gets the current state
// and alters it. Where the Worker answers follows at once.
func (p *Plane) updateWorker(ctx context.Context, workerID string, change func(w *registry.Worker) error) (registry.Worker, error) {
	before, ctx, done, err := p.beginSwitch(ctx, registry.Worker{ID: workerID, Name: workerID})
	if err != nil {
		return registry.Worker{}, err
	}
	defer done()
	after := before
	if err := change(&after); err != nil {
		return registry.Worker{}, err
	}
	if after.Name != before.Name {
		if err := p.checkRename(ctx, before, after.Name); err != nil {
			return registry.Worker{}, err
		}
	}
	live, _, err := p.reg.LiveDeployment(ctx, workerID)
	if err != nil {
		return registry.Worker{}, err
	}
	moved := after.Name != before.Name || after.Enabled != before.Enabled || after.PreviewsEnabled != before.PreviewsEnabled
	if moved {
		if err := p.apply(ctx, after, live.Shares); err != nil {
			return registry.Worker{}, fmt.Errorf("updating the Worker %q: %w", before.Name, err)
		}
	}
	after, err = p.reg.UpdateWorker(ctx, after)
	if err != nil && moved {
		p.revert(before, live.Shares)
	}
	if errors.Is(err, registry.ErrNameTaken) {
		return registry.Worker{}, nameTaken(after.Name)
	}
	return after, err
}

func nameTaken(name string) *Error {
	return fail(http.StatusConflict, codeNameTaken, "A Worker named %q already exists in this account: import it, or choose another name.", name)
}

// checkRename refuses a name that would break others before anything moves.
func (p *Plane) checkRename(ctx context.Context, w registry.Worker, name string) error {
	other, err := p.reg.Worker(ctx, w.AccountID, name)
	if err == nil && other.ID != w.ID {
		return nameTaken(name)
	}
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	from, err := p.referrers(ctx, w)
	if err != nil || len(from) == 0 {
		return err
	}
	return fail(http.StatusBadRequest, codeReferenced, "The Worker %q cannot be renamed: service bindings of %s refer to it by name. Deploy these without the binding first.", w.Name, strings.Join(from, ", "))
}

// referrers names the Workers whose live deployments bind to w.
func (p *Plane) referrers(ctx context.Context, w registry.Worker) ([]string, error) {
	all, err := p.reg.References(ctx, w.AccountID)
	if err != nil {
		return nil, err
	}
	var from []string
	for _, ref := range all {
		if ref.To == w.Name {
			from = append(from, fmt.Sprintf("%q", ref.FromName))
		}
	}
	return from, nil
}

// createWorker adds a Worker without versions and makes the runtime know it, for
// its preview hosts.
func (p *Plane) createWorker(ctx context.Context, w registry.Worker) (registry.Worker, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), switchTimeout)
	defer cancel()
	w, err := p.reg.CreateWorker(ctx, w)
	if errors.Is(err, registry.ErrNameTaken) {
		return registry.Worker{}, nameTaken(w.Name)
	}
	if err != nil {
		return registry.Worker{}, err
	}
	if err := p.apply(ctx, w, nil); err != nil {
		return registry.Worker{}, errors.Join(fmt.Errorf("creating the Worker %q: %w", w.Name, err), p.reg.DeleteWorker(ctx, w.ID))
	}
	return w, nil
}

// deleteWorker removes a Worker with everything it has. Without force it is refused
// while live deployments of other Workers bind to it.
func (p *Plane) deleteWorker(ctx context.Context, w registry.Worker, force bool) error {
	w, ctx, done, err := p.beginSwitch(ctx, w)
	if err != nil {
		return err
	}
	defer done()
	if !force {
		from, err := p.referrers(ctx, w)
		if err != nil {
			return err
		}
		if len(from) > 0 {
			return fail(http.StatusBadRequest, codeReferenced, "The Worker %q cannot be deleted: service bindings of %s refer to it. Deploy these without the binding first, or delete with force=true.", w.Name, strings.Join(from, ", "))
		}
	}
	if err := p.endRolloutsOf(ctx, w); err != nil {
		return err
	}
	if err := p.reg.DeleteWorker(ctx, w.ID); err != nil {
		return orElse(err, workerNotFound(w.Name))
	}
	p.markWhole(w.ID)
	if err := p.runtime.Remove(ctx, w.ID); err != nil {
		return fmt.Errorf("stopping the deleted Worker %q: %w", w.Name, err)
	}
	return nil
}
