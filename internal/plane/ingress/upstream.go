// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"context"
	"net"
	"net/http"
	"time"
)

const idleTimeout = 5 * time.Second

type upstream struct {
	path      string
	transport *http.Transport
}

func newUpstream(path string) *upstream {
	u := &upstream{path: path}
	u.transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx) },
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: 256,
		DisableCompression:  true,
	}
	return u
}

func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", u.path)
}

func (u *upstream) closeIdle() { u.transport.CloseIdleConnections() }
