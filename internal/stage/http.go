// SPDX-License-Identifier: MPL-2.0

package stage

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// answerLimit bounds one request, so that a plane that hangs fails the run.
const answerLimit = 30 * time.Second

// Answer is what a Worker answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Ask sends one request. Names below localhost are loopback (RFC 6761, section
// 6.3), whatever this machine's resolver thinks of them.
func Ask(ctx context.Context, method, url, body string) (Answer, error) {
	return AskHost(ctx, method, url, "", body)
}

// AskHost is Ask with another Host header, if host is not empty.
func AskHost(ctx context.Context, method, url, host, body string) (Answer, error) {
	var dialer net.Dialer
	client := &http.Client{
		Timeout: answerLimit,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				if host == "localhost" || strings.HasSuffix(host, ".localhost") {
					address = net.JoinHostPort("127.0.0.1", port)
				}
				return dialer.DialContext(ctx, network, address)
			},
		},
	}
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	request.Host = cmp.Or(host, request.Host)
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(data)}, nil
}
