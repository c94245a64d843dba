// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
)

// serving is an agent with the Worker "api" at an address, under load.
func serving(t *testing.T, more string) (m *machine, l *load) {
	t.Helper()
	m = newMachine(t)
	address := freeAddress(t)
	m.write("agent.yaml", m.config(fmt.Sprintf(`{ address: "%s" }`, address), more))
	m.start()
	m.deploy("api", "hello")
	return m, startLoad(t, 2, "http://"+address, "app.example.com", func() *http.Transport { return &http.Transport{} })
}

func TestAFullDiskRefusesWritesClearlyAndGoesOnServing(t *testing.T) {
	t.Parallel()
	m, l := serving(t, "")
	// As on a full disk, no file of this process grows from now on.
	var before unix.Rlimit
	if err := unix.Prlimit(m.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: unix.RLIM_INFINITY}, &before); err != nil {
		t.Fatal(err)
	}
	status, answer := m.upload("api", "world")
	if status != http.StatusInsufficientStorage || !strings.Contains(answer, "disk is full or refuses writes") || !strings.Contains(answer, "hybridge doctor") {
		t.Errorf("%d %s", status, answer)
	}
	m.hears("WATCHDOG=1") // a restart would mend nothing
	time.Sleep(300 * time.Millisecond)
	if s := m.status(); !s.Ready {
		t.Errorf("%+v", s.Checks)
	}
	if err := unix.Prlimit(m.cmd.Process.Pid, unix.RLIMIT_FSIZE, &before, nil); err != nil {
		t.Fatal(err)
	}
	m.deploy("other", "with space again")
	l.unharmed(t)
	m.stop()
}

// A file system that is really full, and the machine is switched off meanwhile.
func TestAMachineWithAFullDiskStartsAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if err := os.Mkdir(m.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", m.path("data"), "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		t.Skipf("only root can mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(m.path("data"), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	address := freeAddress(t)
	m.write("agent.yaml", m.config(fmt.Sprintf(`{ address: "%s" }`, address), ""))
	m.start()
	m.deploy("api", "hello")
	fill, err := os.Create(m.path("data/fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	for err == nil {
		_, err = fill.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	m.signal(syscall.SIGKILL)
	_ = m.cmd.Wait()
	m.start()
	l := startLoad(t, 2, "http://"+address, "app.example.com", func() *http.Transport { return &http.Transport{} })
	if status, answer := m.upload("api", "world"); status != http.StatusInsufficientStorage {
		t.Errorf("%d %s", status, answer)
	}
	standintest.Eventually(t, "it is told", func() bool {
		return slices.ContainsFunc(m.status().Checks, func(c health.Check) bool {
			return c.Name == "disk" && c.Warning && strings.Contains(c.Detail, "0.0% of the file system")
		})
	})
	if err := os.Remove(m.path("data/fill")); err != nil {
		t.Fatal(err)
	}
	_ = fill.Close()
	m.deploy("other", "with space again")
	l.unharmed(t)
	m.stop()
}

// readLocks are the bytes of SQLite's -shm file that every reader locks (walIndexHdr, WAL_READ_LOCK).
const readLocksAt, readLocks = 123, 5

func TestTheWatchdogIsNotFedWhileTheDatabaseDoesNotAnswer(t *testing.T) {
	t.Parallel()
	m, l := serving(t, "")
	m.hears("WATCHDOG=1")
	shm, err := os.OpenFile(filepath.Join(m.path("data"), "registry.db-shm"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shm.Close()
	lock := func(kind int16) {
		t.Helper()
		if err := unix.FcntlFlock(shm.Fd(), unix.F_SETLKW, &unix.Flock_t{Type: kind, Start: readLocksAt, Len: readLocks}); err != nil {
			t.Fatal(err)
		}
	}
	lock(unix.F_WRLCK)
	m.silent("WATCHDOG=1", time.Second, 4*time.Second) // its interval is 0.6 s
	client := overUnix(m.path("health.sock"))
	standintest.Eventually(t, "/healthz says so", func() bool {
		resp, err := client.Get("http://agent/healthz") //nolint:noctx // of a test, over a unix socket
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	lock(unix.F_UNLCK)
	m.hears("WATCHDOG=1")
	l.unharmed(t)
	m.stop()
}

func TestAKilledWorkerdComesBack(t *testing.T) {
	t.Parallel()
	m, l := serving(t, "")
	pids := childrenOf(t, m.cmd.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("the agent has the children %v, want one workerd", pids)
	}
	_ = l.stop() // what is in flight in a killed process is lost
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	standintest.Eventually(t, "another one serves", func() bool {
		s := m.status()
		return s.Ready && len(s.Workers) == 1 && s.Workers[0].State == "ready" && s.Workers[0].Restarts == 1
	})
	if now := childrenOf(t, m.cmd.Process.Pid); len(now) != 1 || now[0] == pids[0] {
		t.Errorf("the children are %v", now)
	}
	m.stop()
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) (out []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a thread may end meanwhile
		for field := range strings.FieldsSeq(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}
