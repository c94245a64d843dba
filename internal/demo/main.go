// SPDX-License-Identifier: MPL-2.0

// Command demo plays the main job from end to end, as a user would: a plane on
// this machine, a Worker that goes live with `terraform apply`, changes, goes
// back and is gone. It says what it does, checks every answer, and leaves
// neither a process nor a file behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

func main() {
	var programs stage.Programs
	flag.StringVar(&programs.CLI, "cli", "", "terraform or tofu; empty looks for one as scripts/terraform-cli does")
	flag.StringVar(&programs.Provider, "provider", "bin/terraform-provider-hybridge", "the provider `binary`")
	flag.StringVar(&programs.Hybridge, "hybridge", "bin/hybridge", "the hybridge `binary`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, programs); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: FAILED:", err)
		stop()
		os.Exit(1)
	}
	fmt.Println("\ndemo: every answer was the expected one")
}

// run plays the story in a directory of its own, and then looks whether
// anything is left.
func run(ctx context.Context, programs stage.Programs) (err error) {
	repo, err := os.Getwd()
	if err != nil {
		return err
	}
	if programs, err = programs.Locate(ctx, repo); err != nil {
		return err
	}
	before := untracked(ctx, repo)
	work, err := os.MkdirTemp("", "hybridge-demo-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(work))
	}()
	if err := play(ctx, programs, repo, work); err != nil {
		return err
	}
	if err := nothingBelow(filepath.Join(work, "tmp")); err != nil {
		return err
	}
	if after := untracked(ctx, repo); after != before {
		return fmt.Errorf("the demo changed the source tree:\n%s", after)
	}
	return nil
}

// nothingBelow fails when a program has left a temporary file behind.
func nothingBelow(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return fmt.Errorf("a program has left %s behind", path)
	})
}

// untracked is git's short status of the source tree; empty outside of git.
func untracked(ctx context.Context, repo string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", repo, "status", "--porcelain").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
