// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// waitFor waits until a version has this share of what is live.
func (s *stand) waitFor(version string, percentage float64) {
	s.test.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, share := range s.live().Versions {
			if share.VersionID == version && share.Percentage == percentage {
				return
			}
		}
	}
	s.t.Fatalf("version %s never came to %v %%", version, percentage)
}

// alone are the versions that have served alone, oldest first.
func (s *stand) alone() []string {
	var out []string
	for _, d := range s.history() {
		if id := d.Only(); id != "" {
			out = append([]string{id}, out...)
		}
	}
	return out
}

// Two versions of somebody's rollout that goes on are not settled to one: who comes with a
// third waits for its end, and goes on from there.
func TestARolloutWaitsForTheEndOfAnother(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	s.restart()
	first, plan := s.provider, s.plan(s.read(state), s.config(s.v2, baking("700ms", 10, 50)))
	said := make(chan tfproto.Diagnostics)
	go func() {
		_, d := first.Apply(t.Context(), t, plan)
		said <- d
	}()
	s.waitFor(s.v2, 10)
	after := s.applied(state, s.config(v3, baking("1ms", 10)))
	if d := <-said; len(d) > 0 {
		t.Errorf("the rollout that was under way: %s", d)
	}
	if diff := cmp.Diff([]string{s.v1, s.v2, v3}, s.alone()); diff != "" {
		t.Errorf("versions that served alone (-want +got):\n%s", diff)
	}
	s.wantKept(after, s.config(v3, baking("1ms", 10)))
}

// So it is where the other run is dead, and the plane has not noticed yet.
func TestARolloutWaitsForTheEndOfADeadOne(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	id, mark := uuid.NewString(), cloudflare.RolloutMark{ID: "0badc0de"}
	dead := s.somebody()
	if err := dead.StartRollout(t.Context(), "api", cloudflare.Rollout{
		ID: id, Target: s.v2, Previous: s.v1, Steps: []cloudflare.RolloutStep{{Percentage: 10, BakeSeconds: 60}, {Percentage: 100}},
		OnFailure: "rollback", OnInterrupt: "rollback", InterruptMessage: cloudflare.Marking{Marker: cloudflare.DeploymentMarker(nil), Rollout: mark}.String(),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.CreateDeployment(t.Context(), "api", cloudflare.DeploymentInput{
		Versions: []cloudflare.Share{{VersionID: s.v2, Percentage: 10}, {VersionID: s.v1, Percentage: 90}}, Rollout: mark, RolloutID: id,
		Check: func(*cloudflare.Deployment) error { return nil },
	}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.applied(state, s.config(v3, baking("1ms", 10)))
	if took := time.Since(began); took < acctest.RolloutLease/2 {
		t.Errorf("it took only %s", took)
	}
	if diff := cmp.Diff([]string{s.v1, s.v1, v3}, s.alone()); diff != "" {
		t.Errorf("versions that served alone (-want +got):\n%s", diff)
	}
}

// A canary that is held is settled by the rollout of a third version, as part of it; and only
// once that can begin.
func TestAHeldCanaryIsSettledByTheNextRollout(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	canary := s.config(s.v2, baking("1ms", 10))
	canary["rollout"].(map[string]any)["hold_at"] = 10.0
	state := s.applied(s.applied(tfproto.State{Type: kind}, s.config(s.v1)), canary)
	held := s.live()
	s.restart()
	// The Worker has no preview URLs, which only the apply finds out.
	plan := s.plan(s.read(state), s.config(v3, tfproto.Object{"rollout": map[string]any{
		"steps": []any{step(10, "1ms", "health")}, "gates": map[string]any{"health": healthy(nil)},
	}}))
	if _, d := s.provider.Apply(t.Context(), t, plan); !d.HasError() || !strings.Contains(d.String(), "Invalid gate") {
		t.Errorf("a gate that cannot be asked: %s", d)
	}
	if live := s.live(); live.ID != held.ID {
		t.Fatalf("a rollout that could not begin has ended the canary: live is %v", live.Versions)
	}
	s.applied(state, s.config(v3, baking("1ms", 10)))
	if diff := cmp.Diff([]string{s.v1, s.v1, v3}, s.alone()); diff != "" {
		t.Errorf("versions that served alone (-want +got):\n%s", diff)
	}
	all := s.history()
	if a, b := all[0].Marking().Rollout.ID, all[2].Marking().Rollout.ID; a == "" || a != b {
		t.Errorf("the deployment that settled is of the rollout %q, want %q", b, a)
	}
}
