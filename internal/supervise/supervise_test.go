// SPDX-License-Identifier: MPL-2.0

package supervise_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

const patience = 30 * time.Second

// childArg makes the test binary one of the children below instead of a test run.
const childArg = "supervise-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		children[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sleepLong is longer than any test waits, and ends what a broken test leaves.
func sleepLong() { time.Sleep(2 * patience) }

var children = map[string]func(args []string){
	"serve": func([]string) { tellReady(); sleepLong() },
	"fail": func([]string) {
		for i := range 100 {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
		os.Exit(3)
	},
	"hang":      func([]string) { sleepLong() },
	"spin":      func([]string) { spin() },
	"spin-late": func([]string) { tellReady(); spin() },
	"crash":     func([]string) { tellReady(); time.Sleep(20 * time.Millisecond); os.Exit(1) },
	"stubborn":  func([]string) { signal.Ignore(syscall.SIGTERM); tellReady(); sleepLong() },
	"polite": func([]string) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		tellReady()
		<-c
		fmt.Println("goodbye")
	},
	"print": func([]string) {
		fmt.Println("one")
		fmt.Println(strings.Repeat("x", 200<<10))
		fmt.Print("unfinished")
		tellReady()
		sleepLong()
	},
	"environ": func([]string) {
		fmt.Println(strings.Join(os.Environ(), ","))
		wd, _ := os.Getwd()
		fmt.Println(wd)
		tellReady()
		sleepLong()
	},
	"eat": func([]string) {
		tellReady()
		var held [][]byte
		for {
			b := make([]byte, 8<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
			time.Sleep(5 * time.Millisecond)
		}
	},
	// fork leaves a grandchild in its own process group.
	"fork": func([]string) {
		cmd := exec.Command(os.Args[0], childArg, "hang")
		if err := cmd.Start(); err != nil {
			os.Exit(1)
		}
		fmt.Println(cmd.Process.Pid)
		tellReady()
		sleepLong()
	},
	// parent supervises a child and tells its pid, as the agent would.
	"parent": func([]string) {
		p, err := supervise.NewHost().Start(spec("serve"))
		if err == nil {
			err = p.WaitReady(context.Background())
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.State().PID)
		sleepLong()
	},
}

func spin() {
	for end := time.Now().Add(2 * patience); time.Now().Before(end); {
	}
}

func tellReady() {
	f := os.NewFile(supervise.ControlFD, "control")
	fmt.Fprintln(f, "ready")
	f.Close()
}

func awaitLine(_ context.Context, control io.Reader) error {
	_, err := bufio.NewReader(control).ReadString('\n')
	return err
}

func spec(child string, args ...string) supervise.Spec {
	return supervise.Spec{
		Name:  child,
		Argv:  append([]string{os.Args[0], childArg, child}, args...),
		Ready: awaitLine,
	}
}

// start starts a child; change adjusts its Spec.
func start(t *testing.T, child string, change func(*supervise.Spec)) *supervise.Process {
	t.Helper()
	h := supervise.NewHost()
	s := spec(child)
	if change != nil {
		change(&s)
	}
	p, err := h.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(0)
		h.Close()
	})
	return p
}

func ready(t *testing.T, p *supervise.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestAChildThatFailsToStartTellsWhy(t *testing.T) {
	t.Parallel()
	p := start(t, "fail", nil)
	err := p.WaitReady(t.Context())
	var exit *supervise.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("error %v, want an ExitError", err)
	}
	if exit.Reason != "exit status 3" || !strings.HasSuffix(exit.Output, "line 99") || strings.Contains(exit.Output, "line 1\n") {
		t.Errorf("error %q, want the status and the last lines", err)
	}
	if p.State().Restarts != 0 {
		t.Error("a child that never was ready was started again")
	}
}

func TestAMissingExecutableIsAnError(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", func(s *supervise.Spec) { s.Argv = []string{filepath.Join(t.TempDir(), "nothing")} })
	if err := p.WaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
}

func TestStartingEndsAtItsLimits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*supervise.Spec){
		"hang": func(s *supervise.Spec) { s.StartTimeout = 200 * time.Millisecond },
		"spin": func(s *supervise.Spec) { s.StartCPU = 200 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name, change)
			var exit *supervise.ExitError
			if err := p.WaitReady(t.Context()); !errors.As(err, &exit) || !exit.TimedOut {
				t.Errorf("error %v, want one of a limit", err)
			}
		})
	}
}

func TestAnEndedChildIsReplaced(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", nil)
	ready(t, p)
	pid := p.State().PID
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "another child is ready", func() bool {
		s := p.State()
		return s.Phase == supervise.Ready && s.PID != pid && s.Restarts == 1 && strings.Contains(s.LastError, "killed")
	})
}

func TestOnceMeansOnce(t *testing.T) {
	t.Parallel()
	p := start(t, "crash", func(s *supervise.Spec) { s.Once = true })
	ready(t, p)
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatal("the process goes on")
	}
	if s := p.State(); s.Restarts != 0 || s.Phase != supervise.Stopped {
		t.Errorf("state %+v", s)
	}
}

func TestFailuresInARowBecomeACrashLoopThatGoesOnTrying(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var phases []supervise.Phase
	p := start(t, "crash", func(s *supervise.Spec) {
		s.FirstDelay, s.MaxDelay, s.CrashLoop = time.Millisecond, 20*time.Millisecond, 3
		s.OnState = func(st supervise.State) {
			mu.Lock()
			defer mu.Unlock()
			if len(phases) == 0 || phases[len(phases)-1] != st.Phase {
				phases = append(phases, st.Phase)
			}
		}
	})
	eventually(t, "six restarts", func() bool { return p.State().Restarts >= 6 })
	mu.Lock()
	defer mu.Unlock()
	want := []supervise.Phase{
		supervise.Starting, supervise.Ready, supervise.BackingOff,
		supervise.Starting, supervise.Ready, supervise.BackingOff,
		supervise.Starting, supervise.Ready, supervise.CrashLoop,
		supervise.Starting, supervise.Ready, supervise.CrashLoop,
	}
	for i, ph := range want {
		if phases[i] != ph {
			t.Fatalf("phases %v, want them to start with %v", phases, want)
		}
	}
}

func TestAChildThatSpinsIsKilledAndReplaced(t *testing.T) {
	t.Parallel()
	p := start(t, "spin-late", func(s *supervise.Spec) {
		s.ProbeInterval, s.ProbeTimeout = 20*time.Millisecond, 50*time.Millisecond
		s.Probe = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	eventually(t, "the watchdog bites", func() bool {
		s := p.State()
		return s.Restarts >= 1 && strings.Contains(s.LastError, "did not answer for")
	})
}

func TestAnIdleChildIsGrantedMorePatience(t *testing.T) {
	t.Parallel()
	var probes atomic.Int64
	p := start(t, "serve", func(s *supervise.Spec) {
		s.ProbeInterval, s.ProbeTimeout = time.Millisecond, 5*time.Millisecond
		s.Probe = func(ctx context.Context) error {
			if probes.Add(1) > 5 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
	})
	eventually(t, "it recovers", func() bool { return probes.Load() > 8 })
	if s := p.State(); s.Restarts != 0 {
		t.Errorf("state %+v: an idle child was killed after %d late probes", s, 5)
	}
}

func TestAStuckIdleChildIsReplacedInTheEnd(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", func(s *supervise.Spec) {
		s.ProbeInterval, s.ProbeTimeout = time.Millisecond, 5*time.Millisecond
		s.Probe = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	eventually(t, "the watchdog bites", func() bool { return p.State().Restarts >= 1 })
}

func TestAChildThatEatsMemoryIsReplaced(t *testing.T) {
	t.Parallel()
	p := start(t, "eat", func(s *supervise.Spec) { s.MaxRSS, s.ProbeInterval = 128<<20, 20*time.Millisecond })
	eventually(t, "the limit bites", func() bool {
		s := p.State()
		return s.Restarts >= 1 && strings.Contains(s.LastError, "the limit is 128 MiB")
	})
}

func TestStopAsksFirstAndKillsThen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"polite", "stubborn"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said atomic.Bool
			p := start(t, name, func(s *supervise.Spec) {
				s.Stdout = func(line []byte) { said.Store(said.Load() || string(line) == "goodbye") }
			})
			ready(t, p)
			pid := p.State().PID
			grace := 100 * time.Millisecond
			if name == "polite" {
				grace = patience
			}
			p.Stop(grace)
			if alive(pid) {
				t.Error("the child still runs")
			}
			if said.Load() != (name == "polite") {
				t.Errorf("said goodbye: %v", said.Load())
			}
			if s := p.State(); s.Phase != supervise.Stopped || s.PID != 0 {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestStopEndsWhatTheChildStarted(t *testing.T) {
	t.Parallel()
	pids := make(chan int, 1)
	p := start(t, "fork", func(s *supervise.Spec) {
		s.Stdout = func(line []byte) {
			if pid, err := strconv.Atoi(string(line)); err == nil {
				pids <- pid
			}
		}
	})
	ready(t, p)
	grandchild := <-pids
	p.Stop(0)
	eventually(t, "the grandchild has ended", func() bool { return !alive(grandchild) })
}

func TestWhatAChildLeavesBehindEndsToo(t *testing.T) {
	t.Parallel()
	pids := make(chan int, 1)
	p := start(t, "fork", func(s *supervise.Spec) {
		s.Once = true
		s.Stdout = func(line []byte) {
			if pid, err := strconv.Atoi(string(line)); err == nil {
				pids <- pid
			}
		}
	})
	ready(t, p)
	grandchild := <-pids
	_ = syscall.Kill(p.State().PID, syscall.SIGKILL)
	eventually(t, "the grandchild has ended", func() bool { return !alive(grandchild) })
}

func TestNoChildOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0], childArg, "parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !alive(child) {
		t.Fatalf("the parent said %q; its child does not run", line)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the child has ended", func() bool { return !alive(child) })
}

func TestChildrenSurviveTheThreadsOfTheirStarter(t *testing.T) {
	t.Parallel()
	h := supervise.NewHost()
	var p *supervise.Process
	done := make(chan struct{})
	go func() { // a goroutine whose thread ends with it
		defer close(done)
		runtime.LockOSThread()
		var err error
		if p, err = h.Start(spec("serve")); err == nil {
			err = p.WaitReady(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	}()
	<-done
	pid := p.State().PID
	time.Sleep(100 * time.Millisecond)
	if s := p.State(); s.PID != pid || s.Restarts != 0 {
		t.Errorf("state %+v, want the child %d still", s, pid)
	}
	p.Stop(0)
	h.Close()
}

func TestOutputComesLineByLine(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var lines []string
	p := start(t, "print", func(s *supervise.Spec) {
		s.Stdout = func(line []byte) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, string(line))
		}
	})
	ready(t, p)
	p.Stop(0)
	mu.Lock()
	defer mu.Unlock()
	if len(lines) != 3 || lines[0] != "one" || len(lines[1]) != 64<<10 || lines[2] != "unfinished" {
		t.Errorf("%d lines, want 3 of which the second is cut", len(lines))
	}
}

func TestAChildGetsItsEnvironmentAndNotOurs(t *testing.T) {
	t.Setenv("HYBRIDGE_TEST_CANARY", "canary")
	lines := make(chan string, 2)
	p := start(t, "environ", func(s *supervise.Spec) {
		s.Env = []string{"ONLY=this"}
		s.Stdout = func(line []byte) { lines <- string(line) }
	})
	ready(t, p)
	if got := <-lines; got != "ONLY=this" {
		t.Errorf("environment %q", got)
	}
	if got := <-lines; got != "/" {
		t.Errorf("working directory %q", got)
	}
}

func TestFilesAreHandedOverAtEveryStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var calls atomic.Int64
	p := start(t, "serve", func(s *supervise.Spec) {
		s.Files = func() ([]*os.File, error) {
			calls.Add(1)
			f, err := l.(*net.TCPListener).File()
			return []*os.File{f}, err
		}
	})
	ready(t, p)
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.State().PID, supervise.FirstFD))
	if err != nil || !strings.HasPrefix(link, "socket:") {
		t.Errorf("descriptor %d of the child is %q, %v", supervise.FirstFD, link, err)
	}
	_ = syscall.Kill(p.State().PID, syscall.SIGKILL)
	eventually(t, "a second child has it too", func() bool { return calls.Load() == 2 && p.State().Phase == supervise.Ready })
}

func TestAClosedHostStartsNothing(t *testing.T) {
	t.Parallel()
	h := supervise.NewHost()
	h.Close()
	h.Close()
	if _, err := h.Start(spec("serve")); err == nil {
		t.Error("a closed host started a child")
	}
}
