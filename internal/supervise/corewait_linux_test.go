// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Two that spin on one core wait for each other half of the time; one that sleeps
// waits for nothing.
func TestWaitingForACoreIsSeen(t *testing.T) {
	t.Parallel()
	start := func(script string) int {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		var first unix.CPUSet
		first.Set(0)
		if err := unix.SchedSetaffinity(cmd.Process.Pid, &first); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	spinning, other, sleeping := start("while :; do :; done"), start("while :; do :; done"), start("sleep 30; :")
	before := coreWait(sleeping)
	deadline := time.Now().Add(10 * time.Second)
	for coreWait(spinning) < 100*time.Millisecond || coreWait(other) < 100*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s on one core they waited %s and %s", coreWait(spinning), coreWait(other))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if waited := coreWait(sleeping) - before; waited > 50*time.Millisecond {
		t.Errorf("one that sleeps waited %s", waited)
	}
	if waited := coreWait(1 << 30); waited != 0 {
		t.Errorf("a process that is not there waited %s", waited)
	}
}
