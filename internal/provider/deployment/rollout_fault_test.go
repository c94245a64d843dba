// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// baking is a rollout without gates.
func baking(bake string, percentages ...float64) tfproto.Object {
	steps := []any{}
	for _, p := range percentages {
		steps = append(steps, map[string]any{"percentage": p, "bake_time": bake})
	}
	return tfproto.Object{"rollout": map[string]any{"steps": steps}}
}

// calls are the requests that a rollout of one version over another makes, in order.
func (s *stand) calls(t *testing.T) []fault.Request {
	t.Helper()
	return s.Faults.Requests()
}

// Whatever a plane does at whichever request: afterwards one of the two versions serves,
// or both of them do and the diagnostic says so, and the next run ends where it should.
func TestAPlaneThatFailsNeverLeavesSomethingElseLive(t *testing.T) {
	t.Parallel()
	count := newStand(t)
	state := count.applied(tfproto.State{Type: kind}, count.config(count.v1))
	count.restart()
	plan := count.plan(count.read(state), count.config(count.v2, baking("1ms", 10, 50)))
	count.Faults.Requests()
	if _, d := count.provider.Apply(t.Context(), t, plan); d.HasError() {
		t.Fatal(d)
	}
	requests := count.calls(t)
	if len(requests) < 8 {
		t.Fatalf("a rollout of three steps made %d requests", len(requests))
	}
	kinds := []fault.Rule{
		{Kind: fault.TooMany}, {Kind: fault.ErrorBefore}, {Kind: fault.ErrorAfter}, {Kind: fault.ResetBefore}, {Kind: fault.ResetAfter},
		{Kind: fault.Truncated}, {Kind: fault.HTMLAfter}, {Kind: fault.Conflict}, {Kind: fault.Unauthorized},
	}
	for _, rule := range kinds {
		for n := range requests {
			for _, times := range []int{1, -1} {
				if times < 0 && rule.Kind != fault.ErrorBefore && rule.Kind != fault.ResetAfter {
					continue
				}
				rule := rule
				rule.Skip, rule.Times = n, times
				t.Run(fmt.Sprintf("%s at request %d, %d times", rule.Kind, n, times), func(t *testing.T) {
					t.Parallel()
					s := newStand(t)
					s.block = tfproto.Object{"max_retries": 0}
					state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
					config := s.config(s.v2, baking("1ms", 10, 50))
					s.restart()
					plan := s.plan(s.read(state), config)
					s.Faults.Add(rule)
					after, d := s.provider.Apply(t.Context(), t, plan)
					s.Faults.Clear()
					live := s.live()
					checkLive(t, s, live, d)
					if after.Object == nil {
						t.Fatal("an update has lost the state")
					}
					// The next run goes on from there, or back, to where it should end.
					s.restart()
					final := s.applied(after, config)
					if diff := cmp.Diff(only(s.v2), final.Object["active_versions"]); diff != "" {
						t.Errorf("after the next run (-want +got):\n%s", diff)
					}
				})
			}
		}
	}
}

// checkLive fails unless what is live is what the diagnostics say.
func checkLive(t *testing.T, s *stand, live cloudflare.Deployment, d tfproto.Diagnostics) {
	t.Helper()
	for _, share := range live.Versions {
		if share.VersionID != s.v1 && share.VersionID != s.v2 {
			t.Errorf("version %s is live, which nobody wanted", share.VersionID)
		}
	}
	text := d.String()
	switch {
	case !d.HasError():
		if live.Only() != s.v2 {
			t.Errorf("no error, and live is %v", live.Versions)
		}
	case strings.Contains(text, "Rollout was rolled back"):
		if live.Only() != s.v1 {
			t.Errorf("it says that it was rolled back, and live is %v", live.Versions)
		}
	case strings.Contains(text, "Rollout was overtaken"):
		t.Errorf("nobody else has deployed:\n%s", text)
	case strings.Contains(text, "unknown state"), strings.Contains(text, "Cannot "):
	default:
		t.Errorf("an unexpected diagnostic:\n%s", text)
	}
}

func TestSomebodyElsesDeploymentDuringARolloutStaysUntouched(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	config := s.config(s.v2, baking("300ms", 10, 50))
	s.restart()
	plan := s.plan(s.read(state), config)
	theirs := make(chan string)
	go func() {
		time.Sleep(450 * time.Millisecond) // in the step at 50 %
		id, err := foreignDeployment(s, "an operator", []cloudflare.Share{{VersionID: v3, Percentage: 100}})
		if err != nil {
			id = err.Error()
		}
		theirs <- id
	}()
	after, d := s.provider.Apply(t.Context(), t, plan)
	id := <-theirs
	if live := s.live(); live.ID != id {
		t.Errorf("live is %s, want theirs: %s", live.ID, id)
	}
	for _, part := range []string{"Rollout was overtaken", "another deployment came in between", "touched nothing", v3} {
		if !strings.Contains(d.String(), part) {
			t.Errorf("the diagnostic lacks %q:\n%s", part, d)
		}
	}
	if diff := cmp.Diff(only(v3), after.Object["active_versions"]); diff != "" {
		t.Errorf("the state (-want +got):\n%s", diff)
	}
}

func TestAnInterruptedRolloutDoesWhatItWasTold(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]func(s *stand) map[string]any{
		"rollback": func(s *stand) map[string]any { return only(s.v1) },
		"hold":     func(s *stand) map[string]any { return map[string]any{s.v2: 10.0, s.v1: 90.0} },
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
			config := s.config(s.v2, baking("1m", 10))
			config["rollout"].(map[string]any)["on_interrupt"] = policy
			s.restart()
			plan := s.plan(s.read(state), config)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for s.Faults.Count(http.MethodPost, deploy) == 0 {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(50 * time.Millisecond)
				cancel()
			}()
			began := time.Now()
			after, d := s.provider.Apply(ctx, t, plan)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if !d.HasError() || !strings.Contains(d.String(), "interrupted") {
				t.Errorf("the diagnostic: %s", d)
			}
			if diff := cmp.Diff(want(s), after.Object["active_versions"]); diff != "" {
				t.Errorf("the state (-want +got):\n%s", diff)
			}
			// It is no rejection: the next run tries again.
			s.restart()
			final := s.applied(after, s.config(s.v2, baking("1ms", 10)))
			if diff := cmp.Diff(only(s.v2), final.Object["active_versions"]); diff != "" {
				t.Errorf("after the next run (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACanaryIsHeldAndGoesOn(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	held := func(at any) tfproto.Object {
		c := s.config(s.v2, baking("1ms", 10, 50))
		c["rollout"].(map[string]any)["hold_at"] = at
		return c
	}
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	for _, tt := range []struct {
		at   any
		want map[string]any
	}{
		{10.0, map[string]any{s.v2: 10.0, s.v1: 90.0}},
		{50.0, map[string]any{s.v2: 50.0, s.v1: 50.0}},
		{10.0, map[string]any{s.v2: 50.0, s.v1: 50.0}}, // never a step back
		{nil, only(s.v2)},
	} {
		state = s.applied(state, held(tt.at))
		if diff := cmp.Diff(tt.want, state.Object["active_versions"]); diff != "" {
			t.Errorf("hold_at %v (-want +got):\n%s", tt.at, diff)
		}
		s.wantQuiet(state, held(tt.at))
	}
}

func TestARolloutThatTakesTooLongIsEnded(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	config := s.config(s.v2, baking("1m", 10), tfproto.Object{"timeouts": map[string]any{"update": "300ms"}})
	s.restart()
	plan := s.plan(s.read(state), config)
	after, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "longer than timeouts allows") || !strings.Contains(d.String(), "Rollout was rolled back") {
		t.Errorf("the diagnostic: %s", d)
	}
	if diff := cmp.Diff(only(s.v1), after.Object["active_versions"]); diff != "" {
		t.Errorf("the state (-want +got):\n%s", diff)
	}
}
