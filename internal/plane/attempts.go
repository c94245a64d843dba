// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"crypto/sha256"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// attemptsBurst failed attempts of one client are answered at once, then one each
	// attemptsEvery: more than a person who mistypes, far less than guessing needs.
	attemptsBurst = 20
	attemptsEvery = 3 * time.Second
	// allAttemptsBurst and allAttemptsRate (per second) bound those of all clients
	// together, and with that what a crowd of addresses costs.
	allAttemptsBurst = 200
	allAttemptsRate  = 10
	// clientsKept bounds the memory; who comes when it is full shares one bucket.
	clientsKept = 4096
	// goodKept bounds what is remembered of good tokens.
	goodKept = 1024
)

// attempts bounds failed authentications. A text that has authenticated before is looked
// up whatever others do: behind a tunnel or a NAT, an attacker has the address of everybody.
type attempts struct {
	now func() time.Time

	mu     sync.Mutex
	client map[netip.Prefix]*rate.Limiter
	all    *rate.Limiter
	good   map[[sha256.Size]byte]struct{}
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{
		now: now, client: map[netip.Prefix]*rate.Limiter{}, all: rate.NewLimiter(allAttemptsRate, allAttemptsBurst),
		good: map[[sha256.Size]byte]struct{}{},
	}
}

// wait is how long a client has to wait before its text is looked at; 0 is now.
func (a *attempts) wait(r *http.Request, text string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.good[sha256.Sum256([]byte(text))]; ok {
		return 0
	}
	now := a.now()
	return max(until(a.all, now), until(a.limiter(r, now), now))
}

// failed counts an attempt.
func (a *attempts) failed(r *http.Request, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.good, sha256.Sum256([]byte(text)))
	now := a.now()
	a.all.AllowN(now, 1)
	a.limiter(r, now).AllowN(now, 1)
}

func (a *attempts) succeeded(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.good) >= goodKept {
		clear(a.good)
	}
	a.good[sha256.Sum256([]byte(text))] = struct{}{}
}

// limiter is that of r's client. The caller holds mu.
func (a *attempts) limiter(r *http.Request, now time.Time) *rate.Limiter {
	key := clientOf(r)
	if l := a.client[key]; l != nil {
		return l
	}
	if len(a.client) >= clientsKept {
		for k, l := range a.client {
			if l.TokensAt(now) >= attemptsBurst { // it has been quiet since
				delete(a.client, k)
			}
		}
		if len(a.client) >= clientsKept {
			key = netip.Prefix{}
		}
	}
	l := a.client[key]
	if l == nil {
		l = rate.NewLimiter(rate.Every(attemptsEvery), attemptsBurst)
		a.client[key] = l
	}
	return l
}

// until is when a limiter admits one event.
func until(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Duration(missing/float64(l.Limit())*float64(time.Second)), time.Millisecond)
}

// clientOf is the network that a request comes from: an IPv4 address, or the 64 bits that
// one IPv6 customer has. What a tunnel brings over loopback or a unix socket has its
// client in a header; there that is believed, because who could forge it is on this
// machine, and the bound for all holds anyhow. The zero Prefix is a local client.
func clientOf(r *http.Request) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	addr := peer.Addr().Unmap()
	if err != nil || addr.IsLoopback() {
		forwarded, err := netip.ParseAddr(r.Header.Get("Cf-Connecting-Ip"))
		if err != nil {
			return netip.Prefix{}
		}
		addr = forwarded.Unmap()
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
