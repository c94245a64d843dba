// SPDX-License-Identifier: MPL-2.0

// Package fleet runs versions of Workers: one supervised workerd process per
// live version, reached through the ingress, replaced without losing a request.
// A Fleet is a plane.Runtime.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

// VersionSource finds versions that are not part of a deployment. The plane
// implements it as its own interface of this name says.
type VersionSource interface {
	PreviewVersion(ctx context.Context, workerID, prefix string) (v workerd.Version, found bool, err error)
}

// PrivateSource finds what vpc_service bindings lead to. The plane implements it; see
// plane.PrivateSource.
type PrivateSource interface {
	VPCService(ctx context.Context, accountID, serviceID string, https bool) (http.Handler, error)
}

// Config is what a Fleet needs.
type Config struct {
	Workerd string // path of the binary, from workerd.Find
	// SocketDir holds the unix sockets. It is created with mode 0700 and MUST
	// belong to this fleet alone: sockets found in it are removed. Its path is
	// short, for a socket's path has at most 107 bytes.
	SocketDir string
	Router    *ingress.Router
	Logger    hclog.Logger
	Limits    Limits
	// EgressAllow are address ranges, in CIDR notation, that Workers may reach
	// beside the public internet.
	EgressAllow []string
}

// Limits are what a version may use and for how long the fleet waits. Zero
// fields take the defaults.
type Limits struct {
	HeapMiB int   // JavaScript heap per isolate
	RSSMiB  int64 // resident memory per process; -1 is no limit

	// Validation is how long a version may take to start at upload, and
	// ValidationCPU how much CPU time.
	Validation, ValidationCPU time.Duration
	// WaitUntil is granted to waitUntil() after a version's last request.
	WaitUntil time.Duration
	// Drain is how long requests of a replaced version may go on.
	Drain time.Duration
	// Stop is the time between SIGTERM and SIGKILL.
	Stop time.Duration
	// PreviewIdle is how long a version outside a deployment runs without requests.
	PreviewIdle time.Duration
	// Unresponsive is how long one turn of a version's event loop may last.
	Unresponsive time.Duration
	// Starts is how many processes may be starting at a time.
	Starts int
}

// The defaults of Limits.
const (
	// DefaultRSSMiB stops what the heap limit does not cover, typed arrays above
	// all; a busy process was measured at 290 MiB.
	DefaultRSSMiB = 1024
	// DefaultValidationCPU includes workerd's own start. Cloudflare allows a script
	// one second; a customer's machine may be half as fast. DefaultValidation is for
	// what waits without computing, on a machine that is busy with other things.
	DefaultValidationCPU = 2 * time.Second
	DefaultValidation    = 15 * time.Second
	// DefaultWaitUntil is Cloudflare's.
	DefaultWaitUntil = 30 * time.Second
	// DefaultDrain bounds how long a WebSocket or a download can keep a replaced
	// version alive.
	DefaultDrain = 10 * time.Minute
	DefaultStop  = 5 * time.Second
	// DefaultPreviewIdle lets a person click through a preview without restarts.
	DefaultPreviewIdle = time.Minute
	// DefaultUnresponsive finds an endless loop within a second.
	DefaultUnresponsive = 600 * time.Millisecond
)

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.Validation, DefaultValidation)
	set(&l.ValidationCPU, DefaultValidationCPU)
	set(&l.WaitUntil, DefaultWaitUntil)
	set(&l.Drain, DefaultDrain)
	set(&l.Stop, DefaultStop)
	set(&l.PreviewIdle, DefaultPreviewIdle)
	set(&l.Unresponsive, DefaultUnresponsive)
	if l.RSSMiB == 0 {
		l.RSSMiB = DefaultRSSMiB
	}
	if l.Starts == 0 {
		l.Starts = 2 * runtime.NumCPU()
	}
	return l
}

// Fleet is the set of running versions. It is safe for concurrent use.
type Fleet struct {
	cfg    Config
	egress workerd.Egress
	log    hclog.Logger
	host   *supervise.Host
	sock   *socketDir
	starts chan struct{} // a token per process that may be starting
	// traffic outlives the instances that count into it.
	traffic *traffic.Recorder

	ctx    context.Context // done once Close has lost its patience
	cancel context.CancelFunc
	wg     sync.WaitGroup // drains, the janitor and the recorder
	quit   chan struct{}  // closed by Close: the janitor ends, drains are cut short

	mu        sync.Mutex
	closed    bool
	source    VersionSource
	private   PrivateSource
	instances map[string]*instance          // by version id; what new requests may use
	targets   map[*ingress.Target]*instance // also the draining ones
	workers   map[string]*deployment        // by Worker id
	names     map[workerName]string         // to Worker id
	relays    map[relayKey]*relay
	exports   map[[32]byte][]string // entry points by content, as validations found them
}

// deployment is what a Worker runs now.
type deployment struct {
	worker workerd.Worker
	live   []*instance // one reference each
}

type workerName struct{ account, name string }

var errClosed = errors.New("the plane is shutting down")

// New returns a Fleet without Workers. It MUST be closed.
func New(cfg Config) (*Fleet, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	egress, err := workerd.ParseEgress(cfg.EgressAllow)
	if err != nil {
		return nil, err
	}
	sock, err := openSocketDir(cfg.SocketDir)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		cfg: cfg, egress: egress, log: cfg.Logger, host: supervise.NewHost(), sock: sock,
		starts:    make(chan struct{}, cfg.Limits.Starts),
		traffic:   traffic.NewRecorder(nil),
		quit:      make(chan struct{}),
		instances: map[string]*instance{},
		targets:   map[*ingress.Target]*instance{},
		workers:   map[string]*deployment{},
		names:     map[workerName]string{},
		relays:    map[relayKey]*relay{},
		exports:   map[[32]byte][]string{},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	cfg.Router.SetPreview(f.preview)
	f.wg.Go(f.reapPreviews)
	f.wg.Go(func() { f.traffic.Run(f.quit) })
	return f, nil
}

// SetVersions says where versions outside deployments are found. Before it is
// called, preview hosts reach deployed versions only.
func (f *Fleet) SetVersions(s VersionSource) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.source = s
}

// SetPrivate says what vpc_service bindings lead to. Before it is called they answer with
// an error.
func (f *Fleet) SetPrivate(s PrivateSource) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.private = s
}

// Apply makes w the desired state of that Worker; see plane.Runtime.
func (f *Fleet) Apply(ctx context.Context, w workerd.Worker, versions []workerd.Version) error {
	byID := make(map[string]workerd.Version, len(versions))
	for _, v := range versions {
		byID[v.ID] = v
	}
	live := make([]*instance, 0, len(w.Shares))
	fail := func(err error) error {
		for _, inst := range live {
			f.release(inst, 0)
		}
		return err
	}
	for _, s := range w.Shares {
		v, ok := byID[s.VersionID]
		if !ok {
			return fail(fmt.Errorf("deploying Worker %q: version %s is missing", w.Name, s.VersionID))
		}
		inst, err := f.acquire(v)
		if err != nil {
			return fail(fmt.Errorf("deploying Worker %q: %w", w.Name, err))
		}
		live = append(live, inst)
	}
	for _, inst := range live {
		if err := inst.waitReady(ctx); err != nil {
			return fail(fmt.Errorf("deploying Worker %q: %w", w.Name, err))
		}
	}

	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return fail(fmt.Errorf("deploying Worker %q: %w", w.Name, errClosed))
	}
	before := f.workers[w.ID]
	f.workers[w.ID] = &deployment{worker: w, live: live}
	if before != nil {
		f.forgetName(before.worker)
	}
	f.names[workerName{w.AccountID, w.Name}] = w.ID
	f.cfg.Router.Set(routeOf(w, live)) // under the lock: two Workers that swap names stay consistent
	f.mu.Unlock()

	if before != nil {
		for _, inst := range before.live {
			f.release(inst, 0)
		}
	}
	return nil
}

// Remove stops routing to the Worker and drains its processes; see plane.Runtime.
func (f *Fleet) Remove(_ context.Context, workerID string) error {
	f.mu.Lock()
	before := f.workers[workerID]
	delete(f.workers, workerID)
	if before != nil {
		f.forgetName(before.worker)
	}
	f.cfg.Router.Remove(workerID)
	var idle []*instance
	for _, inst := range f.instances {
		if inst.version.WorkerID != workerID {
			continue
		}
		inst.doomed = true // previews that are in use end with their last request
		if inst.refs == 0 {
			idle = append(idle, inst)
		}
	}
	for _, inst := range idle {
		f.retire(inst)
	}
	f.mu.Unlock()
	if before != nil {
		for _, inst := range before.live {
			f.release(inst, 0)
		}
	}
	return nil
}

// forgetName is called with f.mu held.
func (f *Fleet) forgetName(w workerd.Worker) {
	name := workerName{w.AccountID, w.Name}
	if f.names[name] == w.ID {
		delete(f.names, name)
	}
}

func routeOf(w workerd.Worker, live []*instance) ingress.Route {
	r := ingress.Route{WorkerID: w.ID, WorkerName: w.Name, Hosts: w.Hosts, PreviewSuffix: w.PreviewSuffix}
	for i, s := range w.Shares {
		r.Shares = append(r.Shares, ingress.Share{Target: live[i].target, Percentage: s.Percentage})
	}
	return r
}

// States lists the versions that are running or should be, the draining ones included.
func (f *Fleet) States() []workerd.VersionState {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := make([]workerd.VersionState, 0, len(f.targets))
	for _, inst := range f.targets {
		states = append(states, inst.state())
	}
	return states
}

// Traffic is what the versions have answered; see plane.Runtime.
func (f *Fleet) Traffic() *traffic.Recorder { return f.traffic }

// Close stops every process. It grants requests in flight and waitUntil() their
// time, but not beyond the end of ctx. Requests that arrive meanwhile are not
// routed any more: stop the listeners first.
func (f *Fleet) Close(ctx context.Context) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.closed = true
	close(f.quit)
	for id := range f.workers {
		f.cfg.Router.Remove(id)
	}
	for _, inst := range f.instances {
		f.retire(inst)
	}
	f.mu.Unlock()

	stop := context.AfterFunc(ctx, f.cancel)
	f.wg.Wait()
	stop()
	f.cancel()
	f.host.Close()
	f.sock.close()
}
