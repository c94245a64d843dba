// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// TestWhateverIsDoneAPlanIsWhatItsApplyGives lets an operator and somebody else
// act in any order on one Worker. After every step: what was applied is what was
// planned (tfproto looks), Read is a fixpoint, the next plan is empty, what is
// live is what is wanted, and nothing unseen was overwritten.
func TestWhateverIsDoneAPlanIsWhatItsApplyGives(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	versions := []string{s.v1, s.v2, s.upload(s.worker, "three")}
	rapid.Check(t, func(rt *rapid.T) {
		s.t = rt
		var (
			state  = tfproto.State{Type: kind}
			config tfproto.Object
		)
		pick := rapid.SampledFrom(versions)
		draw := func() {
			config = s.config(pick.Draw(rt, "version_id"), tfproto.Object{
				"worker":           rapid.SampledFrom([]string{"api", s.worker}).Draw(rt, "worker"),
				"message":          rapid.SampledFrom([]any{nil, "", "m", "n"}).Draw(rt, "message"),
				"overwrite_unseen": rapid.SampledFrom([]any{nil, true, false}).Draw(rt, "overwrite_unseen"),
			})
			if rapid.Bool().Draw(rt, "in steps") {
				maps.Copy(config, baking("1ms", 10, 50))
				config["rollout"].(map[string]any)["hold_at"] = rapid.SampledFrom([]any{nil, 10.0, 50.0}).Draw(rt, "hold_at")
			}
		}
		somebodyDeploys := func() string {
			a, b := pick.Draw(rt, "theirs"), pick.Draw(rt, "their second")
			if a == b {
				return s.foreign("theirs", cloudflare.Share{VersionID: a, Percentage: 100})
			}
			p := float64(rapid.IntRange(0, 10000).Draw(rt, "percent")) / 100
			return s.foreign("theirs", cloudflare.Share{VersionID: a, Percentage: p}, cloudflare.Share{VersionID: b, Percentage: 100 - p})
		}
		refresh := func() {
			s.restart()
			if state.Object != nil {
				state = s.read(state)
			}
		}
		draw()
		config["overwrite_unseen"] = true // earlier runs of this test left something live
		actions := map[string]func(){
			"change the configuration": draw,
			"somebody deploys":         func() { somebodyDeploys() },
			"apply": func() {
				refresh()
				version := config["version_id"].(string)
				rejection, err := s.somebody().Rejected(s.test.Context(), "api", version)
				if err != nil {
					rt.Fatal(err)
				}
				before := s.history()
				plan := s.plan(state, config)
				made, d := s.provider.Apply(s.test.Context(), s.t, plan)
				if d.HasError() {
					if state.Object != nil || config["overwrite_unseen"] == true {
						rt.Fatalf("applying what was just refreshed: %s", d)
					}
					return // a create over somebody else's deployment
				}
				state = made
				switch got := s.live(); {
				case rejection != nil && got.ID != before[0].ID:
					rt.Fatalf("version %s is rejected, and yet %v went live", version, got.Versions)
				case rejection == nil && !isWhatIsWanted(config, before, got):
					rt.Fatalf("%v is live, wanted %s by %v", got.Versions, version, config["rollout"])
				}
				s.wantQuiet(state, config)
			},
			"apply while somebody deploys": func() {
				refresh()
				plan := s.plan(state, config)
				theirs := somebodyDeploys()
				before := s.live()
				s.restart()
				made, d := s.provider.Apply(s.test.Context(), s.t, plan)
				switch {
				case !d.HasError():
					state = made
				case s.live().ID != theirs:
					rt.Fatalf("the apply failed and yet changed what is live: %s", d)
				}
				unchanged := plan.Object != nil && plan.Object["id"] != tfproto.Unknown
				wanted := []cloudflare.Share{{VersionID: config["version_id"].(string), Percentage: 100}}
				if s.live().ID != theirs && config["overwrite_unseen"] != true && !unchanged && !cloudflare.SameShares(before.Versions, wanted) && !d.HasError() {
					rt.Fatalf("deployment %s was overwritten unseen", theirs)
				}
			},
			"lose the state": func() { state = tfproto.State{Type: kind} },
		}
		// Each step costs some requests and a disk flush, so there are few of them.
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(actions))), 1, 6).Draw(rt, "steps") {
			actions[name]()
			if state.Object == nil {
				continue
			}
			refresh()
			if diff := cmp.Diff(state.Object, s.read(state).Object); state.Object != nil && diff != "" {
				rt.Fatalf("after %q: Read is no fixpoint:\n%s", name, diff)
			}
		}
	})
}

// isWhatIsWanted reports whether a configuration has led from what was live before to what is
// live: its version alone, or beside one of those before, at hold_at and never a step back.
func isWhatIsWanted(config tfproto.Object, before []cloudflare.Deployment, is cloudflare.Deployment) bool {
	version := config["version_id"].(string)
	rollout, _ := config["rollout"].(map[string]any)
	at, held := rollout["hold_at"].(float64)
	if !held || len(before) == 0 || before[0].Only() == version {
		return is.Only() == version
	}
	for _, s := range before[0].Versions {
		if s.VersionID == version {
			at = max(at, s.Percentage)
		}
	}
	for _, s := range is.Versions {
		switch {
		case s.VersionID == version && math.Abs(s.Percentage-at) < 0.001:
		case s.VersionID != version && before[0].Serves(s.VersionID):
		default:
			return false
		}
	}
	return len(is.Versions) == 2 && is.Serves(version)
}
