// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"errors"
	"sync"
)

// listAfter is how many Workers are asked for one by one before the whole
// account is listed: plans of one or two Workers do not list.
const listAfter = 2

// cache is what one Client remembers for its phase. Answers to mutations are
// not remembered: whoever reads after a write asks the plane.
type cache struct {
	mu sync.Mutex

	workers map[string]*call[*Worker]           // by id and by name, as asked for
	asked   int                                 // Workers asked for one by one
	lists   map[string]*call[map[string]Worker] // at most one: all Workers, by id and by name
	written map[string]bool                     // ids and names that this process changed: always asked for

	refs map[string]WorkerRef // by id and by name

	// Workers, by name, that this process created and has not yet given a version
	// or a deployment: that they have none needs no request.
	versionless map[string]bool
	undeployed  map[string]bool
	uploaded    map[string]map[string]int64 // Worker name -> versions created by this process: id -> number

	deployments map[string]*call[[]Deployment] // by Worker name, newest first
	versions    map[string]*call[[]Version]    // by Worker name, the deployable ones, newest first
}

func newCache() *cache {
	return &cache{
		workers:     map[string]*call[*Worker]{},
		lists:       map[string]*call[map[string]Worker]{},
		written:     map[string]bool{},
		refs:        map[string]WorkerRef{},
		versionless: map[string]bool{},
		undeployed:  map[string]bool{},
		uploaded:    map[string]map[string]int64{},
		deployments: map[string]*call[[]Deployment]{},
		versions:    map[string]*call[[]Version]{},
	}
}

// call is one look-up that several wait for. Its fields are read only after done
// is closed.
type call[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func newCall[T any]() *call[T] { return &call[T]{done: make(chan struct{})} }

func (k *call[T]) finish(value T, err error) {
	k.value, k.err = value, err
	close(k.done)
}

// wait returns the outcome, or ctx's error if that comes first.
func (k *call[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-k.done:
		return k.value, k.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// shared answers key from calls, or with fetch. Callers that come while fetch
// runs wait for it; a failure is not remembered. If the caller who fetches is
// cancelled, one of those who wait fetches again.
func shared[T any](ctx context.Context, mu *sync.Mutex, calls map[string]*call[T], key string, fetch func() (T, error)) (T, error) {
	for {
		mu.Lock()
		k, running := calls[key]
		if !running {
			k = newCall[T]()
			calls[key] = k
		}
		mu.Unlock()
		if running {
			value, err := k.wait(ctx)
			if err != nil && ctx.Err() == nil && isCancellation(err) {
				continue
			}
			return value, err
		}
		value, err := fetch()
		if err != nil {
			mu.Lock()
			if calls[key] == k {
				delete(calls, key)
			}
			mu.Unlock()
		}
		k.finish(value, err)
		return value, err
	}
}

func isCancellation(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// learn remembers which name belongs to which id. The lock must not be held.
func (k *cache) learn(w Worker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.refs[w.ID]; ok && old.Name != w.Name {
		delete(k.refs, old.Name) // it was renamed
		k.forgetName(old.Name)   // another Worker may get that name
	}
	ref := WorkerRef{ID: w.ID, Name: w.Name}
	k.refs[w.ID], k.refs[w.Name] = ref, ref
}

// alias lets a Worker that was asked for by one key be found by the other.
func (k *cache) alias(w *Worker) {
	done := newCall[*Worker]()
	done.finish(w, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range [...]string{w.ID, w.Name} {
		if k.workers[key] == nil && !k.written[key] {
			k.workers[key] = done
		}
	}
}

// created notes a Worker that this process made.
func (k *cache) created(w Worker) {
	k.learn(w)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.written[w.ID], k.written[w.Name] = true, true
	k.forgetName(w.Name)
	k.versionless[w.Name] = w.DeployedOn == nil
	k.undeployed[w.Name] = w.DeployedOn == nil
}

// touched notes that Workers, by id or name, are about to change or have changed.
func (k *cache) touched(keys ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		ref := k.refs[key]
		for _, each := range [...]string{key, ref.ID, ref.Name} {
			k.written[each] = true
			delete(k.workers, each)
		}
	}
}

// forget drops everything about a Worker that was deleted.
func (k *cache) forget(idOrName string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ref := k.refs[idOrName]
	name := ref.Name
	if name == "" {
		name = idOrName
	}
	for _, key := range [...]string{idOrName, ref.ID, ref.Name} {
		delete(k.refs, key)
		k.written[key] = true
	}
	k.forgetName(name)
}

// forgetName drops what is kept under a Worker's name. The lock must be held.
func (k *cache) forgetName(name string) {
	delete(k.versionless, name)
	delete(k.undeployed, name)
	delete(k.uploaded, name)
	delete(k.deployments, name)
	delete(k.versions, name)
}

// uploadedTo notes that a version of the Worker was, or may have been, created. An
// empty id says that it is not known which.
func (k *cache) uploadedTo(name, versionID string, number int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.versionless, name)
	delete(k.versions, name)
	if versionID == "" {
		return
	}
	if k.uploaded[name] == nil {
		k.uploaded[name] = map[string]int64{}
	}
	k.uploaded[name][versionID] = number
}

func (k *cache) deletedVersion(worker, versionID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := worker
	if ref, ok := k.refs[worker]; ok {
		name = ref.Name
	}
	delete(k.versions, name)
	delete(k.uploaded[name], versionID)
}

// deployedTo notes that a deployment of the Worker was, or may have been, created.
func (k *cache) deployedTo(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.undeployed, name)
	delete(k.deployments, name)
}
