// SPDX-License-Identifier: MPL-2.0

package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// minMemory is what the agent and a few Workers need: about 60 MiB each.
	minMemory = 256 << 20
	// socketPathMax is what fits into sun_path on every system.
	socketPathMax = 103
)

func (e *examination) dataDir() {
	dir := e.file.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if parent := filepath.Dir(dir); unix.Access(parent, unix.W_OK) != nil {
			err = fmt.Errorf("%s does not exist, and this user cannot make it: use StateDirectory= in the unit, or make it with mode 0700", dir)
		} else {
			e.check("data_dir", nil, dir+" will be made")
			return
		}
	case err != nil:
		err = fmt.Errorf("%w: run doctor as the agent's user or as root", err)
	case !info.IsDir():
		err = fmt.Errorf("%s is no directory: name another one", dir)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%s can be read by others (mode %#o): chmod 0700 %s", dir, info.Mode().Perm(), dir)
	case unix.Access(dir, unix.W_OK) != nil:
		err = fmt.Errorf("this user cannot write to %s: chown it to the agent's user, or run doctor as that", dir)
	}
	e.check("data_dir", err, dir)
}

// ports tries to listen where the agent will.
func (e *examination) ports() {
	try := func(key, address string) {
		if path, ok := strings.CutPrefix(address, "unix://"); ok {
			e.check(key, socketPlace(path), address)
			return
		}
		if address == "" {
			return
		}
		ln, err := (&net.ListenConfig{}).Listen(e.ctx, "tcp", address)
		switch {
		case err == nil:
			_ = ln.Close()
		case errors.Is(err, unix.EADDRINUSE):
			err = fmt.Errorf("%s is taken by another program: \"ss -ltnp\" names it; stop that, or name another port (fine if it is systemd's own socket for the agent)", address)
		case errors.Is(err, unix.EACCES):
			err = fmt.Errorf("%s needs a privilege: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a .socket unit", address)
		}
		e.check(key, err, address)
	}
	if p := e.file.Plane; p != nil {
		try("plane.api.listen", p.API.Listen)
	}
	if i := e.file.Ingress; i != nil {
		for n, l := range i.Listen {
			try(fmt.Sprintf("ingress.listen[%d]", n), l.Address)
		}
	}
	try("health.listen", e.file.Health.Listen)
	for _, name := range slices.Sorted(maps.Keys(e.file.Connectors)) {
		try("connectors."+name+".metrics", e.file.Connectors[name].Metrics)
	}
}

// socketPlace says why no socket can be made at path.
func socketPlace(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case len(path) > socketPathMax:
		return fmt.Errorf("%s is longer than %d bytes, which no socket's path may be: name a shorter one", path, socketPathMax)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: RuntimeDirectory= in the unit makes it below /run", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory: name another path", dir)
	case unix.Access(dir, unix.W_OK) != nil:
		return fmt.Errorf("this user cannot write to %s: RuntimeDirectory= in the unit gives it to the agent's user, or run doctor as that", dir)
	}
	return nil
}

func (e *examination) memory() {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return // not Linux
	}
	defer f.Close()
	if available, ok := memoryAvailable(f); ok {
		e.judgeMemory(available)
	}
}

// memoryAvailable reads /proc/meminfo.
func memoryAvailable(r io.Reader) (bytes uint64, ok bool) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "MemAvailable:"); found {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 54)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

func (e *examination) judgeMemory(available uint64) {
	if available < minMemory {
		e.warn("memory", "%d MiB are available, less than %d: Workers will be killed; add memory, or stop what uses it (\"systemd-cgtop -m\")", available>>20, minMemory>>20)
		return
	}
	e.check("memory", nil, fmt.Sprintf("%d MiB available", available>>20))
}
