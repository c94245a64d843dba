// SPDX-License-Identifier: MPL-2.0

package worker_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// deployCaller makes the Worker called name refer to another one, by a live
// version with a service binding.
func deployCaller(t *testing.T, plane *acctest.Plane, name, target string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"main_module": "index.js", "compatibility_date": "2026-01-01",
		"modules":  []any{map[string]any{"name": "index.js", "content_type": "application/javascript+module", "content_base64": []byte("export default {}")}},
		"bindings": []any{map[string]any{"name": "TARGET", "type": "service", "service": target}},
	})
	if err != nil {
		t.Fatal(err)
	}
	url := plane.URL + "/accounts/" + plane.AccountID + "/workers/workers/" + name + "/versions?deploy=true"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+plane.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var answer bytes.Buffer
		_, _ = answer.ReadFrom(resp.Body)
		t.Fatalf("uploading a version that calls %s: %s: %s", target, resp.Status, answer.String())
	}
}

func TestADestroySaysWhatStillRefersToTheWorker(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	target := p.Create(t.Context(), t, kind, with("target", nil))
	p.Create(t.Context(), t, kind, with("shop", nil))
	deployCaller(t, plane, "shop", "target")

	state, d := p.Apply(t.Context(), t, tfproto.Plan{Type: kind, Prior: target})
	for _, want := range []string{"Worker is still in use", `"target"`, plane.URL, `Worker "shop"`, "force_destroy = true"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("diagnostic lacks %q:\n%s", want, d)
		}
	}
	if state.Object == nil {
		t.Fatal("a refused destroy forgets the Worker")
	}
	got, d := p.Data(t.Context(), t, kind, tfproto.Object{"name": "target"})
	if list, _ := got["referenced_by"].([]any); len(list) != 1 || list[0] != `Worker "shop"` {
		t.Errorf("referenced_by is %v; %s", got["referenced_by"], d)
	}

	forced := p.Change(t.Context(), t, target, with("target", tfproto.Object{"force_destroy": true}))
	if gone := p.Change(t.Context(), t, forced, nil); gone.Object != nil {
		t.Error("force_destroy does not destroy")
	}
}

// TestADestroyWaitsForTheOneThatRefers is terraform destroy of both, in the
// unlucky order.
func TestADestroyWaitsForTheOneThatRefers(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	target := p.Create(t.Context(), t, kind, with("target", nil))
	shop := p.Create(t.Context(), t, kind, with("shop", nil))
	deployCaller(t, plane, "shop", "target")
	looked := plane.Requests()
	done := make(chan tfproto.Diagnostics)
	go func() {
		_, d := p.Apply(t.Context(), t, tfproto.Plan{Type: kind, Prior: target})
		done <- d
	}()
	for plane.Requests() == looked { // until it has seen the reference
		time.Sleep(time.Millisecond)
	}
	p.Change(t.Context(), t, shop, nil)
	if d := <-done; d.HasError() {
		t.Errorf("destroying the target: %s", d)
	}
}

func TestAWorkerThatRefersToItselfIsDestroyed(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	state := p.Create(t.Context(), t, kind, with("api", nil))
	deployCaller(t, plane, "api", "api")
	p.Change(t.Context(), t, state, nil)
}
