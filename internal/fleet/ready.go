// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
)

// listening waits until workerd has told on its control descriptor that it
// listens on all of its sockets.
func listening(sockets int) func(context.Context, io.Reader) error {
	return func(_ context.Context, control io.Reader) error {
		lines := bufio.NewScanner(control)
		for n := 0; n < sockets; {
			if !lines.Scan() {
				if err := lines.Err(); err != nil {
					return fmt.Errorf("reading workerd's control messages: %w", err)
				}
				return io.ErrUnexpectedEOF
			}
			var m struct {
				Event string `json:"event"`
			}
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				return fmt.Errorf("reading workerd's control messages: %w", err)
			}
			if m.Event == "listen" {
				n++
			}
		}
		return nil
	}
}

// answers probes the health service, whose answer says that the event loop turns.
func answers(socket string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, socket, 0)
		return err
	}
}

// get requests "/" over a connection of its own and returns at most limit bytes
// of the body.
func get(ctx context.Context, socket string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plane.invalid/", nil)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError {
		return nil, fmt.Errorf("answered with status %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, limit))
}
