// SPDX-License-Identifier: MPL-2.0

package ingress_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/bench/load"
	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// onWorkerd runs source on real workerd behind a router.
func onWorkerd(t testing.TB, source string) *ingress.Router {
	t.Helper()
	router := ingress.New(hclog.NewNullLogger())
	f, err := fleet.New(fleet.Config{
		Workerd: workerdtest.Path(t), SocketDir: workerdtest.SocketDir(t), Router: router, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		f.Close(now)
	})
	v := workerdtest.Script(t, "api", source)
	if err := f.Apply(t.Context(), workerdtest.Worker(v), []workerd.Version{v}); err != nil {
		t.Fatal(err)
	}
	return router
}

func TestAWebSocketReachesAWorker(t *testing.T) {
	t.Parallel()
	router := onWorkerd(t, `export default { fetch(req) {
		const [client, server] = Object.values(new WebSocketPair());
		server.accept();
		server.addEventListener("message", (e) => server.send(req.headers.get("cf-connecting-ip") + " said " + e.data));
		server.addEventListener("close", () => server.close(1000));
		return new Response(null, { status: 101, webSocket: client });
	} }`)
	srv := httptest.NewServer(router)
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, srv.URL, &websocket.DialOptions{Host: workerdtest.Host("api")})
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"one", "two"} {
		if err := c.Write(ctx, websocket.MessageText, []byte(said)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != "127.0.0.1 said "+said {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("closing handshake: %v", err)
	}
}

// BenchmarkHello compares the ways to one hello Worker: straight to its socket,
// through the ingress, and through httputil.ReverseProxy, in place of which the
// ingress has its own proxy.
func BenchmarkHello(b *testing.B) {
	router := onWorkerd(b, workerdtest.Answer("hello"))
	target, release, err := router.Pick(workerdtest.WorkerID("api"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	standard := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "worker"})
	standard.Transport = &http.Transport{
		MaxIdleConnsPerHost: 256,
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return target.Dial(ctx) },
	}
	for _, way := range []struct {
		name    string
		handler http.Handler
	}{{"direct", nil}, {"ingress", router}, {"ReverseProxy", standard}} {
		b.Run(way.name, func(b *testing.B) {
			e := load.Endpoint{
				Network: "unix", Address: target.SocketPath(),
				Request: []byte("GET / HTTP/1.1\r\nHost: " + workerdtest.Host("api") + "\r\n\r\n"),
			}
			if way.handler != nil {
				srv := httptest.NewServer(way.handler)
				defer srv.Close()
				e.Network, e.Address = "tcp", srv.Listener.Addr().String()
			}
			load.Closed(b.Context(), e, 32, time.Second) // warm
			for b.Loop() {
				before := cpu()
				r := load.Closed(b.Context(), e, 32, 3*time.Second)
				if r.Failed > 0 {
					b.Fatal(r.Err)
				}
				// Load and proxy share this process: what a way costs is its difference to direct.
				b.ReportMetric(float64(cpu()-before)/float64(time.Microsecond)/float64(len(r.Latencies)), "µs-CPU/request")
				b.ReportMetric(r.Rate(), "requests/s")
				open := load.Open(b.Context(), e, 32, 1000, 3*time.Second)
				b.ReportMetric(float64(open.Percentile(.5))/float64(time.Microsecond), "µs-p50-at-1000/s")
			}
		})
	}
}

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
