// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

func TestTroublesOfAPlane(t *testing.T) {
	t.Parallel()
	d := newDriver(t, planetest.Options{})
	troubles := func() (out []string) {
		t.Helper()
		list, err := d.p.Plane.Troubles(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, trouble := range list {
			out = append(out, trouble.Kind+" "+trouble.Worker+" "+trouble.Of)
		}
		slices.Sort(out)
		return out
	}
	is := func(when string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, troubles()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	is("at first")

	// A version that starts again is none yet; one that cannot stay up is.
	state := "backing-off"
	d.p.Runtime.OnStates = func(list []workerd.VersionState) []workerd.VersionState {
		for i := range list {
			list[i].State = state
		}
		return list
	}
	is("backing off")
	state = "crash-loop"
	is("in a crash loop", "crash-loop api "+d.old)
	state = "ready"
	is("mended")

	// A failed rollout is one until the Worker's next one begins.
	first := d.id
	d.begin()
	is("a rollout that goes on")
	d.note(`{"state": "rolled_back", "reason": "gate health: status 500 of a customer"}`)
	is("rolled back", "rollout-failed api "+first)
	d.id = uuid.NewString()
	d.begin()
	is("the next one")
	d.note(`{"state": "succeeded"}`)
	is("and its end")
}
