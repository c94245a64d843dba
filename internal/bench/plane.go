// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// plane is a running `hybridge dev` and a proxy before its API that counts.
type plane struct {
	*stage.Plane
	env     map[string]string // what the plane exports
	api     string            // the API itself, e.g. http://127.0.0.1:41231/client/v4
	counted string            // the same API behind the counting proxy
	proxy   *httptest.Server
	count   atomic.Int64
}

// startPlane runs `hybridge dev` on free ports with its data in the stage's
// directory name. The caller MUST stop it.
func startPlane(ctx context.Context, s settings, name string) (*plane, error) {
	running, err := s.stage.StartPlane(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &plane{Plane: running, env: running.Env()}
	p.api = strings.TrimSuffix(p.env["CLOUDFLARE_BASE_URL"], "/")
	target, err := url.Parse(p.api)
	if err != nil {
		_ = running.Stop()
		return nil, err
	}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host})
	forward.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	p.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.count.Add(1)
		forward.ServeHTTP(w, r)
	}))
	p.counted = p.proxy.URL + target.Path
	return p, nil
}

// stop drains the plane and waits until it is gone.
func (p *plane) stop() {
	p.proxy.Close()
	if err := p.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}
