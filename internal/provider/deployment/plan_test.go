// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// Where the versions do not say that their secrets differ, the plane refuses, and the
// advice is the same. Where they say that they are the same, nothing is in the way.
func TestARollbackOverAChangeOfSecretsThatOnlyThePlaneKnows(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	sealedOnce, sealedAgain := s.uploadSecret("the-value"), s.uploadSecret("the-value")
	state := s.applied(tfproto.State{Type: kind}, s.config(sealedOnce))
	state = s.applied(state, s.config(sealedAgain))
	back := s.config(sealedAgain, tfproto.Object{"rollback_to": "previous"})
	state = s.applied(state, back)
	if diff := cmp.Diff(only(sealedOnce), state.Object["active_versions"]); diff != "" {
		t.Fatalf("over versions of the same secrets (-want +got):\n%s", diff)
	}
	state = s.applied(state, s.config(sealedAgain))
	s.put("TOKEN")
	s.restart()
	state = s.read(state)
	plan := s.plan(state, s.config(sealedAgain, tfproto.Object{"rollback_to": sealedOnce}))
	_, d := s.provider.Apply(t.Context(), t, plan)
	for _, part := range []string{"10220", "rollback_to leads to", `rollback_secrets = "current"`, "allow_changed_secrets = true"} {
		if !d.HasError() || !strings.Contains(d.String(), part) {
			t.Errorf("an apply over a secret that somebody has put lacks %q: %s", part, d)
		}
	}
	s.restart()
	state = s.applied(state, s.config(sealedAgain, tfproto.Object{"rollback_to": sealedOnce, "rollback_secrets": "current"}))
	if made, _ := state.Object["rollback_version_id"].(string); made == sealedOnce || !cmp.Equal(any(only(made)), state.Object["active_versions"]) {
		t.Errorf("with today's secrets it went back to %q; live is %v", made, state.Object["active_versions"])
	}
}

// A configuration that names the Worker by its id gets its name told: nobody knows it by
// its id. And what served everything did so from its own release on, not from a step of the next
// one that left everything to it.
func TestAPlanTellsOfARollbackInTheWordsOfItsReader(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	byID := func(version string, more ...tfproto.Object) tfproto.Object {
		return s.config(version, append(more, tfproto.Object{"worker": s.worker})...)
	}
	state := s.applied(tfproto.State{Type: kind}, byID(s.v1))
	release := s.live().ID
	state = s.applied(state, byID(s.v2, baking("1ms", 0, 10)))
	s.restart()
	_, d := s.provider.Plan(t.Context(), t, s.read(state), byID(s.v2, tfproto.Object{"rollback_to": "previous"}))
	if text := d.String(); !strings.Contains(text, `Worker "api"`) || strings.Contains(text, s.worker) || !strings.Contains(text, "served everything from this deployment on:\n\n  deployment  "+release) {
		t.Errorf("the plan of a rollback to what %s made: %s", release, d)
	}
	s.restart()
	_, d = s.provider.Plan(t.Context(), t, s.read(state), byID(s.v2, tfproto.Object{"rollback_to": "prevoius"}))
	if text := d.String(); !d.HasError() || !strings.Contains(text, `Worker "api"`) || strings.Contains(text, s.worker) {
		t.Errorf("the plan of a rollback to nothing: %s", d)
	}
	s.Faults.Add(fault.Rule{Method: "POST", Path: deploy, Kind: fault.Unauthorized, Times: -1})
	s.restart()
	_, d = s.provider.Apply(t.Context(), t, s.plan(s.read(state), byID(s.v1)))
	if text := d.String(); !d.HasError() || !strings.Contains(text, `deployment of Worker "api"`) {
		t.Errorf("an apply that is refused: %s", d)
	}
}

// Terraform plans a Worker before what refers to it: that its versions will have no
// preview URLs is known before anything is uploaded.
func TestAGateThatNeedsAPreviewURLIsRefusedAtPlanWhereThereWillBeNone(t *testing.T) {
	t.Parallel()
	s := newPlaneOnly(t)
	http := func(more map[string]any) map[string]any {
		more["path"] = "/"
		return map[string]any{"steps": []any{step(0, "1s", "g")}, "gates": map[string]any{"g": map[string]any{"http": more}}}
	}
	for name, tt := range map[string]struct {
		subdomain any
		rollout   map[string]any
		refused   bool
	}{
		"no previews":            {nil, http(map[string]any{}), true},
		"the live URL alone":     {map[string]any{"enabled": true}, http(map[string]any{}), true},
		"previews":               {map[string]any{"previews_enabled": true}, http(map[string]any{}), false},
		"previews that may come": {map[string]any{"previews_enabled": tfproto.Unknown}, http(map[string]any{}), false},
		"a version header":       {map[string]any{"enabled": true}, http(map[string]any{"version_header": "X-Version"}), false},
		"no HTTP gate":           {nil, map[string]any{"steps": []any{step(10, "1s")}}, false},
	} {
		s.restart()
		worker := tfproto.Object{"name": "api"}
		if tt.subdomain != nil {
			worker["subdomain"] = tt.subdomain
		}
		if _, d := s.provider.Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, worker); d.HasError() {
			t.Fatalf("%s: planning the Worker: %s", name, d)
		}
		_, d := s.provider.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"worker": "api", "version_id": tfproto.Unknown, "rollout": tt.rollout})
		if d.HasError() != tt.refused || tt.refused && (!strings.Contains(d.String(), `rollout.gates["g"].http`) || !strings.Contains(d.String(), "previews_enabled = true")) {
			t.Errorf("%s: %s", name, d)
		}
	}
}
