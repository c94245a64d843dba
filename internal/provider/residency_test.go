// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// aboutPlane is where a plane says what it is.
const aboutPlane = "/hybridge/v1/plane"

// atPlane is the entry of a plane in the provider block, which says that it is in region.
func atPlane(p *acctest.Plane, region any) map[string]any {
	return map[string]any{"base_url": p.URL, "api_token": p.Token, "account_id": p.AccountID, "region": region}
}

// placed are the kinds of objects that have a residency, each configured so that it can be
// planned without a request of its own.
func placed(more tfproto.Object) map[string]tfproto.Object {
	all := map[string]tfproto.Object{
		"hybridge_worker":            {"name": "api"},
		"hybridge_worker_version":    {"worker": strings.Repeat("1", 32), "compatibility_date": "2026-01-01", "script": "export default {}"},
		"hybridge_worker_deployment": {"worker": "api", "version_id": tfproto.Unknown},
	}
	for _, config := range all {
		for k, v := range more {
			config[k] = v
		}
	}
	return all
}

func TestThePlanRefusesAPlaneOutsideTheResidency(t *testing.T) {
	t.Parallel()
	says := func(region string) *acctest.Plane { return acctest.NewPlaneIn(t, region) }
	fr, de, silent := says("fr"), says("de"), says("")
	block := tfproto.Object{"planes": map[string]any{
		"paris":    atPlane(fr, "fr"),
		"lyon":     atPlane(fr, nil),
		"nice":     atPlane(silent, "fr"),
		"berlin":   atPlane(de, nil),
		"bonn":     atPlane(de, "de"),
		"nowhere":  atPlane(silent, nil),
		"lost":     atPlane(de, "fr"),
		"edge":     planeBlock(nil),
		"edge-us":  planeBlock(tfproto.Object{"region": "us"}),
		"edge-eu":  planeBlock(tfproto.Object{"region": "fr"}),
		"strasse9": atPlane(fr, "eu"),
	}}
	for name, tt := range map[string]struct {
		plane        any
		residency    any
		acknowledged any
		want         []string
	}{
		"both say it":               {"paris", []any{"fr"}, nil, nil},
		"the plane says it":         {"lyon", []any{"de", "fr"}, nil, nil},
		"the provider block says":   {"nice", []any{"fr"}, nil, nil},
		"acknowledged is no matter": {"paris", []any{"fr"}, true, nil},
		"no residency":              {"nowhere", nil, nil, nil},
		"the plane is elsewhere":    {"berlin", []any{"fr", "be"}, true, []string{"at residency", "outside the residency", "allows be, fr", `plane "berlin" (` + de.URL, "is in de, as its agent.yaml says"}},
		"the block is elsewhere":    {"bonn", []any{"fr"}, nil, []string{"outside the residency", "allows fr", `plane "bonn"`, "is in de."}},
		"nowhere":                   {"nowhere", []any{"fr"}, nil, []string{"at residency", "nothing says where", `planes["nowhere"].region`, "agent.yaml"}},
		"contradiction":             {"lost", []any{"fr"}, nil, []string{"at plane", `planes["lost"].region of the provider block says`, `is in "fr"`, `itself says "de"`}},
		"contradiction, no matter":  {"lost", nil, nil, []string{"at plane", `is in "fr"`, `itself says "de"`}},
		"eu is not fr":              {"strasse9", []any{"eu"}, nil, []string{`is in "eu"`, `itself says "fr"`}},
		"edge": {"edge", []any{"fr", "us-west", "jp"}, nil, []string{
			"at residency", `plane "edge" (https://api.cloudflare.com/`, "every data centre", "storage for fr:", `jurisdiction "eu"`, "not in fr alone",
			"storage for jp: there is no jurisdiction", `"fedramp"`, "Regional Services", "Enterprise", "workers.dev", "residency_acknowledged = true",
		}},
		"edge, not acknowledged":  {"edge", []any{"eu"}, false, []string{"in the European Union\n"}},
		"edge, acknowledged":      {"edge", []any{"fr"}, true, nil},
		"edge of another region":  {"edge-us", []any{"fr"}, true, []string{"outside the residency", "is in us"}},
		"edge of this region":     {"edge-eu", []any{"fr"}, nil, []string{"residency_acknowledged = true"}},
		"unknown plane":           {"rome", []any{"fr"}, nil, []string{"at plane", "No plane is named \"rome\""}},
		"plane not known yet":     {tfproto.Unknown, []any{"de"}, nil, nil},
		"residency not known yet": {"paris", tfproto.Unknown, nil, nil},
		"part of it not known":    {"berlin", []any{"fr", tfproto.Unknown}, nil, nil},
		"consent not known yet":   {"edge", []any{"fr"}, tfproto.Unknown, nil},
	} {
		for kind, config := range placed(tfproto.Object{"plane": tt.plane, "residency": tt.residency, "residency_acknowledged": tt.acknowledged}) {
			p := acctest.Proto(t, acctest.NoEnv, block)
			_, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, config)
			t.Logf("%s, %s:\n%s", name, kind, d)
			expect(t, d, tt.want...)
		}
	}
}

func TestTheDefaultPlaneHasARegionToo(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlaneIn(t, "fr")
	for name, tt := range map[string]struct {
		region any
		wants  any
		says   []string
	}{
		"the plane says it": {nil, []any{"fr"}, nil},
		"both say it":       {"fr", []any{"fr"}, nil},
		"elsewhere":         {nil, []any{"de"}, []string{"the default plane (" + plane.URL, "is in fr, as its agent.yaml says"}},
		"contradiction":     {"de", nil, []string{"region of the provider block says that the default plane", `is in "de"`, `itself says "fr"`}},
		"no region":         {"Frankfurt am Main", nil, []string{"at region", "lower-case"}},
	} {
		block := tfproto.Object{"region": tt.region}
		if d := acctest.Configure(t, plane.Env, block); len(d) > 0 {
			expect(t, d, tt.says...)
			continue
		}
		_, d := acctest.Proto(t, plane.Env, block).Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, tfproto.Object{"name": "api", "residency": tt.wants})
		t.Logf("%s: %s", name, d)
		expect(t, d, tt.says...)
	}
	for name, tt := range map[string]struct {
		residency []any
		says      string
	}{
		"upper case": {[]any{"FR"}, `"FR" is no region`},
		"empty":      {[]any{}, "at least 1"},
		"null":       {[]any{nil}, "is null"},
	} {
		for kind, config := range placed(tfproto.Object{"residency": tt.residency}) {
			d := acctest.Proto(t, plane.Env, nil).Validate(t.Context(), t, kind, config)
			t.Logf("%s: %s", name, d)
			expect(t, d, "at residency", tt.says)
		}
	}
}

// Each plane is asked once where it is, whatever is planned, and not at all where
// nobody cares.
func TestAPlaneIsAskedOnceWhereItIs(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlaneIn(t, "fr")
	asked := func(block tfproto.Object, residency any) int {
		t.Helper()
		before := plane.Faults.Count("GET", aboutPlane)
		p := acctest.Proto(t, plane.Env, block)
		for range 3 {
			for kind, config := range placed(tfproto.Object{"residency": residency}) {
				if _, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, config); d.HasError() {
					t.Fatal(d)
				}
			}
		}
		return plane.Faults.Count("GET", aboutPlane) - before
	}
	requests := plane.Requests()
	if n := asked(nil, nil); n != 0 || plane.Requests() != requests {
		t.Errorf("%d requests although nobody cares where the plane is", plane.Requests()-requests)
	}
	if n := asked(nil, []any{"fr"}); n != 1 {
		t.Errorf("residency: the plane was asked %d times", n)
	}
	if n := asked(tfproto.Object{"region": "fr"}, nil); n != 1 {
		t.Errorf("region: the plane was asked %d times", n)
	}
	if n := asked(tfproto.Object{"region": "fr"}, []any{"fr"}); n != 1 {
		t.Errorf("both: the plane was asked %d times", n)
	}
	if plane.Requests() != requests+3 {
		t.Errorf("%d requests in all, want 3", plane.Requests()-requests)
	}
}

func TestResidencyIsChangedInPlaceWithoutARequest(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlaneIn(t, "fr")
	p := acctest.Proto(t, plane.Env, nil)
	worker := p.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": "api", "residency": []any{"fr"}})
	version := tfproto.Object{"worker": worker.Object["id"], "compatibility_date": "2026-01-01", "script": "export default {}"}
	first := p.Create(t.Context(), t, "hybridge_worker_version", version)
	configs := map[string]tfproto.Object{
		"hybridge_worker":            {"name": "api"},
		"hybridge_worker_version":    version,
		"hybridge_worker_deployment": {"worker": "api", "version_id": first.Object["id"]},
	}
	states := map[string]tfproto.State{
		"hybridge_worker": worker, "hybridge_worker_version": first,
		"hybridge_worker_deployment": p.Create(t.Context(), t, "hybridge_worker_deployment", configs["hybridge_worker_deployment"]),
	}
	requests := plane.Requests()
	for _, to := range []struct{ residency, acknowledged any }{
		{[]any{"fr"}, nil}, {[]any{"fr", "de"}, nil}, {[]any{"de", "fr"}, true}, {nil, nil}, {nil, false},
	} {
		for kind, config := range configs {
			config["residency"], config["residency_acknowledged"] = to.residency, to.acknowledged
			plan, d := p.Plan(t.Context(), t, states[kind], config)
			if d.HasError() || len(plan.Replace) > 0 || plan.Object["id"] != states[kind].Object["id"] {
				t.Fatalf("%s to %v: replaces %v, %s", kind, to.residency, plan.Replace, d)
			}
			state, d := p.Apply(t.Context(), t, plan)
			if d.HasError() {
				t.Fatalf("%s to %v: %s", kind, to.residency, d)
			}
			states[kind] = state
			again, d := p.Plan(t.Context(), t, state, config)
			if len(d) > 0 || fmt.Sprint(again.Object) != fmt.Sprint(state.Object) {
				t.Errorf("%s: the second plan is not empty: %v, was %v; %s", kind, again.Object, state.Object, d)
			}
		}
	}
	if n := plane.Requests() - requests; n > 0 {
		t.Errorf("%d requests", n) // the plane was asked where it is before
	}

	// What is imported knows of no residency; the next apply writes it into state alone.
	for kind, config := range configs {
		config["residency"], config["residency_acknowledged"] = []any{"fr"}, nil
		id := plane.AccountID + "/" + worker.Object["id"].(string)
		if kind == "hybridge_worker_version" {
			id += "/" + first.Object["id"].(string)
		}
		imported, d := p.Import(t.Context(), t, kind, id, nil)
		if d.HasError() || imported.Object["residency"] != nil {
			t.Fatalf("import of %s: %v, %s", kind, imported.Object, d)
		}
		if kind == "hybridge_worker_deployment" {
			config["worker"] = worker.Object["id"]
		}
		writes := plane.Writes()
		plan, d := p.Plan(t.Context(), t, imported, config)
		if d.HasError() || len(plan.Replace) > 0 {
			t.Fatalf("%s: replaces %v, %s", kind, plan.Replace, d)
		}
		state, d := p.Apply(t.Context(), t, plan)
		if d.HasError() || plane.Writes() != writes {
			t.Fatalf("%s: %d writes, %s", kind, plane.Writes()-writes, d)
		}
		again, d := p.Plan(t.Context(), t, state, config)
		if len(d) > 0 || fmt.Sprint(again.Object) != fmt.Sprint(state.Object) {
			t.Errorf("%s: the second plan is not empty: %v, was %v; %s", kind, again.Object, state.Object, d)
		}
		config["residency"] = []any{"de"}
		if _, d := p.Plan(t.Context(), t, state, config); !strings.Contains(d.String(), "outside the residency") {
			t.Errorf("%s: what is there already is planned elsewhere: %s", kind, d)
		}
		if _, d := p.Plan(t.Context(), t, state, nil); d.HasError() {
			t.Errorf("%s: it cannot be destroyed: %s", kind, d)
		}
	}
}

// A plane that is down keeps the others from nothing. When it comes up, it turns out to
// be elsewhere: nothing is put onto it.
func TestAPlaneThatCannotBeAskedIsCheckedByTheApply(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlaneIn(t, "de")
	dir, err := os.MkdirTemp("", "hb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "api.sock")
	entry := atPlane(plane, nil)
	entry["base_url"] = "unix://" + socket
	block := tfproto.Object{"planes": map[string]any{"paris": entry}, "max_retries": 0}
	config := tfproto.Object{"name": "api", "plane": "paris", "residency": []any{"fr"}}
	plan, d := acctest.Proto(t, acctest.NoEnv, block).Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, config)
	if d.HasError() {
		t.Fatal(d)
	}
	expect(t, d, "WARNING at residency", "Residency is not confirmed", "there is no socket "+socket, "checked by the apply")
	if _, d := acctest.Proto(t, acctest.NoEnv, block).Apply(t.Context(), t, plan); !strings.Contains(d.String(), "Residency cannot be confirmed") {
		t.Errorf("applied while it is down: %s", d)
	}
	plane.ServeAt(t, socket)
	if _, d := acctest.Proto(t, acctest.NoEnv, block).Apply(t.Context(), t, plan); !strings.Contains(d.String(), "is in de, as its agent.yaml says") {
		t.Errorf("applied elsewhere: %s", d)
	}
	if plane.Writes() > 0 {
		t.Errorf("%d writes", plane.Writes())
	}

	// Without the key of its token it cannot be asked either; who does not care needs none.
	box := acctest.NewStrongbox(t)
	sealed := tfproto.Object{"sops": map[string]any{"env_allowed": false}, "planes": map[string]any{"paris": map[string]any{
		"base_url": plane.URL, "account_id": plane.AccountID, "region": "fr",
		"api_token_sops": map[string]any{"file": box.Seal(t, "token.enc.yaml", map[string]string{"token": plane.Token}), "key": "token"},
	}}}
	_, d = acctest.Proto(t, acctest.NoEnv, sealed).Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, tfproto.Object{"name": "api", "plane": "paris"})
	expect(t, d)
	_, d = acctest.Proto(t, acctest.NoEnv, sealed).Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, config)
	expect(t, d, "WARNING at residency", "token.enc.yaml")

	// What the provider block says suffices to refuse, and the default plane has to answer.
	entry["region"], entry["base_url"] = "de", "unix://"+filepath.Join(dir, "other.sock")
	_, d = acctest.Proto(t, acctest.NoEnv, block).Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, config)
	expect(t, d, "outside the residency")
	def := tfproto.Object{"max_retries": 0}
	for k, v := range entry {
		def[k] = v
	}
	_, d = acctest.Proto(t, acctest.NoEnv, def).Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, tfproto.Object{"name": "api", "residency": []any{"de"}})
	expect(t, d, "ERROR at residency", "Residency cannot be confirmed", "there is no socket")
}

func TestThePlanesRegionIsInTheDataSource(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlaneIn(t, "fr")
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{"paris": atPlane(plane, nil), "lost": atPlane(plane, "de")}})
	if got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{"plane": "paris"}); len(d) > 0 || got["region"] != "fr" || got["healthy"] != true {
		t.Errorf("the plane says %v; %s", got, d)
	}
	got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{"plane": "lost"})
	details, _ := got["details"].(string)
	if len(d) > 0 || got["region"] != "de" || got["healthy"] != false || !strings.Contains(details, `itself says "fr"`) {
		t.Errorf("the plane says %v; %s", got, d)
	}
}

func TestTerraformKeepsWorkersWhereTheyBelong(t *testing.T) {
	t.Parallel()
	paris, berlin := acctest.NewPlaneIn(t, "fr"), acctest.NewPlaneIn(t, "de")
	config := fmt.Sprintf(`
provider "hybridge" {
  planes = {
    paris  = { base_url = %q, account_id = %q, api_token = %q, region = "fr" }
    berlin = { base_url = %q, account_id = %q, api_token = %q }
  }
}

resource "hybridge_worker" "paris" {
  count     = 3
  name      = "api${count.index}"
  plane     = "paris"
  residency = RESIDENCY
}

resource "hybridge_worker" "berlin" {
  name      = "api"
  plane     = "berlin"
  residency = RESIDENCY
}
`, paris.URL, paris.AccountID, paris.Token, berlin.URL, berlin.AccountID, berlin.Token)
	where := func(residency string) string { return strings.ReplaceAll(config, "RESIDENCY", residency) }
	writes, asked := 0, 0
	count := func() int { return paris.Faults.Count("GET", aboutPlane) }
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{
		{Config: where(`["fr"]`), ExpectError: regexp.MustCompile(`outside\s+the\s+residency`)},
		{Config: where(`["fr", "de"]`), Check: resource.TestCheckResourceAttr("hybridge_worker.berlin", "residency.#", "2"), PreConfig: func() {
			if n := paris.Writes() + berlin.Writes(); n > 0 {
				t.Errorf("%d writes of a plan that was refused", n)
			}
		}},
		{Config: where(`["fr", "de"]`), PlanOnly: true, PreConfig: func() { asked = count() }},
		{Config: where(`["fr", "de", "be"]`), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
			plancheck.ExpectResourceAction("hybridge_worker.paris[1]", plancheck.ResourceActionUpdate),
		}}, PreConfig: func() {
			// The harness plans twice, once without and once with a refresh.
			if n := count() - asked; n != 2 {
				t.Errorf("two plans of three Workers asked the plane %d times where it is", n)
			}
			writes = paris.Writes()
		}},
		{Config: where(`null`), PreConfig: func() {
			if n := paris.Writes() - writes; n > 0 {
				t.Errorf("%d writes to change a residency", n)
			}
		}},
	}})
}
