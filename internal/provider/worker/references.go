// SPDX-License-Identifier: MPL-2.0

package worker

import (
	"context"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// referenceInterval is how often references are looked at again: each look is
// one request of the account's budget.
const referenceInterval = time.Second

// workerReader reads a Worker past everything that is remembered.
type workerReader interface {
	FreshWorker(ctx context.Context, id string) (*cloudflare.Worker, error)
}

// awaitUnreferenced waits until nothing but itself refers to the Worker, for wait
// at most, and returns what still does, in words.
func awaitUnreferenced(ctx context.Context, c workerReader, id string, wait time.Duration) ([]string, error) {
	deadline := time.Now().Add(wait)
	for {
		w, err := c.FreshWorker(ctx, id)
		if err != nil {
			return nil, err
		}
		references := othersReferences(w)
		if len(references) == 0 || time.Now().Add(referenceInterval).After(deadline) {
			return references, nil
		}
		timer := time.NewTimer(referenceInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

// othersReferences says in words what refers to the Worker, without its bindings
// to itself, which go with it. It is never nil.
func othersReferences(w *cloudflare.Worker) []string {
	r := w.References
	others := r.Workers[:0:0]
	for _, from := range r.Workers {
		if from.ID != w.ID {
			others = append(others, from)
		}
	}
	r.Workers = others
	return append([]string{}, r.Names()...)
}
