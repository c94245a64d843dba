// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// theatre is a plane with real workerd, a Worker of a good version that is live, and
// the provider.
type theatre struct {
	*acctest.RealPlane
	t        *testing.T
	worker   string // id
	good     string // version id
	url      string // of the Worker
	block    tfproto.Object
	provider *tfproto.Provider
	state    tfproto.State
}

// answering is the source of a Worker; code stands in its fetch handler.
func answering(code string) string {
	return fmt.Sprintf(`export default { async fetch(request, env) {
	const headers = { "X-Version": env.VERSION.id };
	%s
	return new Response("ok", { headers });
} }`, code)
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	s := &theatre{RealPlane: acctest.NewRealPlane(t), t: t, state: tfproto.State{Type: kind}}
	enabled := true
	w, err := s.Somebody(t).CreateWorker(t.Context(), cloudflare.WorkerInput{
		Name: "api", Subdomain: &cloudflare.SubdomainInput{Enabled: &enabled, PreviewsEnabled: &enabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.worker, s.url = w.ID, w.Subdomain.URL
	s.good = s.Upload(t, s.worker, answering(""))
	s.restart()
	return s
}

func (s *theatre) restart() {
	s.provider = acctest.Proto(s.t, s.Env, s.block)
}

// apply is a whole run of Terraform: refresh, plan, apply.
func (s *theatre) apply(config tfproto.Object) tfproto.Diagnostics {
	s.t.Helper()
	s.restart()
	if s.state.Object != nil {
		read, d := s.provider.Read(s.t.Context(), s.t, s.state)
		if d.HasError() {
			s.t.Fatalf("reading: %s", d)
		}
		s.state = read
	}
	plan, d := s.provider.Plan(s.t.Context(), s.t, s.state, config)
	if d.HasError() || plan.Empty() && s.state.Object != nil {
		return d
	}
	state, applied := s.provider.Apply(s.t.Context(), s.t, plan)
	s.state = state
	return append(d, applied...)
}

func (s *theatre) live() cloudflare.Deployment {
	s.t.Helper()
	d, err := s.Somebody(s.t).LiveDeployment(s.t.Context(), "api")
	if err != nil || d == nil {
		s.t.Fatalf("nothing is live: %v", err)
	}
	return *d
}

// get asks the Worker, and returns the version that answered.
func (s *theatre) get() (status int, version, body string) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.Ingress+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Host = strings.TrimPrefix(s.url, "http://")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, response.Header.Get("X-Version"), string(text)
}

type answers struct {
	sync.Mutex
	byVersion map[string]int
	bad       int
}

// load asks the Worker n times a second until stop is called.
func (s *theatre) load(n int) (stop func() *answers) {
	a := &answers{byVersion: map[string]int{}}
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(time.Second / time.Duration(n))
		defer ticker.Stop()
		var group sync.WaitGroup
		defer group.Wait()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				group.Go(func() {
					status, version, _ := s.get()
					a.Lock()
					defer a.Unlock()
					a.byVersion[version]++
					if status != http.StatusOK {
						a.bad++
					}
				})
			}
		}
	}()
	return func() *answers { close(done); <-finished; return a }
}

func (s *theatre) config(version string, steps tfproto.Object) tfproto.Object {
	c := tfproto.Object{"worker": "api", "version_id": version}
	if steps != nil {
		c["rollout"] = map[string]any(steps)
	}
	return c
}

func step(percentage float64, bake string, gates ...any) map[string]any {
	return map[string]any{"percentage": percentage, "bake_time": bake, "gates": gates}
}

// healthy is an HTTP gate on the preview URL.
func healthy(more map[string]any) map[string]any {
	h := map[string]any{"path": "/healthz", "every": "100ms", "max_latency": "1s", "timeout": "1s", "body_contains": "ok"}
	for k, v := range more {
		h[k] = v
	}
	return map[string]any{"http": h}
}

func TestAGoodVersionGoesThroughItsSteps(t *testing.T) {
	t.Parallel()
	s := newTheatre(t)
	config := func(version string) tfproto.Object {
		return s.config(version, tfproto.Object{
			"steps": []any{step(0, "200ms", "health", "live"), step(20, "500ms", "health")}, "final_bake_time": "200ms", "final_gates": []any{"health"},
			"gates": map[string]any{"health": healthy(nil), "live": healthy(map[string]any{"version_header": "X-Version"})},
		})
	}
	if d := s.apply(config(s.good)); len(d) > 0 {
		t.Fatalf("the first deployment: %s", d)
	}
	better := s.Upload(t, s.worker, answering("headers['X-Better'] = 'yes';"))
	stop := s.load(100)
	d := s.apply(config(better))
	a := stop()
	if len(d) > 0 {
		t.Fatalf("the rollout: %s", d)
	}
	if live := s.live(); live.Only() != better {
		t.Errorf("live is %v", live.Versions)
	}
	if a.bad > 0 || a.byVersion[better] == 0 || a.byVersion[s.good] == 0 {
		t.Errorf("during the rollout: %d bad answers, by version %v", a.bad, a.byVersion)
	}
	all, err := s.Somebody(t).Deployments(t.Context(), "api")
	if err != nil {
		t.Fatal(err)
	}
	var shares []string
	for _, d := range all {
		shares = append(shares, d.Marking().Rollout.Share)
	}
	if diff := cmp.Diff([]string{"100", "20", "0", "100"}, shares); diff != "" {
		t.Errorf("the history, newest first (-want +got):\n%s", diff)
	}
	if d := s.apply(config(better)); len(d) > 0 {
		t.Errorf("once more: %s", d)
	}
}

func TestABadVersionNeverGetsPastItsStep(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"500s":          `return new Response("no", { status: 500, headers });`,
		"exceptions":    `throw new Error("it broke");`,
		"slow":          `await new Promise(r => setTimeout(r, 1500));`,
		"infinite loop": `for (;;) {}`,
		"another body":  `return new Response("sorry", { headers });`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTheatre(t)
			rollout := tfproto.Object{
				"steps": []any{step(0, "1s", "health"), step(50, "1s", "health")},
				"gates": map[string]any{"health": healthy(nil)},
			}
			if d := s.apply(s.config(s.good, nil)); len(d) > 0 {
				t.Fatal(d)
			}
			bad := s.Upload(t, s.worker, answering(code))
			config := s.config(bad, rollout)
			stop := s.load(50)
			d := s.apply(config)
			a := stop()
			for _, part := range []string{"Rollout was rolled back", `gate "health" failed`, "step 1 of 3 (0 %)", bad, s.good, "retry_rejected"} {
				if !d.HasError() || !strings.Contains(d.String(), part) {
					t.Errorf("the diagnostic lacks %q:\n%s", part, d)
				}
			}
			if live := s.live(); live.Only() != s.good || live.Marking().Rollout.Rejects != bad || live.Marking().Rollout.Gate != "health" {
				t.Errorf("live is %v, marked %+v", live.Versions, live.Marking())
			}
			if a.bad > 0 || a.byVersion[bad] > 0 {
				t.Errorf("users saw %d bad answers, by version %v", a.bad, a.byVersion)
			}
			// Three runs that nobody watches change nothing.
			before := s.live().ID
			for range 3 {
				d := s.apply(config)
				if d.HasError() || !strings.Contains(d.String(), "Version is rejected") {
					t.Errorf("the next run: %s", d)
				}
			}
			if after := s.live().ID; after != before {
				t.Errorf("an unwatched run deployed %s", after)
			}
		})
	}
}

// Credentials of probes are in no state and no diagnostic, also where the Worker repeats
// them.
func TestCredentialsOfProbesStayWithTheProbes(t *testing.T) {
	t.Parallel()
	s := newTheatre(t)
	if d := s.apply(s.config(s.good, nil)); len(d) > 0 {
		t.Fatal(d)
	}
	const secret = "correct-horse-battery-staple-probes"
	config := func(version string) tfproto.Object {
		return s.config(version, tfproto.Object{
			"steps": []any{step(0, "1ms", "health")},
			"gates": map[string]any{"health": healthy(map[string]any{
				"headers": map[string]any{"X-Probe": "hybridge"}, "headers_wo": map[string]any{"X-Probe-Key": secret}, "failures": 1.0, "patience": "5s",
			})},
		})
	}
	guarded := s.Upload(t, s.worker, answering(`if (request.headers.get("X-Probe-Key") !== "`+secret+`" || request.headers.get("X-Probe") !== "hybridge") return new Response("who are you", { status: 403 });`))
	d := s.apply(config(guarded))
	if d.HasError() || s.live().Only() != guarded {
		t.Errorf("the probes did not bring their headers: %s", d)
	}
	if text := fmt.Sprint(s.state.Object); strings.Contains(text, secret) {
		t.Error("the state has the credential")
	}
	echoing := s.Upload(t, s.worker, answering(`return new Response("you sent " + request.headers.get("X-Probe-Key"), { status: 500 });`))
	if d = s.apply(config(echoing)); !d.HasError() || strings.Contains(d.String(), secret) {
		t.Errorf("a Worker that repeats the credential: %s", d)
	}
}
