// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

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

func TestAnyTextReachesTheWorkerUnchanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("\"\\\x00\n\r\tx0{}[]()#,=$'`\u2028\u007f"))))
	want := map[string]string{}
	var bindings []workerd.Binding
	for i := range 300 {
		name := fmt.Sprintf("B%d", i)
		want[name] = strings.ToValidUTF8(text.Example(i), "?")
		bindings = append(bindings, workerdtest.Binding(name, "secret_text", "text", want[name]))
	}
	s.deploy(workerdtest.Script(t, "text", `export default { fetch(r, env) { return Response.json(env); } };`, bindings...))
	var got map[string]string
	if err := json.Unmarshal([]byte(s.get("text", "/")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
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

// source is a VersionSource over a fixed list.
type source []workerd.Version

func (s source) PreviewVersion(_ context.Context, workerID, prefix string) (workerd.Version, bool, error) {
	for _, v := range s {
		if v.WorkerID == workerID && strings.HasPrefix(v.ID, prefix) {
			return v, true, nil
		}
	}
	return workerd.Version{}, false, nil
}

func TestAPreviewStartsOnDemandAndStopsWhenIdle(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *fleet.Config) { c.Limits.PreviewIdle = 300 * time.Millisecond })
	live := workerdtest.Script(t, "pre", workerdtest.Answer("live"))
	other := workerdtest.Script(t, "pre", workerdtest.Answer("preview"))
	broken := workerdtest.Script(t, "pre", "throw new Error('no');")
	s.fleet.SetVersions(source{other, broken})
	s.deploy(live)
	host := func(v workerd.Version) string { return v.ID[:8] + "-" + workerdtest.Host("pre") }
	if s.state(other).PID != 0 {
		t.Error("the preview runs before anybody asked")
	}
	for range 3 {
		if status, body, err := s.try(host(other), "/"); err != nil || status != http.StatusOK || body != "preview" {
			t.Fatalf("preview: %d, %q, %v", status, body, err)
		}
	}
	if status, body, _ := s.try(host(live), "/"); status != http.StatusOK || body != "live" {
		t.Errorf("preview of the live version: %d, %q", status, body)
	}
	if status, _, err := s.try(host(broken), "/"); err != nil || status < 500 {
		t.Errorf("preview of a broken version: status %d, error %v", status, err)
	}
	if status, _, err := s.try("00000000-"+workerdtest.Host("pre"), "/"); err != nil || status != http.StatusNotFound {
		t.Errorf("preview of no version: status %d, error %v", status, err)
	}
	eventually(t, "only the live version runs", func() bool {
		states := s.fleet.States()
		return len(states) == 1 && states[0].VersionID == live.ID
	})
	if status, body, err := s.try(host(other), "/"); err != nil || status != http.StatusOK || body != "preview" {
		t.Errorf("the preview once more: %d, %q, %v", status, body, err)
	}
}

func TestAVersionThatIsPreviewedAndDeployedRunsOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	old := workerdtest.Script(t, "pre", workerdtest.Answer("old"))
	next := workerdtest.Script(t, "pre", workerdtest.Answer("next"))
	s.fleet.SetVersions(source{next})
	s.deploy(old)
	if status, body, err := s.try(next.ID[:8]+"-"+workerdtest.Host("pre"), "/"); err != nil || status != http.StatusOK || body != "next" {
		t.Fatalf("preview: %d, %q, %v", status, body, err)
	}
	pid := s.state(next).PID
	s.deploy(next)
	s.want("pre", "/", "next")
	if got := s.state(next).PID; got != pid {
		t.Errorf("pid %d, want the preview's %d", got, pid)
	}
	if err := s.fleet.Remove(t.Context(), next.WorkerID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing runs", func() bool { return len(s.fleet.States()) == 0 })
}

func TestCloseLeavesNeitherProcessesNorSockets(t *testing.T) {
	t.Parallel()
	dir := workerdtest.SocketDir(t)
	cfg := fleet.Config{Workerd: workerdtest.Path(t), SocketDir: dir, Router: ingress.New(hclog.NewNullLogger()), Logger: hclog.NewNullLogger()}
	f, err := fleet.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	v := workerdtest.Script(t, "w", workerdtest.Answer("x"), workerdtest.Binding("S", "service", "service", "w"))
	if err := f.Apply(t.Context(), workerdtest.Worker(v), []workerd.Version{v}); err != nil {
		t.Fatal(err)
	}
	pid := f.States()[0].PID
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no patience
	f.Close(ctx)
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
		t.Errorf("process %d still runs", pid)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the socket directory holds %v, %v", entries, err)
	}
	if err := f.Apply(t.Context(), workerdtest.Worker(v), []workerd.Version{v}); err == nil {
		t.Error("a closed fleet deployed a version")
	}
}

func TestSocketsOfAKilledRunAreRemoved(t *testing.T) {
	t.Parallel()
	dir := workerdtest.SocketDir(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 8 { // the names that this run will use
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, fmt.Sprintf("%d.sock", i)), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	s := newStage(t, func(c *fleet.Config) { c.SocketDir = dir })
	s.deploy(workerdtest.Script(t, "w", workerdtest.Answer("x")))
	s.want("w", "/", "x")
}

func TestASocketDirectoryWithALongPathIsRefused(t *testing.T) {
	t.Parallel()
	_, err := fleet.New(fleet.Config{SocketDir: "/tmp/" + strings.Repeat("x", 100), Router: ingress.New(hclog.NewNullLogger()), Logger: hclog.NewNullLogger()})
	if err == nil || !strings.Contains(err.Error(), "too long for unix sockets") {
		t.Errorf("error %v", err)
	}
}
