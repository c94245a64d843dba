// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
)

// systemd is what the agent tells at NOTIFY_SOCKET, which is read all the time.
func systemd(t *testing.T, dir string, watchdog time.Duration) <-chan string {
	t.Helper()
	path := filepath.Join(dir, "notify.sock")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(watchdog.Microseconds()))
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	told := make(chan string, 10_000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			told <- string(buf[:n])
		}
	}()
	return told
}

// fed counts how often the watchdog is fed within d.
func fed(told <-chan string, d time.Duration) (n int) {
	for end := time.After(d); ; {
		select {
		case said := <-told:
			if strings.Contains(said, "WATCHDOG=1") {
				n++
			}
		case <-end:
			return n
		}
	}
}

// The watchdog hangs on the loop that looks at everything, not on a timer of its own.
func TestAHangingLoopStarvesTheWatchdog(t *testing.T) { //nolint:paralleltest // it sets the environment
	dir, err := os.MkdirTemp("", "agent") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	told := systemd(t, dir, 90*time.Millisecond)
	f, err := agentfile.Parse(fmt.Appendf(nil, `format: 1
data_dir: %[1]s
connectors: { a: { tunnel_id: %[2]s, token_file: %[1]s/nothing } }
health: { listen: "unix://%[1]s/health.sock" }
`, dir, standintest.TunnelID), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Start(t.Context(), Config{File: f, Getenv: os.Getenv, Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(t.Context()) })
	// A connector that does not work is no reason: a restart would mend nothing.
	if n := fed(told, time.Second); n < 3 {
		t.Errorf("it was fed %d times in a second", n)
	}
	d.mu.Lock() // whatever the loop waits for
	_ = fed(told, 100*time.Millisecond)
	n := fed(told, time.Second)
	d.mu.Unlock()
	if n > 0 {
		t.Errorf("it was fed %d times by a loop that hangs", n)
	}
	if n := fed(told, time.Second); n < 3 {
		t.Errorf("it was fed %d times in a second after that", n)
	}
}
