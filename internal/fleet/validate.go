// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

const (
	// probeTimeout bounds the question what a version exports; it has started by then.
	probeTimeout = 5 * time.Second
	// maxExports bounds the answer, which the version's code could forge.
	maxExports = 1 << 20
	// maxKnownExports bounds what is remembered of earlier validations.
	maxKnownExports = 4096
)

// Validate starts v without traffic, secrets or network; see plane.Runtime.
func (f *Fleet) Validate(ctx context.Context, v workerd.Version) (workerd.Validation, error) {
	select {
	case f.starts <- struct{}{}:
		defer func() { <-f.starts }()
	case <-ctx.Done():
		return workerd.Validation{}, fmt.Errorf("validating version %s: %w", v.ID, ctx.Err())
	}
	return f.validate(ctx, v)
}

// validate is called with a token of f.starts.
func (f *Fleet) validate(ctx context.Context, v workerd.Version) (workerd.Validation, error) {
	p := workerd.ValidatingProcess{Version: v, HeapLimitMiB: f.cfg.Limits.HeapMiB}
	config, err := p.Config()
	if err != nil {
		return workerd.Validation{}, fmt.Errorf("validating version %s: %w", v.ID, err)
	}
	l := &listener{path: f.sock.newPath()}
	defer l.close()
	proc, err := f.host.Start(supervise.Spec{
		Name: "version " + v.ID,
		Argv: workerd.Invocation{
			Binary: f.cfg.Workerd, ControlFD: supervise.ControlFD, ConfigFD: supervise.FirstFD,
			Sockets: p.Sockets(), SocketFD: supervise.FirstFD + 1,
		}.Argv(),
		Files: func() ([]*os.File, error) {
			c, err := memoryFile(config)
			if err != nil {
				return nil, err
			}
			s, err := l.file()
			if err != nil {
				return []*os.File{c}, err
			}
			return []*os.File{c, s}, nil
		},
		Ready:        listening(len(p.Sockets())),
		Redact:       workerd.PlainOutput,
		Once:         true,
		StartTimeout: f.cfg.Limits.Validation,
		StartCPU:     f.cfg.Limits.ValidationCPU,
	})
	if err != nil {
		return workerd.Validation{}, fmt.Errorf("validating version %s: %w", v.ID, err)
	}
	defer proc.Stop(0)
	began := time.Now()
	if err := proc.WaitReady(ctx); err != nil {
		return workerd.Validation{}, f.refusal(v, err)
	}
	startup := time.Since(began)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer, err := get(ctx, l.path, maxExports)
	if err != nil {
		return workerd.Validation{}, fmt.Errorf("validating version %s: %w", v.ID, err)
	}
	result, err := p.Exports(answer, startup)
	if err != nil {
		return workerd.Validation{}, err
	}
	f.mu.Lock()
	if len(f.exports) >= maxKnownExports {
		clear(f.exports)
	}
	f.exports[contentKey(v)] = result.Entrypoints
	f.mu.Unlock()
	return result, nil
}

// refusal words why a validating process did not become ready.
func (f *Fleet) refusal(v workerd.Version, err error) error {
	var exit *supervise.ExitError
	if errors.As(err, &exit) {
		if exit.TimedOut {
			return &workerd.InvalidVersionError{Message: fmt.Sprintf(
				"Script startup exceeded CPU time limit: %s. Move work out of the global scope into a handler.", exit.Reason)}
		}
		if invalid := workerd.StartupError(v, exit.Output, f.cfg.Limits.HeapMiB); invalid != nil {
			return invalid
		}
	}
	return fmt.Errorf("validating version %s: %w", v.ID, err)
}

// entrypoints are the named exports that service bindings to v can address. It
// is called with a token of f.starts.
func (f *Fleet) entrypoints(ctx context.Context, v workerd.Version) ([]string, error) {
	if v.Entrypoints != nil {
		return v.Entrypoints, nil
	}
	f.mu.Lock()
	known, ok := f.exports[contentKey(v)]
	f.mu.Unlock()
	if ok {
		return known, nil
	}
	result, err := f.validate(ctx, v)
	if err != nil {
		return nil, err
	}
	return result.Entrypoints, nil
}

// contentKey identifies what decides on a version's exports. Paths of modules
// stand for their content, which is immutable.
func contentKey(v workerd.Version) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", v.MainModule, v.CompatibilityDate, v.CompatibilityFlags)
	for _, m := range v.Modules {
		fmt.Fprintf(h, "%q %q %q\n", m.Name, m.Type, m.Path)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
