// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
)

// sockets gives listeners: those that systemd has handed over, by address, and
// new ones otherwise. A handed-over socket stays open while the agent restarts,
// so the kernel queues what arrives meanwhile.
type sockets struct{ given []net.Listener }

func givenSockets() (*sockets, error) {
	list, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("taking over systemd's sockets: %w", err)
	}
	s := &sockets{}
	for _, ln := range list {
		if ln != nil { // nil: no stream socket
			s.given = append(s.given, ln)
		}
	}
	return s, nil
}

func (s *sockets) listen(ctx context.Context, server, address string) (net.Listener, error) {
	for i, ln := range s.given {
		if ln != nil && sameAddress(ln.Addr(), address) {
			s.given[i] = nil
			return ln, nil
		}
	}
	network, name := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		network, name = "unix", path
		if err := clearSocket(ctx, path); err != nil {
			return nil, &agent.ListenError{Server: server, Address: address, Err: err}
		}
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, network, name)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, &agent.ListenError{Server: server, Address: address, Err: err}
	}
	if network == "unix" {
		if err := os.Chmod(name, 0o660); err != nil {
			return nil, errors.Join(&agent.ListenError{Server: server, Address: address, Err: err}, ln.Close())
		}
	}
	return ln, nil
}

// rest closes what nobody asked for and names it.
func (s *sockets) rest() (names []string) {
	for _, ln := range s.given {
		if ln != nil {
			names = append(names, ln.Addr().String())
			_ = ln.Close()
		}
	}
	s.given = nil
	return names
}

func sameAddress(have net.Addr, want string) bool {
	if path, ok := strings.CutPrefix(want, "unix://"); ok {
		return have.Network() == "unix" && have.String() == filepath.Clean(path)
	}
	tcp, ok := have.(*net.TCPAddr)
	w, err := net.ResolveTCPAddr("tcp", want)
	if !ok || err != nil || tcp.Port != w.Port {
		return false
	}
	ip := func(ip net.IP) netip.Addr {
		a, ok := netip.AddrFromSlice(ip)
		if a = a.Unmap(); !ok || a.IsUnspecified() {
			return netip.IPv6Unspecified() // ListenStream=443 is of both families
		}
		return a
	}
	return ip(tcp.IP) == ip(w.IP)
}

// clearSocket removes the socket that a killed agent left. One that somebody
// answers at is left alone.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file that is no socket: remove it")
	}
	if conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return errors.New("another program listens there: stop it")
	}
	return os.Remove(path)
}
