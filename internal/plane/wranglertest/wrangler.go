// SPDX-License-Identifier: MPL-2.0

// Package wranglertest runs the real wrangler, unmodified, in tests. It installs
// nothing: the packages under tools/ do, with `make tools`.
package wranglertest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

//go:embed loopback-only.cjs
var loopbackOnly []byte

// commandTimeout is far above what any wrangler command takes on a busy machine.
const commandTimeout = 3 * time.Minute

// Wrangler is one installed wrangler and the Node.js that runs it.
type Wrangler struct {
	Version string
	node    string
	script  string
}

// Stable is the wrangler of tools/wrangler, which runs on the Node.js on PATH.
func Stable(tb testing.TB) Wrangler {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Fatalf("finding Node.js: %v: install Node.js 20 or newer", err)
	}
	return installed(tb, "wrangler", node)
}

// Next is the wrangler of tools/wrangler-next, with the Node.js that is pinned
// beside it.
func Next(tb testing.TB) Wrangler {
	tb.Helper()
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	node := filepath.Join(root(tb), "tools", "wrangler-next", "node_modules", "node-linux-"+arch, "bin", "node")
	if _, err := os.Stat(node); err != nil {
		tb.Fatalf("finding the Node.js for wrangler: %v: run `make tools`", err)
	}
	return installed(tb, "wrangler-next", node)
}

func installed(tb testing.TB, tool, node string) Wrangler {
	tb.Helper()
	dir := filepath.Join(root(tb), "tools", tool, "node_modules", "wrangler")
	script := filepath.Join(dir, "bin", "wrangler.js")
	if _, err := os.Stat(script); err != nil {
		tb.Fatalf("finding wrangler: %v: run `make tools`", err)
	}
	return Wrangler{Version: packageVersion(tb, dir), node: node, script: script}
}

// Project is a directory with a Worker in it, and the environment in which
// wrangler deploys it to one plane.
type Project struct {
	Dir      string
	wrangler Wrangler
	env      []string
	egress   string // file that lists attempts to leave the machine
}

// Account is what wrangler needs of a plane.
type Account struct {
	BaseURL string // ends in /client/v4
	ID      string
	Token   string
}

// NewProject writes files into a temporary directory. When the test ends it
// fails if wrangler has tried to reach anything but loopback.
func NewProject(tb testing.TB, w Wrangler, a Account, files map[string]string) *Project {
	tb.Helper()
	tmp := tb.TempDir()
	p := &Project{Dir: filepath.Join(tmp, "project"), wrangler: w, egress: filepath.Join(tmp, "egress.log")}
	guard := filepath.Join(tmp, "loopback-only.cjs")
	write(tb, guard, string(loopbackOnly))
	for name, content := range files {
		write(tb, filepath.Join(p.Dir, name), content)
	}
	p.env = []string{
		"PATH=" + filepath.Dir(w.node) + ":/usr/bin:/bin",
		"HOME=" + filepath.Join(tmp, "home"),
		"XDG_CONFIG_HOME=" + filepath.Join(tmp, "home", "config"),
		"TMPDIR=" + tmp,
		"CI=1",
		"NO_COLOR=1",
		"NODE_OPTIONS=--require=" + guard,
		"HYBRIDGE_EGRESS_LOG=" + p.egress,
		"WRANGLER_SEND_METRICS=false",
		"WRANGLER_SEND_ERROR_REPORTS=false",
		"WRANGLER_HIDE_BANNER=true", // the banner looks for updates, and so do crashes:
		"npm_config_registry=http://127.0.0.1:9/",
		"WRANGLER_LOG_PATH=" + filepath.Join(tmp, "logs"),
		"CLOUDFLARE_API_BASE_URL=" + a.BaseURL,
		"CLOUDFLARE_API_TOKEN=" + a.Token,
		"CLOUDFLARE_ACCOUNT_ID=" + a.ID,
	}
	tb.Cleanup(func() {
		if left, err := os.ReadFile(p.egress); err == nil {
			tb.Errorf("wrangler tried to leave the machine:\n%s", left)
		}
	})
	return p
}

// Write replaces a file of the project.
func (p *Project) Write(tb testing.TB, name, content string) {
	tb.Helper()
	write(tb, filepath.Join(p.Dir, name), content)
}

// Try runs wrangler with stdin closed and returns everything it wrote.
func (p *Project) Try(tb testing.TB, args ...string) (output string, code int) {
	tb.Helper()
	return p.TryWithInput(tb, "", args...)
}

// TryWithInput runs wrangler with input on stdin.
func (p *Project) TryWithInput(tb testing.TB, input string, args ...string) (output string, code int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.wrangler.node, append([]string{p.wrangler.script}, args...)...)
	cmd.Dir, cmd.Env = p.Dir, p.env
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatalf("running wrangler %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// Run runs wrangler and fails the test unless it exits with 0.
func (p *Project) Run(tb testing.TB, args ...string) string {
	tb.Helper()
	return p.RunWithInput(tb, "", args...)
}

// RunWithInput is Run with input on stdin.
func (p *Project) RunWithInput(tb testing.TB, input string, args ...string) string {
	tb.Helper()
	out, code := p.TryWithInput(tb, input, args...)
	if code != 0 {
		tb.Fatalf("wrangler %s exited with %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func packageVersion(tb testing.TB, dir string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var p struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		tb.Fatal(err)
	}
	return p.Version
}

func write(tb testing.TB, name, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// root is the directory of go.mod.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("finding the module's root: no go.mod above the working directory")
		}
		dir = parent
	}
}
