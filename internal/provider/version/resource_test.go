// SPDX-License-Identifier: MPL-2.0

package version_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const uploads = "/client/v4/accounts/*/workers/workers/*/versions"

// stand is a plane with a Worker, and the provider configured for it.
type stand struct {
	*acctest.Plane
	t        *testing.T
	provider *tfproto.Provider
	worker   string // id
	name     string
	keyFile  string // of the provider's sops; empty: no identity
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{Plane: acctest.NewPlane(t), t: t, name: "api"}
	s.restart()
	s.worker = s.newWorker(s.name)
	return s
}

// restart starts the provider anew, as each phase of Terraform does.
func (s *stand) restart() {
	sops := map[string]any{"env_allowed": false}
	if s.keyFile != "" {
		sops["age_key_file"] = s.keyFile
	}
	s.provider = acctest.Proto(s.t, s.Env, tfproto.Object{"sops": sops})
}

func (s *stand) newWorker(name string) string {
	s.t.Helper()
	w := s.provider.Create(s.t.Context(), s.t, "hybridge_worker", tfproto.Object{"name": name})
	return w.Object["id"].(string)
}

// client speaks to the plane without passing the faults' records on.
func (s *stand) client() *cloudflare.Client {
	s.t.Helper()
	c, err := cloudflare.New(cloudflare.Config{BaseURL: s.URL, AccountID: s.AccountID, Token: s.Token})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *stand) versions(worker string) []cloudflare.Version {
	s.t.Helper()
	versions, err := s.client().DeployableVersions(s.t.Context(), worker)
	if err != nil {
		s.t.Fatal(err)
	}
	return versions
}

func (s *stand) wantVersions(n int) {
	s.t.Helper()
	if got := len(s.versions(s.worker)); got != n {
		s.t.Errorf("the Worker has %d versions, want %d", got, n)
	}
}

func (s *stand) deploy(version string) {
	s.t.Helper()
	if _, err := s.client().CreateDeployment(s.t.Context(), s.worker, cloudflare.DeploymentInput{
		Versions: []cloudflare.Share{{VersionID: version, Percentage: 100}},
		Check:    func(*cloudflare.Deployment) error { return nil },
	}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) config(more ...tfproto.Object) tfproto.Object {
	return script(append([]tfproto.Object{{"worker": s.worker}}, more...)...)
}

func (s *stand) bundled(dir string, more ...tfproto.Object) tfproto.Object {
	return bundled(dir, append([]tfproto.Object{{"worker": s.worker}}, more...)...)
}

func (s *stand) create(config tfproto.Object) tfproto.State {
	s.t.Helper()
	return s.provider.Create(s.t.Context(), s.t, kind, config)
}

func (s *stand) plan(prior tfproto.State, config tfproto.Object) tfproto.Plan {
	s.t.Helper()
	p, diags := s.provider.Plan(s.t.Context(), s.t, prior, config)
	if diags.HasError() {
		s.t.Fatal(diags)
	}
	return p
}

// replace does what core does with create_before_destroy.
func (s *stand) replace(prior tfproto.State, config tfproto.Object) tfproto.State {
	s.t.Helper()
	if p := s.plan(prior, config); len(p.Replace) == 0 {
		s.t.Fatal("the plan does not replace")
	}
	next := s.create(config)
	s.provider.Change(s.t.Context(), s.t, prior, nil)
	return next
}

func TestVersionIsUploadedOnceAndReadCheaply(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := s.bundled(project(t), tfproto.Object{
		"vars": map[string]any{"STAGE": "test"}, "json_vars": map[string]any{"LIST": "[1, 2]"},
		"version_metadata": "VERSION", "compatibility_flags": []any{"nodejs_compat"}, "message": "first", "tag": "v1",
	})
	state := s.create(config)
	v, err := s.client().VersionWithModules(t.Context(), s.worker, state.Object["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if v.MainModule != "index.js" || len(v.Modules) != 1 || !strings.Contains(string(v.Modules[0].ContentBase64), "one") {
		t.Errorf("uploaded main %q of %d modules", v.MainModule, len(v.Modules))
	}
	if v.Message() != "first" || v.Tag() != "v1" || !strings.HasPrefix(v.Marker(), "hb1:") {
		t.Errorf("annotations are %v", v.Annotations)
	}
	if len(v.Bindings) != 3 || v.CompatibilityDate != "2026-01-01" || !slices.Equal(v.CompatibilityFlags, []string{"nodejs_compat"}) {
		t.Errorf("bindings %s, date %s, flags %v", v.Bindings, v.CompatibilityDate, v.CompatibilityFlags)
	}
	if int64(state.Object["size"].(float64)) != int64(len(v.Modules[0].ContentBase64)) || state.Object["number"] != 1.0 {
		t.Errorf("size %v, number %v", state.Object["size"], state.Object["number"])
	}

	s.restart()
	s.Faults.Requests()
	read, diags := s.provider.Read(t.Context(), t, state)
	if diags.HasError() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(state.Object, read.Object); diff != "" {
		t.Errorf("reading changes state (-was +is):\n%s", diff)
	}
	for _, r := range s.Faults.Requests() {
		if strings.Contains(r.Query, "include=modules") {
			t.Errorf("a refresh downloads the modules: %s %s", r.Method, r.Path)
		}
	}
	if p := s.plan(read, config); !p.Empty() {
		t.Errorf("a further plan is not empty: %s", cmp.Diff(p.Prior.Object, p.Object))
	}
}

func TestOnlyTheDigestReplaces(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := project(t)
	base := tfproto.Object{
		"vars": map[string]any{"A": "x"}, "json_vars": map[string]any{"J": `{"b":1,"a":2}`}, "compatibility_flags": []any{"nodejs_compat"},
		"raw_bindings": map[string]any{"R": `{"type":"plain_text","text":"r"}`}, "message": "m", "tag": "t",
	}
	state := s.create(s.bundled(dir, base))
	with := func(more tfproto.Object) tfproto.Object { return s.bundled(dir, base, more) }
	copied := project(t)

	for name, config := range map[string]tfproto.Object{
		"nothing":               with(nil),
		"message":               with(tfproto.Object{"message": "a commit"}),
		"no message, no tag":    with(tfproto.Object{"message": nil, "tag": nil}),
		"JSON written anew":     with(tfproto.Object{"json_vars": map[string]any{"J": "{\n \"a\": 2, \"b\": 1}"}}),
		"raw JSON written anew": with(tfproto.Object{"raw_bindings": map[string]any{"R": `{"text":"r", "type":"plain_text","name":"R"}`}}),
	} {
		if p := s.plan(state, config); !p.Empty() || len(p.Replace) > 0 {
			t.Errorf("%s: plans %s", name, cmp.Diff(p.Prior.Object, p.Object))
		}
	}
	for name, tc := range map[string]struct {
		config tfproto.Object
		want   []string
	}{
		"another checkout":     {s.bundled(copied, base), []string{"bundle"}},
		"Worker by name":       {with(tfproto.Object{"worker": s.name}), []string{"worker"}},
		"deletion":             {with(tfproto.Object{"delete_on_destroy": true}), []string{"delete_on_destroy"}},
		"adoption":             {with(tfproto.Object{"adopt": false}), []string{"adopt"}},
		"raw instead of typed": {with(tfproto.Object{"vars": nil, "raw_bindings": map[string]any{"R": base["raw_bindings"].(map[string]any)["R"], "A": `{"type":"plain_text","text":"x"}`}}), []string{"vars"}},
	} {
		p := s.plan(state, tc.config)
		if len(p.Replace) > 0 {
			t.Errorf("%s: replaces because of %v", name, p.Replace)
		}
		if diff := cmp.Diff(tc.want, changed(p)); diff != "" {
			t.Errorf("%s: changed attributes (-want +got):\n%s", name, diff)
		}
	}
	for name, config := range map[string]tfproto.Object{
		"variable":    with(tfproto.Object{"vars": map[string]any{"A": "y"}}),
		"JSON":        with(tfproto.Object{"json_vars": map[string]any{"J": `{"b":1,"a":3}`}}),
		"raw":         with(tfproto.Object{"raw_bindings": nil}),
		"service":     with(tfproto.Object{"services": map[string]any{"S": map[string]any{"worker": "other"}}}),
		"metadata":    with(tfproto.Object{"version_metadata": "V"}),
		"date":        with(tfproto.Object{"compatibility_date": "2026-01-02"}),
		"flags":       with(tfproto.Object{"compatibility_flags": nil}),
		"placement":   with(tfproto.Object{"placement": map[string]any{"mode": "smart"}}),
		"limits":      with(tfproto.Object{"limits": map[string]any{"cpu_ms": 50}}),
		"minify":      s.bundled(dir, base, tfproto.Object{"bundle": map[string]any{"entrypoint": dir + "/src/index.ts", "minify": true}}),
		"another way": s.config(base),
		"unknown":     with(tfproto.Object{"vars": map[string]any{"A": tfproto.Unknown}}),
	} {
		p := s.plan(state, config)
		if diff := cmp.Diff([]string{"digest"}, p.Replace); diff != "" {
			t.Errorf("%s: replaces because of (-want +got):\n%s", name, diff)
		}
		if p.Object["id"] != tfproto.Unknown {
			t.Errorf("%s: the new version's id is planned as %v", name, p.Object["id"])
		}
	}
	other := s.newWorker("other")
	if p := s.plan(state, with(tfproto.Object{"worker": other})); !slices.Contains(p.Replace, "worker") {
		t.Errorf("another Worker replaces because of %v", p.Replace)
	}
}

// changed lists the attributes that differ between prior and planned state.
func changed(p tfproto.Plan) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Object)) {
		if !cmp.Equal(p.Prior.Object[name], p.Object[name]) {
			names = append(names, name)
		}
	}
	return names
}

func TestStateOnlyUpdateTalksToNobody(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.create(s.config())
	s.Faults.Requests()
	next := s.provider.Change(t.Context(), t, state, s.config(tfproto.Object{"delete_on_destroy": true, "message": "kept"}))
	if n := s.Faults.Count("", ""); n != 0 {
		t.Errorf("an update of state alone made %d requests", n)
	}
	if next.Object["id"] != state.Object["id"] || next.Object["message"] != "" {
		t.Errorf("id %v, message %v", next.Object["id"], next.Object["message"])
	}
}

// State is stored and sent as a whole, so what goes without saying is not in it.
func TestNothingIsKeptBesideStateThatStateSays(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	byName := s.config(tfproto.Object{"worker": s.name})
	state := s.create(byName)
	if got := state.Private(); got != "" {
		t.Errorf("created by name: private state is %s", got)
	}
	s.restart()
	// Between these there is no refresh: the name must come from the state before.
	for _, config := range []tfproto.Object{s.config(), byName, s.config(), byName} {
		p := s.plan(state, config)
		if len(p.Replace) > 0 {
			t.Fatalf("worker = %q replaces because of %v", config["worker"], p.Replace)
		}
		state = s.provider.Change(t.Context(), t, state, config)
		if got := state.Private(); (got == "") != (config["worker"] == s.name) {
			t.Errorf("worker = %q: private state is %q", config["worker"], got)
		}
	}
	for _, rename := range []string{"web", s.name} {
		if _, err := s.client().UpdateWorker(t.Context(), s.worker, cloudflare.WorkerInput{Name: rename}); err != nil {
			t.Fatal(err)
		}
		s.restart()
		read, diags := s.provider.Read(t.Context(), t, state)
		if diags.HasError() {
			t.Fatal(diags)
		}
		if p := s.plan(read, s.config(tfproto.Object{"worker": rename})); len(p.Replace) > 0 {
			t.Errorf("renamed to %s: replaces because of %v", rename, p.Replace)
		}
		if got := read.Private(); (got == "") != (rename == s.name) {
			t.Errorf("renamed to %s: private state is %q", rename, got)
		}
		state = read
	}
}

func TestPlanShowsWhichModulesChanged(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := project(t)
	state := s.create(s.bundled(dir))
	write(t, dir, map[string]string{"src/lib.ts": "export const x: string = 'two'"})
	s.restart()
	p := s.plan(state, s.bundled(dir))
	before, after := p.Prior.Object["modules_sha256"].(map[string]any), p.Object["modules_sha256"].(map[string]any)
	if before["src/index.ts"] != after["src/index.ts"] || before["src/lib.ts"] == after["src/lib.ts"] {
		t.Errorf("modules before %v, after %v", before, after)
	}
	next := s.replace(state, s.bundled(dir))
	if next.Object["id"] == state.Object["id"] || next.Object["number"] != 2.0 {
		t.Errorf("the changed source got version %v, number %v", next.Object["id"], next.Object["number"])
	}
	s.wantVersions(2)
}

func TestTheWorkersIDIsKnownWhereTheConfigurationHasIt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.create(s.config())
	change := tfproto.Object{"script": "export default { fetch() {} }"}
	if got := s.plan(state, s.config(change)).Object["worker_id"]; got != s.worker {
		t.Errorf("by id: worker_id is planned as %v, want %v", got, s.worker)
	}
	// The Worker of that name may be another one by the time of the apply.
	change["worker"] = s.name
	if got := s.plan(state, s.config(change)).Object["worker_id"]; got != tfproto.Unknown {
		t.Errorf("by name: worker_id is planned as %v", got)
	}
	if got := s.replace(state, s.config(change)).Object["worker_id"]; got != s.worker {
		t.Errorf("by name: worker_id is %v, want %v", got, s.worker)
	}
}

// Terraform plans before it destroys, and does not tell the provider why.
func TestWithoutSourcesThePlanSaysHowToDestroy(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := project(t)
	state := s.create(s.bundled(dir))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for prior, want := range map[*tfproto.State]bool{&state: true, {Type: kind}: false} {
		_, diags := s.provider.Plan(t.Context(), t, *prior, s.bundled(dir))
		if got := strings.Contains(diags.String(), "terraform destroy -refresh=false"); !diags.HasError() || got != want {
			t.Errorf("with a version in state (%v):\n%s", want, diags)
		}
	}
	s.provider.Change(t.Context(), t, state, nil)
}

func TestGitRevertAdoptsTheEarlierVersion(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := project(t)
	first := s.create(s.bundled(dir, tfproto.Object{"message": "first"}))
	write(t, dir, map[string]string{"src/lib.ts": "export const x: string = 'two'"})
	s.restart()
	second := s.replace(first, s.bundled(dir))
	write(t, dir, map[string]string{"src/lib.ts": "export const x: string = 'one'"})
	s.restart()
	s.Faults.Requests()
	third := s.replace(second, s.bundled(dir, tfproto.Object{"message": "reverted"}))
	if third.Object["id"] != first.Object["id"] {
		t.Errorf("after the revert version %v is used, want the first one %v", third.Object["id"], first.Object["id"])
	}
	if n := s.Faults.Count("POST", uploads); n != 0 {
		t.Errorf("the revert uploaded %d versions", n)
	}
	s.wantVersions(2)
}

func TestAdoptFalseUploadsAnew(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	first := s.create(s.config())
	s.restart()
	second := s.create(s.config(tfproto.Object{"adopt": false}))
	if first.Object["id"] == second.Object["id"] || first.Object["digest"] != second.Object["digest"] {
		t.Errorf("versions %v and %v", first.Object["id"], second.Object["id"])
	}
	s.wantVersions(2)
}

func TestNothingIsUploadedTwiceWhateverHappensToTheAnswer(t *testing.T) {
	t.Parallel()
	for _, f := range []fault.Kind{
		fault.ErrorAfter, fault.ResetAfter, fault.Truncated, fault.HTMLAfter, fault.ErrorBefore, fault.ResetBefore, fault.TooMany,
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.Faults.Add(fault.Rule{Method: "POST", Path: uploads, Kind: f})
			state := s.create(s.config())
			s.wantVersions(1)
			if id := s.versions(s.worker)[0].ID; state.Object["id"] != id {
				t.Errorf("state has version %v, the plane %v", state.Object["id"], id)
			}
		})
	}
}

func TestKilledApplyIsTakenUpByTheNextOne(t *testing.T) {
	t.Parallel()
	for name, deleteOnDestroy := range map[string]bool{"kept": false, "disposable": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			config := s.config(tfproto.Object{"delete_on_destroy": deleteOnDestroy})
			// The plane commits, the answer is lost, and so is every answer to looking for it.
			s.Faults.Add(fault.Rule{Method: "POST", Path: uploads, Kind: fault.ResetAfter},
				fault.Rule{Method: "GET", Path: "/client/v4/accounts/*/workers/scripts/*/versions", Kind: fault.Unauthorized, Times: -1})
			p := s.plan(tfproto.State{Type: kind}, config)
			state, diags := s.provider.Apply(t.Context(), t, p)
			if !diags.HasError() || state.Object != nil {
				t.Fatalf("the apply ended with state %v and %q", state.Object, diags)
			}
			s.Faults.Clear()
			s.wantVersions(1)
			s.restart()
			s.Faults.Requests()
			state = s.create(config)
			if n := s.Faults.Count("POST", uploads); n != 0 {
				t.Errorf("%d versions were uploaded", n)
			}
			s.wantVersions(1)
			if state.Object["id"] != s.versions(s.worker)[0].ID {
				t.Error("the version that the killed apply made was not adopted")
			}
		})
	}
}

func TestRestoredStateFindsItsVersions(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := project(t)
	old := s.create(s.bundled(dir))
	write(t, dir, map[string]string{"src/lib.ts": "export const x: string = 'two'"})
	s.restart()
	newer := s.replace(old, s.bundled(dir))
	// The state of before the last apply is put back; the sources are the newer ones.
	s.restart()
	s.Faults.Requests()
	again := s.replace(old, s.bundled(dir))
	if again.Object["id"] != newer.Object["id"] || s.Faults.Count("POST", uploads) != 0 {
		t.Errorf("version %v, want %v without an upload", again.Object["id"], newer.Object["id"])
	}
}

func TestTwoWorkersWithEqualCodeHaveVersionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	other := s.newWorker("other")
	one, two := s.create(s.config()), s.create(s.config(tfproto.Object{"worker": other}))
	if one.Object["digest"] != two.Object["digest"] {
		t.Error("equal code has different digests")
	}
	if one.Object["id"] == two.Object["id"] || len(s.versions(other)) != 1 {
		t.Error("two Workers share a version")
	}
}

func TestSourceChangedBetweenPlanAndApplyUploadsNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dir := project(t)
	p := s.plan(tfproto.State{Type: kind}, s.bundled(dir))
	write(t, dir, map[string]string{"src/lib.ts": "export const x: string = 'two'"})
	s.Faults.Requests()
	_, diags := s.provider.Apply(t.Context(), t, p)
	for _, want := range []string{"Sources changed since the plan", "src/lib.ts", "plan again"} {
		if !strings.Contains(diags.String(), want) {
			t.Errorf("%q is not in %q", want, diags)
		}
	}
	if n := s.Writes(); n != 0 {
		t.Errorf("%d requests wrote something", n)
	}
	s.wantVersions(0)
}

func TestRefusalShowsTheRuntimesText(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	const text = "Uncaught SyntaxError: Unexpected token ';'\n  at index.js:3:7"
	s.Runtime.Refuse = func(workerd.Version) error { return &workerd.InvalidVersionError{Message: text} }
	p := s.plan(tfproto.State{Type: kind}, s.config())
	state, diags := s.provider.Apply(t.Context(), t, p)
	if !strings.Contains(diags.String(), "Version was refused") || !strings.Contains(diags.String(), text) {
		t.Errorf("got %q", diags)
	}
	if state.Object != nil {
		t.Error("a refused version is in state")
	}
	s.wantVersions(0)
}

func TestUnknownWorkerSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.plan(tfproto.State{Type: kind}, s.config(tfproto.Object{"worker": "nobody"}))
	_, diags := s.provider.Apply(t.Context(), t, p)
	for _, want := range []string{`"nobody"`, "hybridge_worker"} {
		if !strings.Contains(diags.String(), want) {
			t.Errorf("%q is not in %q", want, diags)
		}
	}
}

func TestDestroyLeavesTheVersionUnlessAsked(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.provider.Change(t.Context(), t, s.create(s.config()), nil)
	s.wantVersions(1)

	deleted := s.create(s.config(tfproto.Object{"script": "export const a = 1; export default {}", "delete_on_destroy": true}))
	s.wantVersions(2)
	s.restart() // a destroy is another run than the create
	s.provider.Change(t.Context(), t, deleted, nil)
	s.wantVersions(1)
}

func TestLiveOrAdoptedVersionsAreNeverDeleted(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := s.config(tfproto.Object{"delete_on_destroy": true})
	state := s.create(config)
	adopted := s.create(config)
	s.deploy(state.Object["id"].(string))
	s.restart()
	for name, tc := range map[string]struct {
		state tfproto.State
		why   string
	}{"adopted": {adopted, "adopted"}, "live": {state, "live"}} {
		p, diags := s.provider.Plan(t.Context(), t, tc.state, nil)
		if diags.HasError() {
			t.Fatal(diags)
		}
		_, diags = s.provider.Apply(t.Context(), t, p)
		if diags.HasError() || !strings.Contains(diags.String(), tc.why) {
			t.Errorf("%s: got %q, want a warning", name, diags)
		}
	}
	s.wantVersions(1)
}

// destroy destroys in another run and returns what the provider had to say.
func (s *stand) destroy(state tfproto.State) string {
	s.t.Helper()
	s.restart()
	s.Faults.Requests()
	p, diags := s.provider.Plan(s.t.Context(), s.t, state, nil)
	if diags.HasError() {
		s.t.Fatal(diags)
	}
	_, diags = s.provider.Apply(s.t.Context(), s.t, p)
	if diags.HasError() {
		s.t.Fatal(diags)
	}
	return diags.String()
}

// A and B are two states on one plane, with the same content.
func TestADisposableVersionIsAdoptedOnlyByWhoAgreesToThat(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	disposable := s.config(tfproto.Object{"delete_on_destroy": true})
	a := s.create(disposable)
	if m := s.versions(s.worker)[0].Marker(); !strings.HasPrefix(m, "hb1d:") {
		t.Errorf("a disposable version carries the marker %q", m)
	}
	create := func(config tfproto.Object, uploaded, requests int) string {
		t.Helper()
		s.restart()
		s.Faults.Requests()
		id := s.create(config).Object["id"].(string)
		if n := s.Faults.Count("POST", uploads); n != uploaded {
			t.Errorf("%d versions were uploaded, want %d", n, uploaded)
		}
		if n := s.Requests(); n != requests {
			t.Errorf("%d requests, want %d: %v", n, requests, s.Faults.Requests())
		}
		return id
	}
	// The Worker's name, its versions, and the version that is adopted or uploaded.
	if id := create(disposable, 0, 3); id != a.Object["id"] {
		t.Errorf("who agrees got version %s, want that of A, %s", id, a.Object["id"])
	}
	b := create(s.config(), 1, 3)
	if b == a.Object["id"] {
		t.Error("who does not agree got a version that A may delete")
	}
	s.wantVersions(2)
	// Now there is one that stays, and it serves both.
	for _, config := range []tfproto.Object{disposable, s.config()} {
		if id := create(config, 0, 3); id != b {
			t.Errorf("version %s was adopted, want the one that stays, %s", id, b)
		}
	}

	if said := s.destroy(a); said != "" {
		t.Errorf("the destroy of A said %q", said)
	}
	// The Worker's name, what is live, the deletion.
	if n := s.Requests(); n != 3 {
		t.Errorf("the destroy of A made %d requests, want 3: %v", n, s.Faults.Requests())
	}
	if left := s.versions(s.worker); len(left) != 1 || left[0].ID != b {
		t.Errorf("after the destroy of A there are %v, want %s alone", left, b)
	}
}

// With keep_secrets nobody finds the version by its content, but it is marked all the same.
func TestAVersionThatKeepsSecretsCanBeDisposable(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.deploy(s.create(s.config(tfproto.Object{"script": "export const live = 1; export default {}"})).Object["id"].(string))
	s.restart()
	state := s.create(s.config(tfproto.Object{"delete_on_destroy": true, "keep_secrets": true}))
	s.wantVersions(2)
	if m := s.versions(s.worker)[0].Marker(); !strings.HasPrefix(m, "hb1d:") {
		t.Errorf("the version carries the marker %q", m)
	}
	if said := s.destroy(state); said != "" {
		t.Errorf("the destroy said %q", said)
	}
	s.wantVersions(1)
}

func TestAVersionAdoptedElsewhereIsNeverDeleted(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	disposable := s.config(tfproto.Object{"delete_on_destroy": true})
	a := s.create(s.config())
	id := a.Object["id"].(string)
	s.restart()
	if b := s.create(s.config()); b.Object["id"] != id {
		t.Fatalf("B got version %v, want that of A", b.Object["id"])
	}
	s.restart()
	imported, diags := s.provider.Import(t.Context(), t, kind, s.AccountID+"/"+s.worker+"/"+id, nil)
	if diags.HasError() {
		t.Fatal(diags)
	}
	for name, tc := range map[string]struct {
		state tfproto.State
		why   string
	}{
		"switched later": {s.provider.Change(t.Context(), t, a, disposable), "delete_on_destroy was false when it was made"},
		"imported":       {s.provider.Change(t.Context(), t, imported, disposable), "it was imported"},
	} {
		said := s.destroy(tc.state)
		for _, want := range []string{"Version was not deleted", tc.why, "It goes when its Worker is deleted", "DELETE " + s.URL + "/accounts/" + s.AccountID + "/workers/workers/" + s.worker + "/versions/" + id} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not in %q", name, want, said)
			}
		}
		if n := s.Requests(); n != 0 {
			t.Errorf("%s: %d requests, want none", name, n)
		}
	}
	s.wantVersions(1)
}

// The mark is made with the version; what state says then decides whether it is used.
func TestTheMarkOutlivesChangesOfTheSetting(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	disposable := s.config(tfproto.Object{"delete_on_destroy": true})
	state := s.create(disposable)
	s.restart()
	state = s.provider.Change(t.Context(), t, state, s.config())
	if said := s.destroy(state); said != "" || s.Requests() != 0 {
		t.Errorf("switched off: %d requests, %q", s.Requests(), said)
	}
	s.wantVersions(1)
	state = s.provider.Change(t.Context(), t, state, disposable)
	read, diags := s.provider.Read(t.Context(), t, state)
	if diags.HasError() {
		t.Fatal(diags)
	}
	if said := s.destroy(read); said != "" {
		t.Errorf("switched on again: %q", said)
	}
	s.wantVersions(0)
}

// An import of a disposable version knows its sources, but did not make it.
func TestAnImportedDisposableVersionIsRecognisedAndStays(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	disposable := s.config(tfproto.Object{"delete_on_destroy": true})
	state := s.create(disposable)
	s.restart()
	imported, diags := s.provider.Import(t.Context(), t, kind, s.AccountID+"/"+s.worker+"/"+state.Object["id"].(string), nil)
	if diags.HasError() {
		t.Fatal(diags)
	}
	if p := s.plan(imported, disposable); len(p.Replace) > 0 {
		t.Fatalf("replaces because of %v", p.Replace)
	}
	if said := s.destroy(s.provider.Change(t.Context(), t, imported, disposable)); !strings.Contains(said, "it was imported") {
		t.Errorf("the destroy said %q", said)
	}
	s.wantVersions(1)
}

func TestReplacementThatAdoptsTheSameVersionDoesNotDeleteIt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := s.config(tfproto.Object{"delete_on_destroy": true, "vars": map[string]any{"A": "x"}})
	state := s.create(config)
	s.restart()
	// A variable that is only known at apply turns out to be what it was.
	p := s.plan(state, s.config(tfproto.Object{"delete_on_destroy": true, "vars": map[string]any{"A": tfproto.Unknown}}))
	if len(p.Replace) == 0 {
		t.Fatal("an unknown digest does not replace")
	}
	next := s.create(config)
	s.provider.Change(t.Context(), t, state, nil)
	if next.Object["id"] != state.Object["id"] {
		t.Error("the same content got another version")
	}
	s.wantVersions(1)
}

func TestDeletedOutOfBandIsCreatedAgain(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.create(s.config())
	// It has been live, so the history still shows it.
	s.deploy(state.Object["id"].(string))
	s.deploy(s.create(s.config(tfproto.Object{"vars": map[string]any{"STAGE": "test"}})).Object["id"].(string))
	if err := s.client().DeleteVersion(t.Context(), s.worker, state.Object["id"].(string)); err != nil {
		t.Fatal(err)
	}
	s.restart()
	read, diags := s.provider.Read(t.Context(), t, state)
	if diags.HasError() || read.Object != nil {
		t.Errorf("state %v, diagnostics %q; want no object", read.Object, diags)
	}
	if again := s.create(s.config()); again.Object["id"] == state.Object["id"] {
		t.Error("a deleted version was adopted")
	}
}

func TestImportNeedsNoUploadIfTheSourcesAreTheSame(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := s.bundled(project(t), tfproto.Object{"vars": map[string]any{"A": "x"}, "message": "m", "tag": "t"})
	state := s.create(config)
	id := state.Object["id"].(string)
	for name, how := range map[string]struct {
		id       string
		identity tfproto.Object
		worker   string
	}{
		"by ids":          {s.AccountID + "/" + s.worker + "/" + id, nil, s.worker},
		"by name":         {s.AccountID + "/" + s.name + "/" + id, nil, s.worker},
		"by identity":     {"", tfproto.Object{"account_id": s.AccountID, "worker": s.worker, "version_id": id}, s.worker},
		"written as name": {s.AccountID + "/" + s.worker + "/" + id, nil, s.name},
	} {
		s.restart()
		s.Faults.Requests()
		imported, diags := s.provider.Import(t.Context(), t, kind, how.id, how.identity)
		if diags.HasError() {
			t.Fatalf("%s: %s", name, diags)
		}
		wanted := maps.Clone(config)
		wanted["worker"] = how.worker
		p := s.plan(imported, wanted)
		if len(p.Replace) > 0 {
			t.Errorf("%s: replaces because of %v", name, p.Replace)
		}
		updated := s.provider.Change(t.Context(), t, imported, wanted)
		if n := s.Writes(); n != 0 {
			t.Errorf("%s: %d requests wrote something", name, n)
		}
		if p := s.plan(updated, wanted); !p.Empty() {
			t.Errorf("%s: the second plan is not empty: %s", name, cmp.Diff(p.Prior.Object, p.Object))
		}
		want := maps.Clone(map[string]any(state.Object))
		want["worker"] = how.worker
		if diff := cmp.Diff(want, map[string]any(updated.Object)); diff != "" {
			t.Errorf("%s: state differs from that of the create (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(state.Identity, updated.Identity); diff != "" {
			t.Errorf("%s: identity (-want +got):\n%s", name, diff)
		}
	}
}

func TestImportOfOtherSourcesPlansAReplacement(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.create(s.config())
	s.restart()
	imported, diags := s.provider.Import(t.Context(), t, kind, s.AccountID+"/"+s.worker+"/"+state.Object["id"].(string), nil)
	if diags.HasError() {
		t.Fatal(diags)
	}
	p := s.plan(imported, s.config(tfproto.Object{"script": "export const other = 1"}))
	if diff := cmp.Diff([]string{"digest"}, p.Replace); diff != "" {
		t.Errorf("replaces because of (-want +got):\n%s", diff)
	}
}

func TestImportOfWhatDoesNotExistSaysSo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	other := s.newWorker("other")
	id := s.create(s.config()).Object["id"].(string)
	for name, tc := range map[string]struct{ id, want string }{
		"version of another Worker": {s.AccountID + "/" + other + "/" + id, "version of another Worker"},
		"unknown version":           {s.AccountID + "/" + s.worker + "/00000000-0000-4000-8000-000000000000", "has no version"},
		"unknown Worker":            {s.AccountID + "/nobody/" + id, "nobody"},
		"another account":           {strings.Repeat("f", 32) + "/" + s.worker + "/" + id, "account"},
		"too short":                 {s.AccountID + "/" + s.worker, "version_id"},
		"unknown plane":             {"paris:" + s.AccountID + "/" + s.worker + "/" + id, "paris"},
	} {
		_, diags := s.provider.Import(t.Context(), t, kind, tc.id, nil)
		if !diags.HasError() || !strings.Contains(diags.String(), tc.want) {
			t.Errorf("%s: got %q, want an error that says %q", name, diags, tc.want)
		}
	}
}
