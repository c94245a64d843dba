// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// outputGrace is how long output may arrive after a child's end: a grandchild
// that left the process group could otherwise hold the pipes for ever.
const outputGrace = time.Second

// child is one run of a process.
type child struct {
	pid     int
	control *os.File // read end
	tail    tail     // of stderr
	exited  chan struct{}
	exit    error // valid once exited is closed
}

// launch starts a child and the goroutines that read its output. They end with
// the child, before exited is closed.
func (h *Host) launch(s Spec) (*child, error) {
	pipes, err := openPipes(3)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	ours := []*os.File{pipes[0][0], pipes[1][0], pipes[2][0]}
	theirs := []*os.File{pipes[0][1], pipes[1][1], pipes[2][1]}
	defer func() { closeAll(theirs) }()

	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env, cmd.Dir = s.Env, s.Dir
	cmd.Stdout, cmd.Stderr = theirs[0], theirs[1]
	cmd.ExtraFiles = []*os.File{theirs[2]}
	if s.Files != nil {
		files, err := s.Files()
		theirs = append(theirs, files...)
		if err != nil {
			closeAll(ours)
			return nil, fmt.Errorf("starting %s: %w", s.Name, err)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, files...)
	}
	if err := h.start(cmd); err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}

	c := &child{pid: cmd.Process.Pid, control: ours[2], exited: make(chan struct{})}
	var readers sync.WaitGroup
	readers.Go(func() {
		eachLine(ours[0], func(line []byte) {
			if s.Stdout != nil {
				s.Stdout(line)
			}
		})
	})
	readers.Go(func() {
		eachLine(ours[1], func(line []byte) {
			c.tail.add(line)
			if s.Stderr != nil {
				s.Stderr(line)
			}
		})
	})
	go func() {
		defer close(c.exited)
		c.exit = cmd.Wait()
		kill(c.pid) // what it started and left behind
		deadline := time.Now().Add(outputGrace)
		for _, f := range ours {
			_ = f.SetReadDeadline(deadline)
		}
		readers.Wait()
		closeAll(ours[:2])
	}()
	return c, nil
}

// reason words how the child ended by itself.
func (c *child) reason() string {
	if c.exit == nil {
		return "exited with status 0"
	}
	return c.exit.Error()
}

// end kills the child and waits for it.
func (c *child) end() {
	select {
	case <-c.exited: // its id may be somebody else's by now
	default:
		kill(c.pid)
		<-c.exited
	}
}

func openPipes(n int) ([][2]*os.File, error) {
	var pipes [][2]*os.File
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			for _, p := range pipes {
				p[0].Close()
				p[1].Close()
			}
			return nil, err
		}
		pipes = append(pipes, [2]*os.File{r, w})
	}
	return pipes, nil
}
