// SPDX-License-Identifier: MPL-2.0

// Package secrecy proves with real programs that a secret is where it belongs,
// and nowhere else: the whole life of a Worker with secrets, and its accidents,
// under a search through every file, output and process.
package secrecy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// code answers with the SHA-256 of each secret: that they arrived, and no more.
const code = `export default {
  async fetch(request, env) {
    const hash = async (text) => {
      const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))
      return [...new Uint8Array(sum)].map((b) => b.toString(16).padStart(2, "0")).join("")
    }
    return new Response(await hash(env.PASSWORD) + " " + await hash(env.TOKEN))
  },
}
`

const config = `terraform {
  required_providers {
    hybridge = { source = "hybridge/hybridge" }
  }
}

variable "revision" {
  default = "1"
}

provider "hybridge" {
  sops = { age_key_file = "${path.module}/key.txt", env_allowed = false }
}

ephemeral "hybridge_sops_file" "token" {
  file = "${path.module}/prod.enc.yaml"
  key  = "token"
}

module "api" {
  source = "./worker"

  name                = "api"
  compatibility_date  = "2026-01-01"
  prebuilt            = { directory = "${path.module}/code", main = "index.js" }
  secrets             = { PASSWORD = { sops_file = "${path.module}/prod.enc.yaml", key = "password" } }
  secrets_wo          = { TOKEN = ephemeral.hybridge_sops_file.token.text }
  secrets_wo_versions = { TOKEN = var.revision }
}

output "url" { value = module.api.url }
output "version_id" { value = module.api.version_id }
output "worker_id" { value = module.api.worker_id }
`

// life is a user's machine with a SOPS file, a configuration and a plane.
type life struct {
	t        *testing.T
	stage    *stage.Stage
	programs stage.Programs
	dir      string // of the configuration
	secrets  []string
	identity sealed.Secret
	output   bytes.Buffer // of every command
	watch    *watch
	shows    string // what TRACE logs name if anything happened
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// random is a value that occurs nowhere by chance and looks different in every
// encoding.
func (l *life) random() string {
	l.t.Helper()
	b := make([]byte, 15)
	_, err := rand.Read(b)
	l.must(err)
	secret := `c"n<a>ry/+` + hex.EncodeToString(b)
	l.secrets = append(l.secrets, secret)
	l.watch.look(secret)
	return secret
}

func newLife(t *testing.T, provider string) *life {
	t.Helper()
	l := &life{t: t, watch: &watch{}, shows: "hybridge_worker_version"}
	var err error
	l.programs, err = stage.Build(t.Context(), "../..", t.TempDir())
	l.must(err)
	if provider != "" {
		l.programs.Provider = filepath.Join(t.TempDir(), "terraform-provider-hybridge")
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", l.programs.Provider, provider).CombinedOutput()
		if err != nil {
			t.Fatalf("building %s: %v\n%s", provider, err, out)
		}
	}
	l.programs.CLI = os.Getenv("HYBRIDGE_TERRAFORM")
	l.programs, err = l.programs.Locate(t.Context(), "../..")
	l.must(err)
	l.stage, err = stage.Open(t.TempDir(), l.programs)
	l.must(err)
	l.dir = filepath.Join(l.stage.Dir, "configuration")
	l.must(os.MkdirAll(filepath.Join(l.dir, "code"), 0o700))
	l.must(stage.CopyTree(filepath.Join(l.dir, "worker"), "../../modules/worker"))
	l.write("main.tf", []byte(config), nil)
	l.write("code/index.js", []byte(code), nil)
	key, recipient, err := sealed.NewAgeKey(time.Now())
	l.must(err)
	l.identity = key
	l.write("key.txt", []byte(key.Reveal()), nil)
	to, err := sealed.AgeRecipients(recipient)
	l.must(err)
	text, err := sealed.Seal("prod.enc.yaml", sealed.YAML, l.entries(l.random(), l.random()), to, time.Now())
	l.write("prod.enc.yaml", text, err)
	l.watch.start(t)
	return l
}

func (l *life) entries(password, token string) []sealed.Entry {
	return []sealed.Entry{{Name: "password", Value: sealed.NewSecret(password)}, {Name: "token", Value: sealed.NewSecret(token)}}
}

func (l *life) write(name string, data []byte, err error) {
	l.t.Helper()
	l.must(err)
	l.must(os.WriteFile(filepath.Join(l.dir, name), data, 0o600))
}

// rotate gives both secrets new values.
func (l *life) rotate() (password, token string) {
	l.t.Helper()
	store := sealed.NewStore(sealed.Identities{AgeKey: l.identity})
	f, err := store.File(filepath.Join(l.dir, "prod.enc.yaml"), "")
	l.must(err)
	o, err := store.Open(l.t.Context(), f)
	l.must(err)
	password, token = l.random(), l.random()
	text, err := o.Reseal(l.entries(password, token), time.Now())
	l.write("prod.enc.yaml", text, err)
	return password, token
}

// terraform runs with every log that there is.
func (l *life) terraform(dir string, env map[string]string) func(wantCode int, args ...string) string {
	more := map[string]string{"TF_LOG": "TRACE", "TF_LOG_PATH": filepath.Join(l.stage.Dir, "trace.log"), "GOTRACEBACK": "all"}
	for name, value := range env {
		more[name] = value
	}
	tf := l.stage.Terraform(dir, more)
	return func(wantCode int, args ...string) string {
		l.t.Helper()
		out, code, err := tf.Run(l.t.Context(), args...)
		l.output.WriteString(out)
		if err != nil || code != wantCode {
			l.t.Fatalf("terraform %v: exit code %d, want %d, %v\n%s", args, code, wantCode, err, out)
		}
		return out
	}
}

// answers asks the Worker until it answers as secrets of these values make it.
func (l *life) answers(address, password, token string) {
	l.t.Helper()
	want := fmt.Sprintf("%x %x", sha256.Sum256([]byte(password)), sha256.Sum256([]byte(token)))
	got := ""
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = ask(l.t.Context(), address); got == want {
			return
		}
	}
	l.t.Fatalf("the Worker answers %q, want the hashes %q", got, want)
}

// ask sends a request to a host below localhost, which need not resolve.
func ask(ctx context.Context, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+u.Port()+"/", nil)
	if err != nil {
		return err.Error()
	}
	req.Host = u.Host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// findings is where a secret was found, in files, outputs and processes.
func (l *life) findings() []string {
	l.t.Helper()
	mirror := filepath.Join(l.stage.Dir, "mirror") // holds the provider, which was built before there was a secret
	found, err := canary.InFiles(l.stage.Dir, l.secrets, mirror)
	l.must(err)
	for _, secret := range l.secrets {
		for _, form := range canary.In(l.output.Bytes(), secret) {
			found = append(found, "an output ("+form+")")
		}
	}
	private := strings.TrimSpace(l.identity.Reveal()[strings.LastIndex(strings.TrimSpace(l.identity.Reveal()), "\n"):])
	keys, err := canary.InFiles(l.stage.Dir, []string{private}, mirror, filepath.Join(l.dir, "key.txt"))
	l.must(err)
	for _, f := range keys {
		found = append(found, "the private key in "+f)
	}
	return append(found, l.watch.stop()...)
}

func (l *life) wantClean() {
	l.t.Helper()
	for _, f := range l.findings() {
		l.t.Errorf("a secret is in %s", f)
	}
	trace, err := os.ReadFile(filepath.Join(l.stage.Dir, "trace.log"))
	if err != nil || !bytes.Contains(trace, []byte(l.shows)) {
		l.t.Errorf("the log does not show what happened, so it proves nothing: %v", err)
	}
}

// watch looks into the processes below this one all the time.
type watch struct {
	mu      sync.Mutex
	secrets []string
	found   map[string]bool
	seen    map[int]bool
	done    chan struct{}
	ended   chan struct{}
}

func (w *watch) look(secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, secret)
}

func (w *watch) start(t *testing.T) {
	w.found, w.seen = map[string]bool{}, map[int]bool{}
	w.done, w.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.ended)
		for {
			pids, _ := stage.Descendants(os.Getpid())
			w.mu.Lock()
			for _, f := range canary.InProcesses(pids, w.secrets) {
				w.found[f] = true
			}
			for _, pid := range pids {
				w.seen[pid] = true
			}
			w.mu.Unlock()
			select {
			case <-w.done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { w.stop() })
}

func (w *watch) stop() []string {
	w.mu.Lock()
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	w.mu.Unlock()
	<-w.ended
	var out []string
	for f := range w.found {
		out = append(out, f)
	}
	return out
}

func TestASecretIsNowhereButInItsWorker(t *testing.T) {
	t.Parallel()
	l := newLife(t, "")
	plane, err := l.stage.StartPlane(t.Context(), "plane")
	l.must(err)
	password, token := l.secrets[0], l.secrets[1]
	tf := l.terraform(l.dir, plane.Env())
	output := func(name string) string {
		var text string
		l.must(json.Unmarshal([]byte(tf(0, "output", "-json", name)), &text))
		return text
	}

	tf(0, "init", "-no-color")
	tf(2, "plan", "-no-color", "-detailed-exitcode", "-out=first.tfplan")
	tf(0, "show", "-json", "first.tfplan")
	tf(0, "apply", "-no-color", "first.tfplan")
	l.answers(output("url"), password, token)
	tf(0, "plan", "-no-color", "-detailed-exitcode")

	password, token = l.rotate()
	plan := tf(2, "plan", "-no-color", "-detailed-exitcode", "-var=revision=2", "-out=second.tfplan")
	if !strings.Contains(plan, "PASSWORD") {
		t.Errorf("the plan does not name the secret that changes:\n%s", plan)
	}
	tf(0, "show", "-no-color", "second.tfplan")
	tf(0, "apply", "-no-color", "second.tfplan")
	l.answers(output("url"), password, token)

	// Somebody else's state, from nothing but the plane.
	second := filepath.Join(l.stage.Dir, "imported")
	l.must(stage.CopyTree(second, l.dir))
	version, worker := output("version_id"), output("worker_id")
	other := l.terraform(second, plane.Env())
	other(0, "init", "-no-color")
	other(0, "import", "-no-color", "-var=revision=2", "module.api.hybridge_worker_version.this",
		plane.Env()["CLOUDFLARE_ACCOUNT_ID"]+"/"+worker+"/"+version)
	other(0, "state", "pull")
	l.must(os.Remove(filepath.Join(second, "key.txt")))

	// A proxy, or a plane, that repeats what it was sent in its error.
	echo := echoing(t, plane.Env()["CLOUDFLARE_BASE_URL"])
	env := plane.Env()
	env["CLOUDFLARE_BASE_URL"] = echo
	l.rotate()
	refused := l.terraform(l.dir, env)(1, "apply", "-no-color", "-auto-approve", "-var=revision=3")
	if !strings.Contains(refused, "[redacted]") {
		t.Errorf("the echo does not show, so it proves nothing:\n%s", refused)
	}

	// The plane dies in the middle of things, and comes back.
	tf(0, "apply", "-no-color", "-auto-approve", "-var=revision=3")
	l.must(syscall.Kill(plane.PID, syscall.SIGKILL))
	_ = plane.Stop()
	l.must(os.Remove(filepath.Join(l.stage.Dir, "plane.env"))) // or the dead one's would be taken for the new one's
	again, err := l.stage.StartPlane(t.Context(), "plane")
	l.must(err)
	tf = l.terraform(l.dir, again.Env())
	tf(0, "apply", "-no-color", "-auto-approve", "-var=revision=3", "-refresh-only")
	l.answers(output("url"), l.secrets[len(l.secrets)-2], l.secrets[len(l.secrets)-1])

	tf(0, "destroy", "-no-color", "-auto-approve", "-var=revision=3")
	l.must(again.Stop())
	l.wantClean()
	if len(l.watch.seen) < 20 {
		t.Errorf("only %d processes were looked at", len(l.watch.seen))
	}
}

// echoing forwards to a plane, but answers what makes a version or a tunnel with an error
// that holds the whole request.
func echoing(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = u.Scheme, u.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/versions") && !strings.HasSuffix(r.URL.Path, "/cfd_tunnel") {
			forward.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"success": false, "result": nil, "errors": []any{map[string]any{"code": 10021, "message": "cannot take " + string(body)}},
		})
	}))
	t.Cleanup(server.Close)
	return server.URL + u.Path
}

func TestAPanicOfTheProviderTellsNobody(t *testing.T) {
	t.Parallel()
	l := newLife(t, "../provider/acctest/panicking")
	plane, err := l.stage.StartPlane(t.Context(), "plane")
	l.must(err)
	tf := l.terraform(l.dir, plane.Env())
	tf(0, "init", "-no-color")
	out := tf(1, "apply", "-no-color", "-auto-approve")
	if !strings.Contains(out, "Bug in the provider") {
		t.Errorf("there was no panic:\n%s", out)
	}
	l.must(plane.Stop())
	l.wantClean()
}

// TestAPlantedLeakIsFound holds the search itself to finding what it is for, in
// each place where a secret could get to.
func TestAPlantedLeakIsFound(t *testing.T) {
	t.Parallel()
	l := newLife(t, "")
	secret := l.secrets[0]
	if found := l.findings(); len(found) > 0 {
		t.Fatalf("before anything is planted: %v", found)
	}
	for _, place := range []string{
		"configuration/terraform.tfstate", "configuration/terraform.tfstate.backup", "trace.log", "plane/registry.db", "plane/registry.db-wal",
		"plane/blobs/ab/abcd", "plane.log", "tmp/leftover", "configuration/crash.1.log",
	} {
		path := filepath.Join(l.stage.Dir, filepath.FromSlash(place))
		l.must(os.MkdirAll(filepath.Dir(path), 0o700))
		l.must(os.WriteFile(path, []byte("before "+secret+" after"), 0o600))
		if found := l.findings(); len(found) == 0 || !strings.Contains(found[0], filepath.FromSlash(place)) {
			t.Errorf("planted in %s, found %v", place, found)
		}
		l.must(os.Remove(path))
	}
	l.output.WriteString("Error: " + secret)
	if found := l.findings(); len(found) == 0 {
		t.Error("planted in an output, not found")
	}
	l.output.Reset()

	private := l.identity.Reveal()
	leaked := filepath.Join(l.stage.Dir, "tmp", "key")
	l.must(os.WriteFile(leaked, []byte(private), 0o600))
	if found := l.findings(); len(found) == 0 {
		t.Error("the private key was planted in a file, and not found")
	}
}

func TestALeakIntoAProcessIsFound(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(secret string) *exec.Cmd{
		"arguments": func(secret string) *exec.Cmd {
			return exec.CommandContext(t.Context(), "sh", "-c", "read wait", secret)
		},
		"environment": func(secret string) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "read wait")
			cmd.Env = []string{"SECRET=" + secret}
			return cmd
		},
	} {
		secret := "planted-" + hex.EncodeToString([]byte(name+t.Name()))
		w := &watch{secrets: []string{secret}}
		w.start(t)
		cmd := start(secret)
		input, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if found := w.stop(); len(found) == 0 {
			t.Errorf("planted in the %s of a process, not found", name)
		}
		_ = input.Close()
		_ = cmd.Wait()
	}
}
