// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/bench/load"
)

const (
	ingressRate = 1000 // requests a second in the open loop
	// Many short runs by turns, because what else the machine does changes within
	// seconds: only neighbours can be compared.
	ingressRuns     = 20
	ingressDuration = time.Second
	directReady     = 30 * time.Second
	saturation      = 32 // connections of the closed loop
	helloCode       = "export default { fetch() { return new Response('hello') } }\n"
)

// benchIngress compares the way through the ingress with a direct connection to
// a workerd that runs the same code.
func benchIngress(ctx context.Context, s settings) error {
	p, err := startPlane(ctx, s, "ingress-plane")
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.createWorker(ctx, "hello"); err != nil {
		return err
	}
	if _, err := p.uploadVersion(ctx, "hello", helloCode, true); err != nil {
		return err
	}
	url, stop, err := startDirect(ctx, s.programs.Workerd, filepath.Join(s.stage.Dir, "direct"))
	if err != nil {
		return err
	}
	defer stop()

	direct, err := load.Get(url, "hello")
	if err != nil {
		return err
	}
	through, err := p.endpoint("hello")
	if err != nil {
		return err
	}
	ways := []load.Endpoint{direct, through}
	for _, e := range ways { // warm both up
		if r := load.Closed(ctx, e, 4, time.Second); r.Failed > 0 {
			return fmt.Errorf("warming up: %w", r.Err)
		}
	}
	var p50, rate [2][]float64
	var overhead, ratio []float64 // of each pair of neighbours
	for run := range ingressRuns {
		for turn := range ways {
			i := (turn + run) % len(ways) // neither way is always the one that comes second
			open := load.Open(ctx, ways[i], saturation, ingressRate, ingressDuration)
			closed := load.Closed(ctx, ways[i], saturation, ingressDuration)
			for _, r := range []load.Report{open, closed} {
				if r.Failed > 0 {
					return fmt.Errorf("%d requests failed, the last one: %w", r.Failed, r.Err)
				}
			}
			p50[i] = append(p50[i], ms(open.Percentile(0.5)))
			rate[i] = append(rate[i], closed.Rate())
		}
		overhead = append(overhead, p50[1][run]-p50[0][run])
		ratio = append(ratio, 100*rate[1][run]/rate[0][run])
	}
	fmt.Printf("| | p50 at %d/s | saturated, %d connections |\n|---|---|---|\n", ingressRate, saturation)
	fmt.Printf("| direct | %.2f ms | %.0f/s |\n", median(p50[0]), median(rate[0]))
	fmt.Printf("| ingress | %.2f ms | %.0f/s |\n", median(p50[1]), median(rate[1]))
	slices.Sort(ratio)
	fmt.Printf("\nmedian overhead %.2f ms; throughput %.0f %% of direct (median of %d ratios; the middle half %.0f to %.0f %%)\n",
		median(overhead), median(ratio), len(ratio), ratio[len(ratio)/4], ratio[len(ratio)*3/4])
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// startDirect runs workerd itself with the hello Worker on a free port.
func startDirect(ctx context.Context, binary, dir string) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	config := fmt.Sprintf(`using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "index.js", esModule = %q)], compatibilityDate = "2026-01-01"))],
  sockets = [(name = "http", address = "%s", http = (), service = "main")]);
`, helloCode, address)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	path := filepath.Join(dir, "config.capnp")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", path)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	}
	url = "http://" + address
	e, err := load.Get(url, "")
	if err != nil {
		stop()
		return "", nil, err
	}
	for deadline := time.Now().Add(directReady); ; time.Sleep(20 * time.Millisecond) {
		r := load.Open(ctx, e, 1, 1000, time.Millisecond) // one request
		if len(r.Latencies) > 0 {
			return url, stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return "", nil, fmt.Errorf("waiting for workerd: %w", r.Err)
		}
	}
}
