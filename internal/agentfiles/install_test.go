// SPDX-License-Identifier: MPL-2.0

package agentfiles_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agentfiles"
)

// host is a machine in a directory: the script installs into it by HYBRIDGE_ROOT. What it
// tells systemd is written down by a stand-in, because the real one would be this machine's.
type host struct {
	t      *testing.T
	root   string // of the machine
	bin    string // stand-ins, before everything else in PATH
	served map[string][]byte
	url    string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, root: t.TempDir(), bin: t.TempDir(), served: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := h.served[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	if err := os.MkdirAll(filepath.Join(h.root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

// boot makes systemd run on the machine, whose answers are the stand-in's.
func (h *host) boot() {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Join(h.root, "run/systemd/system"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	script := "#!/bin/sh\nshift\necho \"$*\" >>'" + filepath.Join(h.bin, "told") + "'\n"
	if err := os.WriteFile(filepath.Join(h.bin, "systemctl"), []byte(script), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// told returns what systemd was told since the last call.
func (h *host) told() string {
	h.t.Helper()
	path := filepath.Join(h.bin, "told")
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		h.t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "--quiet ", "")
}

func (h *host) file(name string) string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.root, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func tarred(name string, data []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "LICENSE", Mode: 0o644, Size: 1})
	_, _ = w.Write([]byte("x"))
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))})
	_, _ = w.Write(data)
	_ = w.Close()
	return gzipped(b.Bytes())
}

// accepting is a hybridge whose `agent check` accepts everything.
var accepting = []byte("#!/bin/sh\necho \"hybridge $*\"\n")

// release serves the three programs, as archive, compressed and as it is, and returns an input
// that installs them.
func (h *host) release(version string, hybridge []byte) map[string]any {
	h.t.Helper()
	workerd, cloudflared := []byte("workerd "+version), []byte("cloudflared "+version)
	h.served["hybridge-"+version+".tar.gz"] = tarred("hybridge", hybridge)
	h.served["workerd-"+version+".gz"] = gzipped(workerd)
	h.served["cloudflared-"+version] = cloudflared
	program := func(name, file string) map[string]any {
		return map[string]any{
			"version": version, "url": h.url + "/" + name + "-{version}" + strings.TrimPrefix(file, name+"-"+version),
			"sha256": map[string]any{runtime.GOARCH: sum(h.served[file])},
		}
	}
	return map[string]any{
		"format": 1.0, "region": "fr", "plane": map[string]any{},
		"ingress":    map[string]any{"zones": map[string]any{"example.com": map[string]any{"app.example.com": "api"}}},
		"connectors": map[string]any{"paris-1": map[string]any{"tunnel_id": "5f1b0c3a-0000-4000-8000-000000000001"}},
		"programs": map[string]any{
			"hybridge":    program("hybridge", "hybridge-"+version+".tar.gz"),
			"workerd":     program("workerd", "workerd-"+version+".gz"),
			"cloudflared": program("cloudflared", "cloudflared-"+version),
		},
	}
}

// install runs the script of an input.
func (h *host) install(in map[string]any) (string, error) {
	h.t.Helper()
	script := filepath.Join(h.bin, "install.sh")
	if err := os.WriteFile(script, []byte(render(h.t, in)[agentfiles.Install]), 0o700); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.CommandContext(h.t.Context(), "sh", script)
	cmd.Env = append(os.Environ(), "HYBRIDGE_ROOT="+h.root, "PATH="+h.bin+":"+os.Getenv("PATH"), "TMPDIR="+h.t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (h *host) installs(in map[string]any) string {
	h.t.Helper()
	out, err := h.install(in)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// snapshot is every file of the machine with its mode and content.
func (h *host) snapshot() map[string]string {
	h.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(h.root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = fmt.Sprintf("%v %v %s", info.Mode(), info.ModTime(), data)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return files
}

func TestTheScriptIsOneThatShellsRead(t *testing.T) {
	t.Parallel()
	for _, name := range goldens(t) {
		path := filepath.Join("testdata", name, agentfiles.Install)
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		if check, err := exec.LookPath("shellcheck"); err == nil {
			if out, err := exec.CommandContext(t.Context(), check, "-s", "sh", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", path, err, out)
			}
		}
	}
}

// The image of a machine: the real systemctl and systemd-sysusers work on the directory, and the
// real hybridge reads the configuration.
func TestAnImageIsInstalledWithRealTools(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	real := filepath.Join(t.TempDir(), "hybridge")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", real, "../../cmd/hybridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	in := h.release("1.0.0", program)
	out := h.installs(in)
	if !strings.Contains(out, "the agent starts with the machine") {
		t.Errorf("it says\n%s", out)
	}
	if h.file("usr/lib/hybridge/hybridge") != string(program) || h.file("usr/lib/hybridge/workerd") != "workerd 1.0.0" || h.file("usr/lib/hybridge/cloudflared") != "cloudflared 1.0.0" {
		t.Error("other programs were installed")
	}
	if !strings.Contains(h.file("etc/passwd"), "hybridge:") {
		t.Error("there is no user")
	}
	for _, link := range []string{"etc/systemd/system/multi-user.target.wants/hybridge-agent.service", "etc/systemd/system/sockets.target.wants/hybridge-agent.socket"} {
		if _, err := os.Lstat(filepath.Join(h.root, link)); err != nil {
			t.Errorf("it is not enabled: %v", err)
		}
	}
	if link, err := os.Readlink(filepath.Join(h.root, "usr/local/bin/hybridge")); err != nil || link != "/usr/lib/hybridge/hybridge" {
		t.Errorf("hybridge is not in PATH: %s %v", link, err)
	}
	if _, err := agentfile.Parse([]byte(h.file("etc/hybridge/agent.yaml")), func(string) string { return "/run/credentials/x" }); err != nil {
		t.Error(err)
	}
	before := h.snapshot()
	if out := h.installs(in); strings.Contains(out, "wrote") || strings.Contains(out, "downloading") {
		t.Errorf("it does something twice:\n%s", out)
	}
	if after := h.snapshot(); len(before) != len(after) {
		t.Errorf("%d files became %d", len(before), len(after))
	} else {
		for path, was := range before {
			if after[path] != was {
				t.Errorf("%s was changed by the second run", path)
			}
		}
	}

	// Once it runs, the machine makes its key and says whom to encrypt for.
	h.boot()
	if out := h.installs(in); !strings.Contains(out, "this machine's recipient is age1") {
		t.Errorf("it says\n%s", out)
	}
	if info, err := os.Stat(filepath.Join(h.root, "etc/hybridge/age-identity")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the identity is %v %v", info, err)
	}
}

func TestARunningMachineIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.boot()
	in := h.release("1.0.0", accepting)
	out := h.installs(in)
	if told := h.told(); told != "enable hybridge-agent.service hybridge-agent.socket\ndaemon-reload\n" {
		t.Errorf("systemd was told\n%s", told)
	}
	for _, want := range []string{"not on this machine yet: tunnel-paris-1\n", "systemd-creds encrypt --name=NAME - /etc/credstore.encrypted/NAME", "hybridge agent enroll"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}

	if err := os.WriteFile(filepath.Join(h.root, "etc/credstore.encrypted/tunnel-paris-1"), []byte("sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.installs(in)
	if told := h.told(); !strings.HasSuffix(told, "daemon-reload\nrestart hybridge-agent.service\n") {
		t.Errorf("with its secret, systemd was told\n%s", told)
	}
	h.installs(in)
	if told := h.told(); !strings.HasSuffix(told, "daemon-reload\nis-active hybridge-agent.service\n") {
		t.Errorf("without a change, systemd was told\n%s", told)
	}

	in["log_level"] = "debug"
	h.installs(in)
	if told := h.told(); !strings.HasSuffix(told, "is-active hybridge-agent.service\nreload hybridge-agent.service\n") {
		t.Errorf("with a new configuration, systemd was told\n%s", told)
	}

	h.installs(h.release("1.0.1", accepting))
	if told := h.told(); !strings.HasSuffix(told, "daemon-reload\nrestart hybridge-agent.service\n") {
		t.Errorf("with new programs, systemd was told\n%s", told)
	}
	if got := h.file("usr/lib/hybridge/workerd"); got != "workerd 1.0.1" {
		t.Errorf("the program is %q", got)
	}

	in = h.release("1.0.1", accepting)
	in["ingress"] = map[string]any{"listen": []any{map[string]any{"address": "127.0.0.1:8788"}}}
	h.installs(in)
	if told := h.told(); !strings.HasSuffix(told, "stop hybridge-agent.service\nrestart hybridge-agent.socket\nrestart hybridge-agent.service\n") {
		t.Errorf("with another port, systemd was told\n%s", told)
	}

	delete(in, "ingress")
	h.installs(in)
	if told := h.told(); !strings.Contains(told, "disable hybridge-agent.socket\n") || !strings.HasSuffix(told, "restart hybridge-agent.service\n") {
		t.Errorf("without an ingress, systemd was told\n%s", told)
	}
	if _, err := os.Stat(filepath.Join(h.root, "etc/systemd/system/hybridge-agent.socket")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestNothingIsChangedByABadDownload(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.boot()
	in := h.release("1.0.0", accepting)
	h.installs(in)
	before := h.snapshot()
	for name, c := range map[string]struct {
		spoil func(map[string]any)
		want  string
	}{
		"another file": {func(map[string]any) { h.served["cloudflared-1.0.1"] = []byte("malware") }, "has the SHA-256 " + sum([]byte("malware"))},
		"no file":      {func(map[string]any) { delete(h.served, "cloudflared-1.0.1") }, "downloading " + h.url + "/cloudflared-1.0.1"},
		"not in the archive": {func(in map[string]any) {
			h.served["hybridge-1.0.1.tar.gz"] = tarred("other", accepting)
			in["programs"].(map[string]any)["hybridge"].(map[string]any)["sha256"] = map[string]any{runtime.GOARCH: sum(h.served["hybridge-1.0.1.tar.gz"])}
		}, "has no file hybridge"},
		"refused configuration": {func(in map[string]any) {
			h.served["hybridge-1.0.1.tar.gz"] = tarred("hybridge", []byte("#!/bin/sh\necho no such key >&2\nexit 2\n"))
			in["programs"].(map[string]any)["hybridge"].(map[string]any)["sha256"] = map[string]any{runtime.GOARCH: sum(h.served["hybridge-1.0.1.tar.gz"])}
		}, "no such key"},
		"other architecture": {func(in map[string]any) {
			for _, p := range in["programs"].(map[string]any) {
				p.(map[string]any)["sha256"] = map[string]any{map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]: sum(nil)}
			}
		}, "no checksum is given for " + runtime.GOARCH},
	} {
		in := h.release("1.0.1", accepting)
		c.spoil(in)
		out, err := h.install(in)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, c.want, out)
		}
		for path, is := range h.snapshot() {
			if before[path] != is {
				t.Errorf("%s: %s was changed", name, path)
			}
		}
	}
}

func TestADamagedProgramIsMended(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	in := h.release("1.0.0", accepting)
	h.installs(in)
	if err := os.WriteFile(filepath.Join(h.root, "usr/lib/hybridge/workerd"), []byte("half"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.installs(in)
	if got := h.file("usr/lib/hybridge/workerd"); got != "workerd 1.0.0" {
		t.Errorf("it is %q", got)
	}
}

// Whoever is killed at any moment leaves a machine that the next run mends.
func TestAnInterruptedRunIsMadeUpForByTheNext(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.boot()
	in := h.release("1.0.0", accepting)
	h.installs(in)
	if err := os.WriteFile(filepath.Join(h.root, "etc/credstore.encrypted/tunnel-paris-1"), []byte("sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.installs(in)
	h.told()
	// Ends after the files, before the restart.
	broken := filepath.Join(h.bin, "systemctl")
	whole, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	newer := h.release("1.0.1", accepting)
	if out, err := h.install(newer); err == nil {
		t.Fatalf("it succeeds without systemd:\n%s", out)
	}
	if err := os.WriteFile(broken, whole, 0o755); err != nil {
		t.Fatal(err)
	}
	h.installs(newer)
	if told := h.told(); !strings.HasSuffix(told, "restart hybridge-agent.service\n") {
		t.Errorf("the new programs do not run: systemd was told\n%s", told)
	}
}

// An installation from a directory, e.g. one that was copied to a machine without a way out.
func TestReleasesMayLieInADirectory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := t.TempDir()
	in := h.release("1.0.0", accepting)
	for name, p := range in["programs"].(map[string]any) {
		for file, data := range h.served {
			if strings.HasPrefix(file, name) {
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
					t.Fatal(err)
				}
				p.(map[string]any)["url"] = "file://" + filepath.Join(dir, file)
			}
		}
	}
	h.served = nil
	h.installs(in)
	if got := h.file("usr/lib/hybridge/cloudflared"); got != "cloudflared 1.0.0" {
		t.Errorf("it is %q", got)
	}
}

func TestFilesInsteadOfCredentials(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.boot()
	in := h.release("1.0.0", accepting)
	in["unit"] = map[string]any{"load": "files"}
	out := h.installs(in)
	if !strings.Contains(out, "sudo install -m 0400 -o hybridge /dev/stdin /etc/hybridge/credentials/NAME") {
		t.Errorf("it says\n%s", out)
	}
	if strings.Contains(h.file("etc/systemd/system/hybridge-agent.service"), "LoadCredential") {
		t.Error("the unit loads credentials")
	}
	info, err := os.Stat(filepath.Join(h.root, "etc/hybridge/credentials"))
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the directory is %v %v", info, err)
	}
	if !strings.Contains(h.file("etc/hybridge/agent.yaml"), `token_file: "/etc/hybridge/credentials/tunnel-paris-1"`) {
		t.Error("the agent reads another file")
	}
}

// The machine makes its key; the file that is encrypted for it is all that is brought.
func TestAMachineWithASOPSFileStartsOnceItIsThere(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.boot()
	in := h.release("1.0.0", accepting)
	in["unit"] = map[string]any{"load": "sops"}
	out := h.installs(in)
	for _, want := range []string{"hybridge agent enroll --key " + h.root + "/etc/hybridge/age-identity", "the SOPS file is not on this machine yet", "sudo install -m 0640 -g hybridge /dev/stdin /etc/hybridge/secrets.enc.yaml"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if told := h.told(); strings.Contains(told, "restart") {
		t.Errorf("it starts without its file:\n%s", told)
	}
	if err := os.WriteFile(filepath.Join(h.root, "etc/hybridge/secrets.enc.yaml"), []byte("tunnel-paris-1: ENC[...]"), 0o640); err != nil {
		t.Fatal(err)
	}
	h.installs(in)
	if told := h.told(); !strings.HasSuffix(told, "restart hybridge-agent.service\n") {
		t.Errorf("with its file, systemd was told\n%s", told)
	}

	// A file that is for another machine is told, and stops nothing that runs.
	refusing := h.release("1.0.1", []byte("#!/bin/sh\n[ \"$2\" = check ] || { echo it does not open; exit 1; }\n"))
	refusing["unit"] = in["unit"]
	if out, err := h.install(refusing); err == nil || !strings.Contains(out, "it does not open") || !strings.Contains(out, "bring another") {
		t.Errorf("%v\n%s", err, out)
	}
	if told := h.told(); strings.Contains(told, "restart") {
		t.Errorf("it was restarted:\n%s", told)
	}
}
