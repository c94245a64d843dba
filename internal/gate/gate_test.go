// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// TestMain fails the package if a gate has left anything running.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	var left string
	for range 100 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = ""
		for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
			if s := string(stack); strings.Contains(s, "persistConn") || strings.Contains(s, "internal/gate.") && !strings.Contains(s, "TestMain") {
				left += s + "\n\n"
			}
		}
		if left == "" {
			os.Exit(code)
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintf(os.Stderr, "goroutines are left:\n%s", left)
	os.Exit(1)
}

// fakeClock passes only when somebody sleeps, or says so.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	sleeps []time.Duration
	// onSleep, if set, is called before the time passes.
	onSleep func()
}

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newClock() *fakeClock { return &fakeClock{now: epoch} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	if c.onSleep != nil {
		c.onSleep()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sleeps = append(c.sleeps, d)
	c.now = c.now.Add(d)
	return nil
}

func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeClock) since() time.Duration { return c.Now().Sub(epoch) }

// wallClock is the real one.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	target   = "0b3a1f6e-6f0e-4a35-9f5c-0a5d4a3c1e11"
	previous = "7c1d2e3f-0000-4a35-9f5c-0a5d4a3c1e22"
)

func candidate(bake time.Duration) rollout.Candidate {
	return rollout.Candidate{VersionID: target, Previous: previous, Deployment: "d1", Step: 1, Steps: 3, Percentage: 10, Since: epoch, Bake: bake}
}

// serve serves on loopback until the test ends.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// judgedSoonAfterCancel cancels a judgement that has begun, and wants it to end.
func judgedSoonAfterCancel(t *testing.T, g rollout.Gate, begun <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan rollout.Verdict, 1)
	c := candidate(time.Hour)
	c.Since = time.Now()
	go func() { done <- g.Judge(ctx, c) }()
	<-begun
	start := time.Now()
	cancel()
	v := <-done
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("it took %s to end after its context", took)
	}
	if v.Pass {
		t.Errorf("an interrupted judgement passes: %+v", v)
	}
}

// wantProblems compares what an error lists.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	var problems Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			got = append(got, p.Attribute+": "+p.Message)
		}
	} else if err != nil {
		t.Fatalf("%v is not made of problems", err)
	}
	if len(want) > 0 && err.Error() != strings.Join(want, "\n") {
		t.Errorf("the error is %q", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestWhatAStrangerWroteCanBePrinted(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                  "",
		"  two\n\twords \r\n":               "two words",
		"\x1b[31mred\x07":                   "[31mred",
		"a\u202eb\u200bc\u2028d":            "a b c d",
		"bro\xffken":                        "bro\ufffdken",
		strings.Repeat("x", 20):             "xxxxxxxxxx…",
		strings.Repeat("\x00", 1000) + "ok": "ok",
	} {
		if got := printable(in, 10); got != want {
			t.Errorf("%q is printed as %q, want %q", in, got, want)
		}
	}
}

func TestAnEchoOfCredentialsIsWithheld(t *testing.T) {
	t.Parallel()
	credentials := []string{"Bearer s3cr3t/token", "Basic dXNlcjpwYSJzcw=="} // user:pa"ss
	for _, echo := range []string{
		"Bearer s3cr3t/token", "s3cr3t/token", "s3cr3t%2Ftoken", "czNjcjN0L3Rva2Vu", "dXNlcjpwYSJzcw==", `pa"ss`, `{"p":"pa\"ss"}`,
	} {
		got := withhold("I got: "+echo, credentials)
		for _, secret := range []string{"s3cr3t", "czNjcjN0L3Rva2Vu", "dXNlcjpwYSJzcw", `pa"ss`, `pa\"ss`} {
			if strings.Contains(got, secret) {
				t.Errorf("%q became %q, which still has %q", echo, got, secret)
			}
		}
	}
	if got := withhold("the pin is 123", []string{"123"}); got != withheld {
		t.Errorf("a short credential left %q", got)
	}
	if got := withhold("nothing", nil); got != "nothing" {
		t.Errorf("without credentials %q is left", got)
	}
}
