// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
)

// given is a listener as systemd hands it over: a copy of a descriptor.
func given(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	file, err := ln.(interface{ File() (*os.File, error) }).File() //nolint:forcetypeassert // both kinds have it
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	handed, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return handed
}

func TestHandedOverSocketsAreTakenByTheirAddress(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "agent") // a socket below t.TempDir() has too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "api.sock")
	tcp, unix, other := given(t, "tcp", "127.0.0.1:0"), given(t, "unix", path), given(t, "tcp", "127.0.0.1:0")
	unused := other.Addr().String()
	s := &sockets{given: []net.Listener{tcp, unix, other}}
	for address, want := range map[string]net.Listener{"unix://" + path: unix, tcp.Addr().String(): tcp} {
		got, err := s.listen(t.Context(), "API", address)
		if err != nil || got != want {
			t.Fatalf("%s: %v %v, want the one that was handed over", address, got, err)
		}
		_ = got.Close()
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the end of the agent removed systemd's socket: %v", err)
	}
	if rest := s.rest(); len(rest) != 1 || rest[0] != unused {
		t.Errorf("what nobody asked for is %v, want %s", rest, unused)
	}
}

func TestAnySocketOfAPortIsTheWildcards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want string
		same       bool
	}{
		{"[::]:443", "0.0.0.0:443", true}, {"0.0.0.0:443", ":443", true}, {"127.0.0.1:443", "127.0.0.1:443", true},
		{"[::ffff:127.0.0.1]:443", "127.0.0.1:443", true}, {"0.0.0.0:443", "127.0.0.1:443", false}, {"127.0.0.1:443", "127.0.0.1:444", false},
		{"127.0.0.1:443", "unix:///run/a.sock", false},
	} {
		have, err := net.ResolveTCPAddr("tcp", c.have)
		if err != nil {
			t.Fatal(err)
		}
		if got := sameAddress(have, c.want); got != c.same {
			t.Errorf("%s for %s: %t", c.have, c.want, got)
		}
	}
}

func TestASocketOfAKilledAgentIsReplacedAndALiveOneIsNot(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "a.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	refused := func(want string) {
		t.Helper()
		_, err := (&sockets{}).listen(t.Context(), "health", "unix://"+path)
		if listen := (*agent.ListenError)(nil); !errors.As(err, &listen) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused("another program listens there: stop it")
	_ = left.Close()
	ln, err := (&sockets{}).listen(t.Context(), "health", "unix://"+path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info, err)
	}
	_ = ln.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("there is a file that is no socket: remove it")
}
