// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// What workerd answers for an exception is told from what a Worker answers on purpose. A
// workerd that answers in another way fails this test.
func TestAnExceptionIsToldFromAnAnswer(t *testing.T) {
	t.Parallel()
	cfg, id := testConfig(t)
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	c := &client{t: t, a: a, id: id}
	for i, tt := range []struct {
		name, code string
		want       ingress.Outcome
		bad        uint64 // answers with 5xx
	}{
		{"an answer", `return new Response("ok")`, ingress.Success, 0},
		{"a deliberate 500", `return new Response("no", { status: 500 })`, ingress.Success, 1},
		{"a deliberate 500 in workerd's words", `return new Response("Internal Server Error", { status: 500 })`, ingress.Success, 1},
		{"an empty 500", `return new Response(null, { status: 500 })`, ingress.Success, 1},
		{"an exception", `throw new Error("x")`, ingress.ScriptThrew, 1},
		{"a later exception", `await scheduler.wait(1); throw new Error("x")`, ingress.ScriptThrew, 1},
		{"an exception in the body", `let n = 0; return new Response(new ReadableStream({ async pull(c) {
			if (n++ > 2) throw new Error("x"); c.enqueue(new TextEncoder().encode("abc")); await scheduler.wait(5); } }))`, ingress.ScriptThrew, 0},
		{"no answer", `return await new Promise(() => {})`, ingress.ScriptThrew, 1}, // workerd notices that nothing can resolve it
		{"an endless loop", `for (;;) {}`, ingress.InternalError, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprint("w", i)
			worker := c.call(http.MethodPost, "/workers/workers", map[string]any{"name": name, "subdomain": map[string]any{"enabled": true}})["id"].(string)
			source := fmt.Sprintf(`export default { async fetch() { %s } }`, tt.code)
			version := c.call(http.MethodPost, "/workers/workers/"+worker+"/versions", map[string]any{
				"main_module": "index.js", "compatibility_date": workerdtest.CompatibilityDate,
				"modules": []map[string]string{{"name": "index.js", "content_type": "application/javascript+module", "content_base64": base64.StdEncoding.EncodeToString([]byte(source))}},
			})["id"].(string)
			c.deploy(name, map[string]float64{version: 100})
			from := time.Now()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addresses().Ingress+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = name + ".dev.localhost"
			if res, err := c.http.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body) // one of them breaks off
				_ = res.Body.Close()
			}
			counts := a.router.Window(version, from, time.Now().Add(time.Second))
			for range 100 { // the counters follow the answer
				if counts.Requests() > 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
				counts = a.router.Window(version, from, time.Now().Add(time.Second))
			}
			if counts.Outcomes[tt.want] != 1 || counts.Requests() != 1 || counts.ServerErrors != tt.bad {
				t.Errorf("outcomes %v and %d answers with 5xx, want one %s and %d", counts.Outcomes, counts.ServerErrors, tt.want, tt.bad)
			}
		})
	}
}
