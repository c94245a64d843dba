// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// The deployment of a rollback tells that it is done: who runs it again, because the answer
// or the state got lost, does not go forward to the bad version, nor one further back.
func TestARollbackThatIsRunAgainHasBeenDone(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(s *stand, state tfproto.State, back tfproto.Object) tfproto.State{
		"the answer got lost": func(s *stand, state tfproto.State, back tfproto.Object) tfproto.State {
			s.block = tfproto.Object{"max_retries": 0}
			s.restart()
			plan := s.plan(s.read(state), back)
			s.Faults.Add(fault.Rule{Method: "POST", Path: deploy, Kind: fault.ErrorAfter}, fault.Rule{Method: "GET", Path: deploy, Kind: fault.ErrorBefore, Times: -1})
			state, d := s.provider.Apply(s.test.Context(), s.t, plan)
			s.Faults.Clear()
			if !d.HasError() {
				s.t.Fatalf("the answer was to get lost")
			}
			return state
		},
		"the state was not written": func(s *stand, state tfproto.State, back tfproto.Object) tfproto.State {
			s.applied(state, back)
			return state
		},
		"there is no state any more": func(s *stand, state tfproto.State, back tfproto.Object) tfproto.State {
			s.applied(state, back)
			return tfproto.State{Type: kind}
		},
	} {
		for from, more := range map[string]tfproto.Object{"a release": {}, "a release, with today's secrets": {"rollback_secrets": "current"}, "a canary": {}} {
			t.Run(name+", from "+from, func(t *testing.T) {
				t.Parallel()
				s := newStand(t)
				v3 := s.upload(s.worker, "three")
				bad := s.config(v3)
				if from == "a canary" {
					bad = s.config(v3, baking("1ms", 10))
					bad["rollout"].(map[string]any)["hold_at"] = 10.0
				}
				state := tfproto.State{Type: kind}
				for _, config := range []tfproto.Object{s.config(s.v1), s.config(s.v2), bad} {
					state = s.applied(state, config)
				}
				back := s.config(v3, more, tfproto.Object{"rollback_to": "previous"})
				state = run(s, state, back)
				done := s.live()
				if done.Only() == "" || done.Serves(v3) || done.Serves(s.v1) {
					t.Fatalf("the rollback itself led to %v", done.Versions)
				}
				state = s.applied(state, back)
				if live := s.live(); live.ID != done.ID || state.Object["rollback_version_id"] != done.Only() {
					t.Errorf("live is %v, and the state is pinned to %v; want what the first run had made live: %v", live.Versions, state.Object["rollback_version_id"], done.Versions)
				}
				s.wantKept(state, back)
			})
		}
	}
}

// Whoever has settled on the version that a rollback led to, and goes back from that one too,
// comes to the one before: not forward to the one that was left behind.
func TestASecondRollbackGoesFurtherBack(t *testing.T) {
	t.Parallel()
	for name, settled := range map[string]func(s *stand) tfproto.Object{
		"by version_id":  func(s *stand) tfproto.Object { return s.config(s.v2) },
		"by rollback_to": func(s *stand) tfproto.Object { return s.config(s.v2, tfproto.Object{"rollback_to": s.v2}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			v3 := s.upload(s.worker, "three")
			state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
			state = s.applied(state, s.config(s.v2))
			state = s.applied(state, s.config(v3))
			state = s.applied(state, s.config(v3, tfproto.Object{"rollback_to": "previous"}))
			state = s.applied(state, settled(s))
			if live := s.live().Only(); live != s.v2 {
				t.Fatalf("live is %s, want %s", live, s.v2)
			}
			state = s.applied(state, s.config(s.v2, tfproto.Object{"rollback_to": "previous"}))
			if live := s.live().Only(); live != s.v1 {
				t.Errorf("live is %s, want %s", live, s.v1)
			}
			s.wantKept(state, s.config(s.v2, tfproto.Object{"rollback_to": "previous"}))
		})
	}
}

// A run that takes up a step which another one has left asks the same question: who was
// asked, and decides meanwhile, need not do so again. Another deployment is another question.
func TestARunThatTakesAStepUpAsksTheSameQuestion(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	const secret = "correct-horse-battery-staple-signs"
	a := newApprover(t, secret, `{"verdict": "wait"}`, `{"verdict": "pass"}`)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	config := s.config(s.v2, tfproto.Object{"rollout": map[string]any{
		"on_interrupt": "hold", "steps": []any{step(10, "1ms", "release"), step(50, "1ms", "release")},
		"gates": map[string]any{"release": map[string]any{"webhook": map[string]any{"url": a.URL, "signing_secret": map[string]any{"value_wo": secret}}}},
	}})
	s.restart()
	plan := s.plan(s.read(state), config)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for asked := 0; asked == 0 && t.Context().Err() == nil; time.Sleep(10 * time.Millisecond) {
			a.mu.Lock()
			asked = len(a.asked)
			a.mu.Unlock()
		}
		interrupt()
	}()
	state, d := s.provider.Apply(ctx, t, plan)
	if !strings.Contains(d.String(), "Rollout is held") {
		t.Fatalf("the interrupted run: %s", d)
	}
	s.applied(state, config)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ids) != 3 || len(a.wrong) > 0 {
		t.Fatalf("it was asked %d times, %q", len(a.ids), a.wrong)
	}
	if a.ids[0] != a.ids[1] || a.ids[1] == a.ids[2] || a.asked[0]["rollout_id"] == a.asked[1]["rollout_id"] {
		t.Errorf("the questions are %q, of the rollouts %v and %v", a.ids, a.asked[0]["rollout_id"], a.asked[1]["rollout_id"])
	}
}
