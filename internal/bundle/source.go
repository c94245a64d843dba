// SPDX-License-Identifier: MPL-2.0

// Package bundle turns a Worker's code, in whichever of three forms its author
// has it, into the modules of one version.
//
//   - A Project is bundled by esbuild, as wrangler does it.
//   - A Directory was built by another tool and is taken as it is.
//   - A Script is a few lines written inline.
//
// # Identity
//
// Planning needs to know whether the code changed; it needs no output. So there
// are two operations. Inspect answers with a Code, the identity of the sources.
// Build answers with a Bundle, the modules to upload, and fails unless it read
// the very sources that were inspected.
//
// The identity of a Project is that of its inputs and options, never of its
// output: another version of esbuild writes another output from the same sources,
// and that alone is no reason for a new version of a Worker. Paths are made
// relative to the project, files of npm packages to their package, so that the
// same commit has the same identity on every machine, with npm's, pnpm's and a
// workspace's layout of node_modules.
//
// # Order of trust
//
// Files change under us. What is hashed is what was read for the result that the
// hash describes: esbuild gets its files from this package, which hashes the same
// bytes, and an upload hashes what it sends.
package bundle

import (
	"context"
	"runtime"
	"sync"
)

// A Source is code in one of the forms this package knows: Project, Directory
// or Script.
type Source interface {
	// key is equal for two sources if and only if all their options are.
	key() string
	// inspect reads the sources. It reports which files the answer depends on.
	inspect(ctx context.Context, b *Bundler) (*Code, []stamp, error)
	// build reads the sources and answers with the modules and their identity.
	build(ctx context.Context, b *Bundler) (*Bundle, error)
}

var (
	_ Source = Project{}
	_ Source = Directory{}
	_ Source = Script{}
)

// Code is the identity of a Source. It is immutable.
type Code struct {
	// SHA256 is the identity as 64 hex digits: over Modules and the options.
	SHA256 string
	// Modules maps what was read to the SHA-256 of its content: for a Project its
	// files by path relative to the project, other packages of the workspace as
	// "workspace:<name>/<path>" and each npm package as one entry
	// "npm:<name>@<version>"; for the others the modules by name.
	Modules map[string]string
	// Bundler names the bundler and its version, e.g. "esbuild 0.28.2"; empty
	// where nothing is bundled. It is no part of SHA256.
	Bundler string
	// Builtins lists the modules of Node.js imported without "node:" that were
	// taken from the runtime rather than from npm, sorted.
	Builtins []string
	// Warnings are the bundler's, about files of the project.
	Warnings []Problem
}

// Bundle is the modules of one version, ready for upload.
type Bundle struct {
	Code *Code
	// Main is the name of the module that exports the handlers.
	Main string
	// Modules has the main module first, the others sorted by name.
	Modules []Module
	// Size is the sum of the modules' sizes in bytes.
	Size int64
}

// Bundler inspects and builds. It remembers what it inspected for as long as
// the files stay the same: create one per process and share it. All methods are
// safe for concurrent use.
type Bundler struct {
	slots chan struct{} // held while esbuild runs or a directory is hashed

	mu      sync.Mutex
	entries map[string]*entry   // by Source.key
	hashes  map[string]fileHash // by absolute path
}

// NewBundler makes a Bundler. It runs at most as many builds at once as there
// are processors: esbuild is parallel in itself, and each build holds its
// sources and its output in memory.
func NewBundler() *Bundler {
	return &Bundler{
		slots:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
		entries: map[string]*entry{},
		hashes:  map[string]fileHash{},
	}
}

// Inspect answers with the identity of src. A repeated call costs one stat per
// file; concurrent calls for the same source share one inspection. Errors are
// not remembered.
func (b *Bundler) Inspect(ctx context.Context, src Source) (*Code, error) {
	e := b.entry(src.key())
	if err := e.lock(ctx); err != nil {
		return nil, err
	}
	defer e.unlock()

	if e.code != nil && b.allCurrent(e.stamps) {
		return e.code, nil
	}
	e.code, e.stamps = nil, nil
	var code *Code
	var stamps []stamp
	err := b.inSlot(ctx, func() (err error) {
		code, stamps, err = src.inspect(ctx, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.code, e.stamps = code, stamps
	return code, nil
}

// Build answers with the modules of src. It fails with a *ChangedError if the
// sources that it read are not those that planned describes; only SHA256 and
// Modules of planned are looked at.
func (b *Bundler) Build(ctx context.Context, src Source, planned *Code) (*Bundle, error) {
	var out *Bundle
	err := b.inSlot(ctx, func() (err error) {
		out, err = src.build(ctx, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if out.Code.SHA256 != planned.SHA256 {
		return nil, &ChangedError{Names: changedNames(planned.Modules, out.Code.Modules)}
	}
	return out, nil
}

func (b *Bundler) inSlot(ctx context.Context, work func() error) error {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.slots }()
	return work()
}
