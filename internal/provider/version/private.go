// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// Keys of the private state: what the provider needs to remember and nobody
// needs to see. State is stored and sent as a whole with every run, and a value
// costs twice its length here, so what goes without saying is left out.
const (
	workerNameKey = "worker_name" // the Worker's name when it was read last, unless the attribute worker is that
	markerKey     = "marker"      // of an imported version: the marker that it carries, if any
	adoptedKey    = "adopted"     // true for a version that something else uploaded
	disposableKey = "disposable"  // true for a version that this state made with delete_on_destroy, so marked
	bundlerKey    = "bundler"     // what made the modules, e.g. "esbuild 0.28.2"
)

// privateReader and privateWriter are the framework's private state.
type privateReader interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
}

type privateWriter interface {
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

func recall[T any](ctx context.Context, from privateReader, key string) (value T) {
	text, diags := from.GetKey(ctx, key)
	if diags.HasError() || len(text) == 0 || json.Unmarshal(text, &value) != nil {
		var none T
		return none // an unreadable memory is none
	}
	return value
}

// remember keeps a value; its zero value is forgotten, as recall reads it anyway.
func remember[T comparable](ctx context.Context, in privateWriter, key string, value T) diag.Diagnostics {
	var none T
	if value == none {
		return in.SetKey(ctx, key, nil)
	}
	text, err := json.Marshal(value)
	if err != nil {
		// Texts and booleans always marshal.
		panic(err)
	}
	return in.SetKey(ctx, key, text)
}

// rememberName keeps the Worker's name for a state whose attribute worker is this.
func rememberName(ctx context.Context, in privateWriter, worker types.String, name string) diag.Diagnostics {
	if name == worker.ValueString() {
		name = ""
	}
	return remember(ctx, in, workerNameKey, name)
}

// recallName is the Worker's name when it was read last.
func recallName(ctx context.Context, from privateReader, state model) string {
	if name := recall[string](ctx, from, workerNameKey); name != "" {
		return name
	}
	return state.Worker.ValueString()
}

// sameWorker reports whether the wanted Worker is the version's own, by id or by
// name.
func sameWorker(ctx context.Context, wanted types.String, state model, private privateReader) bool {
	return wanted.Equal(state.Worker) || wanted.Equal(state.WorkerID) || wanted.ValueString() == recallName(ctx, private, state)
}

// isMarked reports whether an imported version was made from what the digest
// identifies. A marker has 128 bits of it: nobody finds a second source for it.
func isMarked(ctx context.Context, private privateReader, digest types.String) bool {
	if digest.IsUnknown() {
		return false
	}
	wanted, err := marker(digest.ValueString())
	carried := recall[string](ctx, private, markerKey)
	return err == nil && (carried == wanted || carried == cloudflare.DisposableMarker(wanted))
}
