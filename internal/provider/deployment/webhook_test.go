// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// approver answers one verdict after the other, the last one for ever.
type approver struct {
	*httptest.Server
	mu    sync.Mutex
	asked []map[string]any
	ids   []string
	wrong []string
}

func newApprover(t *testing.T, secret string, verdicts ...string) *approver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	a := &approver{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		var question struct{ Data map[string]any }
		if err == nil {
			err = json.Unmarshal(body, &question)
		}
		if err != nil {
			a.wrong = append(a.wrong, err.Error())
		}
		a.asked, a.ids = append(a.asked, question.Data), append(a.ids, r.Header.Get(standardwebhooks.HeaderWebhookID))
		fmt.Fprint(w, verdicts[min(len(a.asked), len(verdicts))-1])
	}))
	t.Cleanup(a.Close)
	return a
}

func TestAWebhookDecidesAboutARealVersion(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	const secret = "correct-horse-battery-staple-signs"
	file := box.Seal(t, "secrets.enc.yaml", map[string]string{"ci": secret})
	for name, tt := range map[string]struct {
		verdicts []string
		passes   bool
		asked    int
	}{
		"pass":            {[]string{`{"verdict": "pass"}`}, true, 1},
		"wait, then pass": {[]string{`{"verdict": "wait", "reason": "somebody looks"}`, `{"verdict": "pass"}`}, true, 2},
		"fail":            {[]string{`{"verdict": "fail", "reason": "the change freeze lasts until Monday"}`}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTheatre(t)
			a := newApprover(t, secret, tt.verdicts...)
			s.block = tfproto.Object{"sops": map[string]any{"age_key_file": box.KeyFile, "env_allowed": false}}
			if d := s.apply(s.config(s.good, nil)); len(d) > 0 {
				t.Fatal(d)
			}
			next := s.Upload(t, s.worker, answering("headers['X-Next'] = 'yes';"))
			d := s.apply(s.config(next, tfproto.Object{
				"steps": []any{step(0, "1ms", "health", "release")},
				"gates": map[string]any{
					"health":  healthy(nil),
					"release": map[string]any{"webhook": map[string]any{"url": a.URL, "signing_secret": map[string]any{"sops_file": file, "key": "ci"}}},
				},
			}))
			if d.HasError() == tt.passes {
				t.Errorf("the run: %s", d)
			}
			if want := map[bool]string{true: next, false: s.good}[tt.passes]; s.live().Only() != want {
				t.Errorf("live is %v, want %s", s.live().Versions, want)
			}
			if !tt.passes && !strings.Contains(d.String(), "the change freeze lasts until Monday") {
				t.Errorf("the diagnostic does not say why:\n%s", d)
			}
			if strings.Contains(d.String(), secret) {
				t.Error("the diagnostic has the signing secret")
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(a.wrong) > 0 || len(a.asked) != tt.asked {
				t.Fatalf("asked %d times, %q", len(a.asked), a.wrong)
			}
			asked := a.asked[0]
			target, _ := asked["target"].(map[string]any)
			verdicts, _ := asked["verdicts"].([]any)
			if asked["worker"] != "api" || target["id"] != next || asked["gate"] != "release" || len(verdicts) != 1 {
				t.Errorf("it was asked %v", asked)
			}
		})
	}
}

// What is wrong with a credential may come to light at apply only: then nothing is
// deployed, and the version is not to blame.
func TestABadCredentialOfAGateIsNotTheVersionsFault(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	file := box.Seal(t, "secrets.enc.yaml", map[string]string{"short": "correct-horse", "text": "whsec_correct-horse-battery-staple"})
	hook := func(secret map[string]any) map[string]any {
		return map[string]any{"webhook": map[string]any{"url": "http://127.0.0.1:9/", "signing_secret": secret}}
	}
	probe := func(value string) map[string]any {
		return map[string]any{"http": map[string]any{"path": "/", "version_header": "X-Version", "url": "http://127.0.0.1:9", "headers_wo": map[string]any{"X-Key": value}}}
	}
	for name, tt := range map[string]struct {
		planned, applied map[string]any
		want             []string
	}{
		"a short secret of a file":     {hook(map[string]any{"sops_file": file, "key": "short"}), nil, []string{"webhook.signing_secret", "fewer than 16 bytes"}},
		"one that is no base64":        {hook(map[string]any{"sops_file": file, "key": "text"}), nil, []string{"webhook.signing_secret", "not base64"}},
		"a short secret of the run":    {hook(map[string]any{"value_wo": "correct-horse-battery"}), hook(map[string]any{"value_wo": "correct-horse"}), []string{"webhook.signing_secret", "fewer than 16 bytes"}},
		"a line break in a credential": {probe("correct-horse"), probe("correct\nhorse"), []string{"http.headers_wo", `headers_wo["X-Key"]`, "line break"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.block = tfproto.Object{"sops": map[string]any{"age_key_file": box.KeyFile, "env_allowed": false}}
			config := func(gate map[string]any) tfproto.Object {
				return s.config(s.v2, tfproto.Object{"rollout": map[string]any{"steps": []any{step(50, "1ms", "g")}, "gates": map[string]any{"g": gate}}})
			}
			state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
			before := s.live().ID
			s.restart()
			state = s.read(state)
			plan := s.plan(state, config(tt.planned))
			if tt.applied != nil {
				plan.Config = config(tt.applied) // as from an ephemeral resource that only the apply opens
			}
			_, d := s.provider.Apply(t.Context(), t, plan)
			for _, part := range tt.want {
				if !d.HasError() || !strings.Contains(d.String(), part) {
					t.Errorf("the diagnostic lacks %q:\n%s", part, d)
				}
			}
			if strings.Contains(d.String(), "correct") {
				t.Errorf("the diagnostic repeats the credential:\n%s", d)
			}
			if live := s.live(); live.ID != before {
				t.Errorf("deployment %s became live: %v", live.ID, live.Versions)
			}
			s.restart()
			plan, d = s.provider.Plan(t.Context(), t, s.read(state), config(tt.planned))
			if len(d) > 0 || plan.Empty() {
				t.Errorf("the version is not tried again: %s", d)
			}
		})
	}
}
