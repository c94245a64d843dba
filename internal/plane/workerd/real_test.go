// SPDX-License-Identifier: MPL-2.0

package workerd_test

import (
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

func TestTheBinaryTellsItsVersion(t *testing.T) {
	t.Parallel()
	v, err := workerd.BinaryVersion(t.Context(), workerdtest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != len("2026-11-17") {
		t.Errorf("version %q, want a date", v)
	}
}
