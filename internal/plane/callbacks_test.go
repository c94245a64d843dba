// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/outbox"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

const callbackKey = "correct-horse-battery-staple-tells"

// listener is somebody who is told of rollouts.
type listener struct {
	*httptest.Server
	mu       sync.Mutex
	heard    []string // "state id" of what was accepted
	attempts int
	wrong    []string
	answer   func(attempt int) int // status; nil accepts everything
}

func newListener(t *testing.T) *listener {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhookRaw([]byte(callbackKey))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		var told struct {
			Type string
			Data struct{ Event struct{ Sequence int } }
		}
		if err == nil {
			err = json.Unmarshal(body, &told)
		}
		if err != nil || strings.Contains(string(body), "the body of a customer") {
			l.wrong = append(l.wrong, string(body))
		}
		l.attempts++
		status := http.StatusNoContent
		if l.answer != nil {
			status = l.answer(l.attempts)
		}
		if status < 300 {
			l.heard = append(l.heard, told.Type+" "+r.Header.Get("webhook-id")[37:])
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(l.Close)
	return l
}

// await waits until so many callbacks have been accepted, and returns them.
func (l *listener) await(t *testing.T, n int) []string {
	t.Helper()
	for range 600 {
		l.mu.Lock()
		heard := append([]string(nil), l.heard...)
		l.mu.Unlock()
		if len(heard) >= n {
			return heard
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("after twelve seconds %d of %d callbacks have come", len(l.heard), n)
	return nil
}

func TestCallbacksAreToldInOrderWhateverHappens(t *testing.T) {
	t.Parallel()
	l := newListener(t)
	// The first one is refused, then sent elsewhere, then heard.
	l.answer = func(attempt int) int {
		return map[int]int{1: http.StatusServiceUnavailable, 2: http.StatusFound}[attempt] + map[bool]int{true: http.StatusNoContent}[attempt > 2]
	}
	callbacks := []outbox.Receiver{{URL: l.URL, Secret: []byte(callbackKey)}}
	d := newDriver(t, planetest.Options{Callbacks: callbacks})
	d.begin()
	d.note(`{"state": "baking", "percentage": 10}`)
	d.note(`{"state": "judged", "verdict": {"gate": "health", "pass": false, "reason": "status 500", "detail": "the body of a customer"}}`)
	// A restart in between loses nothing.
	d.restart(planetest.Options{Callbacks: callbacks})
	d.note(`{"state": "rolled_back", "reason": "gate health"}`)
	want := []string{"rollout.baking 1", "rollout.judged 2", "rollout.rolled_back 3"}
	if diff := cmp.Diff(want, l.await(t, 3)); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) > 0 {
		t.Errorf("not signed, or not for their eyes: %q", l.wrong)
	}
	if l.attempts != 5 {
		t.Errorf("%d attempts, want 5", l.attempts)
	}
}
