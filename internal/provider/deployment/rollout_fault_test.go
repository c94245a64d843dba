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

// A self-hosted plane that does not say what it is keeps a lease for all that: without one,
// nobody would go back for a run that dies, and another run could come between.
func TestNoRolloutBeginsWithoutTheLeaseThatThePlaneKeeps(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]tfproto.Object{
		"no gates": baking("1ms", 10),
		"metrics": {"rollout": map[string]any{
			"steps": []any{step(10, "1ms", "g")}, "gates": map[string]any{"g": map[string]any{"metrics": map[string]any{"max_failure_rate": 0.5}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.block = tfproto.Object{"max_retries": 0}
			state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
			before := s.live().ID
			s.restart()
			plan := s.plan(s.read(state), s.config(s.v2, config))
			s.Faults.Add(fault.Rule{Method: "GET", Path: "/hybridge/v1/plane", Kind: fault.ErrorBefore, Times: -1})
			_, d := s.provider.Apply(t.Context(), t, plan)
			if !d.HasError() || !strings.Contains(d.String(), "/hybridge/v1/plane") {
				t.Errorf("the run says: %s", d)
			}
			if live := s.live(); live.ID != before {
				t.Errorf("deployment %s became live, without a lease: %v", live.ID, live.Versions)
			}
		})
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

// Where the plan cannot tell which version a canary takes over from, it does not say.
func TestACanaryIsPlannedOnlyWhereItIsKnown(t *testing.T) {
	t.Parallel()
	held := func(s *stand, version string, more ...tfproto.Object) tfproto.Object {
		c := s.config(version, append(more, baking("1ms", 10))...)
		c["rollout"].(map[string]any)["hold_at"] = 10.0
		return c
	}
	for name, tt := range map[string]struct {
		run  func(s *stand, v3 string) (tfproto.State, tfproto.Object) // before, and what is planned over it
		want func(s *stand, v3 string) (planned any, is map[string]any)
	}{
		"over one version": {
			func(s *stand, _ string) (tfproto.State, tfproto.Object) {
				return s.applied(tfproto.State{Type: kind}, s.config(s.v1)), held(s, s.v2)
			},
			func(s *stand, _ string) (any, map[string]any) {
				is := map[string]any{s.v2: 10.0, s.v1: 90.0}
				return is, is
			},
		},
		"over another canary": {
			func(s *stand, v3 string) (tfproto.State, tfproto.Object) {
				return s.applied(s.applied(tfproto.State{Type: kind}, s.config(s.v1)), held(s, s.v2)), held(s, v3)
			},
			func(s *stand, v3 string) (any, map[string]any) {
				return tfproto.Unknown, map[string]any{v3: 10.0, s.v1: 90.0}
			},
		},
		"after the state was lost": {
			func(s *stand, _ string) (tfproto.State, tfproto.Object) {
				s.applied(tfproto.State{Type: kind}, s.config(s.v1))
				return tfproto.State{Type: kind}, held(s, s.v2)
			},
			func(s *stand, _ string) (any, map[string]any) {
				return tfproto.Unknown, map[string]any{s.v2: 10.0, s.v1: 90.0}
			},
		},
		"of the first version": {
			func(s *stand, _ string) (tfproto.State, tfproto.Object) {
				return tfproto.State{Type: kind}, held(s, s.v1)
			},
			func(s *stand, _ string) (any, map[string]any) { return tfproto.Unknown, only(s.v1) },
		},
		"over whatever is live": {
			func(s *stand, _ string) (tfproto.State, tfproto.Object) {
				return s.applied(tfproto.State{Type: kind}, s.config(s.v1)), held(s, s.v2, tfproto.Object{"overwrite_unseen": true})
			},
			func(s *stand, _ string) (any, map[string]any) {
				return tfproto.Unknown, map[string]any{s.v2: 10.0, s.v1: 90.0}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			v3 := s.upload(s.worker, "three")
			state, config := tt.run(s, v3)
			planned, is := tt.want(s, v3)
			s.restart()
			if state.Object != nil {
				state = s.read(state)
			}
			plan := s.plan(state, config)
			if diff := cmp.Diff(planned, plan.Object["active_versions"]); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
			state, d := s.provider.Apply(t.Context(), t, plan)
			if diff := cmp.Diff(is, state.Object["active_versions"]); diff != "" || len(d) > 0 {
				t.Errorf("the apply: %s (-want +got):\n%s", d, diff)
			}
			s.wantQuiet(state, config)
		})
	}
}

// What became live between plan and apply does not let a canary come out as something else.
func TestACanaryOverSomethingElseThanPlannedDoesNotBegin(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	config := s.config(s.v2, baking("1ms", 10))
	config["rollout"].(map[string]any)["hold_at"] = 10.0
	s.restart()
	plan := s.plan(s.read(state), config)
	theirs := s.foreign("it is urgent", cloudflare.Share{VersionID: s.v2, Percentage: 100})
	if _, d := s.provider.Apply(t.Context(), t, plan); !d.HasError() || !strings.Contains(d.String(), "has not been seen by the plan") {
		t.Errorf("the apply: %s", d)
	}
	if live := s.live(); live.ID != theirs {
		t.Errorf("live is %v, want theirs", live.Versions)
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

// A driver that is silent for longer than its lease lasts finds the rollout ended: a laptop
// that slept. What a gate says then still counts, and nothing goes forward.
func TestADriverThatHasLostItsLeaseGoesBackAndNotForward(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		verdict, onInterrupt string
		says                 []string
		want                 func(s *stand) map[string]any
	}{
		"hold, and the gate fails": {"fail", "hold", []string{"Rollout was rolled back", "is rejected"}, func(s *stand) map[string]any { return only(s.v1) }},
		"hold, and the gate passes": {"pass", "hold", []string{"Rollout is held", "has ended the rollout"}, func(s *stand) map[string]any {
			return map[string]any{s.v2: 50.0, s.v1: 50.0}
		}},
		"rollback, and the gate fails":  {"fail", "rollback", []string{"Rollout was rolled back", "is rejected"}, func(s *stand) map[string]any { return only(s.v1) }},
		"rollback, and the gate passes": {"pass", "rollback", []string{"Rollout was rolled back", "has ended the rollout"}, func(s *stand) map[string]any { return only(s.v1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			const secret = "correct-horse-battery-staple-signs"
			a := newApprover(t, secret, `{"verdict": "`+tt.verdict+`"}`)
			state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
			config := s.config(s.v2, tfproto.Object{"rollout": map[string]any{
				"on_interrupt": tt.onInterrupt,
				"steps":        []any{step(50, "3s", "release")}, // the lease lasts 2 s, and is renewed after 5
				"gates":        map[string]any{"release": map[string]any{"webhook": map[string]any{"url": a.URL, "signing_secret": map[string]any{"value_wo": secret}}}},
			}})
			s.restart()
			plan := s.plan(s.read(state), config)
			state, d := s.provider.Apply(t.Context(), t, plan)
			for _, part := range tt.says {
				if !d.HasError() || !strings.Contains(d.String(), part) {
					t.Errorf("the diagnostic lacks %q:\n%s", part, d)
				}
			}
			if diff := cmp.Diff(tt.want(s), state.Object["active_versions"]); diff != "" {
				t.Errorf("the state (-want +got):\n%s", diff)
			}
			if strings.Contains(d.String(), "is rejected") {
				s.wantKept(state, config, "Version is rejected", s.v2, `the gate "release" failed`)
			} else if r := s.live().Marking().Rollout.Rejects; r != "" {
				t.Errorf("version %s is rejected, and no gate has failed", r)
			}
		})
	}
}
