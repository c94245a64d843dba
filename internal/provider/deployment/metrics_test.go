// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// What users see decides: a version that fails some of them is stopped at its step, by
// what the plane has counted.
func TestMetricsStopARealVersionThatFailsItsUsers(t *testing.T) {
	t.Parallel()
	const sometimes = `if (Math.random() < 0.5) `
	for name, tt := range map[string]struct {
		code    string
		metrics map[string]any
		want    string // in the diagnostic; empty: it passes
	}{
		"exceptions":             {sometimes + `throw new Error("it broke");`, map[string]any{"max_failure_rate": 0.01}, "fail"},
		"5xx":                    {sometimes + `return new Response("no", { status: 503, headers });`, map[string]any{"max_server_error_rate": 0.01}, "50"},
		"5xx are no failures":    {sometimes + `return new Response("no", { status: 503, headers });`, map[string]any{"max_failure_rate": 0.01}, ""},
		"slow":                   {`await new Promise(r => setTimeout(r, 300));`, map[string]any{"max_p99": "100ms"}, "p99"},
		"fast enough":            {`await new Promise(r => setTimeout(r, 20));`, map[string]any{"max_p99": "1500ms"}, ""},
		"nobody came":            {``, map[string]any{"max_failure_rate": 0.01, "min_requests": 100000.0}, "100000"},
		"nobody came, who cares": {``, map[string]any{"max_failure_rate": 0.01, "min_requests": 100000.0, "on_inconclusive": "pass"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTheatre(t)
			metrics := map[string]any{"settle": "400ms", "min_requests": 10.0}
			for k, v := range tt.metrics {
				metrics[k] = v
			}
			if d := s.apply(s.config(s.good, nil)); len(d) > 0 {
				t.Fatal(d)
			}
			next := s.Upload(t, s.worker, answering(tt.code))
			stop := s.load(60)
			d := s.apply(s.config(next, tfproto.Object{
				"steps": []any{step(50, "2s", "errors")}, "gates": map[string]any{"errors": map[string]any{"metrics": metrics}},
			}))
			a := stop()
			if tt.want == "" {
				if d.HasError() || s.live().Only() != next {
					t.Errorf("it was stopped: %s", d)
				}
				return
			}
			if !d.HasError() || !strings.Contains(d.String(), "Rollout was rolled back") || !strings.Contains(d.String(), tt.want) {
				t.Errorf("the diagnostic lacks %q: %s", tt.want, d)
			}
			if live := s.live(); live.Only() != s.good || live.Marking().Rollout.Gate != "errors" {
				t.Errorf("live is %v", live.Versions)
			}
			// At 50 % no more than about half of the users ever met it.
			total := 0
			for _, n := range a.byVersion {
				total += n
			}
			if bad := a.bad; bad > total*7/10 {
				t.Errorf("%d of %d answers were bad", bad, total)
			}
		})
	}
}
