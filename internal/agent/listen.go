// SPDX-License-Identifier: MPL-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ErrNotLoopback says that an address can be reached from other machines.
var ErrNotLoopback = errors.New("other machines could reach it")

// ListenError says which address cannot be listened on.
type ListenError struct {
	Server  string // "API" or "ingress"
	Address string // as configured
	Err     error  // ErrNotLoopback, or what the system says
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("listening for the %s on %s: %s", e.Server, e.Address, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

func listen(ctx context.Context, server, address string, remote bool) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the address, which ListenError names
		}
		return nil, &ListenError{Server: server, Address: address, Err: err}
	}
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return fail(fmt.Errorf("this is not of the form host:port: %w", err))
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || strconv.FormatUint(n, 10) != p {
		return fail(fmt.Errorf("%q is no port number", p))
	}
	if isLocalName(host) {
		host = "127.0.0.1" // whatever a resolver says
	}
	if ip, err := netip.ParseAddr(host); !remote && (err != nil || !ip.IsLoopback()) {
		return fail(ErrNotLoopback)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, p))
	if err != nil {
		return fail(err)
	}
	return ln, nil
}

func isLocalName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == LocalDomain || strings.HasSuffix(host, "."+LocalDomain)
}

func port(ln net.Listener) int {
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// reachable is the listener's address as a client on this machine names it.
func reachable(ln net.Listener) string {
	a, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return ln.Addr().String()
	}
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(a.Port))
}
