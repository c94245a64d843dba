// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// shares are the steps of the deployments since the one with this id, oldest first.
func (s *stand) sharesSince(id string) []string {
	var out []string
	for _, d := range s.history() {
		if d.ID == id {
			break
		}
		out = append([]string{d.Marking().Rollout.Share}, out...)
	}
	return out
}

func TestAVersionThatWasHealthyComesBackFast(t *testing.T) {
	t.Parallel()
	for onReturn, want := range map[string][]string{"": {"0", "100"}, "fast": {"0", "100"}, "full": {"0", "10", "50", "100"}} {
		s := newStand(t)
		config := func(version string) tfproto.Object {
			c := s.config(version, baking("1ms", 0, 10, 50))
			if onReturn != "" {
				c["rollout"].(map[string]any)["on_return"] = onReturn
			}
			return c
		}
		state := s.applied(tfproto.State{Type: kind}, config(s.v1))
		before := s.live().ID
		state = s.applied(state, config(s.v2))
		if diff := cmp.Diff([]string{"0", "10", "50", "100"}, s.sharesSince(before)); diff != "" {
			t.Errorf("a new version (-want +got):\n%s", diff)
		}
		before = s.live().ID
		state = s.applied(state, config(s.v1))
		if diff := cmp.Diff(want, s.sharesSince(before)); diff != "" {
			t.Errorf("on_return %q (-want +got):\n%s", onReturn, diff)
		}
		s.wantKept(state, config(s.v1))
	}
}

// An older state, restored with terraform state push or in HCP Terraform, with the
// newer and with the older configuration: nothing is done twice, and our own releases
// are not somebody else's.
func TestAnOlderStateThatIsRestoredTellsTheTruth(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := func(version string) tfproto.Object { return s.config(version, baking("1ms", 10)) }
	older := s.applied(tfproto.State{Type: kind}, config(s.v1))
	s.applied(older, config(s.v2))
	before := s.live().ID
	// The newer configuration: what it wants is live.
	state := s.applied(older, config(s.v2))
	if after := s.live().ID; after != before {
		t.Errorf("deployment %s was made, and what was wanted was live", after)
	}
	s.wantKept(state, config(s.v2))
	// The older one: it goes back, through nothing but the last step.
	state = s.applied(older, config(s.v1))
	if diff := cmp.Diff([]string{"100"}, s.sharesSince(before)); diff != "" {
		t.Errorf("the older configuration (-want +got):\n%s", diff)
	}
	s.wantKept(state, config(s.v1))
	// No state at all: what we have made is adopted.
	lost := s.applied(tfproto.State{Type: kind}, config(s.v1))
	s.wantKept(lost, config(s.v1))
	if got := len(s.versions()); got != 2 {
		t.Errorf("there are %d versions, want 2", got)
	}
}
