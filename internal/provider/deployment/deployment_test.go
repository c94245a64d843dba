// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const (
	kind   = "hybridge_worker_deployment"
	deploy = "/client/v4/accounts/*/workers/scripts/*/deployments"
)

// stand is a plane with a Worker of two versions, and the provider.
type stand struct {
	*acctest.Plane
	t        tfproto.TB
	test     *testing.T
	env      map[string]string
	block    tfproto.Object // the provider's
	provider *tfproto.Provider
	worker   string // id
	v1, v2   string // version ids
}

// newPlaneOnly is a plane without anything.
func newPlaneOnly(t *testing.T) *stand {
	t.Helper()
	return &stand{Plane: acctest.NewPlane(t), t: t, test: t, env: map[string]string{}}
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := newPlaneOnly(t)
	s.worker = s.newWorker("api")
	s.v1, s.v2 = s.upload(s.worker, "one"), s.upload(s.worker, "two")
	s.restart()
	return s
}

// restart starts the provider anew, as each phase of Terraform does, and forgets
// the requests so far.
func (s *stand) restart() {
	s.provider = acctest.Proto(s.test, func(name string) string {
		if v := s.env[name]; v != "" {
			return v
		}
		return s.Env(name)
	}, s.block)
	s.Faults.Requests()
}

// somebody is a client that is not this provider's.
func (s *stand) somebody() *cloudflare.Client {
	c, err := cloudflare.New(cloudflare.Config{BaseURL: s.URL, AccountID: s.AccountID, Token: s.Token, UserAgent: "wrangler/4.164.0"})
	if err != nil {
		s.t.Fatalf("making a client: %v", err)
	}
	s.test.Cleanup(c.Close)
	return c
}

func (s *stand) newWorker(name string) string {
	w, err := s.somebody().CreateWorker(s.test.Context(), cloudflare.WorkerInput{Name: name})
	if err != nil {
		s.t.Fatalf("creating a Worker: %v", err)
	}
	return w.ID
}

func (s *stand) upload(worker, text string) string {
	body := fmt.Sprintf(`{"main_module":"index.js","compatibility_date":"2026-01-01","annotations":{"workers/message":%q},
		"modules":[{"name":"index.js","content_type":"application/javascript+module","content_base64":"ZXhwb3J0IGRlZmF1bHQge30="}]}`, text)
	v, err := s.somebody().CreateVersion(s.test.Context(), worker, cloudflare.VersionUpload{Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader(body)), int64(len(body)), nil
	}})
	if err != nil {
		s.t.Fatalf("uploading a version: %v", err)
	}
	return v.ID
}

// foreign deploys as somebody who leaves no marker: the marker is what tells.
func (s *stand) foreign(message string, shares ...cloudflare.Share) string {
	d, err := foreignDeployment(s, message, shares)
	if err != nil {
		s.t.Fatalf("deploying as somebody else: %v", err)
	}
	s.Faults.Requests()
	return d
}

func (s *stand) config(version string, more ...tfproto.Object) tfproto.Object {
	c := tfproto.Object{"worker": "api", "version_id": version}
	for _, m := range more {
		maps.Copy(c, m)
	}
	return c
}

func (s *stand) live() cloudflare.Deployment {
	d, err := s.somebody().LiveDeployment(s.test.Context(), "api")
	if err != nil || d == nil {
		s.t.Fatalf("nothing is live: %v", err)
	}
	return *d
}

func (s *stand) history() []cloudflare.Deployment {
	all, err := s.somebody().Deployments(s.test.Context(), "api")
	if err != nil {
		s.t.Fatalf("listing deployments: %v", err)
	}
	return all
}

// versions are the ids of the Worker's versions, newest first.
func (s *stand) versions() []string {
	all, err := s.somebody().DeployableVersions(s.test.Context(), "api")
	if err != nil {
		s.t.Fatalf("listing versions: %v", err)
	}
	ids := make([]string, len(all))
	for i, v := range all {
		ids[i] = v.ID
	}
	return ids
}

func (s *stand) read(state tfproto.State) tfproto.State {
	read, d := s.provider.Read(s.test.Context(), s.t, state)
	if d.HasError() {
		s.t.Fatalf("reading: %s", d)
	}
	return read
}

func (s *stand) plan(prior tfproto.State, config tfproto.Object) tfproto.Plan {
	plan, d := s.provider.Plan(s.test.Context(), s.t, prior, config)
	if d.HasError() {
		s.t.Fatalf("planning: %s", d)
	}
	return plan
}

// wantQuiet fails unless a later phase reads the same and plans nothing.
func (s *stand) wantQuiet(state tfproto.State, config tfproto.Object) {
	s.restart()
	read := s.read(state)
	if diff := cmp.Diff(state.Object, read.Object); diff != "" {
		s.t.Errorf("Read is no fixpoint (-state +read):\n%s", diff)
	}
	if plan := s.plan(read, config); !plan.Empty() || len(plan.Replace) > 0 {
		s.t.Errorf("the second plan is not empty:\n%s", cmp.Diff(plan.Prior.Object, plan.Object))
	}
}

func only(version string) map[string]any { return map[string]any{version: 100.0} }

func TestADeploymentGoesLiveAndStaysQuiet(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := s.config(s.v1, tfproto.Object{"message": "first"})
	plan := s.plan(tfproto.State{Type: kind}, config)
	if diff := cmp.Diff(only(s.v1), plan.Object["active_versions"]); diff != "" || plan.Object["id"] != tfproto.Unknown {
		t.Errorf("planned active_versions (-want +got):\n%s", diff)
	}
	state, d := s.provider.Apply(t.Context(), t, plan)
	if len(d) > 0 {
		t.Fatal(d)
	}
	live := s.live()
	want := tfproto.Object{
		"worker": "api", "plane": nil, "residency": nil, "residency_acknowledged": nil, "version_id": s.v1, "message": "first", "overwrite_unseen": false, "allow_changed_secrets": nil, "account_id": s.AccountID,
		"rollout": nil, "rollback_to": nil, "rollback_version_id": nil, "retry_rejected": nil, "keep_versions": nil, "burned_secrets": nil, "on_rejected": nil, "rollback_secrets": nil, "timeouts": nil,
		"id": live.ID, "active_versions": only(s.v1), "created_on": live.CreatedOn.UTC().Format("2006-01-02T15:04:05Z"),
		"author": live.AuthorEmail, "source": "terraform",
	}
	if diff := cmp.Diff(want, state.Object); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tfproto.Object{"account_id": s.AccountID, "worker": "api", "plane": nil}, state.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	s.wantQuiet(state, config)
	if n := s.Requests(); n != 1 {
		t.Errorf("a quiet plan of the deployment alone needed %d requests, want 1", n)
	}
}

func TestRollingBackIsOneVariable(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	state = s.provider.Change(t.Context(), t, s.read(state), s.config(s.v2))
	s.restart()
	back := s.plan(s.read(state), s.config(s.v1))
	if len(back.Replace) > 0 || back.Object["id"] != tfproto.Unknown || !cmp.Equal(back.Object["active_versions"], any(only(s.v1))) {
		t.Errorf("planned %v, replacing %v; want an update in place to %s", back.Object, back.Replace, s.v1)
	}
	state, d := s.provider.Apply(t.Context(), t, back)
	if d.HasError() {
		t.Fatal(d)
	}
	if got := s.live().Versions[0].VersionID; got != s.v1 || len(s.history()) != 3 {
		t.Errorf("%s is live after %d deployments, want %s after 3", got, len(s.history()), s.v1)
	}
	s.wantQuiet(state, s.config(s.v1))
}

func TestADeploymentOfAVersionNotMadeYetIsWhollyUnknown(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	config := s.config(s.v1)
	config["version_id"] = tfproto.Unknown
	plan := s.plan(state, config)
	for _, name := range []string{"id", "active_versions", "created_on", "author", "source"} {
		if plan.Object[name] != tfproto.Unknown {
			t.Errorf("%s is planned as %v, want unknown", name, plan.Object[name])
		}
	}
}

func TestAnUpdateNeedsOneRequestOnAPlaneThatCompares(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	plan := s.plan(s.read(state), s.config(s.v2))
	s.restart()
	if _, d := s.provider.Apply(t.Context(), t, plan); d.HasError() {
		t.Fatal(d)
	}
	got := s.Faults.Requests()
	if len(got) != 2 || !strings.HasSuffix(got[0].Path, "/hybridge/v1/plane") || got[1].Method != "POST" ||
		got[1].IfMatch != fmt.Sprintf("%q", state.Object["id"]) {
		t.Errorf("requests %v, want one for the plane and one conditional POST", got)
	}
}

func TestWhatSomebodyElseDeployedShowsAsDriftAndIsPutBack(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	config := s.config(s.v1)
	state := s.provider.Create(t.Context(), t, kind, config)
	s.foreign("try v2", cloudflare.Share{VersionID: s.v1, Percentage: 75.5}, cloudflare.Share{VersionID: s.v2, Percentage: 24.5})
	s.restart()
	drifted := s.read(state)
	if diff := cmp.Diff(map[string]any{s.v1: 75.5, s.v2: 24.5}, drifted.Object["active_versions"]); diff != "" {
		t.Errorf("active_versions (-want +got):\n%s", diff)
	}
	if drifted.Object["version_id"] != s.v1 {
		t.Errorf("Read changed version_id to %v", drifted.Object["version_id"])
	}
	plan := s.plan(drifted, config)
	if plan.Empty() || len(plan.Replace) > 0 {
		t.Fatalf("planned %v, replacing %v; want an update in place", plan.Object, plan.Replace)
	}
	state, d := s.provider.Apply(t.Context(), t, plan)
	if d.HasError() {
		t.Fatal(d)
	}
	s.wantQuiet(state, config)
}

func TestAnApplyDoesNotOverwriteWhatItsPlanHasNotSeen(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	plan := s.plan(s.read(state), s.config(s.v2))
	theirs := s.foreign("hotfix for the outage", cloudflare.Share{VersionID: v3, Percentage: 100})
	s.restart()
	_, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() {
		t.Fatal("a deployment that nobody has seen was overwritten")
	}
	author := s.live().AuthorEmail
	for _, part := range []string{
		theirs, "hotfix for the outage", author, "wrangler", s.live().CreatedOn.UTC().Format("2006-01-02T15:04"), v3, "100 %",
		"terraform plan", "overwrite_unseen",
	} {
		if !strings.Contains(d.String(), part) {
			t.Errorf("the diagnostic lacks %q:\n%s", part, d)
		}
	}
	if s.live().ID != theirs {
		t.Errorf("deployment %s is live, want %s", s.live().ID, theirs)
	}
	// A plan that has seen it may replace it.
	s.restart()
	state = s.provider.Change(t.Context(), t, s.read(state), s.config(s.v2))
	s.wantQuiet(state, s.config(s.v2))
}

func TestOverwriteUnseenOverwrites(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v3 := s.upload(s.worker, "three")
	anyway := tfproto.Object{"overwrite_unseen": true}
	s.foreign("theirs", cloudflare.Share{VersionID: s.v2, Percentage: 100})
	s.restart()
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1, anyway))
	plan := s.plan(state, s.config(s.v2, anyway))
	s.foreign("theirs again", cloudflare.Share{VersionID: v3, Percentage: 100})
	s.restart()
	state, d := s.provider.Apply(t.Context(), t, plan)
	if d.HasError() {
		t.Fatal(d)
	}
	s.wantQuiet(state, s.config(s.v2, anyway))
}

func TestWhatIsLiveAlreadyIsNotDeployedAgain(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	plan := s.plan(s.read(state), s.config(s.v2))
	theirs := s.foreign("same idea", cloudflare.Share{VersionID: s.v2, Percentage: 100})
	s.restart()
	state, d := s.provider.Apply(t.Context(), t, plan)
	if d.HasError() {
		t.Fatal(d)
	}
	if state.Object["id"] != theirs || len(s.history()) != 2 {
		t.Errorf("deployment %v after %d deployments, want theirs (%s) after 2", state.Object["id"], len(s.history()), theirs)
	}
}

func TestCreateStopsOverSomebodyElsesDeployment(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	theirs := s.foreign("made with wrangler", cloudflare.Share{VersionID: s.v2, Percentage: 100})
	s.restart()
	plan := s.plan(tfproto.State{Type: kind}, s.config(s.v1))
	_, d := s.provider.Apply(t.Context(), t, plan)
	for _, part := range []string{theirs, "made with wrangler", "import {", s.AccountID + "/api", "overwrite_unseen"} {
		if !d.HasError() || !strings.Contains(d.String(), part) {
			t.Errorf("the diagnostic lacks %q:\n%s", part, d)
		}
	}
	if s.live().ID != theirs {
		t.Error("it was overwritten")
	}
}

func TestCreateGoesOnFromItsOwnDeployment(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.provider.Create(t.Context(), t, kind, s.config(s.v1)) // and the state is lost
	s.restart()
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	if len(s.history()) != 1 {
		t.Errorf("%d deployments of the same version, want 1", len(s.history()))
	}
	s.restart()
	s.provider.Create(t.Context(), t, kind, s.config(s.v2))
	s.restart()
	if got := s.read(state).Object["active_versions"]; !cmp.Equal(got, any(only(s.v2))) {
		t.Errorf("%v is live, want %s", got, s.v2)
	}
}

func TestAMessageAlonePlansNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1, tfproto.Object{"message": "a"}))
	s.restart()
	config := s.config(s.v1, tfproto.Object{"message": "b"})
	s.wantQuiet(s.read(state), config)

	config["overwrite_unseen"] = true
	s.restart()
	plan := s.plan(s.read(state), config)
	if plan.Object["id"] != state.Object["id"] || plan.Object["message"] != "a" {
		t.Errorf("planned are id %v and message %v, want %v and the one that is live", plan.Object["id"], plan.Object["message"], state.Object["id"])
	}
	s.restart()
	state, d := s.provider.Apply(t.Context(), t, plan)
	if d.HasError() || s.Requests() != 0 {
		t.Errorf("%d requests for a change of the state alone: %s", s.Requests(), d)
	}
	s.wantQuiet(state, config)

	config["version_id"] = s.v2
	s.provider.Change(t.Context(), t, state, config)
	if got := cloudflare.ParseMarker(s.live().Annotations[cloudflare.AnnotationMessage]).Message; got != "b" {
		t.Errorf("the next deployment has the message %q, want b", got)
	}
}

func TestDestroyForgetsAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	plan := s.plan(state, nil)
	gone, d := s.provider.Apply(t.Context(), t, plan)
	if gone.Object != nil || d.HasError() || !strings.Contains(d.String(), "goes on serving") {
		t.Errorf("after the destroy: %v, %s", gone.Object, d)
	}
	if s.Writes() != 0 || s.live().ID != state.Object["id"] {
		t.Error("the destroy changed the plane")
	}
}

func TestAVersionThatTheWorkerDoesNotHaveIsRefusedAtPlan(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	other := s.newWorker("other")
	othersVersion := s.upload(other, "one")
	deleted := s.upload(s.worker, "three")
	s.foreign("it is live for a while", cloudflare.Share{VersionID: deleted, Percentage: 100})
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1, tfproto.Object{"overwrite_unseen": true}))
	if err := s.somebody().DeleteVersion(t.Context(), s.worker, deleted); err != nil {
		t.Fatal(err)
	}
	for name, version := range map[string]string{
		"unknown":        "00000000-0000-0000-0000-000000000001",
		"other Worker's": othersVersion,
		"deleted":        deleted,
	} {
		for _, prior := range []tfproto.State{state, {Type: kind}} {
			s.restart()
			_, d := s.provider.Plan(t.Context(), t, prior, s.config(version))
			if !d.HasError() || !strings.Contains(d.String(), version) || !strings.Contains(d.String(), "at version_id") {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
	for _, text := range []string{"v1", strings.ToUpper(s.v1), ""} {
		if d := s.provider.Validate(t.Context(), t, kind, s.config(text)); !d.HasError() {
			t.Errorf("version_id = %q is accepted", text)
		}
	}
}

// A rename of the Worker and its deployment under the new name are one apply.
func TestAWorkerOfThatNameMayComeWithTheSameApply(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	renamed := s.config(s.v1, tfproto.Object{"worker": "renamed"})
	s.plan(s.read(state), renamed)
	plan := s.plan(tfproto.State{Type: kind}, renamed)
	_, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), `no Worker "renamed"`) || strings.Contains(d.String(), "has no version") {
		t.Errorf("before the rename: %s", d)
	}
	if _, err := s.somebody().UpdateWorker(t.Context(), s.worker, cloudflare.WorkerInput{Name: "renamed"}); err != nil {
		t.Fatal(err)
	}
	s.restart()
	after, d := s.provider.Apply(t.Context(), t, plan)
	if d.HasError() {
		t.Fatalf("after the rename: %s", d)
	}
	if after.Object["id"] != state.Object["id"] {
		t.Error("the rename made a deployment")
	}
	s.wantQuiet(after, renamed)
}

func TestAVersionThatWentAfterThePlanIsNamed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	plan := s.plan(tfproto.State{Type: kind}, s.config(s.v2))
	if err := s.somebody().DeleteVersion(t.Context(), s.worker, s.v2); err != nil {
		t.Fatal(err)
	}
	s.restart()
	_, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "has no version "+s.v2) {
		t.Errorf("diagnostics: %s", d)
	}
}

func TestTheRunIsRecorded(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.env = map[string]string{
		"TFC_RUN_ID": "run-CZcmD7eagjhyX0vN", "TFC_WORKSPACE_NAME": "shop-prod", "TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA": "0a1b2c",
	}
	s.restart()
	s.provider.Create(t.Context(), t, kind, s.config(s.v1, tfproto.Object{"message": "run=1 is a strange message"}))
	s.foreign("by hand", cloudflare.Share{VersionID: s.v2, Percentage: 100})
	s.restart()
	got, d := s.provider.Data(t.Context(), t, "hybridge_worker_deployments", tfproto.Object{"worker": s.worker})
	if d.HasError() {
		t.Fatal(d)
	}
	list, _ := got["deployments"].([]any)
	if len(list) != 2 {
		t.Fatalf("history: %v", list)
	}
	newest, oldest := list[0].(map[string]any), list[1].(map[string]any)
	for name, want := range map[string]any{
		"by_hybridge": false, "message": "by hand", "run_id": nil, "workspace": nil, "commit": nil, "source": "wrangler",
	} {
		if newest[name] != want {
			t.Errorf("newest: %s is %v, want %v", name, newest[name], want)
		}
	}
	for name, want := range map[string]any{
		"by_hybridge": true, "message": "run=1 is a strange message", "run_id": "run-CZcmD7eagjhyX0vN",
		"workspace": "shop-prod", "commit": "0a1b2c", "source": "terraform",
	} {
		if oldest[name] != want {
			t.Errorf("oldest: %s is %v, want %v", name, oldest[name], want)
		}
	}
	if diff := cmp.Diff(only(s.v1), oldest["versions"]); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

func TestTheDataSourcesNameAWorkerThatIsMissing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, data := range []string{"hybridge_worker_deployments", "hybridge_worker_versions"} {
		for _, worker := range []string{"missing", acctest.MissingID} {
			_, d := s.provider.Data(t.Context(), t, data, tfproto.Object{"worker": worker})
			if !d.HasError() || !strings.Contains(d.String(), "Worker not found") || !strings.Contains(d.String(), worker) {
				t.Errorf("%s of %s: %s", data, worker, d)
			}
		}
	}
}

func TestVersionsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	got, d := s.provider.Data(t.Context(), t, "hybridge_worker_versions", tfproto.Object{"worker": "api"})
	if d.HasError() {
		t.Fatal(d)
	}
	var ids, messages []any
	list, _ := got["versions"].([]any)
	for _, each := range list {
		v := each.(map[string]any)
		ids, messages = append(ids, v["id"]), append(messages, v["message"])
	}
	if diff := cmp.Diff([]any{s.v2, s.v1}, ids); diff != "" || !cmp.Equal(messages, []any{"two", "one"}) {
		t.Errorf("messages %v, ids (-want +got):\n%s", messages, diff)
	}
}

func TestImportDeploysNothing(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]struct {
		id       func(*stand) string
		identity func(*stand) tfproto.Object
		worker   func(*stand) string // as the configuration names it
	}{
		"by id":           {id: func(s *stand) string { return s.AccountID + "/api" }, worker: func(*stand) string { return "api" }},
		"by Worker id":    {id: func(s *stand) string { return s.AccountID + "/" + s.worker }, worker: func(s *stand) string { return s.worker }},
		"by another name": {id: func(s *stand) string { return s.AccountID + "/api" }, worker: func(s *stand) string { return s.worker }},
		"by identity":     {identity: func(s *stand) tfproto.Object { return tfproto.Object{"account_id": s.AccountID, "worker": "api"} }, worker: func(*stand) string { return "api" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.foreign("theirs", cloudflare.Share{VersionID: s.v1, Percentage: 100})
			s.restart()
			var (
				state tfproto.State
				d     tfproto.Diagnostics
			)
			if source.id != nil {
				state, d = s.provider.Import(t.Context(), t, kind, source.id(s), nil)
			} else {
				state, d = s.provider.Import(t.Context(), t, kind, "", source.identity(s))
			}
			if d.HasError() {
				t.Fatal(d)
			}
			config := s.config(s.v1, tfproto.Object{"worker": source.worker(s)})
			plan := s.plan(state, config)
			if len(plan.Replace) > 0 || plan.Object["id"] != state.Object["id"] {
				t.Fatalf("the plan after the import is %v, replacing %v; want a change of the state only", plan.Object, plan.Replace)
			}
			state, d = s.provider.Apply(t.Context(), t, plan)
			if d.HasError() {
				t.Fatal(d)
			}
			if s.Writes() != 0 {
				t.Errorf("%d writes", s.Writes())
			}
			s.wantQuiet(state, config)
		})
	}
}

func TestAnImportOfNothingSaysSo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for id, part := range map[string]string{
		s.AccountID + "/missing":       "check the Worker's id or name",
		s.AccountID + "/api":           "no live deployment",
		"api":                          "account_id/worker",
		acctest.MissingID + "/api":     "another account",
		"rome:" + s.AccountID + "/api": "Unknown plane",
		s.AccountID + "/api/" + s.v1:   "account_id/worker",
	} {
		if _, d := s.provider.Import(t.Context(), t, kind, id, nil); !d.HasError() || !strings.Contains(strings.ToLower(d.String()), strings.ToLower(part)) {
			t.Errorf("%s: %s", id, d)
		}
	}
}

func TestADeploymentOfAWorkerThatIsGoneIsGone(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	if err := s.somebody().DeleteWorker(t.Context(), s.worker, true); err != nil {
		t.Fatal(err)
	}
	s.restart()
	state.Identity = nil // as Terraform before 1.12 has it
	if read := s.read(state); read.Object != nil {
		t.Errorf("state after the Worker went: %v", read.Object)
	}
}

func TestAnotherWorkerReplacesAnotherNameDoesNot(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	other := s.newWorker("other")
	v := s.upload(other, "one")
	state := s.provider.Create(t.Context(), t, kind, s.config(s.v1))
	s.restart()
	if plan := s.plan(s.read(state), s.config(s.v1, tfproto.Object{"worker": s.worker})); len(plan.Replace) > 0 || plan.Object["id"] != state.Object["id"] {
		t.Errorf("the id in place of the name plans %v, replacing %v", plan.Object, plan.Replace)
	}
	plan := s.plan(state, s.config(v, tfproto.Object{"worker": "other"}))
	if diff := cmp.Diff([]string{"worker"}, plan.Replace); diff != "" {
		t.Errorf("replaced by (-want +got):\n%s", diff)
	}
}

// TestADeploymentIsMadeOnceWhateverHappensToTheAnswer lets each fault hit a
// create and an update. Whether that apply succeeds or fails, the next ones
// converge, and the history has one deployment for each.
func TestADeploymentIsMadeOnceWhateverHappensToTheAnswer(t *testing.T) {
	t.Parallel()
	for _, fate := range []fault.Kind{
		fault.TooMany, fault.ErrorBefore, fault.ErrorAfter, fault.ResetBefore, fault.ResetAfter, fault.Truncated, fault.HTMLAfter, fault.Conflict,
	} {
		for _, update := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/update %v", fate, update), func(t *testing.T) {
				t.Parallel()
				s := newStand(t)
				state, wanted := tfproto.State{Type: kind}, 1
				if update {
					state, wanted = s.provider.Create(t.Context(), t, kind, s.config(s.v1)), 2
				}
				config := s.config(s.v2)
				s.Faults.Add(fault.Rule{Method: "POST", Path: deploy, Kind: fate})
				s.restart()
				made, d := s.provider.Apply(t.Context(), t, s.plan(state, config))
				if !d.HasError() {
					state = made
				}
				s.Faults.Clear()
				s.restart()
				if state.Object != nil {
					state = s.read(state)
				}
				state = s.provider.Change(t.Context(), t, state, config)
				if n := len(s.history()); n != wanted {
					t.Errorf("%d deployments, want %d", n, wanted)
				}
				s.wantQuiet(state, config)
			})
		}
	}
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	plan := s.plan(tfproto.State{Type: kind}, s.config(s.v1))
	s.env["CLOUDFLARE_API_TOKEN"] = s.TokenFor(t, "read")
	s.restart()
	_, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "Workers Scripts Write") {
		t.Errorf("diagnostics: %s", d)
	}
}
