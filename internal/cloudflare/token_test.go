// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
)

func TestATokenIsFetchedOnceBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	var script fault.Script
	var mu sync.Mutex
	sent := map[string]int{}
	c, _ := answering(t, &script, testWorker, func(cfg *Config) {
		next := cfg.HTTPTransport
		cfg.Token = ""
		cfg.TokenFrom = func(context.Context) (string, error) { fetched.Add(1); return testToken, nil }
		cfg.HTTPTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			sent[r.Header.Get("Authorization")]++
			mu.Unlock()
			return next.RoundTrip(r)
		})
	})
	if fetched.Load() != 0 {
		t.Error("the token was fetched before anything needed it")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if fetched.Load() != 1 || sent["Bearer "+testToken] != 8 || len(sent) != 1 {
		t.Errorf("the token was fetched %d times; %d kinds of requests, %d with the token", fetched.Load(), len(sent), sent["Bearer "+testToken])
	}
}

func TestATokenThatCannotBeHadSendsNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("prod.enc.yaml: no identity at hand opens the file")
	for name, fetch := range map[string]func(context.Context) (string, error){
		"failure":     func(context.Context) (string, error) { return "", cause },
		"empty":       func(context.Context) (string, error) { return "", nil },
		"white space": func(context.Context) (string, error) { return testToken + "\n", nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var script fault.Script
			calls := 0
			c, slept := answering(t, &script, testWorker, func(cfg *Config) {
				cfg.Token = ""
				cfg.TokenFrom = func(ctx context.Context) (string, error) { calls++; return fetch(ctx) }
			})
			_, readErr := c.FreshWorker(t.Context(), "api")
			_, createErr := c.CreateWorker(t.Context(), WorkerInput{Name: "api"})
			_, planeErr := c.Plane(t.Context())
			_, verifyErr := c.VerifyToken(t.Context())
			for _, err := range []error{readErr, createErr, planeErr, verifyErr} {
				var e *TokenError
				if !errors.As(err, &e) || e.Plane != "paris" || strings.Contains(err.Error(), testToken) {
					t.Errorf("got %v, want a *TokenError of paris without the token", err)
				}
				if name == "failure" && !errors.Is(err, cause) {
					t.Errorf("the cause is lost: %v", err)
				}
			}
			if calls != 1 || script.Count("", "") != 0 || len(slept.slept) != 0 {
				t.Errorf("%d fetches, %d requests, %d waits; want 1, 0, 0", calls, script.Count("", ""), len(slept.slept))
			}
		})
	}
}

func TestAFetchedTokenIsRedacted(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"success":false,"errors":[{"code":10000,"message":"bad header ` + r.Header.Get("Authorization") + `"}]}`))
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{
		BaseURL: server.URL, AccountID: testAccount,
		TokenFrom: func(context.Context) (string, error) { return testToken, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.FreshWorker(t.Context(), "api")
	if err == nil || strings.Contains(err.Error(), testToken) || !strings.Contains(err.Error(), "bad header Bearer [redacted]") {
		t.Errorf("got %v, want the message without the token", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
