// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// command is a program that runs beside the plane.
type command struct {
	cmd  *exec.Cmd
	done chan error // yields what Wait said, once
}

// startCommand starts argv with the variables added to our environment. The
// token travels in the environment, which other users cannot read, and never in
// argv, which they can.
func startCommand(p process, argv []string, vars []variable) (*command, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, &exitError{exitNotRunning, fmt.Errorf("running %q: it is not executable", argv[0])}
		}
		return nil, &exitError{exitNotFound, fmt.Errorf("running %q: there is no such command on PATH", argv[0])}
	}
	// Not CommandContext: signals reach the command, and it decides when it ends.
	c := &command{cmd: &exec.Cmd{Path: path, Args: argv, Env: os.Environ()}, done: make(chan error, 1)} //nolint:noctx // see above
	for _, v := range vars {
		c.cmd.Env = append(c.cmd.Env, v.name+"="+v.value)
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = p.stdin, p.stdout, p.stderr
	if err := c.cmd.Start(); err != nil {
		return nil, &exitError{exitNotRunning, fmt.Errorf("running %q: %w", argv[0], err)}
	}
	go func() { c.done <- c.cmd.Wait() }()
	return c, nil
}

// forward passes a signal on, unless the terminal has sent it to the command too.
func (c *command) forward(s os.Signal) {
	if s == syscall.SIGINT && ownsTerminal() {
		return
	}
	_ = c.cmd.Process.Signal(s) // fails only when the command has ended
}

// result turns what Wait said into our own exit code.
func (c *command) result(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("running %q: %w", c.cmd.Args[0], err)
	}
	code := exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = exitSignal + int(status.Signal())
	}
	return &exitError{code: code} // the command has said what there was to say
}
