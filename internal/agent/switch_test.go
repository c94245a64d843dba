// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// testConfig is an agent on free ports; the identity is filled at its start.
func testConfig(t *testing.T) (Config, *Identity) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	id := new(Identity)
	return Config{
		DataDir: dir, API: "127.0.0.1:0", Ingress: "127.0.0.1:0", Workerd: workerdtest.Path(t), Version: "test",
		Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: testWriter{t}}),
		Prepare: func(ctx context.Context, reg *registry.Registry) (err error) {
			*id, err = EnsureIdentity(ctx, reg)
			return err
		},
	}, id
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}

// client talks to an agent as Terraform does.
type client struct {
	t    *testing.T
	a    *Agent
	id   *Identity
	http http.Client
}

// call makes one API call below the account and returns its result.
func (c *client) call(method, path string, body any) map[string]any {
	c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.a.Addresses().API+"/client/v4/accounts/"+c.id.AccountID+path, bytes.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.id.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var envelope struct {
		Success bool
		Errors  any
		Result  map[string]any
	}
	if err := json.NewDecoder(res.Body).Decode(&envelope); err != nil || !envelope.Success {
		c.t.Fatalf("%s %s: %d %v %v", method, path, res.StatusCode, envelope.Errors, err)
	}
	return envelope.Result
}

// version uploads a version that answers with text and the length of the body.
func (c *client) version(worker, text string) string {
	c.t.Helper()
	source := fmt.Sprintf(`export default { async fetch(req, env, ctx) {
		const body = await req.text();
		if (new URL(req.url).pathname === "/slow") await scheduler.wait(50);
		return new Response(%q + " " + body.length);
	} }`, text)
	v := c.call(http.MethodPost, "/workers/workers/"+worker+"/versions", map[string]any{
		"main_module": "index.js", "compatibility_date": workerdtest.CompatibilityDate,
		"modules": []map[string]string{{"name": "index.js", "content_type": "application/javascript+module", "content_base64": base64.StdEncoding.EncodeToString([]byte(source))}},
	})
	return v["id"].(string)
}

func (c *client) deploy(name string, shares map[string]float64) {
	c.t.Helper()
	var versions []map[string]any
	for id, percentage := range shares {
		versions = append(versions, map[string]any{"version_id": id, "percentage": percentage})
	}
	c.call(http.MethodPost, "/workers/scripts/"+name+"/deployments", map[string]any{"strategy": "percentage", "versions": versions})
}

// ask sends one request to the Worker and returns its answer.
func (c *client) ask(method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.a.Addresses().Ingress+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Host = "api.dev.localhost"
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", res.StatusCode, b)
	}
	return string(b), err
}

// The whole plane on real workerd: twenty new versions, each at 10 % and then
// at 100 %, while clients never pause.
func TestNoRequestIsLostOverTwentyRollouts(t *testing.T) {
	t.Parallel()
	cfg, id := testConfig(t)
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	c := &client{t: t, a: a, id: id}
	c.http.Transport = &http.Transport{MaxIdleConnsPerHost: 32}
	defer c.http.CloseIdleConnections()

	worker := c.call(http.MethodPost, "/workers/workers", map[string]any{"name": "api", "subdomain": map[string]bool{"enabled": true}})["id"].(string)
	live := c.version(worker, "v0")
	c.deploy("api", map[string]float64{live: 100})

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answered atomic.Int64
	body := strings.Repeat("x", 2000)
	for n := range 6 {
		clients.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				method, path, sent := http.MethodGet, "/", ""
				switch i % 3 {
				case 1:
					method, sent = http.MethodPost, body
				case 2:
					path = "/slow"
				}
				got, err := c.ask(method, path, sent)
				if err != nil || !strings.HasSuffix(got, fmt.Sprint(" ", len(sent))) {
					t.Errorf("lost %s %s: %q %v", method, path, got, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for n := 1; n <= 20 && !t.Failed(); n++ {
		next := c.version(worker, fmt.Sprintf("v%d", n))
		c.deploy("api", map[string]float64{next: 10, live: 90})
		c.deploy("api", map[string]float64{next: 100})
		// What was deployed is what answers from now on, without exception.
		for range 5 {
			if got, err := c.ask(http.MethodGet, "/", ""); err != nil || got != fmt.Sprintf("v%d 0", n) {
				t.Errorf("after rollout %d: %q %v", n, got, err)
			}
		}
		live = next
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests answered", answered.Load())
	if answered.Load() < 200 {
		t.Error("too few requests to prove anything")
	}

	// Over all versions and processes, each request was counted once.
	want, got := uint64(answered.Load())+20*5, uint64(0)
	deadline := time.Now().Add(10 * time.Second)
	for got != want && time.Now().Before(deadline) { // it is counted after its client has the answer
		var all [traffic.NumOutcomes]traffic.Tally
		a.fleet.Traffic().Each(func(traffic.Key) bool { return true }, func(s traffic.Slice) {
			s.Add(func(o traffic.Outcome) *traffic.Tally { return &all[o] })
		})
		got = all[traffic.Success].Requests
	}
	if got != want {
		t.Errorf("%d requests are counted, there were %d", got, want)
	}
	// And whoever comes by the Workers' way does not see it.
	if got, err := c.ask(http.MethodGet, "/metrics", ""); err != nil || !strings.HasPrefix(got, "v20 ") {
		t.Errorf("/metrics of the ingress: %q %v", got, err)
	}
}
