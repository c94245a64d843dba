// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// Runtime runs versions. The plane decides what should run; a Runtime owns the
// processes and the routes to them. Implementations are safe for concurrent
// use; the plane serialises calls that concern one Worker.
type Runtime interface {
	// Validate starts v without traffic, with no secrets' consumers and no
	// network, and reports its handlers. A version that workerd refuses gives a
	// *workerd.InvalidVersionError; any other error is the machine's fault.
	Validate(ctx context.Context, v workerd.Version) (workerd.Validation, error)

	// Apply makes w the desired state of that Worker. It returns nil only when
	// every version in w.Shares is ready and every later request is routed by w;
	// versions that are no longer part of w drain in the background. On error the
	// previous state still serves unchanged.
	// versions holds one entry for each of w.Shares.
	Apply(ctx context.Context, w workerd.Worker, versions []workerd.Version) error

	// Remove stops routing to the Worker at once and drains its processes.
	// Removing an unknown Worker is no error.
	Remove(ctx context.Context, workerID string) error

	// States lists the versions that are running or should be.
	States() []workerd.VersionState

	// Traffic is what the versions have answered, by their ids. It is the same one
	// for as long as the Runtime lives.
	Traffic() *traffic.Recorder
}

// VersionSource finds versions that are not part of a deployment, for preview
// hosts. The plane implements it; a Runtime calls it on demand.
type VersionSource interface {
	// PreviewVersion returns the version of the Worker whose id starts with
	// prefix (8 hex digits), or found = false.
	PreviewVersion(ctx context.Context, workerID, prefix string) (v workerd.Version, found bool, err error)
}

// PrivateSource finds what Workers' vpc_service bindings lead to. The plane implements
// it; a Runtime calls it for each request.
type PrivateSource interface {
	// VPCService brings a request of a Worker of the account to the VPC service; https
	// says that the Worker asked for https.
	VPCService(ctx context.Context, accountID, serviceID string, https bool) (http.Handler, error)
}
