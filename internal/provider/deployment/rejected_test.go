// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// Nobody can have visited what did not exist: a metrics gate lets the first version of a
// Worker pass, and says so, unless it is told not to. The versions after it are judged.
func TestTheFirstVersionNeedsNoVisitors(t *testing.T) {
	t.Parallel()
	for inconclusive, passes := range map[string]bool{"": true, "fail": false} {
		t.Run("on_inconclusive "+inconclusive, func(t *testing.T) {
			t.Parallel()
			s := newTheatre(t)
			metrics := map[string]any{"max_failure_rate": 0.01, "settle": "200ms", "min_requests": 20.0}
			if inconclusive != "" {
				metrics["on_inconclusive"] = inconclusive
			}
			config := func(version string) tfproto.Object {
				return s.config(version, tfproto.Object{
					"steps": []any{step(0, "200ms", "health"), step(50, "200ms", "health", "errors")},
					"gates": map[string]any{"health": healthy(nil), "errors": map[string]any{"metrics": metrics}},
				})
			}
			const warning = "Metrics could not judge the first version"
			d := s.apply(config(s.good))
			if s.live().Only() != s.good || d.HasError() == passes || strings.Contains(d.String(), warning) != passes || !strings.Contains(d.String(), "0 requests, wanted at least 20") {
				t.Fatalf("the first version: %s", d)
			}
			if !passes {
				return
			}
			if d := s.apply(config(s.good)); len(d) > 0 {
				t.Errorf("once more: %s", d)
			}
			next := s.Upload(t, s.worker, answering("headers['X-Next'] = 'yes';"))
			if d := s.apply(config(next)); !d.HasError() || !strings.Contains(d.String(), "Rollout was rolled back") || s.live().Only() != s.good {
				t.Errorf("the second version: %s", d)
			}
		})
	}
}

// A first version that answers badly stays, because there is nothing else. No run says
// that it is not deployed, every run says what it is, and asking again judges it again.
func TestARejectedVersionThatIsLiveIsSaidToBeLive(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	const secret = "correct-horse-battery-staple-signs"
	a := newApprover(t, secret, `{"verdict": "fail"}`, `{"verdict": "fail"}`, `{"verdict": "pass"}`)
	config := func(more tfproto.Object) tfproto.Object {
		return s.config(s.v1, more, tfproto.Object{"rollout": map[string]any{
			"steps": []any{step(10, "1ms", "release")},
			"gates": map[string]any{"release": map[string]any{"webhook": map[string]any{"url": a.URL, "signing_secret": map[string]any{"value_wo": secret}}}},
		}})
	}
	run := func(state tfproto.State, config tfproto.Object) (tfproto.State, tfproto.Diagnostics) {
		s.restart()
		if state.Object != nil {
			state = s.read(state)
		}
		after, d := s.provider.Apply(t.Context(), t, s.plan(state, config))
		return after, d
	}
	wantSaid := func(d tfproto.Diagnostics, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(d.String(), part) {
				t.Errorf("the diagnostic lacks %q:\n%s", part, d)
			}
		}
	}
	state, d := run(tfproto.State{Type: kind}, config(nil))
	if !d.HasError() || state.Object != nil || s.live().Only() != s.v1 {
		t.Fatalf("the first version: %s", d)
	}
	wantSaid(d, "Rollout is held", "nothing to go back to, so it stays", "retry_rejected")
	const isLive = "is live all the same"
	// The run after it adopts what is live.
	state, d = run(tfproto.State{Type: kind}, config(nil))
	if d.HasError() || strings.Contains(d.String(), "is not deployed") {
		t.Fatalf("the run after it: %s", d)
	}
	wantSaid(d, isLive, `gate "release" failed`, "retry_rejected")
	s.wantKept(state, config(nil), isLive)
	// It is tried again once for each time that this is asked for.
	again := config(tfproto.Object{"retry_rejected": s.v1})
	state, d = run(state, again)
	if !d.HasError() || len(a.asked) != 2 {
		t.Fatalf("the gate was asked %d times, want 2: %s", len(a.asked), d)
	}
	wantSaid(d, "Rollout is held")
	s.wantKept(state, again, isLive)
	if state, d = run(state, config(nil)); d.HasError() || len(a.asked) != 2 {
		t.Fatalf("without retry_rejected the gate was asked %d times, want 2: %s", len(a.asked), d)
	}
	state, d = run(state, again)
	if len(d) > 0 || len(a.asked) != 3 {
		t.Fatalf("the gate was asked %d times, want 3: %s", len(a.asked), d)
	}
	if diff := cmp.Diff(only(s.v1), state.Object["active_versions"]); diff != "" {
		t.Errorf("what is live (-want +got):\n%s", diff)
	}
	s.wantKept(state, again)
	if state, d = run(state, config(nil)); len(d) > 0 {
		t.Errorf("once retry_rejected is taken away: %s", d)
	}
	s.wantKept(state, config(nil))
	if lost, d := run(tfproto.State{Type: kind}, config(nil)); len(d) > 0 || lost.Object == nil {
		t.Errorf("after the state was lost: %s", d)
	}
}

// A pipeline that runs again stays red where it is told to, until somebody decides.
func TestARejectedVersionFailsThePlansThatAreToldTo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	red := tfproto.Object{"on_rejected": "fail"}
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1, red))
	state = s.applied(state, s.config(s.v2, red))
	s.foreign("it was bad", cloudflare.Share{VersionID: s.v1, Percentage: 100})
	for _, prior := range []tfproto.State{state, {Type: kind}} {
		s.restart()
		if prior.Object != nil {
			prior = s.read(prior)
		}
		_, d := s.provider.Plan(t.Context(), t, prior, s.config(s.v2, red))
		for _, part := range []string{"Version is rejected", "version_id", "it was bad", "retry_rejected", `on_rejected = "fail"`} {
			if !d.HasError() || !strings.Contains(d.String(), part) {
				t.Errorf("the plan lacks %q: %s", part, d)
			}
		}
	}
	// Whoever says that the old one is meant has a green pipeline again; so has a new version.
	state = s.applied(state, s.config(s.v2, red, tfproto.Object{"rollback_to": s.v1}))
	s.wantKept(state, s.config(s.v2, red, tfproto.Object{"rollback_to": s.v1}))
	v3 := s.upload(s.worker, "three")
	s.wantKept(s.applied(state, s.config(v3, red)), s.config(v3, red))
}
