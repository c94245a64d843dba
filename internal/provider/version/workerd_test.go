// SPDX-License-Identifier: MPL-2.0

package version_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// realWorkerd validates versions by starting them in workerd.
func realWorkerd(t *testing.T) func(workerd.Version) error {
	t.Helper()
	sockets, err := os.MkdirTemp("", "vt") // a short path: unix sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	log := hclog.NewNullLogger()
	f, err := fleet.New(fleet.Config{Workerd: workerdtest.Path(t), SocketDir: filepath.Join(sockets, "s"), Router: ingress.New(log), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		f.Close(ctx)
	})
	return func(v workerd.Version) error {
		_, err := f.Validate(context.Background(), v)
		return err
	}
}

func TestWorkerdsRefusalReachesTheUser(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.Runtime.Refuse = realWorkerd(t)
	for name, tc := range map[string]struct {
		config tfproto.Object
		want   []string
	}{
		"syntax error":    {s.config(tfproto.Object{"script": "export default {\n  fetch() { return new Response( }\n}"}), []string{"index.js:2", "SyntaxError"}},
		"start-up throw":  {s.config(tfproto.Object{"script": "const a = 1;\nthrow new Error('boom at start');\nexport default {}"}), []string{"boom at start", "index.js:2"}},
		"unknown flag":    {s.config(tfproto.Object{"compatibility_flags": []any{"no_such_flag"}}), []string{"no_such_flag"}},
		"missing builtin": {s.config(tfproto.Object{"script": "import fs from 'node:fs'; export default { fetch() { return new Response(typeof fs) } }"}), []string{"node:fs"}},
	} {
		p := s.plan(tfproto.State{Type: kind}, tc.config)
		state, diags := s.provider.Apply(t.Context(), t, p)
		if state.Object != nil || !strings.Contains(diags.String(), "Version was refused") {
			t.Errorf("%s: got %q", name, diags)
		}
		for _, want := range tc.want {
			if !strings.Contains(diags.String(), want) {
				t.Errorf("%s: %q is not in %q", name, want, diags)
			}
		}
	}
	s.wantVersions(0)

	// A bundle of TypeScript, WebAssembly and text passes, and a plain module too.
	dir := project(t)
	write(t, dir, map[string]string{
		"src/lib.ts":    "import add from './add.wasm'; import text from './hello.txt'; export const x: string = text + String(add instanceof WebAssembly.Module)",
		"src/add.wasm":  "\x00asm\x01\x00\x00\x00",
		"src/hello.txt": "hello",
	})
	s.create(s.bundled(dir))
	s.create(s.config(tfproto.Object{"script": "import { readFileSync } from 'node:fs'; export default { fetch() { return new Response(typeof readFileSync) } }", "compatibility_flags": []any{"nodejs_compat"}}))
	s.wantVersions(2)
}
