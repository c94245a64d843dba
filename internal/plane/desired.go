// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"errors"
	"fmt"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// desiredVersion is v as the runtime takes it. bindings are those of v with their
// secrets in the clear.
func (p *Plane) desiredVersion(w registry.Worker, v registry.Version, bindings []registry.Binding) (workerd.Version, error) {
	out := workerd.Version{
		AccountID: w.AccountID, WorkerID: w.ID, WorkerName: w.Name,
		ID: v.ID, Number: v.Number, Tag: v.Annotations[annotationTag], CreatedOn: v.CreatedOn,
		MainModule: v.MainModule, CompatibilityDate: v.CompatibilityDate, CompatibilityFlags: v.CompatibilityFlags,
		Entrypoints: v.Entrypoints,
	}
	for _, m := range v.Modules {
		typ, loaded, err := upload.ModuleType(m)
		if err != nil {
			return workerd.Version{}, err
		}
		if loaded {
			out.Modules = append(out.Modules, workerd.Module{Name: m.Name, Type: typ, Path: p.reg.BlobPath(m.SHA256), Size: m.Size})
		}
	}
	for _, b := range bindings {
		out.Bindings = append(out.Bindings, workerd.Binding{Name: b.Name, Type: b.Type, Fields: b.Fields})
	}
	return out, nil
}

// loadVersion reads a stored version and makes it ready for the runtime.
func (p *Plane) loadVersion(ctx context.Context, w registry.Worker, versionID string) (workerd.Version, error) {
	v, err := p.reg.Version(ctx, w.ID, versionID)
	if err != nil {
		return workerd.Version{}, err
	}
	return p.openVersion(ctx, w, v)
}

func (p *Plane) openVersion(ctx context.Context, w registry.Worker, v registry.Version) (workerd.Version, error) {
	bindings, err := p.openBindings(ctx, v)
	if err != nil {
		return workerd.Version{}, err
	}
	return p.desiredVersion(w, v, bindings)
}

// PreviewVersion implements VersionSource.
func (p *Plane) PreviewVersion(ctx context.Context, workerID, prefix string) (workerd.Version, bool, error) {
	v, err := p.reg.VersionByPrefix(ctx, workerID, prefix)
	if errors.Is(err, registry.ErrNotFound) {
		return workerd.Version{}, false, nil
	}
	if err != nil {
		return workerd.Version{}, false, err
	}
	w, err := p.reg.Worker(ctx, v.AccountID, workerID)
	if err != nil {
		return workerd.Version{}, false, err
	}
	out, err := p.openVersion(ctx, w, v)
	return out, err == nil, err
}

var _ VersionSource = (*Plane)(nil)

// apply makes the runtime run w with those shares.
func (p *Plane) apply(ctx context.Context, w registry.Worker, shares []registry.Share) error {
	account, err := p.reg.Account(ctx, w.AccountID)
	if err != nil {
		return err
	}
	desired := workerd.Worker{AccountID: w.AccountID, ID: w.ID, Name: w.Name}
	if host := p.host(account, w.Name); host != "" {
		if w.Enabled {
			desired.Hosts = []string{host}
		}
		if w.PreviewsEnabled {
			desired.PreviewSuffix = "-" + host
		}
	}
	versions := make([]workerd.Version, len(shares))
	for i, s := range shares {
		desired.Shares = append(desired.Shares, workerd.Share(s))
		if versions[i], err = p.loadVersion(ctx, w, s.VersionID); err != nil {
			return fmt.Errorf("version %s: %w", s.VersionID, err)
		}
	}
	if err := p.runtime.Apply(ctx, desired, versions); err != nil {
		return err
	}
	p.markWhole(w.ID)
	return nil
}

// host is the Worker's name below the account's subdomain, "" if it has none.
func (p *Plane) host(a registry.Account, worker string) string {
	if a.Subdomain == "" {
		return ""
	}
	return worker + "." + a.Subdomain + "." + p.ingress.Domain
}

// workerURL is where a Worker answers once its subdomain is enabled, "" if the
// account has none.
func (p *Plane) workerURL(a registry.Account, worker string) string {
	host := p.host(a, worker)
	if host == "" {
		return ""
	}
	return p.ingress.Scheme + "://" + host + p.portSuffix()
}

// previewURL is where that version of a Worker with previews answers.
func (p *Plane) previewURL(a registry.Account, worker, versionID string) string {
	host := p.host(a, worker)
	if host == "" {
		return ""
	}
	return p.ingress.Scheme + "://" + versionID[:8] + "-" + host + p.portSuffix()
}

func (p *Plane) portSuffix() string {
	if p.ingress.Port == 0 {
		return ""
	}
	return fmt.Sprintf(":%d", p.ingress.Port)
}
