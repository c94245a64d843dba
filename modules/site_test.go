// SPDX-License-Identifier: MPL-2.0

package modules_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// programs are built once, by TestMain.
var programs stage.Programs

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hybridge-modules-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	if programs, err = stage.Build(ctx, "..", dir); err == nil {
		programs.CLI = os.Getenv("HYBRIDGE_TERRAFORM")
		programs, err = programs.Locate(ctx, "..")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// plane is a real self-hosted plane with the zone example.com, in this process so that a
// test may stop it and start it again at the same address.
type plane struct {
	t       *testing.T
	cfg     agent.Config
	id      agent.Identity
	zone    string
	running *agent.Agent
}

func startPlane(t *testing.T, cfg agent.Config) *plane {
	t.Helper()
	cfg.DataDir, cfg.API, cfg.Ingress = filepath.Join(t.TempDir(), "plane"), "127.0.0.1:0", "127.0.0.1:0"
	cfg.Workerd, cfg.Version, cfg.Log = programs.Workerd, "test", hclog.NewNullLogger()
	p := &plane{t: t, cfg: cfg}
	p.cfg.Prepare = func(ctx context.Context, reg *registry.Registry) (err error) {
		if p.id, err = agent.EnsureIdentity(ctx, reg); err != nil {
			return err
		}
		z, err := reg.EnsureZone(ctx, p.id.AccountID, "example.com")
		p.zone = z.ID
		return err
	}
	p.start()
	p.cfg.API, p.cfg.Ingress = p.running.Addresses().API, p.running.Addresses().Ingress // for the next time
	t.Cleanup(func() {
		if p.running != nil {
			p.stop()
		}
	})
	return p
}

func (p *plane) start() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	a, err := agent.Start(ctx, p.cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.running = a
}

func (p *plane) stop() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.running.Close(ctx); err != nil {
		p.t.Error(err)
	}
	p.running = nil
}

func (p *plane) url() string { return "http://" + p.cfg.API + "/client/v4" }

// env makes it the default plane of a configuration.
func (p *plane) env() map[string]string {
	return map[string]string{"CLOUDFLARE_BASE_URL": p.url(), "CLOUDFLARE_API_TOKEN": p.id.Token, "CLOUDFLARE_ACCOUNT_ID": p.id.AccountID}
}

// site is a user's machine with the modules on it.
type site struct {
	t     *testing.T
	stage *stage.Stage
}

func newSite(t *testing.T) *site {
	t.Helper()
	st, err := stage.Open(t.TempDir(), programs)
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.CopyTree(filepath.Join(st.Dir, "modules"), "."); err != nil {
		t.Fatal(err)
	}
	return &site{t, st}
}

// copy makes a configuration of a directory among the modules, beside it, so that its paths stay right.
func (s *site) copy(from, name string) string {
	s.t.Helper()
	to := filepath.Join(s.stage.Dir, "modules", filepath.Dir(from), name)
	if err := stage.CopyTree(to, from); err != nil {
		s.t.Fatal(err)
	}
	return to
}

// write makes a configuration of a text.
func (s *site) write(name, text string) string {
	s.t.Helper()
	dir := filepath.Join(s.stage.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	const head = "terraform {\n  required_providers {\n    hybridge = { source = \"hybridge/hybridge\" }\n  }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(head+text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func (s *site) terraform(dir string, envs ...map[string]string) *stage.Terraform {
	s.t.Helper()
	env := map[string]string{}
	for _, one := range envs {
		for name, value := range one {
			env[name] = value
		}
	}
	tf := s.stage.Terraform(dir, env)
	run(s.t, tf, "init", "-no-color")
	return tf
}

func run(t *testing.T, tf *stage.Terraform, args ...string) string {
	t.Helper()
	out, err := tf.Must(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply applies and makes sure that nothing is left to do then.
func apply(t *testing.T, tf *stage.Terraform) {
	t.Helper()
	run(t, tf, "apply", "-no-color", "-auto-approve")
	empty, plan, err := tf.PlanIsEmpty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !empty {
		t.Errorf("the plan after an apply is not empty:\n%s", plan)
	}
}

func output(t *testing.T, tf *stage.Terraform, name string) string {
	t.Helper()
	var value string
	if err := tf.Output(t.Context(), name, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func asks(t *testing.T, url, want string) {
	t.Helper()
	answer, err := stage.Ask(t.Context(), "GET", url, "")
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != 200 || answer.Body != want {
		t.Errorf("%s = %d %q, want %q", url, answer.Status, answer.Body, want)
	}
}

// refused runs a plan or apply that has to fail with a text.
func refused(t *testing.T, tf *stage.Terraform, want string, args ...string) {
	t.Helper()
	out, code, err := tf.Run(t.Context(), append(args, "-no-color")...)
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(regexp.MustCompile(`[│╷╵]`).ReplaceAllString(out, " ")), " ")
	if code == 0 || !strings.Contains(flat, want) {
		t.Errorf("exit code %d, want %q in:\n%s", code, want, out)
	}
}
