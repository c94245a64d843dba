// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// endpoint is where a load goes: a URL on loopback and the Host that it names.
type endpoint struct {
	name string
	url  string
	host string
}

// report is what a load measured. Latencies are sorted.
type report struct {
	latencies []time.Duration
	failed    int
	lastError error
	elapsed   time.Duration
}

func (r report) percentile(p float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(int(p*float64(len(r.latencies))), len(r.latencies)-1)]
}

func (r report) rate() float64 { return float64(len(r.latencies)) / r.elapsed.Seconds() }

// client keeps enough connections for n requests at a time.
func client(n int) *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n, DisableCompression: true},
	}
}

// once sends one request and reads its answer.
func (e endpoint) once(ctx context.Context, c *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, nil)
	if err != nil {
		return err
	}
	req.Host = e.host
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}

// closedLoop keeps n requests under way for d: the most that the endpoint gives.
func closedLoop(ctx context.Context, e endpoint, n int, d time.Duration) report {
	c := client(n)
	defer c.CloseIdleConnections()
	begin := time.Now()
	return gather(n, begin, func(add func(time.Duration, error)) {
		for time.Since(begin) < d && ctx.Err() == nil {
			sent := time.Now()
			err := e.once(ctx, c)
			add(time.Since(sent), err)
		}
	})
}

// openLoop sends rate requests a second for d, whether the earlier ones have been
// answered or not. A latency counts from the moment at which the request was due,
// so a stall is charged to every request that it delays.
func openLoop(ctx context.Context, e endpoint, rate int, d time.Duration) report {
	const senders = 64 // far more than are under way at a few milliseconds each
	c := client(senders)
	defer c.CloseIdleConnections()
	due := make(chan time.Time, rate) // a second's worth: the clock never waits
	begin := time.Now()
	var clock sync.WaitGroup
	clock.Go(func() {
		defer close(due)
		for i := range int(d.Seconds() * float64(rate)) {
			at := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(at))
			select {
			case due <- at:
			case <-ctx.Done():
				return
			}
		}
	})
	r := gather(senders, begin, func(add func(time.Duration, error)) {
		for at := range due {
			err := e.once(ctx, c)
			add(time.Since(at), err)
		}
	})
	clock.Wait()
	return r
}

// gather runs n senders and merges what they add.
func gather(n int, begin time.Time, send func(add func(time.Duration, error))) report {
	var total report
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			var own report
			send(func(d time.Duration, err error) {
				if err != nil {
					own.failed++
					own.lastError = err
					return
				}
				own.latencies = append(own.latencies, d)
			})
			mu.Lock()
			defer mu.Unlock()
			total.latencies = append(total.latencies, own.latencies...)
			total.failed += own.failed
			if own.lastError != nil {
				total.lastError = own.lastError
			}
		})
	}
	senders.Wait()
	total.elapsed = time.Since(begin)
	slices.Sort(total.latencies)
	return total
}
