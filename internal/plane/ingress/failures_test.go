// SPDX-License-Identifier: MPL-2.0

package ingress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// failing fails in every way that is in the table of outcome.go.
const failing = `
const bytes = new TextEncoder().encode("Internal Server Error");
const ways = {
	ok: () => new Response("ok"),
	sync: () => { throw new Error("boom"); },
	async: async () => { await scheduler.wait(1); throw "boom"; },
	nothing: () => undefined,
	hung: () => new Promise(() => {}),
	recursion: () => { const f = () => f() + 1; return new Response(f()); },
	deniedfetch: () => fetch("http://127.0.0.1/"),
	websocket: () => new Response(null, { status: 101, webSocket: new WebSocketPair()[0] }),

	deliberate: () => new Response("deliberate", { status: 500 }),
	empty: () => new Response(null, { status: 500 }),
	same: () => new Response("Internal Server Error", { status: 500 }),
	samebytes: () => new Response(bytes, { status: 500 }),
	sameclosing: () => new Response(bytes, { status: 500, headers: { Connection: "close" } }),
	unavailable: () => new Response("down", { status: 503 }),
	caught: () => { try { ways.sync(); } catch (e) { return new Response(e.message, { status: 500 }); } },

	streampull: () => { let n = 0; return new Response(new ReadableStream({ async pull(c) {
		if (n++) { await scheduler.wait(10); throw new Error("boom"); }
		c.enqueue(bytes);
	} })); },
	streamfirst: () => new Response(new ReadableStream({ pull() { throw new Error("boom"); } })),
	streamshort: () => { const { readable, writable } = new FixedLengthStream(100); (async () => {
		const w = writable.getWriter(); await w.write(bytes); await scheduler.wait(10); await w.close();
	})().catch(() => {}); return new Response(readable); },

	waituntil: (ctx) => { ctx.waitUntil(Promise.reject(new Error("boom"))); return new Response("ok"); },
	unhandled: () => { Promise.reject(new Error("boom")); return new Response("ok"); },
	loop: () => { for (;;); },
	memory: () => { const a = []; for (;;) a.push(new Array(1e5).fill(Math.random())); },
};
export default { fetch(req, env, ctx) { return ways[new URL(req.url).pathname.slice(1)](ctx); } };
`

// failingFleet runs failing and returns the way to it and its counters.
func failingFleet(t *testing.T, log hclog.Logger) (*ingress.Router, *fleet.Fleet, workerd.Version) {
	t.Helper()
	router := ingress.New(hclog.NewNullLogger())
	f, err := fleet.New(fleet.Config{
		Workerd: workerdtest.Path(t), SocketDir: workerdtest.SocketDir(t), Router: router, Logger: log,
		Limits: fleet.Limits{HeapMiB: 64},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		f.Close(now)
	})
	v := workerdtest.Script(t, "api", failing)
	if err := f.Apply(t.Context(), workerdtest.Worker(v), []workerd.Version{v}); err != nil {
		t.Fatal(err)
	}
	return router, f, v
}

func keyOf(v workerd.Version) traffic.Key {
	return traffic.Key{AccountID: v.AccountID, WorkerID: v.WorkerID, VersionID: v.ID}
}

// exchange sends one request to the version and returns what comes back until it
// pauses, byte for byte, and whether the connection was ended.
func exchange(t *testing.T, target *ingress.Target, request string) (answer string, ended bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := target.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	var b strings.Builder
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second)) // for the first byte
	for {
		by, err := br.ReadByte()
		if err != nil {
			return b.String(), err == io.EOF || strings.Contains(err.Error(), "reset")
		}
		b.WriteByte(by)
		if br.Buffered() == 0 {
			_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		}
	}
}

// lines collects what the version's process prints.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

// The table in outcome.go. If this fails after a new workerd, so do the metrics
// gates: find out what an exception looks like now before anything else.
func TestHowFailuresLook(t *testing.T) {
	t.Parallel()
	out := &lines{}
	router, _, _ := failingFleet(t, hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: out}))
	target, release, err := router.Pick(workerdtest.WorkerID("api"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	const own = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 21\r\n\r\nInternal Server Error"
	const uncaught = "Uncaught exception: "
	for _, c := range []struct {
		way    string
		answer string // a prefix if it ends in "..."
		ended  bool
		said   string // on stderr; empty: nothing
	}{
		{"ok", "HTTP/1.1 200 OK...", false, ""},
		{"sync", own, true, uncaught},
		{"async", own, true, uncaught},
		{"nothing", own, true, uncaught},
		{"hung", own, true, uncaught},
		{"recursion", own, true, uncaught},
		{"deniedfetch", own, true, uncaught},
		{"websocket", own, true, uncaught},
		{"deliberate", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 10\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\ndeliberate", false, ""},
		{"empty", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", false, ""},
		{"same", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\nInternal Server Error", false, ""},
		{"samebytes", strings.Replace(own, "Connection: close\r\n", "", 1), false, ""},
		{"sameclosing", strings.Replace(own, "Connection: close\r\n", "", 1), false, ""},
		{"unavailable", "HTTP/1.1 503 Service Unavailable...", false, ""},
		{"caught", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n...", false, ""},
		{"streampull", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\nInternal Server Error\r\n", true, uncaught},
		{"streamfirst", "", true, uncaught},
		{"streamshort", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nInternal Server Error", true, uncaught},
		{"waituntil", "HTTP/1.1 200 OK...", false, ""},
		{"unhandled", "HTTP/1.1 200 OK...", false, ""},
		{"loop", "", true, ""},
		{"memory", "", true, ""},
	} {
		out.take()
		answer, ended := exchange(t, target, "GET /"+c.way+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if prefix, cut := strings.CutSuffix(c.answer, "..."); answer != c.answer && !(cut && strings.HasPrefix(answer, prefix)) || ended != c.ended {
			t.Errorf("%s: answered %q, ended %v", c.way, answer, ended)
		}
		if c.said == "" && c.ended {
			continue // about the end of the process there is much to say
		}
		deadline := time.Now().Add(5 * time.Second)
		said := out.take()
		for c.said != "" && !strings.Contains(said, c.said) && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
			said += out.take()
		}
		if !strings.Contains(said, c.said) || c.said == "" && said != "" {
			t.Errorf("%s: printed %q", c.way, said)
		}
	}
	// A HEAD request tells as much, and a body that nobody read hides nothing.
	if answer, _ := exchange(t, target, "HEAD /sync HTTP/1.1\r\nHost: x\r\n\r\n"); answer != strings.TrimSuffix(own, "Internal Server Error") {
		t.Errorf("HEAD: %q", answer)
	}
	if answer, _ := exchange(t, target, "POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\npart"); answer != own {
		t.Errorf("POST: %q", answer)
	}
	// Here workerd's headers come in another order, but net/http does not tell.
	if answer, _ := exchange(t, target, "POST /deliberate HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\npart"); !strings.HasPrefix(answer,
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 10\r\nContent-Type: text/plain;charset=UTF-8\r\nConnection: close\r\n") {
		t.Errorf("POST: %q", answer)
	}
}

// The same failures, as they are counted.
func TestFailuresOfARealWorkerAreCounted(t *testing.T) {
	t.Parallel()
	router, f, v := failingFleet(t, hclog.NewNullLogger())
	server := &http.Server{Handler: router, ReadHeaderTimeout: time.Minute, ErrorLog: nil}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	var client http.Client
	t.Cleanup(client.CloseIdleConnections)

	var want [traffic.NumOutcomes]uint64
	var serverErrors uint64
	for _, c := range []struct {
		way    string
		want   traffic.Outcome
		status int
	}{
		{"ok", traffic.Success, 200},
		{"sync", traffic.ScriptThrew, 500},
		{"async", traffic.ScriptThrew, 500},
		{"nothing", traffic.ScriptThrew, 500},
		{"hung", traffic.ScriptThrew, 500},
		{"recursion", traffic.ScriptThrew, 500},
		{"deniedfetch", traffic.ScriptThrew, 500},
		{"websocket", traffic.ScriptThrew, 500},
		{"deliberate", traffic.Success, 500},
		{"empty", traffic.Success, 500},
		{"same", traffic.Success, 500},
		{"samebytes", traffic.Success, 500},
		{"sameclosing", traffic.Success, 500},
		{"unavailable", traffic.Success, 503},
		{"caught", traffic.Success, 500},
		{"streampull", traffic.InternalError, 200},
		{"streamfirst", traffic.InternalError, 502},
		{"streamshort", traffic.InternalError, 200},
		{"waituntil", traffic.Success, 200},
		{"unhandled", traffic.Success, 200},
		{"loop", traffic.InternalError, 502},
		{"ok", traffic.Success, 200}, // by the next process, into the same counters
		{"memory", traffic.InternalError, 502},
		{"ok", traffic.Success, 200},
	} {
		want[c.want]++
		if c.status >= 500 {
			serverErrors++
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/%s", ln.Addr(), c.way), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = workerdtest.Host("api")
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", c.way, err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != c.status || (err != nil) != strings.HasPrefix(c.way, "stream") && c.status == 200 {
			t.Errorf("%s: %d, %v", c.way, res.StatusCode, err)
		}
		var got [traffic.NumOutcomes]uint64
		deadline := time.Now().Add(5 * time.Second)
		for got != want && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
			for o, tally := range f.Traffic().Totals(keyOf(v)).Outcomes {
				got[o] = tally.Requests
			}
		}
		if got != want {
			t.Fatalf("%s: counted %v, want %v", c.way, got, want)
		}
	}
	var got uint64
	for _, tally := range f.Traffic().Totals(keyOf(v)).Outcomes {
		got += tally.ServerErrors
	}
	if got != serverErrors {
		t.Errorf("%d answers with 5xx, want %d", got, serverErrors)
	}
}
