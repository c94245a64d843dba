// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

// upstreamIdle is how long a connection to a process is kept for reuse. workerd
// closes idle ones after 15 s; a request sent at that moment would be lost.
const upstreamIdle = 5 * time.Second

// instance is one version in one process, with all its restarts.
type instance struct {
	fleet   *Fleet
	version workerd.Version
	log     hclog.Logger
	target  *ingress.Target

	mainPath string
	redactor *strings.Replacer // hides the values of secrets

	started  chan struct{} // closed once the first start has succeeded or failed
	startErr error         // valid once started is closed
	retiring chan struct{} // closed once no request can pick it any more
	called   atomic.Bool   // by a service binding, which the target does not count

	// Owned by start until started is closed, constant from then on.
	proc      *supervise.Process
	relays    []*relay
	endpoints map[string]*endpoint // by entry point; "" is the default one

	sockMu    sync.Mutex
	listeners []*listener // in the order of workerd.Process.Sockets

	// Guarded by fleet.mu.
	refs      int
	doomed    bool      // retire at refs == 0 without lingering
	idleSince time.Time // when refs became 0
	retired   bool
}

// endpoint is one entry point of a process, as service bindings reach it.
type endpoint struct {
	path      string
	transport *http.Transport
}

func newEndpoint(path string) *endpoint {
	return &endpoint{path: path, transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
		IdleConnTimeout:     upstreamIdle,
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}}
}

// acquire counts a use of the version, starting it if it does not run. Each
// success MUST be followed by one release.
func (f *Fleet) acquire(v workerd.Version) (*instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	if inst := f.instances[v.ID]; inst != nil {
		inst.refs++
		inst.doomed = false
		return inst, nil
	}
	inst := &instance{
		fleet: f, version: v, refs: 1,
		log:      f.log.With("worker", v.WorkerName, "version", v.ID),
		mainPath: f.sock.newPath(),
		redactor: redactor(v.Bindings),
		started:  make(chan struct{}),
		retiring: make(chan struct{}),
	}
	inst.target = ingress.NewTarget(v.WorkerName, v.WorkerID, v.ID, inst.mainPath)
	inst.target.CountInto(f.traffic.Open(inst.trafficKey()))
	f.instances[v.ID] = inst
	f.targets[inst.target] = inst
	f.wg.Go(inst.start)
	return inst, nil
}

// trafficKey is under which the version is counted, whichever process runs it.
func (i *instance) trafficKey() traffic.Key {
	return traffic.Key{AccountID: i.version.AccountID, WorkerID: i.version.WorkerID, VersionID: i.version.ID}
}

// release ends a use. The last one retires the instance, after linger if that
// is not 0 and no Worker was removed meanwhile.
func (f *Fleet) release(inst *instance, linger time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	inst.refs--
	if inst.refs > 0 {
		return
	}
	inst.idleSince = time.Now()
	if linger == 0 || inst.doomed || inst.failed() {
		f.retire(inst)
	}
}

// failed reports whether the start has ended in an error.
func (i *instance) failed() bool {
	select {
	case <-i.started:
		return i.startErr != nil
	default:
		return false
	}
}

// start runs the first start. It ends before the instance is stopped.
func (i *instance) start() {
	defer close(i.started)
	i.startErr = i.tryStart()
	if i.startErr != nil {
		f := i.fleet
		f.mu.Lock()
		if f.instances[i.version.ID] == i { // the next one who wants it tries again
			delete(f.instances, i.version.ID)
		}
		f.mu.Unlock()
	}
}

// relayTo opens a relay for as long as the instance lives, and returns its socket.
func (i *instance) relayTo(key relayKey) (string, error) {
	r, err := i.fleet.openRelay(key)
	if err != nil {
		return "", err
	}
	i.relays = append(i.relays, r)
	return r.path, nil
}

func (i *instance) tryStart() error {
	f := i.fleet
	select {
	case f.starts <- struct{}{}:
		defer func() { <-f.starts }()
	case <-i.retiring:
		return errClosed
	}
	entrypoints, err := f.entrypoints(f.ctx, i.version)
	if err != nil {
		return err
	}
	p := workerd.Process{
		Version: i.version, Entrypoints: entrypoints, Egress: f.egress, HeapLimitMiB: f.cfg.Limits.HeapMiB,
		ServiceSocket: func(service, entrypoint string) (string, error) {
			return i.relayTo(relayKey{account: i.version.AccountID, service: service, entrypoint: entrypoint})
		},
		VPCSocket: func(id string) (string, error) {
			return i.relayTo(relayKey{account: i.version.AccountID, vpc: id})
		},
	}
	config, err := p.Config()
	if err != nil {
		return fmt.Errorf("configuring version %s: %w", i.version.ID, err)
	}
	sockets := p.Sockets()
	i.endpoints = map[string]*endpoint{}
	var health string
	for n, name := range sockets {
		l := &listener{path: i.mainPath}
		if name != workerd.MainSocket {
			l.path = f.sock.newPath()
		}
		i.listeners = append(i.listeners, l)
		switch name {
		case workerd.MainSocket:
		case workerd.HealthSocket:
			health = l.path
		case workerd.RPCSocket:
			i.endpoints[""] = newEndpoint(l.path)
		default:
			i.endpoints[entrypoints[n-len(sockets)+len(entrypoints)]] = newEndpoint(l.path)
		}
	}
	limits := f.cfg.Limits
	interval := limits.Unresponsive * 5 / 12 // 250 ms for the default of 600 ms
	spec := supervise.Spec{
		Name: "version " + i.version.ID,
		Argv: workerd.Invocation{
			Binary: f.cfg.Workerd, ControlFD: supervise.ControlFD, ConfigFD: supervise.FirstFD,
			Sockets: sockets, SocketFD: supervise.FirstFD + 1,
		}.Argv(),
		Files:         func() ([]*os.File, error) { return i.files(config) },
		Ready:         listening(len(sockets)),
		Probe:         answers(health),
		ProbeInterval: interval,
		ProbeTimeout:  limits.Unresponsive / supervise.DefaultProbeFailures,
		Stdout:        i.logLine,
		Stderr:        i.logLine,
		Redact:        func(s string) string { return i.redactor.Replace(workerd.PlainOutput(s)) },
		OnState:       i.onState,
		MaxRSS:        max(limits.RSSMiB, 0) << 20,
	}
	proc, err := f.host.Start(spec)
	if err != nil {
		return err
	}
	i.proc = proc
	return i.explain(proc.WaitReady(f.ctx))
}

// explain turns the failure to start into what is wrong with the version, where
// that is the reason.
func (i *instance) explain(err error) error {
	var exit *supervise.ExitError
	if errors.As(err, &exit) {
		if invalid := workerd.StartupError(i.version, exit.Output, i.fleet.cfg.Limits.HeapMiB); invalid != nil {
			return invalid
		}
	}
	return err
}

// files are the child's descriptors: the configuration, then the sockets.
func (i *instance) files(config []byte) ([]*os.File, error) {
	c, err := memoryFile(config)
	if err != nil {
		return nil, err
	}
	files := []*os.File{c}
	i.sockMu.Lock()
	defer i.sockMu.Unlock()
	for _, l := range i.listeners {
		file, err := l.file()
		if err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}

func (i *instance) closeListeners() {
	i.sockMu.Lock()
	defer i.sockMu.Unlock()
	for _, l := range i.listeners {
		l.close()
	}
}

func (i *instance) onState(s supervise.State) {
	switch s.Phase {
	case supervise.BackingOff:
		i.log.Error("Worker's process ended; restarting it", "restarts", s.Restarts, "reason", s.LastError)
	case supervise.CrashLoop:
		i.log.Error("Worker's process keeps ending; requests fail until it stays up", "restarts", s.Restarts, "reason", s.LastError)
		i.closeListeners() // waiting for a process that will not come helps nobody
	case supervise.Ready:
		i.log.Debug("Worker's process is ready", "pid", s.PID, "restarts", s.Restarts)
	}
}

// waitReady returns nil once the first child is ready.
func (i *instance) waitReady(ctx context.Context) error {
	select {
	case <-i.started:
		return i.startErr
	case <-ctx.Done():
		return fmt.Errorf("starting version %s: %w", i.version.ID, ctx.Err())
	}
}

// state is called with fleet.mu held.
func (i *instance) state() workerd.VersionState {
	vs := workerd.VersionState{WorkerID: i.version.WorkerID, VersionID: i.version.ID, State: string(supervise.Starting)}
	select {
	case <-i.started:
		if i.proc == nil {
			vs.State = string(supervise.Stopped)
			break
		}
		s := i.proc.State()
		vs.State, vs.PID, vs.Restarts, vs.LastError = string(s.Phase), s.PID, s.Restarts, s.LastError
	default:
	}
	if i.retired {
		vs.State = string(supervise.Stopping)
	}
	return vs
}
