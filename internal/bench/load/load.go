// SPDX-License-Identifier: MPL-2.0

// Package load puts an HTTP/1.1 endpoint under load and reports latencies. Its
// client costs little, because it shares the machine with what it measures: a
// connection and a goroutine per sender, one fixed request, no pool.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// answerTimeout ends a request that is never answered; it counts as failed.
const answerTimeout = 30 * time.Second

// Endpoint is where a load goes.
type Endpoint struct {
	Network, Address string // as for net.Dial
	Request          []byte // written as it is; it must not close the connection
}

// Get is an endpoint that gets a URL. A host that is not empty replaces the one
// in the Host header.
func Get(rawURL, host string) (Endpoint, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Endpoint{}, fmt.Errorf("preparing a load: %w", err)
	}
	if u.Scheme != "http" {
		return Endpoint{}, fmt.Errorf("preparing a load on %s: only http is spoken", rawURL)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	if host == "" {
		host = u.Host
	}
	return Endpoint{"tcp", address, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.RequestURI(), host)}, nil
}

// Report is what a load found. Its latencies are those of answered requests.
type Report struct {
	Latencies []time.Duration // sorted
	Failed    int             // not answered with 200
	Err       error           // why the last one failed
	Elapsed   time.Duration
}

// Percentile is the latency that p (0 to 1) of the answered requests did not exceed.
func (r Report) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	i := int(p * float64(len(r.Latencies)))
	return r.Latencies[min(max(i, 0), len(r.Latencies)-1)]
}

// Rate is answered requests per second.
func (r Report) Rate() float64 { return float64(len(r.Latencies)) / r.Elapsed.Seconds() }

func (r Report) String() string {
	ms := func(p float64) float64 { return float64(r.Percentile(p)) / float64(time.Millisecond) }
	return fmt.Sprintf("%d answered, %d failed, %.0f/s; ms: p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f",
		len(r.Latencies), r.Failed, r.Rate(), ms(.5), ms(.9), ms(.99), ms(.999), ms(1))
}

// Closed keeps n requests under way until d has passed or ctx is done: the most
// that n clients get out of the endpoint.
func Closed(ctx context.Context, e Endpoint, n int, d time.Duration) Report {
	begin := time.Now()
	return run(ctx, e, n, begin, func(s *sender) {
		for ctx.Err() == nil && time.Since(begin) < d {
			s.send(ctx, time.Now())
		}
	})
}

// Open sends rate requests per second until d has passed or ctx is done, whether
// the earlier ones are answered or not, on at most n connections. A request that
// has to wait for a connection counts from the moment at which it was due, so a
// stall is charged to every request that it delays (no coordinated omission). A
// timer that wakes a sender late is not the endpoint's fault and is not charged.
func Open(ctx context.Context, e Endpoint, n int, rate float64, d time.Duration) Report {
	begin := time.Now()
	total := int64(rate * d.Seconds())
	var next atomic.Int64
	return run(ctx, e, n, begin, func(s *sender) {
		for ctx.Err() == nil {
			i := next.Add(1) - 1
			if i >= total {
				return
			}
			due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			if wait := time.Until(due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return
				}
				due = time.Now()
			}
			s.send(ctx, due)
		}
	})
}

func run(ctx context.Context, e Endpoint, n int, begin time.Time, work func(*sender)) Report {
	senders := make([]sender, n)
	var wg sync.WaitGroup
	for i := range senders {
		s := &senders[i]
		s.endpoint = e
		wg.Go(func() {
			defer s.close()
			// A request that hangs must not hold up the end of the load.
			stop := context.AfterFunc(ctx, s.interrupt)
			defer stop()
			work(s)
		})
	}
	wg.Wait()
	total := Report{Elapsed: time.Since(begin)}
	for i := range senders {
		total.Latencies = append(total.Latencies, senders[i].latencies...)
		total.Failed += senders[i].failed
		if senders[i].err != nil {
			total.Err = senders[i].err
		}
	}
	slices.Sort(total.Latencies)
	return total
}

// sender sends one request after the other on a connection of its own.
type sender struct {
	endpoint  Endpoint
	br        *bufio.Reader
	latencies []time.Duration
	failed    int
	err       error

	mu   sync.Mutex // guards conn against interrupt
	conn net.Conn
}

func (s *sender) send(ctx context.Context, due time.Time) {
	if err := s.exchange(ctx); err != nil {
		s.close()
		if ctx.Err() != nil {
			return // cut off by the end of the load
		}
		s.failed++
		s.err = err
		return
	}
	s.latencies = append(s.latencies, time.Since(due))
}

func (s *sender) exchange(ctx context.Context) error {
	if s.conn == nil {
		c, err := (&net.Dialer{}).DialContext(ctx, s.endpoint.Network, s.endpoint.Address)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.conn = c
		s.mu.Unlock()
		s.br = bufio.NewReader(c)
	}
	if err := s.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.endpoint.Request); err != nil {
		return err
	}
	res, err := http.ReadResponse(s.br, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return errors.Join(err, res.Body.Close())
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.Close {
		s.close()
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}

func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

func (s *sender) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.SetDeadline(time.Now())
	}
}
