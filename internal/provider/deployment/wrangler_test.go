// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/wranglertest"
)

// A real wrangler beside Terraform: what it deploys is seen, is never overwritten unseen,
// and what it goes back from stays rejected.
func TestARealWranglerBesideARollout(t *testing.T) {
	t.Parallel()
	s := newTheatre(t)
	wrangler := wranglertest.NewProject(t, wranglertest.Stable(t), wranglertest.Account{BaseURL: s.URL, ID: s.AccountID, Token: s.Token}, map[string]string{
		"wrangler.json": `{"name":"api","main":"index.js","compatibility_date":"2026-01-01"}`, "index.js": answering(""),
	})
	rollout := map[string]any{"steps": []any{step(10, "1ms")}}
	if d := s.apply(s.config(s.good, rollout)); len(d) > 0 {
		t.Fatal(d)
	}
	better := s.Upload(t, s.worker, answering("headers['X-Better'] = 'yes';"))
	if d := s.apply(s.config(better, rollout)); len(d) > 0 {
		t.Fatal(d)
	}

	// It goes back: the version stays rejected.
	wrangler.Run(t, "rollback", "--yes", "--message", "it was bad", s.good)
	if live := s.live().Only(); live != s.good {
		t.Fatalf("after wrangler rollback, live is %s, want %s", live, s.good)
	}
	for range 2 {
		d := s.apply(s.config(better, rollout))
		if d.HasError() || !strings.Contains(d.String(), "Version is rejected") || !strings.Contains(d.String(), "it was bad") {
			t.Errorf("after wrangler rollback: %s", d)
		}
	}
	if live := s.live().Only(); live != s.good {
		t.Fatalf("an unwatched run deployed %s", live)
	}

	// It goes back between plan and apply: the apply says so, and touches nothing.
	third := s.Upload(t, s.worker, answering("headers['X-Third'] = 'yes';"))
	if d := s.apply(s.config(third, rollout)); d.HasError() {
		t.Fatal(d)
	}
	fourth := s.Upload(t, s.worker, answering("headers['X-Fourth'] = 'yes';"))
	s.restart()
	read, d := s.provider.Read(t.Context(), t, s.state)
	if d.HasError() {
		t.Fatal(d)
	}
	plan, d := s.provider.Plan(t.Context(), t, read, s.config(fourth, rollout))
	if d.HasError() {
		t.Fatal(d)
	}
	wrangler.Run(t, "rollback", "--yes", "--message", "meanwhile", s.good)
	s.restart()
	_, d = s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "has not been seen by the plan") || !strings.Contains(d.String(), "meanwhile") {
		t.Errorf("an apply over wrangler's rollback: %s", d)
	}
	if live := s.live().Only(); live != s.good {
		t.Errorf("live is %s, want what wrangler has deployed: %s", live, s.good)
	}

	// It deploys a split during a rollout: the rollout stops, and touches nothing.
	long := s.config(fourth, map[string]any{"steps": []any{step(10, "8s")}})
	deployed := make(chan string, 1)
	go func() {
		time.Sleep(500 * time.Millisecond)
		out, code := wrangler.Try(t, "versions", "deploy", third+"@25%", s.good+"@75%", "--yes", "--message", "by hand")
		if code != 0 {
			deployed <- out
		}
		close(deployed)
	}()
	d = s.apply(long)
	if out := <-deployed; out != "" {
		t.Fatalf("wrangler versions deploy:\n%s", out)
	}
	if !d.HasError() || !strings.Contains(d.String(), "Rollout was overtaken") {
		t.Errorf("a rollout beside wrangler versions deploy: %s", d)
	}
	want := map[string]any{third: 25.0, s.good: 75.0}
	if diff := cmp.Diff(want, s.state.Object["active_versions"]); diff != "" {
		t.Errorf("the state (-want +got):\n%s", diff)
	}
	// What somebody took out of the way is rejected; where it is wanted all the same, the
	// next run begins from what is live now.
	if d := s.apply(s.config(fourth, rollout)); d.HasError() || !strings.Contains(d.String(), "Version is rejected") {
		t.Errorf("the next run: %s", d)
	}
	again := s.config(fourth, rollout)
	again["retry_rejected"] = fourth
	if d := s.apply(again); d.HasError() {
		t.Errorf("the run after it: %s", d)
	}
	if live := s.live().Only(); live != fourth {
		t.Errorf("live is %s, want %s", live, fourth)
	}
}
