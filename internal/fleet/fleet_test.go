// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// patience is how long a test waits for what must happen in the end.
const patience = 30 * time.Second

// stage is a fleet behind a real listener.
type stage struct {
	t     *testing.T
	fleet *fleet.Fleet
	url   string
	log   *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newStage(t *testing.T, change ...func(*fleet.Config)) *stage {
	t.Helper()
	log := &logBuffer{}
	cfg := fleet.Config{
		Workerd:   workerdtest.Path(t),
		SocketDir: workerdtest.SocketDir(t),
		Router:    ingress.New(hclog.NewNullLogger()),
		Logger:    hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug, JSONFormat: true}),
		Limits:    fleet.Limits{WaitUntil: 50 * time.Millisecond, Stop: 2 * time.Second},
	}
	for _, c := range change {
		c(&cfg)
	}
	f, err := fleet.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(cfg.Router)
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		f.Close(ctx)
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &stage{t: t, fleet: f, url: server.URL, log: log}
}

func (s *stage) deploy(v workerd.Version) {
	s.t.Helper()
	if err := s.fleet.Apply(s.t.Context(), workerdtest.Worker(v), []workerd.Version{v}); err != nil {
		s.t.Fatal(err)
	}
}

// try requests path of the Worker once.
func (s *stage) try(host, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func (s *stage) get(name, path string) string {
	s.t.Helper()
	status, body, err := s.try(workerdtest.Host(name), path)
	if err != nil {
		s.t.Fatal(err)
	}
	if status != http.StatusOK {
		s.t.Fatalf("GET %s of Worker %s: status %d: %s", path, name, status, body)
	}
	return body
}

func (s *stage) want(name, path, want string) {
	s.t.Helper()
	if got := s.get(name, path); got != want {
		s.t.Errorf("GET %s of Worker %s = %q, want %q", path, name, got, want)
	}
}

// do sends a request that must succeed.
func (s *stage) do(req *http.Request) string {
	s.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// failing requests what must be answered with a 5xx status.
func (s *stage) failing(name, path string) string {
	s.t.Helper()
	status, body, err := s.try(workerdtest.Host(name), path)
	if err != nil {
		s.t.Fatal(err)
	}
	if status < http.StatusInternalServerError {
		s.t.Fatalf("GET %s of Worker %s: status %d: %s", path, name, status, body)
	}
	return body
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

func (s *stage) state(v workerd.Version) workerd.VersionState {
	for _, st := range s.fleet.States() {
		if st.VersionID == v.ID {
			return st
		}
	}
	return workerd.VersionState{}
}

func TestADeployedVersionAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "hello", workerdtest.Answer("hello"))
	s.deploy(v)
	s.want("hello", "/", "hello")
	if st := s.state(v); st.State != "ready" || st.PID == 0 {
		t.Errorf("state = %+v, want ready with a pid", st)
	}
}

func TestBindingsReachTheWorkerAsTheyWere(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	text := "a \"quoted\" \\ back\\slash\nline\ttab \x00 nul é 漢 😀 {} ]) embed"
	v := workerdtest.Script(t, "bindings", `export default { fetch(r, env) {
		return Response.json([env.TEXT, env.SECRET, env.JSON, env.META.id, env.META.tag, typeof Date.parse(env.META.timestamp)]);
	} };`,
		workerdtest.Binding("TEXT", "plain_text", "text", text),
		workerdtest.Binding("SECRET", "secret_text", "text", "s3cret-"+text),
		workerdtest.Binding("JSON", "json", "json", map[string]any{"deep": []any{1, "zwei", nil, true}}),
		workerdtest.Binding("META", "version_metadata"))
	v.Tag = "v1.2"
	s.deploy(v)
	want := `["a \"quoted\" \\ back\\slash\nline\ttab \u0000 nul é 漢 😀 {} ]) embed",` +
		`"s3cret-a \"quoted\" \\ back\\slash\nline\ttab \u0000 nul é 漢 😀 {} ]) embed",` +
		`{"deep":[1,"zwei",null,true]},"` + v.ID + `","v1.2","number"]`
	s.want("bindings", "/", want)
}

func TestModulesOfEveryTypeLoad(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	wasm := "\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x00\x01\x7f\x03\x02\x01\x00\x07\x05\x01\x01f\x00\x00\x0a\x06\x01\x04\x00\x41\x2a\x0b"
	v := workerdtest.Version(t, "modules", map[string]string{
		"index.js": `import { twice } from "./lib/twice.js"; import common from "./old.cjs"; import text from "./t.txt";
			import data from "./d.bin"; import conf from "./c.json"; import wasm from "./w.wasm";
			export default { fetch() { return Response.json([twice(4), common.name, text, [...new Uint8Array(data)], conf.a,
				new WebAssembly.Instance(wasm).exports.f()]); } };`,
		"lib/twice.js": `export const twice = (n) => 2 * n;`,
		"old.cjs":      `module.exports = { name: "common" };`,
		"t.txt":        "plain \"text\"\n",
		"d.bin":        "\x00\xff\x80",
		"c.json":       `{"a":[1]}`,
		"w.wasm":       wasm,
	})
	s.deploy(v)
	s.want("modules", "/", `[8,"common","plain \"text\"\n",[0,255,128],[1],42]`)
}

func TestAFailedDeploymentLeavesThePreviousOneServing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.deploy(workerdtest.Script(t, "keep", workerdtest.Answer("old")))
	bad := workerdtest.Script(t, "keep", "export default { fetch( }")
	err := s.fleet.Apply(t.Context(), workerdtest.Worker(bad), []workerd.Version{bad})
	if err == nil || !strings.Contains(err.Error(), "index.js:1") {
		t.Errorf("Apply of a broken version: error %v, want one that names index.js:1", err)
	}
	s.want("keep", "/", "old")
	eventually(t, "the broken version is forgotten", func() bool { return len(s.fleet.States()) == 1 })
}

func TestARemovedWorkerIsUnreachableAndItsProcessEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "gone", workerdtest.Answer("here"))
	s.deploy(v)
	s.want("gone", "/", "here")
	if err := s.fleet.Remove(t.Context(), v.WorkerID); err != nil {
		t.Fatal(err)
	}
	if status, _, err := s.try(workerdtest.Host("gone"), "/"); err != nil || status != http.StatusNotFound {
		t.Errorf("status %d, error %v after the removal, want 404", status, err)
	}
	eventually(t, "the process has stopped", func() bool { return len(s.fleet.States()) == 0 })
	if err := s.fleet.Remove(t.Context(), v.WorkerID); err != nil {
		t.Errorf("removing an unknown Worker: %v", err)
	}
}
