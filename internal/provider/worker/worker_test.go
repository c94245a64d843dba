// SPDX-License-Identifier: MPL-2.0

package worker_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const kind = "hybridge_worker"

// with returns a Worker's configuration: its name and more attributes.
func with(name string, more tfproto.Object) tfproto.Object {
	config := tfproto.Object{"name": name}
	for k, v := range more {
		config[k] = v
	}
	return config
}

// mustBeQuiet fails unless planning config again changes nothing, also after a
// refresh.
func mustBeQuiet(t *testing.T, p *tfproto.Provider, state tfproto.State, config tfproto.Object) {
	t.Helper()
	read, d := p.Read(t.Context(), t, state)
	if d.HasError() {
		t.Fatalf("reading: %s", d)
	}
	if diff := cmp.Diff(state.Object, read.Object); diff != "" {
		t.Errorf("Read is no fixpoint (-state +read):\n%s", diff)
	}
	if diff := cmp.Diff(state.Identity, read.Identity); diff != "" {
		t.Errorf("Read changes the identity (-state +read):\n%s", diff)
	}
	plan, d := p.Plan(t.Context(), t, read, config)
	if d.HasError() || !plan.Empty() {
		t.Errorf("the second plan is not empty: %s%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
	}
}

func TestAWorkerIsCreatedAsConfigured(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	config := with("api", tfproto.Object{
		"subdomain":     map[string]any{"enabled": true, "previews_enabled": true},
		"observability": map[string]any{"enabled": true, "head_sampling_rate": 0.5, "logs": map[string]any{"enabled": true, "persist": false}},
		"logpush":       true,
		"tags":          []string{"team:edge", "prod"},
	})
	state := p.Create(t.Context(), t, kind, config)
	want := tfproto.Object{
		"name": "api", "plane": nil, "logpush": true, "force_destroy": false, "account_id": plane.AccountID,
		"subdomain": map[string]any{"enabled": true, "previews_enabled": true},
		"observability": map[string]any{
			"enabled": true, "head_sampling_rate": 0.5, "traces": nil,
			"logs": map[string]any{"enabled": true, "persist": false, "head_sampling_rate": nil, "invocation_logs": nil, "destinations": nil},
		},
		"tags": []any{"prod", "team:edge"}, "residency": nil, "residency_acknowledged": nil,
		"url": "http://api.acme.localhost:8787",
		"id":  state.Object["id"], "created_on": state.Object["created_on"],
	}
	if diff := cmp.Diff(want, state.Object); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	identity := tfproto.Object{"account_id": plane.AccountID, "worker": state.Object["id"], "plane": nil}
	if diff := cmp.Diff(identity, state.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	mustBeQuiet(t, p, state, config)
}

func TestDefaultsAreThoseThatTheDescriptionsState(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	config := with("api", nil)
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, config)
	if d.HasError() {
		t.Fatal(d)
	}
	for name, want := range map[string]any{
		"subdomain": map[string]any{"enabled": false, "previews_enabled": false}, "logpush": false, "tags": []any{},
		"force_destroy": false, "observability": nil, "url": nil,
	} {
		if diff := cmp.Diff(want, plan.Object[name]); diff != "" {
			t.Errorf("planned %s (-want +got):\n%s", name, diff)
		}
	}
	state, d := p.Apply(t.Context(), t, plan)
	if d.HasError() {
		t.Fatal(d)
	}
	mustBeQuiet(t, p, state, config)
}

// TestWhatAChangeDoes is the table of the descriptions: in place, replace,
// nothing.
func TestWhatAChangeDoes(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{
		"api_token": plane.Token, "account_id": plane.AccountID, "base_url": plane.URL,
		"planes": map[string]any{"other": map[string]any{"api_token": plane.Token, "account_id": plane.AccountID, "base_url": plane.URL}},
	})
	for attribute, tt := range map[string]struct {
		to      any
		replace bool
		unknown []string // attributes that become unknown
	}{
		"name":          {to: "renamed", unknown: []string{"url"}},
		"plane":         {to: "other", replace: true, unknown: []string{"url"}},
		"subdomain":     {to: map[string]any{"enabled": false}},
		"observability": {to: map[string]any{"enabled": true}},
		"logpush":       {to: true},
		"tags":          {to: []string{"x"}},
		"force_destroy": {to: true},
	} {
		t.Run(attribute, func(t *testing.T) {
			base := with("w-"+strings.ReplaceAll(attribute, "_", "-"), tfproto.Object{"subdomain": map[string]any{"enabled": true}})
			state := p.Create(t.Context(), t, kind, base)
			changed := with(base["name"].(string), base)
			changed[attribute] = tt.to
			plan, d := p.Plan(t.Context(), t, state, changed)
			if d.HasError() {
				t.Fatal(d)
			}
			if got := len(plan.Replace) > 0; got != tt.replace || plan.Empty() {
				t.Errorf("replaces: %v, want %v; empty: %v", plan.Replace, tt.replace, plan.Empty())
			}
			var unknown []string
			for name, v := range plan.Object {
				if v == tfproto.Unknown {
					unknown = append(unknown, name)
				}
			}
			if diff := cmp.Diff(tt.unknown, unknown); diff != "" && !tt.replace {
				t.Errorf("unknown in the plan (-want +got):\n%s", diff)
			}
			after := p.Change(t.Context(), t, state, changed)
			if same := after.Object["id"] == state.Object["id"]; same == tt.replace {
				t.Errorf("id stays the same: %v", same)
			}
			mustBeQuiet(t, p, after, changed)
		})
	}
}

// What the plane does not keep, or is no longer managed, is Terraform's alone.
func TestAChangeOfStateAloneSendsNothing(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	logs := func(more tfproto.Object) map[string]any {
		o := map[string]any{"enabled": true, "logs": map[string]any{"enabled": true, "head_sampling_rate": 0.5}}
		maps.Copy(o, more)
		return o
	}
	base := tfproto.Object{"subdomain": map[string]any{"enabled": true}, "observability": logs(tfproto.Object{"head_sampling_rate": 1})}
	state := p.Create(t.Context(), t, kind, with("api", base))
	for name, tt := range map[string]struct {
		change tfproto.Object
		writes int
	}{
		"force_destroy":           {tfproto.Object{"force_destroy": true}, 0},
		"a rate is not managed":   {tfproto.Object{"observability": logs(nil)}, 0},
		"logs are not managed":    {tfproto.Object{"observability": map[string]any{"enabled": true, "head_sampling_rate": 1}}, 0},
		"a member is managed":     {tfproto.Object{"observability": logs(tfproto.Object{"head_sampling_rate": 1, "traces": map[string]any{"enabled": true}})}, 1},
		"a member is changed":     {tfproto.Object{"observability": logs(tfproto.Object{"head_sampling_rate": 0.25})}, 1},
		"observability goes":      {tfproto.Object{"observability": nil}, 1},
		"force_destroy and a tag": {tfproto.Object{"force_destroy": true, "tags": []string{"x"}}, 1},
	} {
		config := with("api", base)
		maps.Copy(config, tt.change)
		before := plane.Writes()
		after := p.Change(t.Context(), t, state, config)
		if got := plane.Writes() - before; got != tt.writes {
			t.Errorf("%s: %d writes, want %d", name, got, tt.writes)
		}
		mustBeQuiet(t, p, after, config)
		p.Change(t.Context(), t, after, with("api", base))
	}
}

func TestOneListAnswersManyReads(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	maker := acctest.Proto(t, plane.Env, nil)
	var states []tfproto.State
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		states = append(states, maker.Create(t.Context(), t, kind, with(name, nil)))
	}
	before := plane.Requests()
	reader := acctest.Proto(t, plane.Env, nil) // as the next terraform run
	for _, s := range states {
		read, d := reader.Read(t.Context(), t, s)
		if d.HasError() || !cmp.Equal(read.Object, s.Object) {
			t.Errorf("reading: %s%s", d, cmp.Diff(s.Object, read.Object))
		}
	}
	if n := plane.Requests() - before; n > 5 {
		t.Errorf("%d requests for 10 reads, want 5 at most", n)
	}
}

func TestAWorkerThatIsGoneIsPlannedAnew(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	state := p.Create(t.Context(), t, kind, with("api", nil))
	p.Change(t.Context(), t, state, nil) // behind Terraform's back
	for name, identity := range map[string]tfproto.Object{"with identity": state.Identity, "as Terraform 1.11 stores it": nil} {
		state.Identity = identity
		read, d := p.Read(t.Context(), t, state)
		if d.HasError() || read.Object != nil {
			t.Errorf("%s: Read of a Worker that is gone gives %v %s", name, read.Object, d)
		}
	}
	state.Object["id"] = state.Object["id"].(string)
	if gone := p.Change(t.Context(), t, state, nil); gone.Object != nil {
		t.Error("destroying a Worker that is gone leaves a state")
	}
}

func TestDriftIsShown(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	config := with("api", tfproto.Object{"observability": map[string]any{"enabled": true}})
	p := acctest.Proto(t, plane.Env, nil)
	state := p.Create(t.Context(), t, kind, config)
	p.Change(t.Context(), t, state, with("api", tfproto.Object{"logpush": true, "tags": []string{"x"}})) // somebody else
	plan, d := p.Plan(t.Context(), t, must(t, p, state), config)
	if d.HasError() || plan.Empty() {
		t.Fatalf("drift is not shown: %s", d)
	}
	if plan.Prior.Object["logpush"] != true || plan.Prior.Object["observability"].(map[string]any)["enabled"] != false {
		t.Errorf("refreshed state is %v", plan.Prior.Object)
	}
	mustBeQuiet(t, p, p.Change(t.Context(), t, plan.Prior, config), config)
}

func must(t *testing.T, p *tfproto.Provider, s tfproto.State) tfproto.State {
	t.Helper()
	read, d := p.Read(t.Context(), t, s)
	if d.HasError() {
		t.Fatal(d)
	}
	return read
}

func TestANameThatIsTakenSaysHowToImport(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	first := p.Create(t.Context(), t, kind, with("api", nil))
	plan, _ := p.Plan(t.Context(), t, tfproto.State{Type: kind}, with("api", nil))
	state, d := p.Apply(t.Context(), t, plan)
	if state.Object != nil {
		t.Errorf("state after a failed create: %v", state.Object)
	}
	for _, want := range []string{"Cannot create Worker", `Worker "api"`, plane.URL, "409", "import {", plane.AccountID + "/api", "terraform destroy -target"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("diagnostic lacks %q:\n%s", want, d)
		}
	}
	imported, d := p.Import(t.Context(), t, kind, plane.AccountID+"/api", nil)
	if d.HasError() || imported.Object["id"] != first.Object["id"] {
		t.Errorf("what the diagnostic says does not work: %s", d)
	}
}

func TestALostAnswerMakesNoSecondWorker(t *testing.T) {
	t.Parallel()
	for _, lost := range []fault.Kind{fault.ErrorAfter, fault.ResetAfter, fault.Truncated, fault.HTMLAfter} {
		t.Run(string(lost), func(t *testing.T) {
			t.Parallel()
			plane := acctest.NewPlane(t)
			p := acctest.Proto(t, plane.Env, nil)
			plane.Faults.Add(fault.Rule{Method: "POST", Kind: lost})
			config := with("api", tfproto.Object{"tags": []string{"b", "a"}})
			state := p.Create(t.Context(), t, kind, config)
			if n := plane.Faults.Count("POST", ""); n != 1 {
				t.Errorf("%d POST requests, want 1", n)
			}
			mustBeQuiet(t, p, state, config)
		})
	}
}

func TestImportGivesWhatCreateGave(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	block := tfproto.Object{"planes": map[string]any{
		"paris": map[string]any{"api_token": plane.Token, "account_id": plane.AccountID, "base_url": plane.URL},
	}}
	p := acctest.Proto(t, plane.Env, block)
	for _, on := range []any{nil, "paris"} {
		name, prefix := "default", ""
		if on != nil {
			name, prefix = "named", "paris:"
		}
		config := with(name, tfproto.Object{
			"plane": on, "subdomain": map[string]any{"enabled": true}, "tags": []string{"a"}, "logpush": true,
			"observability": map[string]any{"enabled": true, "head_sampling_rate": 1},
		})
		state := p.Create(t.Context(), t, kind, config)
		id := state.Object["id"].(string)
		before := plane.Writes()
		for how, imported := range map[string]func() (tfproto.State, tfproto.Diagnostics){
			"by id": func() (tfproto.State, tfproto.Diagnostics) {
				return p.Import(t.Context(), t, kind, prefix+plane.AccountID+"/"+id, nil)
			},
			"by name": func() (tfproto.State, tfproto.Diagnostics) {
				return p.Import(t.Context(), t, kind, prefix+plane.AccountID+"/"+name, nil)
			},
			"by identity": func() (tfproto.State, tfproto.Diagnostics) {
				return p.Import(t.Context(), t, kind, "", state.Identity)
			},
			"by identity with a name": func() (tfproto.State, tfproto.Diagnostics) {
				return p.Import(t.Context(), t, kind, "", tfproto.Object{"account_id": plane.AccountID, "worker": name, "plane": on})
			},
		} {
			got, d := imported()
			if d.HasError() {
				t.Errorf("%s %s: %s", name, how, d)
				continue
			}
			if diff := cmp.Diff(state.Object, got.Object); diff != "" {
				t.Errorf("%s %s (-created +imported):\n%s", name, how, diff)
			}
			if diff := cmp.Diff(state.Identity, got.Identity); diff != "" {
				t.Errorf("%s %s: identity (-created +imported):\n%s", name, how, diff)
			}
			mustBeQuiet(t, p, got, config)
		}
		if plane.Writes() != before {
			t.Errorf("importing wrote to the plane")
		}
	}
}

func TestAnImportThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	other := strings.Repeat("f", 32)
	for id, want := range map[string]string{
		"api":                               "[plane:]account_id/worker",
		other + "/api":                      other,
		plane.AccountID + "/api":            "Check the Worker's id or name",
		"paris:" + plane.AccountID + "/api": `No plane is named "paris"`,
	} {
		if _, d := p.Import(t.Context(), t, kind, id, nil); !strings.Contains(d.String(), want) {
			t.Errorf("importing %q gives %q, want something with %q", id, d, want)
		}
	}
}

func TestAPlaneOfAnotherAccountIsRefused(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	state := acctest.Proto(t, plane.Env, nil).Create(t.Context(), t, kind, with("api", nil))
	moved := acctest.Proto(t, plane.Env, tfproto.Object{"account_id": strings.Repeat("f", 32)})
	before := plane.Requests()
	const want = "Plane belongs to another account"
	if read, d := moved.Read(t.Context(), t, state); !strings.Contains(d.String(), want) || read.Object == nil {
		t.Errorf("Read gives %v %s", read.Object, d)
	}
	if _, d := moved.Plan(t.Context(), t, state, with("api", nil)); !strings.Contains(d.String(), want) {
		t.Errorf("Plan gives %s", d)
	}
	if _, d := moved.Apply(t.Context(), t, tfproto.Plan{Type: kind, Prior: state}); !strings.Contains(d.String(), want) {
		t.Errorf("Destroy gives %s", d)
	}
	if n := plane.Requests() - before; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestInvalidConfigurationIsRefusedBeforeThePlan(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	long := strings.Repeat("a", 64)
	for name, tt := range map[string]struct {
		config tfproto.Object
		want   []string
	}{
		"capital in the name":    {with("Api", nil), []string{"at name", "lower-case"}},
		"name too long for host": {with(long, tfproto.Object{"subdomain": map[string]any{"enabled": true}}), []string{"at name", "63"}},
		"sampling above one":     {with("a", tfproto.Object{"observability": map[string]any{"enabled": true, "head_sampling_rate": 2}}), []string{"at observability.head_sampling_rate", "1"}},
		"null among the tags":    {with("a", tfproto.Object{"tags": []any{"x", nil}}), []string{"at tags", "is null", "compact("}},
		"plane with a colon":     {with("a", tfproto.Object{"plane": "a:b"}), []string{"at plane", "lower-case"}},
	} {
		d := p.Validate(t.Context(), t, kind, tt.config)
		for _, want := range tt.want {
			if !strings.Contains(d.String(), want) {
				t.Errorf("%s gives %q, want something with %q", name, d, want)
			}
		}
	}
	if d := p.Validate(t.Context(), t, kind, with(long, nil)); d.HasError() {
		t.Errorf("a long name without a host is refused: %s", d)
	}
}

func TestUnknownValuesPassTheChecks(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	for _, config := range []tfproto.Object{
		{"name": tfproto.Unknown, "plane": tfproto.Unknown, "subdomain": tfproto.Unknown, "observability": tfproto.Unknown, "tags": tfproto.Unknown},
		with("a", tfproto.Object{"subdomain": map[string]any{"enabled": tfproto.Unknown}, "observability": map[string]any{"enabled": tfproto.Unknown}}),
	} {
		plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, config)
		if d.HasError() {
			t.Errorf("%v is refused: %s", config, d)
		} else if plan.Object["url"] != tfproto.Unknown {
			t.Errorf("url is planned as %v", plan.Object["url"])
		}
	}
}

func TestAnUnknownPlaneIsRefusedAtPlanWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, tfproto.Object{"planes": map[string]any{
		"paris": map[string]any{"api_token": plane.Token, "account_id": plane.AccountID, "base_url": plane.URL},
		"oslo":  map[string]any{"api_token": plane.Token, "account_id": plane.AccountID, "base_url": plane.URL},
	}})
	_, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, with("api", tfproto.Object{"plane": "pairs"}))
	for _, want := range []string{"at plane", "Unknown plane", `"pairs"`, "oslo, paris"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("diagnostic lacks %q:\n%s", want, d)
		}
	}
}

func TestTheDataSourceFindsAWorkerByName(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	state := p.Create(t.Context(), t, kind, with("api", tfproto.Object{"subdomain": map[string]any{"enabled": true}, "tags": []string{"a"}}))
	got, d := p.Data(t.Context(), t, kind, tfproto.Object{"name": "api"})
	if d.HasError() {
		t.Fatal(d)
	}
	for _, name := range []string{"id", "account_id", "created_on", "url", "subdomain", "tags", "logpush"} {
		if diff := cmp.Diff(state.Object[name], got[name]); diff != "" {
			t.Errorf("%s (-resource +data source):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]any{}, got["referenced_by"]); diff != "" {
		t.Errorf("referenced_by: %s", diff)
	}
	_, d = p.Data(t.Context(), t, kind, tfproto.Object{"name": "missing"})
	for _, want := range []string{"at name", "Worker not found", `"missing"`, "10007", "Check the name"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("diagnostic lacks %q:\n%s", want, d)
		}
	}
}
