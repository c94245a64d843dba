// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// relayKey is what a service binding names.
type relayKey struct {
	account, service string
	entrypoint       string // empty: the default one
	vpc              string // id of a VPC service; then there is no service
}

// relay is the near end of service bindings: a unix socket to which callers send
// what is meant for another Worker. The Worker is looked up by name for each
// request, so the socket stays while its versions and processes change.
// Requests follow the deployment's percentages one by one, and so does
// JavaScript RPC, session by session; see rpcConn.
type relay struct {
	fleet  *Fleet
	key    relayKey
	path   string
	server *http.Server
	done   chan struct{}  // closed when the server has ended
	conns  sync.WaitGroup // RPC connections
	ctx    context.Context
	cancel context.CancelFunc
	refs   int // guarded by fleet.mu
}

// openRelay returns the relay to a Worker, of which each use ends with one closeRelay.
func (f *Fleet) openRelay(key relayKey) (*relay, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.relays[key]; r != nil {
		r.refs++
		return r, nil
	}
	r := &relay{fleet: f, key: key, path: f.sock.newPath(), done: make(chan struct{}), refs: 1}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("opening a service binding: %w", err)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.server = &http.Server{
		Handler:           r,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          f.log.StandardLogger(nil),
	}
	go func() {
		defer close(r.done)
		_ = r.server.Serve(l) // ends by Close
	}()
	f.relays[key] = r
	return r, nil
}

func (f *Fleet) closeRelay(r *relay) {
	f.mu.Lock()
	r.refs--
	last := r.refs == 0
	if last {
		delete(f.relays, r.key)
	}
	f.mu.Unlock()
	if !last {
		return
	}
	_ = r.server.Close()
	<-r.done
	r.cancel()
	r.conns.Wait()
}

// worker is the id of the Worker that has the name now.
func (r *relay) worker() (id string, ok bool) {
	r.fleet.mu.Lock()
	defer r.fleet.mu.Unlock()
	id, ok = r.fleet.names[workerName{r.key.account, r.key.service}]
	return id, ok
}

// ServeHTTP brings a caller's request to the Worker.
func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.key.vpc != "" {
		r.fetchPrivate(w, req)
		return
	}
	workerID, ok := r.worker()
	if !ok {
		r.refuse(w, fmt.Sprintf("no Worker %q is deployed on this plane; deploy it, or remove the service binding to it", r.key.service))
		return
	}
	if req.Method == http.MethodConnect {
		r.connect(w, req, workerID)
		return
	}
	if r.key.entrypoint == "" {
		r.fleet.cfg.Router.Service(workerID).ServeHTTP(w, req)
		return
	}
	t, release, err := r.fleet.cfg.Router.Pick(workerID, req.Header)
	if err != nil {
		r.refuse(w, r.notDeployed())
		return
	}
	defer release()
	_, e := r.fleet.endpoint(t, r.key.entrypoint)
	if e == nil {
		r.refuse(w, r.noEntrypoint(t))
		return
	}
	proxy := &httputil.ReverseProxy{
		Transport:     e.transport,
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "worker"
			pr.Out.Host = req.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			r.refuse(w, fmt.Sprintf("Worker %q does not answer: %v", r.key.service, err))
		},
	}
	proxy.ServeHTTP(w, req)
}

// fetchPrivate brings a request to a VPC service.
func (r *relay) fetchPrivate(w http.ResponseWriter, req *http.Request) {
	f := r.fleet
	f.mu.Lock()
	source := f.private
	f.mu.Unlock()
	err := errors.New("this plane reaches no private services")
	if source != nil {
		https := req.Header.Get(workerd.ProtoHeader) == "https"
		req.Header.Del(workerd.ProtoHeader)
		var h http.Handler
		if h, err = source.VPCService(req.Context(), r.key.account, r.key.vpc, https); err == nil {
			h.ServeHTTP(w, req)
			return
		}
	}
	f.log.Warn("VPC service binding failed", "vpc_service", r.key.vpc, "error", err)
	http.Error(w, "VPC service binding: "+err.Error(), http.StatusServiceUnavailable)
}

func (r *relay) notDeployed() string {
	return fmt.Sprintf("no version of Worker %q is deployed on this plane; deploy one, or remove the service binding to it", r.key.service)
}

func (r *relay) noEntrypoint(t *ingress.Target) string {
	return fmt.Sprintf("version %s of Worker %q has no entry point %q; export it, or change the service binding",
		t.VersionID(), r.key.service, r.key.entrypoint)
}

func (r *relay) refuse(w http.ResponseWriter, why string) {
	r.fleet.log.Warn("service binding failed", "service", r.key.service, "entrypoint", r.key.entrypoint, "reason", why)
	http.Error(w, "service binding: "+why, http.StatusServiceUnavailable)
}

// endpoint is an entry point of the instance behind t, nil if it has no such.
func (f *Fleet) endpoint(t *ingress.Target, entrypoint string) (*instance, *endpoint) {
	f.mu.Lock()
	inst := f.targets[t]
	f.mu.Unlock()
	if inst == nil {
		return nil, nil
	}
	inst.called.Store(true)
	<-inst.started // routed only after its start: this never waits
	return inst, inst.endpoints[entrypoint]
}

// connect serves a caller's RPC connection.
func (r *relay) connect(w http.ResponseWriter, req *http.Request, workerID string) {
	if req.Host != workerd.RPCHost {
		http.Error(w, "service binding: connect() is not supported", http.StatusNotImplemented)
		return
	}
	// An answer of 200 would tell the caller too early: ask whether there is somebody.
	_, release, err := r.fleet.cfg.Router.Pick(workerID, nil)
	if err != nil {
		r.refuse(w, r.notDeployed())
		return
	}
	release()
	r.conns.Add(1) // the server still runs: closeRelay waits for us later
	defer r.conns.Done()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		r.refuse(w, err.Error())
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		return
	}
	stop := context.AfterFunc(r.ctx, func() { conn.Close() })
	defer stop()
	c := &rpcConn{relay: r, caller: conn}
	c.serve(buffered.Reader)
}
