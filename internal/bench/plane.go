// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// planeReady bounds the wait for `hybridge dev`.
const planeReady = 30 * time.Second

// plane is a running `hybridge dev` and a proxy before its API that counts.
type plane struct {
	cmd     *exec.Cmd
	log     *os.File
	env     map[string]string
	api     string // the API itself, e.g. http://127.0.0.1:41231/client/v4
	counted string // the same API behind the counting proxy
	proxy   *httptest.Server
	count   atomic.Int64
}

// startPlane runs `hybridge dev` on free ports with its data under dir.
func startPlane(ctx context.Context, s settings, dir string) (*plane, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	envFile := filepath.Join(dir, "env")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	p := &plane{log: log}
	p.cmd = exec.CommandContext(ctx, s.hybridge, "dev", "--data", filepath.Join(dir, "data"),
		"--api", "127.0.0.1:0", "--ingress", "127.0.0.1:0", "--env-file", envFile)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = planeReady
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting hybridge dev: %w", err)
	}
	for deadline := time.Now().Add(planeReady); ; {
		if p.env, err = readExports(envFile); err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("waiting for hybridge dev (log: %s): %w", log.Name(), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.api = strings.TrimSuffix(p.env["CLOUDFLARE_BASE_URL"], "/")
	target, err := url.Parse(p.api)
	if err != nil {
		p.stop()
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
	if p.proxy != nil {
		p.proxy.Close()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	_ = p.log.Close()
}

// readExports reads the lines `export NAME='value'` of an environment file.
func readExports(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if ok {
			env[name] = strings.Trim(value, `'"`)
		}
	}
	return env, nil
}
