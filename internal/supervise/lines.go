// SPDX-License-Identifier: MPL-2.0

package supervise

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
)

const (
	maxLine   = 64 << 10 // bytes of a line that are kept
	tailLines = 20       // enough for an error and its stack
	tailBytes = 8 << 10
)

// tail keeps the last lines that a child printed.
type tail struct {
	mu    sync.Mutex
	lines []string
	bytes int
}

func (t *tail) add(line []byte) {
	if len(line) > tailBytes {
		line = line[:tailBytes]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, string(line))
	t.bytes += len(line)
	for len(t.lines) > tailLines || t.bytes > tailBytes && len(t.lines) > 1 {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.Join(t.lines, "\n"))
}

// eachLine calls sink for every line of r until r ends. What exceeds maxLine is
// read and dropped, so a child can never block on its own output.
func eachLine(r io.Reader, sink func([]byte)) {
	br := bufio.NewReaderSize(r, 4096)
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		if n := maxLine - len(line); len(part) > n {
			line = append(line, part[:n]...)
		} else {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if err == nil || len(line) > 0 {
			sink(line)
		}
		if err != nil {
			return
		}
		line = line[:0]
	}
}
