// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
)

const testVersion = `{"success":true,"errors":[],"messages":[],"result":{"id":"11111111-2222-3333-4444-555555555555","number":1,"created_on":"2026-01-02T03:04:05Z"}}`

// uploadServer takes uploads for a Worker without versions and counts the bytes.
func uploadServer(t *testing.T, script *fault.Script) (*Client, *atomic.Int64) {
	t.Helper()
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"success":true,"errors":[],"messages":[],"result":{"items":[]}}`)
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		received.Add(n)
		_, _ = io.WriteString(w, testVersion)
	}))
	t.Cleanup(server.Close)
	var slept waits
	c, err := New(Config{BaseURL: server.URL, AccountID: testAccount, Token: testToken,
		HTTPTransport: script.Transport(server.Client().Transport), Sleep: slept.sleep})
	if err != nil {
		t.Fatal(err)
	}
	return c, &received
}

func TestAnUploadIsOpenedAnewForEachAttempt(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Rule{Method: "POST", Kind: fault.TooMany}, fault.Rule{Method: "POST", Kind: fault.ResetBefore})
	c, received := uploadServer(t, &script)
	opened, closed := 0, 0
	v, err := c.CreateVersion(t.Context(), "api", VersionUpload{Body: func() (io.ReadCloser, int64, error) {
		opened++
		return closing{strings.NewReader(`{"a":1}`), &closed}, 7, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if opened != 3 || closed != 3 || received.Load() != 7 || v.Number != 1 {
		t.Errorf("opened %d, closed %d, received %d bytes, version number %d; want 3, 3, 7, 1", opened, closed, received.Load(), v.Number)
	}
}

type closing struct {
	io.Reader
	n *int
}

func (c closing) Close() error { *c.n++; return nil }

func TestAnUploadThatCannotBeReadIsSaidAndNotRepeated(t *testing.T) {
	t.Parallel()
	changed := errors.New("src/index.ts changed since the plan")
	for name, body := range map[string]func() (io.ReadCloser, int64, error){
		"when opened": func() (io.ReadCloser, int64, error) { return nil, 0, changed },
		"halfway": func() (io.ReadCloser, int64, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("{"), failing{changed})), 100, nil
		},
		"halfway, unknown end": func() (io.ReadCloser, int64, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("{"), failing{changed})), -1, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var script fault.Script
			c, received := uploadServer(t, &script)
			_, err := c.CreateVersion(t.Context(), "api", VersionUpload{Body: body})
			if !errors.Is(err, changed) {
				t.Errorf("error %v, want %v", err, changed)
			}
			if n := script.Count("POST", ""); n > 1 || received.Load() != 0 {
				t.Errorf("%d uploads, %d bytes taken for whole", n, received.Load())
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// patterned reads size bytes without having them.
type patterned struct{ left int64 }

func (p *patterned) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.left)
	copy(b, bytes.Repeat([]byte{'x'}, int(n)))
	p.left -= n
	return int(n), nil
}

func TestAnUploadIsStreamed(t *testing.T) { //nolint:paralleltest // measures the process's memory
	const size = 64 << 20
	var script fault.Script
	c, received := uploadServer(t, &script)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	body := func() (io.ReadCloser, int64, error) {
		return io.NopCloser(io.MultiReader(&patterned{size / 2}, readerFunc(func([]byte) (int, error) {
			runtime.ReadMemStats(&after)
			peak = after.HeapAlloc
			return 0, io.EOF
		}), &patterned{size / 2})), size, nil
	}
	if _, err := c.CreateVersion(t.Context(), "api", VersionUpload{Body: body}); err != nil {
		t.Fatal(err)
	}
	if received.Load() != size {
		t.Errorf("%d bytes arrived, want %d", received.Load(), size)
	}
	if peak > before.HeapAlloc+size/4 {
		t.Errorf("halfway through %d bytes the heap had grown by %d", size, peak-before.HeapAlloc)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestALostUploadIsFoundByItsMarker(t *testing.T) {
	t.Parallel()
	marker := DeploymentMarker(nil)
	for _, kind := range []fault.Kind{fault.ResetAfter, fault.ErrorAfter, fault.Truncated, fault.HTMLAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var uploads atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				switch {
				case r.Method == http.MethodPost:
					uploads.Add(1)
					_, _ = io.WriteString(w, testVersion)
				case strings.HasSuffix(r.URL.Path, "/versions"):
					items := ""
					if uploads.Load() > 0 {
						items = fmt.Sprintf(`{"id":"11111111-2222-3333-4444-555555555555","number":1,"annotations":{"workers/message":%q}}`, marker+" hello")
					}
					_, _ = io.WriteString(w, `{"success":true,"errors":[],"messages":[],"result":{"items":[`+items+`]}}`)
				default:
					_, _ = io.WriteString(w, testVersion)
				}
			}))
			t.Cleanup(server.Close)
			var script fault.Script
			script.Add(fault.Rule{Method: "POST", Kind: kind})
			var slept waits
			c, err := New(Config{BaseURL: server.URL, AccountID: testAccount, Token: testToken,
				HTTPTransport: script.Transport(server.Client().Transport), Sleep: slept.sleep})
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.CreateVersion(t.Context(), "api", VersionUpload{Marker: marker, Body: func() (io.ReadCloser, int64, error) {
				return io.NopCloser(strings.NewReader("{}")), 2, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			if uploads.Load() != 1 || v.ID == "" {
				t.Errorf("%d uploads, version %q", uploads.Load(), v.ID)
			}
		})
	}
}
