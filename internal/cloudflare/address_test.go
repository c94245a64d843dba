// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestABaseURLNamesAHostOrASocket(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]address{
		"":                                      {socket: "", url: mustURL(t, "https://api.cloudflare.com/client/v4/")},
		"http://127.0.0.1:8780":                 {url: mustURL(t, "http://127.0.0.1:8780/client/v4/")},
		"https://plane.example.com/v4//":        {url: mustURL(t, "https://plane.example.com/v4/")},
		"unix:///run/hybridge/api.sock":         {socket: "/run/hybridge/api.sock", url: mustURL(t, "http://localhost/client/v4/")},
		"unix:///run/a.sock:/":                  {socket: "/run/a.sock", url: mustURL(t, "http://localhost/client/v4/")},
		"unix:///run/a.sock:/planes/paris/v4":   {socket: "/run/a.sock", url: mustURL(t, "http://localhost/planes/paris/v4/")},
		"unix:///run/with%20space%3A%25/a.sock": {socket: "/run/with space:%/a.sock", url: mustURL(t, "http://localhost/client/v4/")},
	} {
		got, err := parseBaseURL(raw, false)
		if err != nil || got.socket != want.socket || got.url.String() != want.url.String() {
			t.Errorf("%q: got %+v, %v, want %+v", raw, got, err, want)
			continue
		}
		// What is shown can be put back.
		again, err := parseBaseURL(got.String(), false)
		if err != nil || again.socket != got.socket || again.url.String() != got.url.String() {
			t.Errorf("%q is shown as %q, which is %+v, %v", raw, got, again, err)
		}
	}
}

func TestABadSocketIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for raw, says := range map[string]string{
		"unix:/run/a.sock":                    "is no URL of a socket",
		"unix:a.sock":                         "is no URL of a socket",
		"unix://":                             "no absolute path",
		"unix://run/a.sock":                   "no absolute path",
		"unix://./a.sock":                     "no absolute path",
		"unix:///run/":                        "names a directory",
		"unix:///run/a.sock?timeout=1":        "neither query nor fragment",
		"unix:///run/a.sock:client/v4":        "a colon in the socket's own path is written %3A",
		"unix:///run/%zz":                     "cannot be parsed",
		"unix:///run/a%00b":                   "null byte",
		"unix:///" + strings.Repeat("a", 120): "and the system takes",
		"unixs:///run/a.sock":                 "not an http or https URL, nor a unix socket",
	} {
		if _, err := parseBaseURL(raw, true); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", raw, err, says)
		}
	}
}

// onSocket gives a client of a socket that handler answers at.
func onSocket(t *testing.T, path string) *Client {
	t.Helper()
	none := 0
	c, err := New(Config{Plane: "paris", BaseURL: "unix://" + path, AccountID: testAccount, Token: testToken, MaxRetries: &none})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// shortDir is a directory whose path is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestRequestsGoThroughTheSocketAndNowhereElse(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // nobody is there
	path := filepath.Join(shortDir(t), "api.sock")
	ln, err := net.Listen("unix", path) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	var seen string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Host + r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, testWorker)
	}))
	server.Listener = ln
	server.Start()
	t.Cleanup(server.Close)
	c := onSocket(t, path)
	if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
		t.Fatal(err)
	}
	if want := "localhost/client/v4/accounts/" + testAccount + "/workers/workers/api"; seen != want {
		t.Errorf("asked was %s, want %s", seen, want)
	}
	if got, want := c.BaseURL(), "unix://"+path+":/client/v4/"; got != want {
		t.Errorf("the client shows %s, want %s", got, want)
	}
}

func TestWhatIsWrongWithASocketIsSaidInWords(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	dead := filepath.Join(dir, "dead.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "ssh.sock")
	ssh, err := net.Listen("unix", other) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ssh.Close() })
	go func() {
		for {
			conn, err := ssh.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.6\r\n")
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	for path, want := range map[string]struct {
		says string
		sent bool
	}{
		filepath.Join(dir, "missing.sock"): {"there is no socket " + filepath.Join(dir, "missing.sock") + ": start the agent", false},
		dead:                               {"nobody listens at the socket " + dead, false},
		file:                               {file + " is no socket", false},
		other:                              {"does not speak HTTP", true},
	} {
		_, err := onSocket(t, path).FreshWorker(t.Context(), "api")
		if err == nil || !strings.Contains(err.Error(), want.says) || IsUnreachable(err) == want.sent {
			t.Errorf("%s: got %v (never asked: %v), want %q", path, err, IsUnreachable(err), want.says)
		}
	}
	t.Run("no permission", func(t *testing.T) {
		if os.Getuid() == 0 {
			// root may connect to everything: what the system would say is taken instead.
			err := address{socket: dead}.explain(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", os.ErrPermission)})
			if !strings.Contains(err.Error(), "may not connect to the socket "+dead) || !hopeless(err) {
				t.Errorf("got %v", err)
			}
			return
		}
		if err := os.Chmod(other, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := onSocket(t, other).FreshWorker(t.Context(), "api"); err == nil || !strings.Contains(err.Error(), "may not connect") {
			t.Errorf("got %v", err)
		}
	})
}

// An agent that restarts takes its socket away and brings it back. What was not sent is
// sent again.
func TestARequestOutlivesARestartOfTheAgent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "api.sock")
	waited := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, testWorker)
	}))
	t.Cleanup(func() { server.Close() })
	c, err := New(Config{BaseURL: "unix://" + path, AccountID: testAccount, Token: testToken, Sleep: func(ctx context.Context, _ time.Duration) error {
		if waited++; waited == 2 {
			ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
			if err != nil {
				return err
			}
			server.Listener = ln
			server.Start()
		}
		return ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.CreateWorker(t.Context(), WorkerInput{Name: "api"}); err != nil || c.Requests() != 3 {
		t.Errorf("after %d requests: %v", c.Requests(), err)
	}
}
