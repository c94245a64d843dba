// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// address is where a plane's API is.
type address struct {
	url    *url.URL // of requests; ends with a slash
	socket string   // the unix socket that is dialled instead of url's host; empty for TCP
}

// String is the address as base_url would have it, with the path of the API and a slash
// at the end, so that a path can be appended.
func (a address) String() string {
	if a.socket == "" {
		return a.url.String()
	}
	return "unix://" + strings.ReplaceAll((&url.URL{Path: a.socket}).EscapedPath(), ":", "%3A") + ":" + a.url.EscapedPath()
}

const (
	defaultPath = "/client/v4"

	// socketHost is the host of requests that go through a socket. Nobody resolves
	// it.
	socketHost = "localhost"

	wantSocket = "want something like unix:///run/hybridge/api.sock"
)

// socketPathMax is the longest path that the system takes for a socket, in bytes.
const socketPathMax = len(syscall.RawSockaddrUnix{}.Path) - 1

func parseBaseURL(raw string, allowInsecure bool) (address, error) {
	if raw == "" {
		raw = DefaultBaseURL
	}
	if rest, ok := strings.CutPrefix(raw, "unix:"); ok {
		return parseSocket(raw, rest)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the whole input, which may hold credentials.
		return address{}, errors.New("base_url cannot be parsed: want something like https://api.cloudflare.com/client/v4")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return address{}, fmt.Errorf("base_url %q is not an http or https URL, nor a unix socket: want something like https://api.cloudflare.com/client/v4", u.Redacted())
	}
	if u.User != nil {
		return address{}, fmt.Errorf("base_url %q holds credentials: use api_token", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return address{}, fmt.Errorf("base_url %q must have neither query nor fragment", u.Redacted())
	}
	if u.Scheme == "http" && !allowInsecure && !isLoopback(u.Hostname()) {
		return address{}, fmt.Errorf("base_url %q would send the API token unencrypted: use https, or set insecure_http = true for a network you trust", u.Redacted())
	}
	u.Path, u.RawPath = basePath(u.Path), ""
	return address{url: u}, nil
}

// basePath is a URL's path with a slash at its end, and the default if there is none.
func basePath(path string) string {
	if path = strings.TrimRight(path, "/"); path == "" {
		path = defaultPath
	}
	return path + "/"
}

// parseSocket reads unix://SOCKET or unix://SOCKET:PATH, the form that nginx has
// for the two. A colon of the socket's own path is written %3A.
func parseSocket(raw, rest string) (address, error) {
	bad := func(format string, args ...any) (address, error) {
		return address{}, fmt.Errorf("base_url %q %s: %s", raw, fmt.Sprintf(format, args...), wantSocket)
	}
	rest, ok := strings.CutPrefix(rest, "//")
	switch {
	case !ok:
		return bad("is no URL of a socket")
	case strings.ContainsAny(rest, "?#"):
		return bad("must have neither query nor fragment")
	case !strings.HasPrefix(rest, "/"):
		return bad("has no absolute path, so it would depend on the directory that Terraform runs in")
	}
	rest, path, _ := strings.Cut(rest, ":")
	socket, err := url.PathUnescape(rest)
	if err != nil {
		return bad("cannot be parsed")
	}
	switch {
	case strings.ContainsRune(socket, 0):
		return bad("has a null byte in its path")
	case strings.HasSuffix(socket, "/"):
		return bad("names a directory, not a socket")
	case len(socket) > socketPathMax:
		return bad("has a path of %d bytes, and the system takes %d for a socket", len(socket), socketPathMax)
	case path != "" && !strings.HasPrefix(path, "/"):
		return bad("has something else than a path of the API after the colon (a colon in the socket's own path is written %%3A)")
	}
	u, err := url.Parse("http://" + socketHost + basePath(path))
	if err != nil {
		return bad("cannot be parsed")
	}
	return address{url: u, socket: socket}, nil
}

// socketError says in words what is wrong with a socket.
type socketError struct {
	text  string
	cause error
}

func (e *socketError) Error() string { return e.text }
func (e *socketError) Unwrap() error { return e.cause }

// explain says in words what is wrong with a socket that a request could not be
// sent through, or that gave no answer.
func (a address) explain(err error) error {
	if a.socket == "" {
		return err
	}
	info, statErr := os.Stat(a.socket)
	say := func(format string, args ...any) error {
		return &socketError{text: fmt.Sprintf(format, args...), cause: err}
	}
	const correct = "correct base_url by plane.api.listen of the agent's agent.yaml"
	switch {
	case !neverSent(err) && strings.Contains(err.Error(), "malformed HTTP"):
		return say("what listens at the socket %s does not speak HTTP, so it is no plane: %s", a.socket, correct)
	case !neverSent(err):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return say("there is no socket %s: start the agent, or %s", a.socket, correct)
	case errors.Is(err, fs.ErrPermission):
		return say("this user may not connect to the socket %s: make it a member of the socket's group", a.socket)
	case statErr == nil && info.Mode()&fs.ModeSocket == 0:
		return say("%s is no socket: %s", a.socket, correct)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("nobody listens at the socket %s any more: start the agent", a.socket)
	}
	return err
}
