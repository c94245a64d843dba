// SPDX-License-Identifier: MPL-2.0

package planetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// Runtime is a runtime that runs nothing and remembers what it was told. Its hooks
// inject faults; set them before the requests that they are for.
type Runtime struct {
	// OnValidate, OnApply and OnRemove, if set, decide what a call answers.
	OnValidate func(v workerd.Version) (workerd.Validation, error)
	OnApply    func(w workerd.Worker, versions []workerd.Version) error
	OnRemove   func(workerID string) error
	// OnStates, if set, changes what States says.
	OnStates func(list []workerd.VersionState) []workerd.VersionState

	mu        sync.Mutex
	running   map[string]Running
	validated []workerd.Version
	applies   int
	traffic   *traffic.Recorder
}

// Running is what was applied last for a Worker.
type Running struct {
	Worker   workerd.Worker
	Versions []workerd.Version
}

var _ plane.Runtime = (*Runtime)(nil)

// Validate finds a fetch handler in everything.
func (r *Runtime) Validate(_ context.Context, v workerd.Version) (workerd.Validation, error) {
	r.mu.Lock()
	r.validated = append(r.validated, v)
	r.mu.Unlock()
	if r.OnValidate != nil {
		return r.OnValidate(v)
	}
	return workerd.Validation{Handlers: []string{"fetch"}, Entrypoints: []string{}, StartupTime: time.Millisecond}, nil
}

// Apply remembers w, unless OnApply fails.
func (r *Runtime) Apply(_ context.Context, w workerd.Worker, versions []workerd.Version) error {
	if r.OnApply != nil {
		if err := r.OnApply(w, versions); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = map[string]Running{}
	}
	r.running[w.ID] = Running{w, versions}
	r.applies++
	return nil
}

// Remove forgets the Worker, unless OnRemove fails.
func (r *Runtime) Remove(_ context.Context, workerID string) error {
	if r.OnRemove != nil {
		if err := r.OnRemove(workerID); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, workerID)
	return nil
}

// States says that everything that was applied is ready, unless OnStates differs.
func (r *Runtime) States() []workerd.VersionState {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := []workerd.VersionState{}
	for _, id := range slices.Sorted(maps.Keys(r.running)) {
		for _, s := range r.running[id].Worker.Shares {
			states = append(states, workerd.VersionState{WorkerID: id, VersionID: s.VersionID, State: "ready"})
		}
	}
	if r.OnStates != nil {
		return r.OnStates(states)
	}
	return states
}

// Traffic is empty but for what the test counts.
func (r *Runtime) Traffic() *traffic.Recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.traffic == nil {
		r.traffic = traffic.NewRecorder(nil)
	}
	return r.traffic
}

// Running is what was applied last for the Worker of that name.
func (r *Runtime) Running(name string) (found Running, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, running := range r.running {
		if running.Worker.Name == name {
			return running, true
		}
	}
	return Running{}, false
}

// Validated are the versions that were validated so far.
func (r *Runtime) Validated() []workerd.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.validated)
}

// Applies is how often something was applied.
func (r *Runtime) Applies() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applies
}
