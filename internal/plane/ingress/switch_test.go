// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// version answers with its id and closes for good once its Target has drained:
// a request that comes later fails.
func (f *front) version(t *testing.T, id string) (*fakeVersion, *atomic.Bool) {
	closed := new(atomic.Bool)
	v := startVersion(t, id, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if closed.Load() {
			http.Error(w, "answered by a drained version", http.StatusInternalServerError)
			return
		}
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/slow" {
			time.Sleep(20 * time.Millisecond)
		}
		if closed.Load() {
			http.Error(w, "drained under a request", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s %d", id, len(b))
	}))
	return v, closed
}

func TestNoRequestIsLostOverManySwitches(t *testing.T) {
	t.Parallel()
	f := startFront(t)
	live, liveClosed := f.version(t, "00000000-0")
	f.route(Share{live.Target, 100})

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answered atomic.Int64
	for n := range 8 {
		clients.Go(func() {
			body := bytes.Repeat([]byte("x"), 2000)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var req *http.Request
				switch (i + n) % 3 {
				case 0:
					req = f.request(t, http.MethodGet, "/", nil)
				case 1:
					req = f.request(t, http.MethodPost, "/", bytes.NewReader(body))
				default:
					req = f.request(t, http.MethodGet, "/slow", nil)
				}
				res, err := f.client.Do(req)
				if err != nil {
					t.Errorf("lost: %v", err)
					return
				}
				b, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || res.StatusCode != 200 {
					t.Errorf("lost: %d %q %v", res.StatusCode, b, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := 1; i <= 60; i++ {
		next, nextClosed := f.version(t, fmt.Sprintf("%08x-0", i))
		f.route(Share{next.Target, 10}, Share{live.Target, 90})
		time.Sleep(3 * time.Millisecond)
		f.route(Share{next.Target, 100})
		live.Retire()
		await(t, live.Drained(), "drained")
		liveClosed.Store(true)
		live, liveClosed = next, nextClosed
	}
	close(stop)
	clients.Wait()
	if answered.Load() < 100 {
		t.Errorf("only %d requests were made: this proves little", answered.Load())
	}
}

func TestATargetDrainsOnlyWhenRetiredAndUnused(t *testing.T) {
	t.Parallel()
	target := NewTarget("api", "w1", idNew, "/nowhere")
	drained := func() bool {
		select {
		case <-target.Drained():
			return true
		default:
			return false
		}
	}
	if !target.Acquire() || drained() {
		t.Fatal("a new target is usable and not drained")
	}
	target.Release()
	if drained() {
		t.Fatal("drained without being retired")
	}
	if !target.Acquire() || !target.Acquire() {
		t.Fatal("not usable")
	}
	target.Retire()
	target.Retire()
	if target.Acquire() {
		t.Fatal("acquired after Retire")
	}
	target.Release()
	if drained() {
		t.Fatal("drained under its last use")
	}
	target.Release()
	if !drained() {
		t.Fatal("not drained")
	}
}

func TestAcquireAndRetireNeverMissEachOther(t *testing.T) {
	t.Parallel()
	for range 2000 {
		target := NewTarget("api", "w1", idNew, "/nowhere")
		var users sync.WaitGroup
		var using atomic.Int32
		begin := make(chan struct{})
		for range 4 {
			users.Go(func() {
				<-begin
				if !target.Acquire() {
					return
				}
				using.Add(1)
				select {
				case <-target.Drained():
					t.Error("drained while in use")
				default:
				}
				using.Add(-1)
				target.Release()
			})
		}
		users.Go(func() { <-begin; target.Retire() })
		close(begin)
		await(t, target.Drained(), "drained")
		if using.Load() != 0 {
			t.Error("drained while in use")
		}
		users.Wait()
	}
}
