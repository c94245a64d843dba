// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

const (
	firstAnswer  = "Hello, world! (quickstart)"
	secondAnswer = "Good morning, world! (quickstart)"
)

// story is the demo while it runs: what the steps hand to each other.
type story struct {
	chapter int
	quick   string // the copy of examples/quickstart
	tf      *stage.Terraform
	url     string
	first   string // id of the first version
	second  string
}

// play tells the whole story in work.
func play(ctx context.Context, programs stage.Programs, repo, work string) (err error) {
	s := &story{quick: filepath.Join(work, "examples", "quickstart")}

	s.begin("Put the provider into a filesystem mirror, and copy the quickstart")
	st, err := stage.Open(work, programs)
	if err != nil {
		return err
	}
	for _, dir := range []string{"examples/quickstart", "modules/worker"} {
		if err := stage.CopyTree(filepath.Join(work, dir), filepath.Join(repo, dir)); err != nil {
			return fmt.Errorf("copying %s: %w (has `make tools` run?)", dir, err)
		}
	}
	say("in %s; the CLI is %s", work, programs.CLI)

	s.begin("Start a plane on this machine: hybridge dev")
	plane, err := st.StartPlane(ctx, "plane")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop(plane)) }()
	env := plane.Env()
	say("pid %d, API at %s", plane.PID, env["CLOUDFLARE_BASE_URL"])
	s.tf = st.Terraform(s.quick, env)

	for _, step := range []func(context.Context) error{s.deploy, s.change, s.breakIt, s.goBack, s.destroy} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%w\nthe plane's log ends:\n%s", err, indent(plane.LogTail(30)))
		}
	}
	return nil
}

// deploy takes the quickstart from nothing to a Worker that answers.
func (s *story) deploy(ctx context.Context) error {
	s.begin("Deploy the quickstart: TypeScript, hono from npm, a JSON import")
	if _, err := s.terraform(ctx, summary, "init", "-no-color"); err != nil {
		return err
	}
	lock, err := os.ReadFile(filepath.Join(s.quick, ".terraform.lock.hcl"))
	if err != nil {
		return err
	}
	if !strings.Contains(string(lock), "h1:") {
		return fmt.Errorf("the lock file has no checksum of the provider:\n%s", lock)
	}
	if _, err := s.terraform(ctx, summary, "apply", "-no-color", "-auto-approve"); err != nil {
		return err
	}
	if err := s.tf.Output(ctx, "url", &s.url); err != nil {
		return err
	}
	if err := s.tf.Output(ctx, "version_id", &s.first); err != nil {
		return err
	}
	return s.expect(ctx, firstAnswer, s.first)
}

// change edits one word, looks at the plan, and applies it.
func (s *story) change(ctx context.Context) error {
	s.begin("Change the source: src/words.json says \"Good morning\"")
	words := filepath.Join(s.quick, "src", "words.json")
	if err := os.WriteFile(words, []byte("{\n  \"greeting\": \"Good morning\"\n}\n"), 0o644); err != nil {
		return err
	}
	say("$ %s plan", s.tf.Name())
	empty, plan, err := s.tf.PlanIsEmpty(ctx)
	if err != nil {
		return err
	}
	fmt.Print(indent(plan))
	if empty || !strings.Contains(plan, "hybridge_worker_version.this must be replaced") || !strings.Contains(plan, `"src/words.json"`) {
		return errors.New("the plan does not show that there will be a new version because of src/words.json")
	}
	if err := s.expect(ctx, firstAnswer, s.first); err != nil { // a plan changes nothing
		return err
	}
	if _, err := s.terraform(ctx, summary, "apply", "-no-color", "-auto-approve"); err != nil {
		return err
	}
	if err := s.tf.Output(ctx, "version_id", &s.second); err != nil {
		return err
	}
	if s.second == s.first {
		return fmt.Errorf("the changed source has given the version %s again", s.second)
	}
	if err := s.expect(ctx, secondAnswer, s.second); err != nil {
		return err
	}
	return s.nothingToDo(ctx)
}

// breakIt releases a version that throws: its gate stops it, and what was live stays.
func (s *story) breakIt(ctx context.Context) error {
	s.begin("Release a version that throws: its gate stops it")
	file := filepath.Join(s.quick, "src", "greet.ts")
	good, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	bad := strings.Replace(string(good), "return ", "if (stage) throw new Error(\"out of words\");\n  return ", 1)
	if err := os.WriteFile(file, []byte(bad), 0o644); err != nil {
		return err
	}
	say("$ %s apply -auto-approve", s.tf.Name())
	out, code, err := s.tf.Run(ctx, "apply", "-no-color", "-auto-approve")
	if err != nil {
		return err
	}
	_, failure, found := strings.Cut(out, "Error: ")
	if code == 0 || !found || !strings.Contains(failure, "Rollout was rolled back") {
		return fmt.Errorf("a version that throws was not stopped (exit code %d):\n%s", code, out)
	}
	fmt.Print(indent("Error: " + failure))
	if err := s.expect(ctx, secondAnswer, s.second); err != nil {
		return err
	}
	// It stays rejected: a run that nobody watches does not try it again.
	say("$ %s apply -auto-approve", s.tf.Name())
	if out, err = s.tf.Must(ctx, "apply", "-no-color", "-auto-approve"); err != nil {
		return err
	}
	if !strings.Contains(out, "Version is rejected") {
		return fmt.Errorf("a further apply does not warn:\n%s", out)
	}
	say("a warning: the version is rejected; what was live is live")
	if err := s.expect(ctx, secondAnswer, s.second); err != nil {
		return err
	}
	if err := os.WriteFile(file, good, 0o644); err != nil {
		return err
	}
	if _, err := s.terraform(ctx, summary, "apply", "-no-color", "-auto-approve"); err != nil {
		return err
	}
	if err := s.expect(ctx, secondAnswer, s.second); err != nil {
		return err
	}
	return s.nothingToDo(ctx)
}

// goBack makes the first version live again, with one variable.
func (s *story) goBack(ctx context.Context) error {
	s.begin("Put the first version back, with one variable")
	variable := "-var=live_version_id=" + s.first
	if _, err := s.terraform(ctx, summary, "apply", "-no-color", "-auto-approve", variable); err != nil {
		return err
	}
	if err := s.expect(ctx, firstAnswer, s.first); err != nil {
		return err
	}
	return s.nothingToDo(ctx, variable)
}

// destroy takes everything away; the address answers no more.
func (s *story) destroy(ctx context.Context) error {
	s.begin("Destroy everything")
	if _, err := s.terraform(ctx, summary, "destroy", "-no-color", "-auto-approve"); err != nil {
		return err
	}
	answer, err := stage.Ask(ctx, "GET", s.url, "")
	if err != nil {
		return err
	}
	say("GET %s\n   %d", s.url, answer.Status)
	if answer.Status != 404 {
		return fmt.Errorf("%s still answers: %d %s", s.url, answer.Status, answer.Body)
	}
	return nil
}

// stop ends the plane and makes sure that it took its processes with it.
func (s *story) stop(plane *stage.Plane) error {
	s.begin("Stop the plane")
	below, err := stage.Descendants(plane.PID)
	if err != nil && stage.Alive(plane.PID) {
		return err
	}
	if err := plane.Stop(); err != nil {
		return err
	}
	for _, pid := range append(below, plane.PID) {
		if stage.Alive(pid) {
			return fmt.Errorf("process %d has outlived the plane", pid)
		}
	}
	say("exit code 0; no process is left")
	return nil
}

// expect asks the Worker and compares its answer and the version it came from.
func (s *story) expect(ctx context.Context, body, version string) error {
	answer, err := stage.Ask(ctx, "GET", s.url, "")
	if err != nil {
		return err
	}
	say("GET %s\n   %d %s", s.url, answer.Status, answer.Body)
	if answer.Status != 200 || answer.Body != body {
		return fmt.Errorf("%s answered %d %q, want 200 %q", s.url, answer.Status, answer.Body, body)
	}
	if got := answer.Header.Get("x-worker-version"); got != version {
		return fmt.Errorf("%s was answered by version %q, want %s", s.url, got, version)
	}
	return nil
}

// nothingToDo makes sure that a further plan is empty.
func (s *story) nothingToDo(ctx context.Context, args ...string) error {
	say("$ %s plan -detailed-exitcode %s", s.tf.Name(), strings.Join(args, " "))
	empty, plan, err := s.tf.PlanIsEmpty(ctx, args...)
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("a further plan is not empty:\n%s", plan)
	}
	say("exit code 0: nothing to do")
	return nil
}

// terraform shows and runs a command; show picks what is shown of its output.
func (s *story) terraform(ctx context.Context, show func(string) string, args ...string) (string, error) {
	say("$ %s %s", s.tf.Name(), strings.Join(args, " "))
	out, err := s.tf.Must(ctx, args...)
	if err == nil {
		fmt.Print(indent(show(out)))
	}
	return out, err
}

// summary keeps the lines that say what has come out.
func summary(out string) string {
	var kept []string
	for line := range strings.Lines(out) {
		for _, sign := range []string{"- Installed ", "successfully initialized", "complete!", ": Creation complete", ": Modifications complete", ": Destruction complete"} {
			if strings.Contains(line, sign) {
				kept = append(kept, strings.TrimRight(line, "\n"))
				break
			}
		}
	}
	return strings.Join(kept, "\n")
}

func (s *story) begin(title string) {
	s.chapter++
	fmt.Printf("\n── %d. %s\n", s.chapter, title)
}

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

func indent(text string) string {
	text = strings.Trim(text, "\n")
	return "     " + strings.ReplaceAll(text, "\n", "\n     ") + "\n"
}
