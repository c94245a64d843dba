// SPDX-License-Identifier: MPL-2.0

package acctest

import (
	"context"
	"maps"
	"sync"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

var _ plane.Runtime = (*Runtime)(nil)

// Runtime is a runtime that starts nothing and remembers what should run.
type Runtime struct {
	mu   sync.Mutex
	live map[string]workerd.Worker // by Worker id
	// states is what States gives.
	states []workerd.VersionState
	// Refuse, if not nil, is asked about each version that is uploaded; an error of
	// type *workerd.InvalidVersionError is what workerd would give.
	Refuse func(workerd.Version) error

	traffic *traffic.Recorder
}

// Validate implements plane.Runtime.
func (r *Runtime) Validate(_ context.Context, v workerd.Version) (workerd.Validation, error) {
	if r.Refuse != nil {
		if err := r.Refuse(v); err != nil {
			return workerd.Validation{}, err
		}
	}
	return workerd.Validation{Handlers: []string{"fetch"}}, nil
}

// Apply implements plane.Runtime.
func (r *Runtime) Apply(_ context.Context, w workerd.Worker, _ []workerd.Version) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live == nil {
		r.live = map[string]workerd.Worker{}
	}
	r.live[w.ID] = w
	return nil
}

// Remove implements plane.Runtime.
func (r *Runtime) Remove(_ context.Context, workerID string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, workerID)
	return nil
}

// States implements plane.Runtime.
func (r *Runtime) States() []workerd.VersionState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.states
}

// Traffic implements plane.Runtime. It is empty but for what the test counts.
func (r *Runtime) Traffic() *traffic.Recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.traffic == nil {
		r.traffic = traffic.NewRecorder(nil)
	}
	return r.traffic
}

// SetStates sets what States gives from now on.
func (r *Runtime) SetStates(states ...workerd.VersionState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = states
}

// Live is what should run now, by Worker id.
func (r *Runtime) Live() map[string]workerd.Worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.live)
}
