// SPDX-License-Identifier: MPL-2.0

package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Grace is how long a program may take to end after it was asked to. Terraform
// waits for the calls in flight, so this is above a plane's own limit of one.
const Grace = 30 * time.Second

// Terraform runs the CLI in one directory of a stage.
type Terraform struct {
	Dir   string
	stage *Stage
	env   map[string]string
}

// Terraform returns a runner for dir, with env (a plane's, see Plane.Env) added
// to the environment.
func (s *Stage) Terraform(dir string, env map[string]string) *Terraform {
	return &Terraform{Dir: dir, stage: s, env: maps.Clone(env)}
}

// Name is what a user types: terraform or tofu.
func (t *Terraform) Name() string { return filepath.Base(t.stage.programs.CLI) }

// Run runs one command and returns what it printed, standard error included,
// and its exit code. The error is nil whenever the program ran and ended.
func (t *Terraform) Run(ctx context.Context, args ...string) (string, int, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, t.stage.programs.CLI, args...)
	cmd.Dir, cmd.Env = t.Dir, t.stage.environ(t.env)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = Grace
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return out.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return out.String(), -1, fmt.Errorf("running %s %s: %w", t.Name(), strings.Join(args, " "), errors.Join(err, ctx.Err()))
	}
	return out.String(), 0, nil
}

// Kill runs one command, and ends it and everything that it has started with SIGKILL
// once now is closed. It returns what was printed until then, and false if the command
// had ended before.
func (t *Terraform) Kill(ctx context.Context, now <-chan struct{}, args ...string) (string, bool, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, t.stage.programs.CLI, args...)
	cmd.Dir, cmd.Env = t.Dir, t.stage.environ(t.env)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", false, fmt.Errorf("running %s: %w", t.Name(), err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // a killed program has no better end
	}()
	select {
	case <-ended:
		return out.String(), false, nil
	case <-now:
	}
	below, err := Descendants(cmd.Process.Pid)
	for _, pid := range append([]int{cmd.Process.Pid}, below...) {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	<-ended
	return out.String(), true, err
}

// Must runs one command that has to exit with 0.
func (t *Terraform) Must(ctx context.Context, args ...string) (string, error) {
	out, code, err := t.Run(ctx, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s %s: exit code %d\n%s", t.Name(), strings.Join(args, " "), code, out)
	}
	return out, err
}

// PlanIsEmpty says whether a plan with args finds nothing to do, and what it
// printed.
func (t *Terraform) PlanIsEmpty(ctx context.Context, args ...string) (bool, string, error) {
	out, code, err := t.Run(ctx, append([]string{"plan", "-no-color", "-detailed-exitcode"}, args...)...)
	if err != nil {
		return false, out, err
	}
	switch code {
	case 0:
		return true, out, nil
	case 2:
		return false, out, nil
	default:
		return false, out, fmt.Errorf("%s plan: exit code %d\n%s", t.Name(), code, out)
	}
}

// Output reads one output value into v.
func (t *Terraform) Output(ctx context.Context, name string, v any) error {
	out, err := t.Must(ctx, "output", "-json", name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("reading the output %q: %w", name, err)
	}
	return nil
}
