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
