// SPDX-License-Identifier: MPL-2.0

package origin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// What cloudflared does where a rule does not say otherwise.
const (
	defaultConnectTimeout     = 30 * time.Second
	defaultTLSTimeout         = 10 * time.Second
	defaultTCPKeepAlive       = 30 * time.Second
	defaultKeepAlive          = 100
	defaultKeepAliveTimeout   = 90 * time.Second
	unchunkedLimit            = 16 << 20 // bytes of a body whose length has to be known
	statusPrefix, helloWorld  = "http_status:", "hello_world"
	unixPrefix, unixTLSPrefix = "unix:", "unix+tls:"
)

// target is a service with what it takes to speak to it.
type target struct {
	origin tunnelrule.Origin
	scheme string // of requests: http or https
	host   string // of the service, for TLS and for a Host header where none is kept
	status int    // of http_status
	hello  bool
	broken string // why it cannot be served
	proxy  *httputil.ReverseProxy
	wire   *http.Transport
}

// newTarget reads a service that tunnelrule has accepted.
func newTarget(service string, o tunnelrule.Origin) *target {
	t := &target{origin: o, scheme: "http", host: "localhost"}
	var network, address string
	switch {
	case strings.HasPrefix(service, statusPrefix):
		t.status, _ = strconv.Atoi(strings.TrimPrefix(service, statusPrefix))
		return t
	case service == helloWorld || service == "hello-world":
		t.hello = true
		return t
	case strings.HasPrefix(service, unixTLSPrefix):
		t.scheme, network, address = "https", "unix", strings.TrimPrefix(service, unixTLSPrefix)
	case strings.HasPrefix(service, unixPrefix):
		network, address = "unix", strings.TrimPrefix(service, unixPrefix)
	default:
		u, err := url.Parse(service)
		if err == nil && (u.Scheme == "https" || u.Scheme == "wss") {
			t.scheme = "https"
		}
		if err != nil || u.Scheme != "http" && u.Scheme != "ws" && t.scheme != "https" {
			t.broken = "only cloudflared serves it: this plane brings requests to http, https, ws, wss and unix services, http_status and hello_world"
			return t
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[t.scheme]
		}
		t.host, network, address = u.Host, "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	t.dial(network, address)
	return t
}

// dial makes the transport. Every connection goes to the address, whatever host the
// request names: that one only decides which connections are shared, and the name that
// TLS asks for where match_sni_to_host is set.
func (t *target) dial(network, address string) {
	o := t.origin
	dialer := &net.Dialer{Timeout: seconds(o.ConnectTimeout, defaultConnectTimeout), KeepAlive: seconds(o.TCPKeepAlive, defaultTCPKeepAlive)}
	if is(o.NoHappyEyeballs) {
		dialer.FallbackDelay = -1
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: is(o.NoTLSVerify)} //nolint:gosec // the rule says so
	if !is(o.MatchSNIToHost) {
		config.ServerName = t.hostname()
		if o.OriginServerName != nil && *o.OriginServerName != "" {
			config.ServerName = *o.OriginServerName
		}
	}
	if o.CAPool != nil && *o.CAPool != "" {
		pool, err := authorities(*o.CAPool)
		if err != nil {
			t.broken = err.Error()
			return
		}
		config.RootCAs = pool
	}
	idle := defaultKeepAlive
	if o.KeepAliveConnections != nil {
		idle = int(*o.KeepAliveConnections)
	}
	t.wire = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig: config, TLSHandshakeTimeout: seconds(o.TLSTimeout, defaultTLSTimeout),
		MaxIdleConns: idle, MaxIdleConnsPerHost: idle, DisableKeepAlives: idle == 0, IdleConnTimeout: seconds(o.KeepAliveTimeout, defaultKeepAliveTimeout),
		DisableCompression: true, ExpectContinueTimeout: time.Second,
		Protocols: new(http.Protocols),
	}
	t.wire.Protocols.SetHTTP1(true)
	t.wire.Protocols.SetHTTP2(is(o.HTTP2Origin))
	t.proxy = &httputil.ReverseProxy{Transport: t.wire, FlushInterval: -1, Rewrite: t.rewrite, ErrorHandler: failed}
}

func (t *target) hostname() string {
	if host, _, err := net.SplitHostPort(t.host); err == nil {
		return host
	}
	return strings.Trim(t.host, "[]")
}

// authorities are the system's and those of a file. No error repeats what is in it.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("its authorities cannot be read: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", file)
	}
	return pool, nil
}

// serve answers a request.
func (t *target) serve(s *Server, w http.ResponseWriter, req *http.Request) {
	switch {
	case is(accessRequired(t.origin)):
		// Only Cloudflare Access makes the tokens that would have to be checked.
		http.Error(w, whereOf(req.Context())+" needs a token of Cloudflare Access, which this plane cannot check", http.StatusForbidden)
		return
	case t.broken != "":
		http.Error(w, whereOf(req.Context())+": "+t.broken, http.StatusBadGateway)
		return
	case t.hello:
		hello(w, req)
		return
	case t.status != 0:
		w.WriteHeader(t.status)
		return
	}
	if is(t.origin.DisableChunkedEncoding) && req.ContentLength < 0 {
		req = req.Clone(req.Context())
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, unchunkedLimit))
		if err != nil {
			http.Error(w, fmt.Sprintf("%s takes no chunked body, and this one could not be read, or has more than %d bytes", whereOf(req.Context()), unchunkedLimit), http.StatusRequestEntityTooLarge)
			return
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.TransferEncoding = nil
	}
	ctx := req.Context()
	if req.Header.Get("Upgrade") != "" { // nobody else ends these
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
	}
	t.proxy.ServeHTTP(w, req.WithContext(context.WithValue(ctx, loopKey{}, s.mark)))
}

type loopKey struct{}

// rewrite makes the request that the service gets, as cloudflared would.
func (t *target) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = t.scheme, t.host
	if is(t.origin.MatchSNIToHost) {
		r.Out.URL.Host = r.In.Host
	}
	r.Out.Host = r.In.Host
	if h := t.origin.HTTPHostHeader; h != nil && *h != "" {
		r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
		r.Out.Host = *h
	}
	proto := "http"
	if r.In.TLS != nil {
		proto = "https"
	}
	h := r.Out.Header
	// A Worker, which comes by a unix socket, has no address: its headers are its own.
	if client, _, err := net.SplitHostPort(r.In.RemoteAddr); err == nil {
		h.Set("X-Forwarded-Proto", proto)
		h.Set("Cf-Connecting-Ip", client)
		h.Set("Cf-Visitor", `{"scheme":"`+proto+`"}`)
		if before := r.In.Header.Values("X-Forwarded-For"); len(before) > 0 {
			client = strings.Join(before, ", ") + ", " + client
		}
		h.Set("X-Forwarded-For", client)
	} else {
		h["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}
	if mark, ok := r.In.Context().Value(loopKey{}).(string); ok {
		h.Add("Cdn-Loop", mark)
	}
}

// failed answers for a service that does not.
func failed(w http.ResponseWriter, req *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // there is nobody to tell
	}
	http.Error(w, fmt.Sprintf("error code: 502\n%s does not answer: %v", whereOf(req.Context()), err), http.StatusBadGateway)
}

func (t *target) close() {
	if t.wire != nil {
		t.wire.CloseIdleConnections()
	}
}

func accessRequired(o tunnelrule.Origin) *bool {
	if o.Access == nil {
		return nil
	}
	return &o.Access.Required
}

func hello(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if req.Method != http.MethodHead {
		_, _ = io.WriteString(w, "<!doctype html>\n<title>Hello, world</title>\n<h1>The tunnel works</h1>\n<p>A rule with the service hello_world answered.</p>\n")
	}
}

func is(b *bool) bool { return b != nil && *b }

func seconds(n *int64, standard time.Duration) time.Duration {
	if n == nil {
		return standard
	}
	return time.Duration(*n) * time.Second
}
