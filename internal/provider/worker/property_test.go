// SPDX-License-Identifier: MPL-2.0

package worker_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// maybe draws nil half of the time: an attribute that is left out.
func maybe[V any](t *rapid.T, g *rapid.Generator[V], label string) any {
	if rapid.Bool().Draw(t, label+" is set") {
		return g.Draw(t, label)
	}
	return nil
}

// drawConfig draws any valid configuration of a Worker called name.
func drawConfig(t *rapid.T, name string) tfproto.Object {
	config := tfproto.Object{
		"name":          name,
		"logpush":       maybe(t, rapid.Bool(), "logpush"),
		"force_destroy": maybe(t, rapid.Bool(), "force_destroy"),
		"tags":          maybe(t, rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z:]{1,8}`), 0, 4, rapid.ID[string]), "tags"),
	}
	if rapid.Bool().Draw(t, "subdomain is set") {
		config["subdomain"] = map[string]any{
			"enabled":          maybe(t, rapid.Bool(), "enabled"),
			"previews_enabled": maybe(t, rapid.Bool(), "previews_enabled"),
		}
	}
	if rapid.Bool().Draw(t, "observability is set") {
		rate := rapid.SampledFrom([]float64{0, 0.25, 0.5, 1})
		part := func(name string, more ...string) any {
			if !rapid.Bool().Draw(t, name+" is set") {
				return nil
			}
			o := map[string]any{
				"enabled":            maybe(t, rapid.Bool(), name+" enabled"),
				"head_sampling_rate": maybe(t, rate, name+" rate"),
				"persist":            maybe(t, rapid.Bool(), name+" persist"),
				"destinations":       maybe(t, rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,8}`), 1, 3, rapid.ID[string]), name+" destinations"),
			}
			for _, m := range more {
				o[m] = maybe(t, rapid.Bool(), name+" "+m)
			}
			return o
		}
		config["observability"] = map[string]any{
			"enabled":            rapid.Bool().Draw(t, "observability enabled"),
			"head_sampling_rate": maybe(t, rate, "rate"),
			"logs":               part("logs", "invocation_logs"),
			"traces":             part("traces"),
		}
	}
	return config
}

// TestAnyConfigurationConverges: for any valid configuration, and any other one
// after it, the applied values are the planned ones (tfproto checks that), Read
// changes nothing, and the second plan is empty.
func TestAnyConfigurationConverges(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name := fmt.Sprintf("w%d", n)
		state := tfproto.State{Type: kind}
		for range rapid.IntRange(1, 3).Draw(rt, "changes") {
			config := drawConfig(rt, name)
			state = p.Change(t.Context(), rt, state, config)
			read, d := p.Read(t.Context(), rt, state)
			if d.HasError() {
				rt.Fatalf("reading: %s", d)
			}
			if diff := cmp.Diff(state.Object, read.Object); diff != "" {
				rt.Fatalf("Read is no fixpoint (-applied +read):\n%s", diff)
			}
			plan, d := p.Plan(t.Context(), rt, read, config)
			if d.HasError() || !plan.Empty() {
				rt.Fatalf("the second plan is not empty: %s%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
			}
		}
		// What is imported differs at most in what only Terraform knows, or what the
		// configuration leaves to the plane.
		imported, d := p.Import(t.Context(), rt, kind, plane.AccountID+"/"+name, nil)
		if d.HasError() {
			rt.Fatalf("importing: %s", d)
		}
		for _, attribute := range []string{"id", "name", "account_id", "created_on", "url", "subdomain", "logpush", "tags"} {
			if diff := cmp.Diff(state.Object[attribute], imported.Object[attribute]); diff != "" {
				rt.Fatalf("imported %s (-state +imported):\n%s", attribute, diff)
			}
		}
		if diff := cmp.Diff(state.Identity, imported.Identity); diff != "" {
			rt.Fatalf("imported identity (-state +imported):\n%s", diff)
		}
		p.Change(t.Context(), rt, state, nil)
	})
	if left := plane.Runtime.Live(); len(left) > 0 {
		t.Errorf("something still runs: %v", left)
	}
}
