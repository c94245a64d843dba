// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// versionOptions are what an upload says besides the content.
type versionOptions struct {
	actor actor
	// keepTypes are the types of bindings that are carried over from the latest
	// version for names that the upload does not have (keep_bindings).
	keepTypes []string
	// dropUnresolved leaves out inherit bindings that resolve to nothing, instead of
	// refusing the upload with 10057. The scripts API does so without
	// bindings_inherit=strict.
	dropUnresolved bool
	// triggeredBy is the annotation workers/triggered_by; empty means what the
	// content's annotations say, or else "upload".
	triggeredBy string
}

// createVersion checks c, resolves its inherited bindings, validates it with the
// runtime and stores it as the Worker's next version. Secrets in c.Bindings are in
// the clear; the result has none. Every dialect of uploads ends here.
func (p *Plane) createVersion(ctx context.Context, w registry.Worker, c registry.VersionContent, o versionOptions) (registry.Version, error) {
	if !needsPrevious(c.Bindings, o.keepTypes) {
		return p.storeVersion(ctx, w, c, o, nil)
	}
	release, err := p.locks.acquire(ctx, "upload "+w.ID)
	if err != nil {
		return registry.Version{}, transientIfCancelled(err)
	}
	defer release()
	latest, err := p.reg.LatestVersion(ctx, w.ID)
	if errors.Is(err, registry.ErrNotFound) {
		return p.storeVersion(ctx, w, c, o, nil)
	}
	if err != nil {
		return registry.Version{}, err
	}
	return p.storeVersion(ctx, w, c, o, &latest)
}

// amendVersion makes the Worker's next version out of its latest one: change gets
// the latest version, without secrets, and returns the content of the next. A
// secret that it leaves as it is keeps its value. The version's message names the
// secrets that are other ones (secretChanges), unless the client gave a message. No
// other version of the Worker can come in between. A Worker without versions gives
// 10222.
func (p *Plane) amendVersion(ctx context.Context, w registry.Worker, o versionOptions, change func(latest registry.Version) (registry.VersionContent, error)) (registry.Version, error) {
	release, err := p.locks.acquire(ctx, "upload "+w.ID)
	if err != nil {
		return registry.Version{}, transientIfCancelled(err)
	}
	defer release()
	latest, err := p.reg.LatestVersion(ctx, w.ID)
	if errors.Is(err, registry.ErrNotFound) {
		return registry.Version{}, fail(http.StatusNotFound, codeNoVersions, "This Worker has no versions, which means this Worker has no content or versioned settings: upload a version of %q first.", w.Name)
	}
	if err != nil {
		return registry.Version{}, err
	}
	content, err := change(latest)
	if err != nil {
		return registry.Version{}, err
	}
	noteSecrets(latest.VersionContent, &content, &o)
	return p.storeVersion(ctx, w, content, o, &latest)
}

// needsPrevious says whether the latest version has a say in what bindings are.
// Where it has none, uploads of one Worker need not wait for each other.
func needsPrevious(bindings []registry.Binding, keep []string) bool {
	return len(keep) > 0 || slices.ContainsFunc(bindings, func(b registry.Binding) bool {
		switch b.Type {
		case "plain_text", "secret_text":
			return b.Fields["text"] == nil
		case "json":
			return b.Fields["json"] == nil
		case "service":
			return b.Fields["service"] == nil
		case "vpc_service":
			return b.Fields["service_id"] == nil
		}
		return b.Type == "inherit"
	})
}

func (p *Plane) storeVersion(ctx context.Context, w registry.Worker, c registry.VersionContent, o versionOptions, latest *registry.Version) (registry.Version, error) {
	if err := p.checkContent(&c); err != nil {
		return registry.Version{}, err
	}
	var err error
	if c.Bindings, err = p.resolveBindings(ctx, w, c.Bindings, o, latest); err != nil {
		return registry.Version{}, err
	}
	if err := p.checkServices(ctx, w, c.Bindings); err != nil {
		return registry.Version{}, err
	}
	why := cmp.Or(o.triggeredBy, c.Annotations[annotationTriggeredBy], "upload")
	c.Annotations = annotations(c.Annotations, why)
	v := registry.Version{
		VersionContent: c, AccountID: w.AccountID, WorkerID: w.ID,
		Source: o.actor.source, AuthorID: o.actor.authorID, AuthorEmail: o.actor.authorEmail,
	}
	if err := p.validate(ctx, w, &v); err != nil {
		return registry.Version{}, err
	}
	// From here on the client's patience is no reason to stop.
	ctx = context.WithoutCancel(ctx)
	v, err = p.reg.CreateVersion(ctx, v)
	return v, orElse(err, workerNotFound(w.Name))
}

// resolveBindings replaces what refers to earlier versions by their values.
func (p *Plane) resolveBindings(ctx context.Context, w registry.Worker, bindings []registry.Binding, o versionOptions, latest *registry.Version) ([]registry.Binding, error) {
	var prev upload.Previous
	var readErr error
	if latest != nil {
		if prev.Latest, readErr = p.openBindings(ctx, *latest); readErr != nil {
			return nil, readErr
		}
	}
	prev.Version = func(id string) ([]registry.Binding, bool) {
		v, err := p.reg.Version(ctx, w.ID, id)
		if errors.Is(err, registry.ErrNotFound) {
			return nil, false
		}
		var list []registry.Binding
		if err == nil {
			list, err = p.openBindings(ctx, v)
		}
		readErr = errors.Join(readErr, err)
		return list, err == nil
	}
	out, err := upload.Resolve(bindings, o.keepTypes, prev, !o.dropUnresolved)
	if readErr != nil {
		return nil, readErr
	}
	return out, err
}

// openBindings are a version's bindings with their secrets in the clear.
func (p *Plane) openBindings(ctx context.Context, v registry.Version) ([]registry.Binding, error) {
	if !slices.ContainsFunc(v.Bindings, func(b registry.Binding) bool { return registry.IsSecret(b.Type) }) {
		return v.Bindings, nil
	}
	secrets, err := p.reg.Secrets(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	out := make([]registry.Binding, len(v.Bindings))
	for i, b := range v.Bindings {
		out[i] = registry.Binding{Name: b.Name, Type: b.Type, Fields: map[string]json.RawMessage{}}
		for k, f := range b.Fields {
			out[i].Fields[k] = f
		}
		for k, f := range secrets[b.Name] {
			out[i].Fields[k] = f
		}
	}
	return out, nil
}

// validate has the runtime start v and notes what it found out.
func (p *Plane) validate(ctx context.Context, w registry.Worker, v *registry.Version) error {
	candidate := *v
	candidate.ID, candidate.CreatedOn = uuid.NewString(), p.now().UTC()
	desired, err := p.desiredVersion(w, candidate, v.Bindings)
	if err != nil {
		return err
	}
	found, err := p.runtime.Validate(ctx, desired)
	if refused := (*workerd.InvalidVersionError)(nil); errors.As(err, &refused) {
		return refused
	}
	if err != nil {
		return transientIfCancelled(fmt.Errorf("validating a version of the Worker %q: %w", w.Name, err))
	}
	v.Handlers, v.Entrypoints = found.Handlers, found.Entrypoints
	v.StartupTimeMS = int(found.StartupTime.Milliseconds())
	if len(found.NamedHandlers) > 0 {
		if v.NamedHandlers, err = namedHandlers(found.NamedHandlers); err != nil {
			return err
		}
	}
	return nil
}

// namedHandlers writes them as the scripts API shows them: sorted by name.
func namedHandlers(byName map[string][]string) (json.RawMessage, error) {
	type entry struct {
		Name     string   `json:"name"`
		Handlers []string `json:"handlers"`
	}
	list := make([]entry, 0, len(byName))
	for name, handlers := range byName {
		list = append(list, entry{name, append([]string{}, handlers...)})
	}
	slices.SortFunc(list, func(a, b entry) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return json.Marshal(list)
}
