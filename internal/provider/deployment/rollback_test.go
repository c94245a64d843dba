// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// applied plans and applies, as one run of Terraform with a refresh before it.
func (s *stand) applied(state tfproto.State, config tfproto.Object) tfproto.State {
	s.restart()
	if state.Object != nil {
		state = s.read(state)
	}
	plan := s.plan(state, config)
	if plan.Empty() && state.Object != nil {
		return state
	}
	made, d := s.provider.Apply(s.test.Context(), s.t, plan)
	if d.HasError() {
		s.t.Fatalf("applying: %s", d)
	}
	return made
}

// wantKept fails unless three more plans change nothing, and warn of what is wanted.
func (s *stand) wantKept(state tfproto.State, config tfproto.Object, warning ...string) {
	before := s.live().ID
	for range 3 {
		s.restart()
		state = s.read(state)
		plan, d := s.provider.Plan(s.test.Context(), s.t, state, config)
		if d.HasError() || !plan.Empty() {
			s.t.Fatalf("the plan is not quiet: %s\n%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
		}
		for _, part := range warning {
			if !strings.Contains(d.String(), part) {
				s.t.Errorf("the warning lacks %q:\n%s", part, d)
			}
		}
		if len(warning) == 0 && len(d) > 0 {
			s.t.Errorf("the plan is quiet but for: %s", d)
		}
	}
	if after := s.live().ID; after != before {
		s.t.Errorf("deployment %s became live, and nothing was to move", after)
	}
}

func TestARollbackIsPinnedAndGoesForwardAgain(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	s.env["GITHUB_ACTIONS"], s.env["GITHUB_RUN_ID"], s.env["GITHUB_SHA"] = "true", "4711", "0123456789abcdef0123456789abcdef01234567"
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	s.env["GITHUB_RUN_ID"], s.env["GITHUB_SHA"] = "4712", "fedcba9876543210fedcba9876543210fedcba98"
	state = s.applied(state, s.config(s.v2))
	state = s.applied(state, s.config(v3))
	for to, want := range map[string]string{
		"previous": s.v2, s.v1: s.v1, "4711": s.v1, "0123456": s.v1, "fedcba98": v3, "run-abcdef": v3,
	} {
		back := s.config(v3, tfproto.Object{"rollback_to": to})
		s.restart()
		plan, d := s.provider.Plan(t.Context(), t, s.read(state), back)
		if d.HasError() {
			t.Fatalf("%s: planning: %s", to, d)
		}
		if got := plan.Object["rollback_version_id"]; got != want {
			t.Errorf("%s leads to %v, want %s", to, got, want)
		}
		if want != v3 {
			for _, part := range []string{"goes back to version " + want, "Nothing is uploaded"} {
				if !strings.Contains(d.String(), part) {
					t.Errorf("%s: the plan does not say %q:\n%s", to, part, d)
				}
			}
		}
	}
	back := s.config(v3, tfproto.Object{"rollback_to": "previous"})
	state = s.applied(state, back)
	if diff := cmp.Diff(only(s.v2), state.Object["active_versions"]); diff != "" {
		t.Fatalf("after the rollback (-want +got):\n%s", diff)
	}
	s.wantKept(state, back)
	// A new version while rolled back changes nothing that is live.
	v4 := s.upload(s.worker, "four")
	newer := s.config(v4, tfproto.Object{"rollback_to": "previous"})
	s.restart()
	if _, d := s.provider.Plan(t.Context(), t, s.read(state), newer); !strings.Contains(d.String(), "Version is not deployed") {
		t.Errorf("a new version during a rollback: %s", d)
	}
	state = s.applied(state, newer)
	s.wantKept(state, newer)
	if diff := cmp.Diff(only(s.v2), state.Object["active_versions"]); diff != "" {
		t.Fatalf("a new version moved what is rolled back (-want +got):\n%s", diff)
	}
	state = s.applied(state, s.config(v4))
	if diff := cmp.Diff(only(v4), state.Object["active_versions"]); diff != "" {
		t.Errorf("without rollback_to (-want +got):\n%s", diff)
	}
	s.wantKept(state, s.config(v4))
}

func TestARollbackThatIsNotKnownYetMayBeNone(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	s.restart()
	plan, d := s.provider.Plan(t.Context(), t, s.read(state), s.config(s.v2, tfproto.Object{"rollback_to": tfproto.Unknown}))
	if len(d) > 0 || plan.Object["active_versions"] != tfproto.Unknown {
		t.Errorf("the plan has active_versions = %v and says: %s", plan.Object["active_versions"], d)
	}
}

func TestNothingToGoBackToIsSaidAtPlan(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	for to, want := range map[string]string{
		"previous":                             "no version before the live one was healthy",
		"00000000-0000-4000-8000-000000000000": "is not among its versions that can be deployed",
		"prevoius":                             `neither "previous"`,
	} {
		s.restart()
		_, d := s.provider.Plan(t.Context(), t, s.read(state), s.config(s.v1, tfproto.Object{"rollback_to": to}))
		if !d.HasError() || !strings.Contains(d.String(), want) || !strings.Contains(d.String(), "rollback_to") {
			t.Errorf("%s: %s, want an error at rollback_to with %q", to, d, want)
		}
	}
}

func TestAVersionThatSomebodyWentBackFromStaysRejected(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	config := s.config(s.v2)
	state = s.applied(state, config)
	rollback := s.foreign("it was bad", cloudflare.Share{VersionID: s.v1, Percentage: 100})
	s.restart()
	state = s.read(state)
	s.wantKept(state, config, "Version is rejected", s.v2, "somebody went back from it", rollback, "it was bad", "retry_rejected")
	// Content that changed is another version, and goes out.
	v3 := s.upload(s.worker, "three")
	if after := s.applied(state, s.config(v3)); !cmp.Equal(after.Object["active_versions"], any(only(v3))) {
		t.Errorf("another version is kept, too: %v", after.Object["active_versions"])
	}
	s.foreign("again", cloudflare.Share{VersionID: s.v1, Percentage: 100})
	// So does the rejected one where that is asked for, once.
	again := s.config(s.v2, tfproto.Object{"retry_rejected": s.v2})
	state = s.applied(state, again)
	if diff := cmp.Diff(only(s.v2), state.Object["active_versions"]); diff != "" {
		t.Fatalf("after retry_rejected (-want +got):\n%s", diff)
	}
	s.foreign("and again", cloudflare.Share{VersionID: s.v1, Percentage: 100})
	s.restart()
	s.wantKept(s.read(state), again, "Version is rejected")
	// A state that was lost changes nothing of it.
	fresh := s.applied(tfproto.State{Type: kind}, s.config(s.v2, tfproto.Object{"overwrite_unseen": true}))
	if diff := cmp.Diff(only(s.v1), fresh.Object["active_versions"]); diff != "" {
		t.Errorf("after the state was lost (-want +got):\n%s", diff)
	}
}

// Versions that are made and not released, such as previews, may be older than every
// release that is kept: another run has made them, so this one knows nothing of them.
func TestOnlyReleasesGiveWayToNewerReleases(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	made := func(text string) string {
		v := s.provider.Create(t.Context(), t, "hybridge_worker_version", tfproto.Object{
			"worker": s.worker, "compatibility_date": "2026-01-01", "script": "export default { name: '" + text + "' }",
		})
		return v.Object["id"].(string)
	}
	previews := []string{made("first preview"), made("second preview")}
	state, last := tfproto.State{Type: kind}, ""
	for _, text := range []string{"one", "two", "three"} {
		s.restart()
		if state.Object != nil {
			state = s.read(state)
		}
		last = made(text)
		next, d := s.provider.Apply(t.Context(), t, s.plan(state, s.config(last, tfproto.Object{"keep_versions": 1.0})))
		if len(d) > 0 {
			t.Fatal(d)
		}
		state = next
	}
	left := slices.Sorted(slices.Values(s.versions()))
	if diff := cmp.Diff(slices.Sorted(slices.Values(append(previews, s.v1, s.v2, last))), left); diff != "" {
		t.Errorf("versions that are left (-want +got):\n%s", diff)
	}
}
