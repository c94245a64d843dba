// SPDX-License-Identifier: MPL-2.0

package stage

import (
	"context"
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

// startLimit bounds the start of a plane. It takes a fraction of a second; the
// limit only ends a run that would never end.
const startLimit = time.Minute

// Plane is a running `hybridge dev`.
type Plane struct {
	PID     int
	env     map[string]string
	log     string
	cmd     *exec.Cmd
	exited  chan struct{}
	waitErr error // set before exited is closed
}

// Zone is the DNS zone that every plane of a stage has.
const Zone = "example.com"

// StartPlane starts `hybridge dev` on free loopback ports with its data in the
// stage's directory name, and returns when it is ready. The caller MUST Stop it.
func (s *Stage) StartPlane(ctx context.Context, name string) (*Plane, error) {
	dir := filepath.Join(s.Dir, name)
	envFile := dir + ".env"
	p := &Plane{log: dir + ".log", exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(s.programs.Hybridge, "dev",
		"--data", dir, "--api", "127.0.0.1:0", "--ingress", "127.0.0.1:0", "--env-file", envFile, "--zone", Zone)
	p.cmd.Dir = s.Dir
	p.cmd.Env = s.environ(map[string]string{"HYBRIDGE_WORKERD": s.programs.Workerd})
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a plane: %w", err)
	}
	p.PID = p.cmd.Process.Pid
	go func() {
		p.waitErr = p.cmd.Wait()
		close(p.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if p.env, err = p.awaitEnv(ctx, envFile); err != nil {
		err = fmt.Errorf("starting a plane: %w; its log ends:\n%s", err, p.LogTail(40))
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// awaitEnv waits for the file of exports. `hybridge dev` writes it when it is
// ready, and it appears whole.
func (p *Plane) awaitEnv(ctx context.Context, file string) (map[string]string, error) {
	const interval = 20 * time.Millisecond
	for {
		data, err := os.ReadFile(file)
		if err == nil {
			return parseEnv(string(data))
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		select {
		case <-p.exited:
			return nil, fmt.Errorf("it ended before it was ready: %w", p.waitErr)
		case <-ctx.Done():
			return nil, fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(interval):
		}
	}
}

// parseEnv reads lines of the form `export NAME='value'`.
func parseEnv(text string) (map[string]string, error) {
	env := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !found {
			return nil, fmt.Errorf("the file of exports has the line %q", line)
		}
		env[name] = strings.Trim(value, `'"`)
	}
	for _, name := range []string{"CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_BASE_URL", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID"} {
		if env[name] == "" {
			return nil, fmt.Errorf("the file of exports lacks %s", name)
		}
	}
	return env, nil
}

// Env is what a client of the plane needs in its environment.
func (p *Plane) Env() map[string]string { return maps.Clone(p.env) }

// LogTail returns the last lines of what the plane printed.
func (p *Plane) LogTail(lines int) string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Stop asks the plane to end, waits for it, and fails unless it exited with 0.
// A plane that does not end within Grace is killed.
func (p *Plane) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	select {
	case <-p.exited:
	case <-time.After(Grace):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("the plane did not end within %s of SIGTERM and was killed; its log ends:\n%s", Grace, p.LogTail(40))
	}
	if p.waitErr != nil {
		return fmt.Errorf("the plane ended badly: %w", p.waitErr)
	}
	return nil
}
