// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"errors"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
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
}

// createVersion checks c, resolves its inherited bindings, validates it with the
// runtime and stores it as the Worker's next version. Secrets in c.Bindings are in
// the clear; the result has none. Every dialect of uploads ends here.
func (p *Plane) createVersion(ctx context.Context, w registry.Worker, c registry.VersionContent, o versionOptions) (registry.Version, error) {
	return registry.Version{}, errors.New("not there yet")
}

// deployOptions are what a deployment says besides its shares.
type deployOptions struct {
	actor       actor
	annotations map[string]string
	// force deploys although secrets have changed since (10220).
	force bool
	// expectLive, if set, is the id of the deployment that must be live until now,
	// "" where nothing may be live; anything else is 412 with code 10018.
	expectLive *string
}

// deploy makes shares the Worker's live deployment: it checks them, has the
// runtime switch, and commits. It returns after every later request is routed by
// the new deployment; on error the old one is live.
func (p *Plane) deploy(ctx context.Context, w registry.Worker, shares []registry.Share, o deployOptions) (registry.Deployment, error) {
	return registry.Deployment{}, errors.New("not there yet")
}

// updateWorker changes a Worker's unversioned state: change gets the current state
// and alters it. Where the Worker answers follows at once.
func (p *Plane) updateWorker(ctx context.Context, workerID string, change func(w *registry.Worker) error) (registry.Worker, error) {
	return registry.Worker{}, errors.New("not there yet")
}

// reapplyAccount makes the runtime run what the registry says for all Workers of
// the account, e.g. after its subdomain has changed.
func (p *Plane) reapplyAccount(ctx context.Context, accountID string) error { return nil }

// deleteWorker removes a Worker with everything it has. Without force it is refused
// while live deployments of other Workers bind to it.
func (p *Plane) deleteWorker(ctx context.Context, w registry.Worker, force bool) error {
	return errors.New("not there yet")
}
