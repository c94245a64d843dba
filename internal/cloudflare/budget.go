// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// Cloudflare allows 1200 requests in 5 minutes. One Terraform run has two
	// processes in such a window (plan and apply), each with a full burst:
	// 3.5*300 + 2*60 = 1170.
	edgeRate  = 3.5
	edgeBurst = 60

	// maxRetryAfter is the length of Cloudflare's window: nothing that a plane
	// asks for beyond that makes sense.
	maxRetryAfter = 5 * time.Minute

	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 8 * time.Second
)

// budget holds all requests of one process to what the plane bears.
type budget struct {
	limiter *rate.Limiter // nil: unlimited
	sleep   func(context.Context, time.Duration) error

	mu    sync.Mutex
	pause time.Time // no request before; set by Retry-After
}

func newBudget(perSecond float64, edge bool, sleep func(context.Context, time.Duration) error) *budget {
	b := &budget{sleep: sleep}
	switch {
	case perSecond > 0:
		b.limiter = rate.NewLimiter(rate.Limit(perSecond), int(math.Ceil(perSecond)))
	case perSecond == 0 && edge:
		b.limiter = rate.NewLimiter(edgeRate, edgeBurst)
	}
	return b
}

// wait returns when the next request may be sent.
func (b *budget) wait(ctx context.Context) error {
	b.mu.Lock()
	d := time.Until(b.pause)
	b.mu.Unlock()
	if d > 0 {
		if err := b.sleep(ctx, d); err != nil {
			return err
		}
	}
	if b.limiter == nil {
		return ctx.Err()
	}
	return b.limiter.Wait(ctx)
}

// hold stops all requests for d: a plane that limits one request limits them all.
func (b *budget) hold(d time.Duration) {
	until := time.Now().Add(d)
	b.mu.Lock()
	if until.After(b.pause) {
		b.pause = until
	}
	b.mu.Unlock()
}

// backoff is the wait before the attempt after the given one (from 0), jittered
// so that ten readers do not come back at the same moment.
func backoff(attempt int) time.Duration {
	d := maxBackoff
	if attempt < 5 {
		d = min(maxBackoff, firstBackoff<<attempt)
	}
	return d/2 + rand.N(d/2)
}

// retryAfter reads the header in seconds or as a date, capped.
func retryAfter(h http.Header) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	var d time.Duration
	if seconds, err := strconv.ParseFloat(v, 64); err == nil {
		if !(seconds < maxRetryAfter.Seconds()) {
			return maxRetryAfter, true
		}
		d = time.Duration(seconds * float64(time.Second))
	} else if at, err := http.ParseTime(v); err == nil {
		d = time.Until(at)
	} else {
		return 0, false
	}
	return min(max(d, 0), maxRetryAfter), true
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
