// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

func TestARolloutThatCannotWorkIsRefusedBeforeThePlan(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	used := func(gate map[string]any) map[string]any {
		return map[string]any{"final_gates": []any{"g"}, "gates": map[string]any{"g": gate}}
	}
	signed := map[string]any{"value_wo": "correct-horse-battery-staple"}
	for name, tt := range map[string]struct {
		rollout map[string]any
		want    []string
	}{
		"steps that fall":       {map[string]any{"steps": []any{step(50, "1s"), step(10, "1s")}}, []string{"rollout.steps[1].percentage", "10 follows 50"}},
		"a step of 100":         {map[string]any{"steps": []any{step(100, "1s")}}, []string{"rollout.steps[0].percentage"}},
		"a negative bake time":  {map[string]any{"steps": []any{step(10, "-1s")}}, []string{"rollout.steps[0].bake_time", "positive duration"}},
		"a gate that is none":   {map[string]any{"steps": []any{step(10, "1s", "helth")}}, []string{"rollout.steps[0].gates[0]", `"helth"`, "Gates: none"}},
		"a gate named twice":    {map[string]any{"final_gates": []any{"g", "g"}}, []string{"rollout.final_gates"}},
		"gates of no step":      {map[string]any{"gates": map[string]any{"g": map[string]any{"http": map[string]any{"path": "/"}}}}, []string{"rollout.gates", "every version would pass: g.", "drops a member"}},
		"a hold at no step":     {map[string]any{"steps": []any{step(10, "1s")}, "hold_at": 20.0}, []string{"rollout.hold_at", "20 is no step", "[10]"}},
		"a policy":              {map[string]any{"on_failure": "retry"}, []string{"rollout.on_failure"}},
		"another policy":        {map[string]any{"on_interrupt": "retry"}, []string{"rollout.on_interrupt"}},
		"a return":              {map[string]any{"on_return": "slow"}, []string{"rollout.on_return"}},
		"no kind":               {used(map[string]any{}), []string{`rollout.gates["g"]`, "0 kinds"}},
		"two kinds":             {used(map[string]any{"http": map[string]any{"path": "/"}, "metrics": map[string]any{"max_failure_rate": 0.1}}), []string{`rollout.gates["g"]`, "2 kinds"}},
		"a path without /":      {used(map[string]any{"http": map[string]any{"path": "healthz"}}), []string{`rollout.gates["g"].http.path`, "begins with /"}},
		"a URL alone":           {used(map[string]any{"http": map[string]any{"path": "/", "url": "https://shop.example.com"}}), []string{`http.version_header`, "needs version_header"}},
		"a status":              {used(map[string]any{"http": map[string]any{"path": "/", "status": []any{99.0}}}), []string{"http.status", "status[0] is 99"}},
		"a status on the way":   {used(map[string]any{"http": map[string]any{"path": "/", "status": []any{200.0, 103.0}}}), []string{`rollout.gates["g"].http.status`, "is 103", "200 to 599"}},
		"a header of the gate":  {used(map[string]any{"http": map[string]any{"path": "/", "headers": map[string]any{"user-agent": "x"}}}), []string{`rollout.gates["g"].http.headers`, `headers["user-agent"]`, "set by the gate itself"}},
		"a secret header of it": {used(map[string]any{"http": map[string]any{"path": "/", "headers_wo": map[string]any{"Host": "x"}}}), []string{`rollout.gates["g"].http.headers_wo`, `headers_wo["Host"]`, "set by the gate itself"}},
		"a header spelt twice":  {used(map[string]any{"http": map[string]any{"path": "/", "headers": map[string]any{"X-A": "x"}, "headers_wo": map[string]any{"x-a": "y"}}}), []string{"http.headers_wo", "in different spellings"}},
		"a broken header":       {used(map[string]any{"http": map[string]any{"path": "/", "headers_wo": map[string]any{"X-Key": "correct\nhorse"}}}), []string{`rollout.gates["g"].http.headers_wo`, `headers_wo["X-Key"]`, "line break"}},
		"a URL with a query":    {used(map[string]any{"http": map[string]any{"path": "/", "url": "https://shop.example.com?a=b", "version_header": "X-Version"}}), []string{"http.url", "must not have a query"}},
		"a body of HEAD":        {used(map[string]any{"http": map[string]any{"path": "/", "method": "HEAD", "body_contains": "ok"}}), []string{"http.body_contains", "has no body"}},
		"a latency never met":   {used(map[string]any{"http": map[string]any{"path": "/", "max_latency": "5s", "timeout": "1s"}}), []string{"http.max_latency", "longer than the timeout"}},
		"a method":              {used(map[string]any{"http": map[string]any{"path": "/", "method": "POST"}}), []string{"http.method"}},
		"no failures":           {used(map[string]any{"http": map[string]any{"path": "/", "failures": 0.0}}), []string{"http.failures"}},
		"a header twice":        {used(map[string]any{"http": map[string]any{"path": "/", "headers": map[string]any{"A": "x"}, "headers_wo": map[string]any{"A": "y"}}}), []string{"http.headers_wo", "headers, too"}},
		"patience":              {used(map[string]any{"http": map[string]any{"path": "/", "patience": "soon"}}), []string{"http.patience"}},
		"metrics of nothing":    {used(map[string]any{"metrics": map[string]any{"min_requests": 10.0}}), []string{"gates[\"g\"].metrics", "looks at nothing"}},
		"a rate":                {used(map[string]any{"metrics": map[string]any{"max_failure_rate": 5.0}}), []string{"max_failure_rate"}},
		"a rate of all":         {used(map[string]any{"metrics": map[string]any{"max_failure_rate": 1.0}}), []string{`rollout.gates["g"].metrics.max_failure_rate`, "below 1"}},
		"a rate of 5xx":         {used(map[string]any{"metrics": map[string]any{"max_server_error_rate": -1.0}}), []string{"max_server_error_rate"}},
		"a percentile":          {used(map[string]any{"metrics": map[string]any{"max_p99": "fast"}}), []string{"max_p99"}},
		"no requests":           {used(map[string]any{"metrics": map[string]any{"max_p99": "1s", "min_requests": 0.0}}), []string{"min_requests"}},
		"inconclusive":          {used(map[string]any{"metrics": map[string]any{"max_p99": "1s", "on_inconclusive": "wait"}}), []string{"on_inconclusive"}},
		"settle":                {used(map[string]any{"metrics": map[string]any{"max_p99": "1s", "settle": "long"}}), []string{"metrics.settle"}},
		"a webhook in the open": {used(map[string]any{"webhook": map[string]any{"url": "http://ci.example.com/verdict", "signing_secret": signed}}), []string{"webhook.url", "must begin with https://"}},
		"a short signing secret": {used(map[string]any{"webhook": map[string]any{"url": "https://ci.example.com", "signing_secret": map[string]any{"value_wo": "correct-horse"}}}),
			[]string{`rollout.gates["g"].webhook.signing_secret`, "fewer than 16 bytes"}},
		"a signing secret that is no base64": {used(map[string]any{"webhook": map[string]any{"url": "https://ci.example.com", "signing_secret": map[string]any{"value_wo": "whsec_correct-horse-battery-staple"}}}),
			[]string{`rollout.gates["g"].webhook.signing_secret`, "not base64"}},
		"no signing secret": {used(map[string]any{"webhook": map[string]any{"url": "https://ci.example.com", "signing_secret": map[string]any{}}}), []string{"webhook.signing_secret", "value_wo"}},
		"two signing secrets": {used(map[string]any{"webhook": map[string]any{"url": "https://ci.example.com", "signing_secret": map[string]any{"sops_file": "s.enc.yaml", "key": "ci", "value_wo": "x"}}}),
			[]string{"webhook.signing_secret", "sops_file with key, or value_wo"}},
	} {
		d := s.provider.Validate(t.Context(), t, kind, s.config(s.v1, tfproto.Object{"rollout": tt.rollout}))
		if !d.HasError() {
			t.Errorf("%s is accepted", name)
		}
		for _, part := range tt.want {
			if !strings.Contains(d.String(), part) {
				t.Errorf("%s: the diagnostic lacks %q:\n%s", name, part, d)
			}
		}
		if strings.Contains(d.String(), "correct") {
			t.Errorf("%s: the diagnostic repeats the credential:\n%s", name, d)
		}
	}
	for name, tt := range map[string]struct {
		rollout map[string]any
		warning string
	}{
		"metrics without traffic": {map[string]any{"steps": []any{step(0, "1s", "g")}, "gates": map[string]any{"g": map[string]any{"metrics": map[string]any{"max_failure_rate": 0.1}}}}, "only probes reach the version"},
		"a gate that is not used": {map[string]any{"final_gates": []any{"g"}, "gates": map[string]any{"g": map[string]any{"http": map[string]any{"path": "/"}}, "h": map[string]any{"http": map[string]any{"path": "/"}}}}, "No step names the gate \"h\""},
	} {
		d := s.provider.Validate(t.Context(), t, kind, s.config(s.v1, tfproto.Object{"rollout": tt.rollout}))
		if d.HasError() || !strings.Contains(d.String(), tt.warning) {
			t.Errorf("%s: %s, want a warning with %q", name, d, tt.warning)
		}
	}
}

func TestARolloutThatIsNotKnownYetIsNotJudged(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	gate := func(g any) map[string]any {
		return map[string]any{"final_gates": []any{"g"}, "gates": map[string]any{"g": g}}
	}
	either := map[string]any{"sops_file": tfproto.Unknown, "key": tfproto.Unknown, "value_wo": tfproto.Unknown}
	for name, rollout := range map[string]any{
		"all of it":          tfproto.Unknown,
		"the gates":          map[string]any{"final_gates": []any{"g"}, "gates": tfproto.Unknown},
		"a gate":             gate(tfproto.Unknown),
		"which kind it is":   gate(map[string]any{"http": tfproto.Unknown, "metrics": tfproto.Unknown, "webhook": tfproto.Unknown}),
		"the URL":            gate(map[string]any{"http": map[string]any{"path": "/", "url": tfproto.Unknown}}),
		"what is looked at":  gate(map[string]any{"metrics": map[string]any{"max_failure_rate": tfproto.Unknown}}),
		"the signing secret": gate(map[string]any{"webhook": map[string]any{"url": "https://ci.example.com", "signing_secret": either}}),
		"hold_at":            map[string]any{"steps": []any{step(10, "1s")}, "hold_at": tfproto.Unknown},
	} {
		if d := s.provider.Validate(t.Context(), t, kind, s.config(s.v1, tfproto.Object{"rollout": rollout})); len(d) > 0 {
			t.Errorf("%s unknown: %s", name, d)
		}
	}
}
