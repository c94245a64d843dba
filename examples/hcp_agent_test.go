// SPDX-License-Identifier: MPL-2.0

package examples_test

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// hcpRun is what an HCP agent's hook sees: the agent is not ours, so a test plays it.
type hcpRun struct {
	t          *testing.T
	workspaces string // the directory of tokens
	health     string // the socket of the Hybridge agent
	env        string // the file that the hook appends to
}

func newHCPRun(t *testing.T, ready int) *hcpRun {
	t.Helper()
	dir, err := os.MkdirTemp("", "hcp") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &hcpRun{t: t, workspaces: filepath.Join(dir, "workspaces"), health: filepath.Join(dir, "health.sock"), env: filepath.Join(dir, "env")}
	ln, err := net.Listen("unix", h.health)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("it asks for %s", r.URL.Path)
		}
		w.WriteHeader(ready)
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return h
}

func (h *hcpRun) workspace(files map[string]string) {
	h.t.Helper()
	dir := filepath.Join(h.workspaces, "example", "paris-1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	for name, text := range files {
		write(h.t, filepath.Join(dir, name), text+"\n")
	}
}

// hook runs one with the identity of a run, and returns what it gives to the run.
func (h *hcpRun) hook(phase, subject string) (env map[string]string, out string, err error) {
	h.t.Helper()
	if err := os.WriteFile(h.env, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	token := part(`{"alg":"RS256"}`) + "." + part(`{"aud":"hybridge","sub":"`+subject+`","iat":1}`) + "." + part("signature")
	cmd := exec.CommandContext(h.t.Context(), filepath.Join("hcp-agent", "hooks", "terraform-pre-"+phase))
	cmd.Env = append(os.Environ(), "HYBRIDGE_WORKSPACES="+h.workspaces, "HYBRIDGE_HEALTH_SOCKET="+h.health, "TFC_AGENT_ENV="+h.env)
	if subject != "" {
		cmd.Env = append(cmd.Env, "TFC_WORKLOAD_IDENTITY_TOKEN="+token)
	}
	said, err := cmd.CombinedOutput()
	text, errRead := os.ReadFile(h.env)
	if errRead != nil {
		h.t.Fatal(errRead)
	}
	env = map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	return env, string(said), err
}

const subject = "organization:example:project:Default Project:workspace:paris-1:run_phase:"

func TestAnHCPRunGetsThePlaneOfItsMachine(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	tf := site.configuration(t, "hcp-agent", nil)
	plane := site.plane.Env()
	h := newHCPRun(t, http.StatusOK)
	h.workspace(map[string]string{
		"account": plane["CLOUDFLARE_ACCOUNT_ID"], "base-url": plane["CLOUDFLARE_BASE_URL"],
		"plan-token": plane["CLOUDFLARE_API_TOKEN"], "apply-token": plane["CLOUDFLARE_API_TOKEN"],
	})
	for _, phase := range []string{"plan", "apply"} {
		env, out, err := h.hook(phase, subject+phase)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(out, plane["CLOUDFLARE_API_TOKEN"]) {
			t.Errorf("HCP would show the token:\n%s", out)
		}
		tf = site.stage.Terraform(tf.Dir, env)
		if phase == "plan" {
			run(t, tf, "plan", "-no-color", "-out=plan")
		} else {
			run(t, tf, "apply", "-no-color", "plan")
		}
	}
	ask(t, site, tf, question{output: "url", want: "deployed by an agent beside the plane"})
	site.destroy(t, tf)
}

func TestAnHCPRunGetsTheTokenOfItsPhase(t *testing.T) {
	t.Parallel()
	h := newHCPRun(t, http.StatusOK)
	h.workspace(map[string]string{"account": "an-account", "plan-token": "may-read", "apply-token": "may-deploy", "age-identity": "AGE"})
	for phase, token := range map[string]string{"plan": "may-read", "apply": "may-deploy"} {
		env, out, err := h.hook(phase, subject+phase)
		if err != nil || env["CLOUDFLARE_API_TOKEN"] != token || env["CLOUDFLARE_BASE_URL"] != "unix:///run/hybridge/api.sock" ||
			env["SOPS_AGE_KEY_FILE"] != filepath.Join(h.workspaces, "example", "paris-1", "age-identity") {
			t.Errorf("%s: %v %v\n%s", phase, env, err, out)
		}
	}
}

func TestAnHCPRunOfAnotherWorkspaceGetsNothing(t *testing.T) {
	t.Parallel()
	h := newHCPRun(t, http.StatusOK)
	h.workspace(map[string]string{"account": "an-account", "plan-token": "may-read"})
	for name, c := range map[string]struct{ phase, subject, want string }{
		"no identity":          {"plan", "", "set TFC_WORKLOAD_IDENTITY_AUDIENCE"},
		"another workspace":    {"plan", strings.Replace(subject, "paris-1", "tokyo-1", 1) + "plan", "the workspace tokyo-1 may not plan"},
		"another organization": {"plan", strings.Replace(subject, "example", "other", 1) + "plan", "may not plan"},
		"no token to apply":    {"apply", subject + "apply", "may not apply"},
		"identity of a plan":   {"apply", subject + "plan", "names no workspace for the phase apply"},
		"a path":               {"plan", strings.Replace(subject, "paris-1", "../example/paris-1", 1) + "plan", "names no workspace"},
	} {
		env, out, err := h.hook(c.phase, c.subject)
		if err == nil || len(env) > 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v %v, want %q in\n%s", name, env, err, c.want, out)
		}
	}
	down := newHCPRun(t, http.StatusServiceUnavailable)
	down.workspace(map[string]string{"account": "an-account", "plan-token": "may-read"})
	if env, out, err := down.hook("plan", subject+"plan"); err == nil || len(env) > 0 || !strings.Contains(out, "is not ready") {
		t.Errorf("with an agent that is not ready: %v %v\n%s", env, err, out)
	}
}

// What an operator relies on is in the files: no updates by itself, a pinned program, no more than one job.
func TestTheHCPAgentIsPinnedAndClosed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("hcp-agent/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image       string
			Environment map[string]string
			ReadOnly    bool     `yaml:"read_only"`
			CapDrop     []string `yaml:"cap_drop"`
			Ports       []any
			NetworkMode string `yaml:"network_mode"`
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	s, ok := compose.Services["tfc-agent"]
	if !ok || len(compose.Services) != 1 {
		t.Fatalf("it has %v", compose.Services)
	}
	if s.Environment["TFC_AGENT_AUTO_UPDATE"] != "disabled" || s.Environment["TFC_AGENT_SINGLE"] != "true" || !strings.HasPrefix(s.Image, "${TFC_AGENT_IMAGE:?") ||
		!s.ReadOnly || len(s.CapDrop) != 1 || len(s.Ports) != 0 || s.NetworkMode != "" {
		t.Errorf("the container is %+v", s)
	}
	if _, ok := s.Environment["TFC_AGENT_TOKEN"]; ok {
		t.Error("the token stands in compose.yaml")
	}
	unit, err := os.ReadFile("hcp-agent/tfc-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(unit), "Environment=TFC_AGENT_AUTO_UPDATE=disabled\n") {
		t.Error("the unit lets the agent update itself")
	}
	if verify, err := exec.LookPath("systemd-analyze"); err == nil {
		if out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", "--recursive-errors=no", "hcp-agent/tfc-agent.service").CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	}
	if _, diags := hclparse.NewParser().ParseHCLFile("hcp-agent/cloud.tf.example"); diags.HasErrors() {
		t.Error(diags)
	}
}
