// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

func TestALoopingVersionServesAgainAndItsNeighbourNeverStops(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	loop := workerdtest.Script(t, "loop", `export default { fetch(r) {
		if (new URL(r.url).pathname === "/loop") for (;;) {}
		return new Response("fine"); } };`)
	s.deploy(loop)
	s.deploy(workerdtest.Script(t, "calm", workerdtest.Answer("calm")))
	pid := s.state(loop).PID

	ctx, cancel := context.WithCancel(t.Context())
	var neighbour sync.WaitGroup
	neighbour.Go(func() {
		for ctx.Err() == nil {
			if status, body, err := s.try(workerdtest.Host("calm"), "/"); err != nil || status != http.StatusOK || body != "calm" {
				t.Errorf("neighbour: status %d, body %q, error %v", status, body, err)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	began := time.Now()
	if status, _, err := s.try(workerdtest.Host("loop"), "/loop"); err != nil || status < 500 {
		t.Errorf("the looping request: status %d, error %v, want a 5xx status", status, err)
	}
	s.want("loop", "/", "fine")
	t.Logf("serving again after %v", time.Since(began))
	cancel()
	neighbour.Wait()
	st := s.state(loop)
	if st.PID == pid || st.Restarts != 1 || !strings.Contains(st.LastError, "did not answer for") {
		t.Errorf("state %+v, want one restart because it did not answer", st)
	}
}

func TestAKilledProcessIsReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "killed", workerdtest.Answer("alive"))
	s.deploy(v)
	pid := s.state(v).PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process runs", func() bool { st := s.state(v); return st.State == "ready" && st.PID != pid })
	s.want("killed", "/", "alive")
}

func TestACrashLoopIsVisibleAndEndsByItself(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *fleet.Config) { c.Limits.HeapMiB = 24 })
	v := workerdtest.Script(t, "crash", `export default { fetch(r) {
		if (new URL(r.url).pathname === "/crash") { const a = []; for (;;) a.push({ a }); }
		return new Response("up"); } };`)
	s.deploy(v)
	calm := workerdtest.Script(t, "calm", workerdtest.Answer("calm"))
	s.deploy(calm)
	eventually(t, "the state is crash-loop", func() bool {
		if s.state(v).State == "crash-loop" {
			return true
		}
		_, _, _ = s.try(workerdtest.Host("crash"), "/crash")
		return s.state(v).State == "crash-loop"
	})
	if got := s.state(calm); got.Restarts != 0 || got.State != "ready" {
		t.Errorf("the neighbour's state is %+v", got)
	}
	eventually(t, "the log tells of the crash loop, just after the state does", func() bool {
		return strings.Contains(s.log.String(), "keeps ending")
	})
	eventually(t, "it serves again", func() bool {
		status, _, err := s.try(workerdtest.Host("crash"), "/")
		return err == nil && status == http.StatusOK
	})
}

func TestSecretsAreNeitherInArgumentsNorEnvironmentNorFiles(t *testing.T) {
	// Not parallel: it looks at the environment that children would inherit.
	const secret = "s3cr3t-canary-value"
	t.Setenv("HYBRIDGE_TEST_CANARY", secret)
	var dir string
	s := newStage(t, func(c *fleet.Config) { dir = c.SocketDir })
	v := workerdtest.Script(t, "sec", `export default { fetch(r, env) { console.log("token=" + env.TOKEN); console.error(env.TOKEN); return new Response(env.TOKEN); } };`,
		workerdtest.Binding("TOKEN", "secret_text", "text", secret))
	s.deploy(v)
	s.want("sec", "/", secret)
	proc := filepath.Join("/proc", strconv.Itoa(s.state(v).PID))
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) || strings.Contains(string(b), "PATH=") {
			t.Errorf("%s of the child has what is ours: %q", name, b)
		}
	}
	limits, err := os.ReadFile(filepath.Join(proc, "limits"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(limits), "\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && f[4] != "0" {
			t.Errorf("a crash may write the child's memory to a disk: %s", line)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type()&os.ModeSocket == 0 {
			t.Errorf("%s is no socket", e.Name())
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the socket directory: %v, %v", info.Mode(), err)
	}
	eventually(t, "the log has the line", func() bool { return strings.Contains(s.log.String(), "token=[secret TOKEN]") })
	if strings.Contains(s.log.String(), secret) {
		t.Error("the log has the secret")
	}
}

func TestConsoleOutputIsLoggedWithWorkerAndVersion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "talk", `export default { fetch() { console.warn("two\nlines", { a: 1 }); return new Response(""); } };`)
	s.deploy(v)
	s.get("talk", "/")
	eventually(t, "the line is logged", func() bool {
		for _, line := range strings.Split(s.log.String(), "\n") {
			if strings.Contains(line, `two\nlines { a: 1 }`) && strings.Contains(line, `"worker":"talk"`) &&
				strings.Contains(line, v.ID) && strings.Contains(line, `"@level":"warn"`) {
				return true
			}
		}
		return false
	})
}

func TestEgressToPrivateAddressesIsDeniedUnlessAllowed(t *testing.T) {
	t.Parallel()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") }))
	t.Cleanup(origin.Close)
	_, port, err := net.SplitHostPort(origin.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	script := `export default { async fetch(r) {
		const host = new URL(r.url).searchParams.get("host");
		try { return await fetch("http://" + host + ":` + port + `/"); } catch (e) { return new Response("denied: " + e.message, { status: 599 }); }
	} };`
	closed := newStage(t)
	closed.deploy(workerdtest.Script(t, "out", script))
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"} {
		if got := closed.failing("out", "/?host="+host); strings.Contains(got, "inside") {
			t.Errorf("a Worker reached %s", host)
		}
	}
	eventually(t, "the log says what was denied", func() bool {
		return strings.Contains(closed.log.String(), "the Worker may not connect to 127.0.0.1:"+port+": private")
	})
	open := newStage(t, func(c *fleet.Config) { c.EgressAllow = []string{"127.0.0.0/8"} })
	open.deploy(workerdtest.Script(t, "out", script))
	open.want("out", "/?host=127.0.0.1", "inside")
}

func TestWaitUntilIsGrantedItsTimeAfterASwitch(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *fleet.Config) { c.Limits.WaitUntil = 3 * time.Second; c.EgressAllow = []string{"127.0.0.1"} })
	done := make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(done) }))
	t.Cleanup(origin.Close)
	old := workerdtest.Script(t, "wu", `export default { fetch(r, env, ctx) {
		ctx.waitUntil((async () => { await scheduler.wait(700); await fetch("`+origin.URL+`/"); })());
		return new Response("old"); } };`)
	s.deploy(old)
	s.want("wu", "/", "old")
	s.deploy(workerdtest.Script(t, "wu", workerdtest.Answer("new")))
	s.want("wu", "/", "new")
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("waitUntil() was cut off")
	}
	eventually(t, "the old process has stopped", func() bool { return s.state(old).PID == 0 })
}

func TestStreamsAndWebSocketsPass(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := workerdtest.Script(t, "io", `export default { async fetch(r) {
		if (r.headers.get("upgrade") === "websocket") {
			const [client, server] = Object.values(new WebSocketPair());
			server.accept();
			server.addEventListener("message", (e) => server.send("echo " + e.data));
			return new Response(null, { status: 101, webSocket: client });
		}
		const { readable, writable } = new TransformStream();
		(async () => { const w = writable.getWriter(); for (const part of ["a", "b", "c"]) { await w.write(new TextEncoder().encode(part)); await scheduler.wait(20); } await w.close(); })();
		return new Response(readable);
	} };`)
	s.deploy(v)
	s.want("io", "/", "abc")
	c, _, err := websocket.Dial(t.Context(), s.url, &websocket.DialOptions{Host: workerdtest.Host("io")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, text := range []string{"one", "two"} {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(t.Context()); err != nil || string(got) != "echo "+text {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	s.deploy(workerdtest.Script(t, "io", workerdtest.Answer("new")))
	if err := c.Write(t.Context(), websocket.MessageText, []byte("late")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != "echo late" {
		t.Fatalf("after a switch: read %q, %v", got, err)
	}
	if st := s.state(v); st.State != "draining" {
		t.Errorf("state %+v while a WebSocket is open, want draining", st)
	}
}

func TestTwentySwitchesUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	current := workerdtest.Script(t, "sw", workerdtest.Answer("v0"))
	s.deploy(current)
	s.deploy(workerdtest.Script(t, "caller", `export default { async fetch(r, env) {
			return new Response(await env.T.hi() + await (await env.T.fetch("http://x/")).text()); } };`,
		workerdtest.Binding("T", "service", "service", "rpc")))
	rpc := func(n int) workerd.Version {
		return workerdtest.Script(t, "rpc", fmt.Sprintf(`import { WorkerEntrypoint } from "cloudflare:workers";
			export default class extends WorkerEntrypoint { hi() { return "v%d"; } fetch() { return new Response("v%[1]d"); } }`, n))
	}
	s.deploy(rpc(0))

	ctx, cancel := context.WithCancel(t.Context())
	var sent, failed atomic.Int64
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			name := []string{"sw", "caller"}[i%2]
			for ctx.Err() == nil {
				status, body, err := s.try(workerdtest.Host(name), "/")
				sent.Add(1)
				if err != nil || status != http.StatusOK || !strings.HasPrefix(body, "v") {
					failed.Add(1)
					t.Errorf("%s: status %d, body %q, error %v", name, status, body, err)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	for n := 1; n <= 10; n++ { // ten times 10 %, then 100 %
		next := workerdtest.Script(t, "sw", workerdtest.Answer(fmt.Sprintf("v%d", n)))
		w := workerdtest.Worker(next)
		w.Shares = []workerd.Share{{VersionID: next.ID, Percentage: 10}, {VersionID: current.ID, Percentage: 90}}
		if err := s.fleet.Apply(t.Context(), w, []workerd.Version{next, current}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		s.deploy(next)
		s.deploy(rpc(n))
		current = next
	}
	cancel()
	load.Wait()
	t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
	s.want("sw", "/", "v10")
	eventually(t, "only the live versions run", func() bool { return len(s.fleet.States()) == 3 })
}
