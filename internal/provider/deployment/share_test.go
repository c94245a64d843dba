// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// A version that looks healthy to probes and fails its users: they see no more than its
// share of failures, and the version before is live again within two seconds after the
// gate has failed.
func TestUsersSeeNoMoreThanTheShareOfABadVersion(t *testing.T) {
	t.Parallel()
	s := newTheatre(t)
	if d := s.apply(s.config(s.good, nil)); len(d) > 0 {
		t.Fatal(d)
	}
	bad := s.Upload(t, s.worker, answering(`if (new URL(request.url).pathname !== "/healthz") throw new Error("orders are lost");`))
	stop := s.load(100)
	d := s.apply(s.config(bad, tfproto.Object{
		"steps": []any{step(0, "200ms", "health"), step(10, "3s", "health", "errors"), step(50, "1m", "health", "errors")},
		"gates": map[string]any{
			"health": healthy(nil),
			"errors": map[string]any{"metrics": map[string]any{"max_failure_rate": 0.01, "min_requests": 10.0, "settle": "300ms"}},
		},
	}))
	a := stop()
	if !d.HasError() || !strings.Contains(d.String(), `the gate "errors" failed`) || !strings.Contains(d.String(), "step 2 of 4 (10 %)") {
		t.Errorf("the diagnostic: %s", d)
	}
	if live := s.live().Only(); live != s.good {
		t.Errorf("live is %s", live)
	}
	total := 0
	for _, n := range a.byVersion {
		total += n
	}
	// Of all requests, of which those at 10 % are a part: 10 %, and room for chance.
	if a.bad == 0 || a.bad > total*17/100 {
		t.Errorf("users saw %d bad answers of %d", a.bad, total)
	}
	client := s.Somebody(t)
	list, err := client.Rollouts(t.Context(), "api", "", 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("the plane knows %d rollouts: %v", len(list), err)
	}
	r, err := client.Rollout(t.Context(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var failed time.Time
	for _, e := range r.Events {
		switch {
		case e.Verdict != nil && !e.Verdict.Pass && failed.IsZero():
			failed = e.At
		case e.State == "rolled_back":
			if failed.IsZero() || e.At.Sub(failed) > 2*time.Second {
				t.Errorf("it was back %s after the gate had failed", e.At.Sub(failed))
			}
		}
	}
	if r.State != "rolled_back" || failed.IsZero() {
		t.Errorf("the plane has it as %s", r.State)
	}
}

// Of a plane with a region, no answer of a Worker reaches a diagnostic: these end in logs
// elsewhere. The plane has it.
func TestADiagnosticOfARegionQuotesNoWorker(t *testing.T) {
	t.Parallel()
	for region, quoted := range map[string]bool{"": true, "eu": false} {
		t.Run("region "+region, func(t *testing.T) {
			t.Parallel()
			s := newTheatre(t)
			plane := map[string]any{"base_url": s.URL, "account_id": s.AccountID, "api_token": s.Token}
			if region != "" {
				plane["region"] = region
			}
			s.block = tfproto.Object{"planes": map[string]any{"paris": plane}}
			there := func(c tfproto.Object) tfproto.Object { c["plane"] = "paris"; return c }
			if d := s.apply(there(s.config(s.good, nil))); len(d) > 0 {
				t.Fatal(d)
			}
			bad := s.Upload(t, s.worker, answering(`return new Response("Mrs Miller, 3 Elm Street", { status: 500, headers });`))
			d := s.apply(there(s.config(bad, tfproto.Object{"steps": []any{step(0, "1ms", "health")}, "gates": map[string]any{"health": healthy(nil)}})))
			if !d.HasError() || strings.Contains(d.String(), "Mrs Miller") != quoted || !strings.Contains(d.String(), "500") {
				t.Errorf("the diagnostic: %s", d)
			}
			client := s.Somebody(t)
			list, err := client.Rollouts(t.Context(), "api", "", 1)
			if err != nil || len(list) != 1 {
				t.Fatalf("the plane knows %d rollouts: %v", len(list), err)
			}
			r, err := client.Rollout(t.Context(), list[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if !hasDetail(r, "Mrs Miller") {
				t.Errorf("the plane does not have it: %+v", r.Events)
			}
		})
	}
}

func hasDetail(r cloudflare.RolloutView, text string) bool {
	for _, e := range r.Events {
		if e.Verdict != nil && strings.Contains(e.Verdict.Detail, text) {
			return true
		}
	}
	return false
}

// A version that breaks while it starts is refused at upload, so it reaches no step.
func TestAVersionThatBreaksAtItsStartIsNeverUploaded(t *testing.T) {
	t.Parallel()
	s := newTheatre(t)
	_, err := s.TryUpload(t, s.worker, `throw new Error("no configuration"); export default { fetch() {} }`)
	if err == nil || !strings.Contains(err.Error(), "10021") {
		t.Errorf("uploading it: %v", err)
	}
}
