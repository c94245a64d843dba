// SPDX-License-Identifier: MPL-2.0

package acctest

import (
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// Proto configures the provider with block in environment getenv and returns it
// for protocol-level tests. Any diagnostic of the configuration fails the test.
func Proto(t testing.TB, getenv func(string) string, block tfproto.Object) *tfproto.Provider {
	t.Helper()
	p, d := tfproto.New(t.Context(), t, provider.Server("test", getenv)(), fill(block))
	if len(d) > 0 {
		t.Fatalf("configuring the provider: %s", d)
	}
	return p
}

// Configure returns the diagnostics of configuring the provider.
func Configure(t testing.TB, getenv func(string) string, block tfproto.Object) tfproto.Diagnostics {
	t.Helper()
	_, d := tfproto.New(t.Context(), t, provider.Server("test", getenv)(), fill(block))
	return d
}

// fill makes an empty provider block of none: core always sends an object.
func fill(block tfproto.Object) tfproto.Object {
	if block == nil {
		return tfproto.Object{}
	}
	return block
}
