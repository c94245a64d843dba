// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// TestRotationsAndChangesOfRulesFailNoRequest: while the plane's ingress, which is the
// tunnel's connector, is under load.
func TestRotationsAndChangesOfRulesFailNoRequest(t *testing.T) {
	t.Parallel()
	plane := planetest.New(t, planetest.Options{Workerd: true, ReconnectPause: 50 * time.Millisecond})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }))
	t.Cleanup(backend.Close)
	getenv := func(name string) string {
		return map[string]string{"CLOUDFLARE_API_TOKEN": plane.Token, "CLOUDFLARE_ACCOUNT_ID": plane.AccountID, "CLOUDFLARE_BASE_URL": plane.BaseURL}[name]
	}
	p := acctest.Proto(t, getenv, nil)
	config := func(trigger string, more ...map[string]any) tfproto.Object {
		return tfproto.Object{"name": "busy", "rotation_trigger": trigger, "ingress": ingress(append([]map[string]any{rule("app.example.com", backend.URL)}, more...)...)}
	}
	state := p.Create(t.Context(), t, kind, config("0"))

	ctx, stop := context.WithCancel(t.Context())
	var asked, failed atomic.Int64
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, plane.IngressURL, nil)
				if err != nil {
					failed.Add(1)
					return
				}
				req.Host = "app.example.com"
				resp, err := http.DefaultClient.Do(req)
				asked.Add(1)
				if err != nil {
					failed.Add(1)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || string(body) != "fine" {
					failed.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for _, trigger := range []string{"1", "2", "3"} {
		state = p.Change(t.Context(), t, state, config(trigger))
		state = p.Change(t.Context(), t, state, config(trigger, rule("more.example.com", "http_status:204")))
	}
	stop()
	callers.Wait()
	if asked.Load() < 20 || failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}
