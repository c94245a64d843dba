// SPDX-License-Identifier: MPL-2.0

package wranglertest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The guard is what the other tests rest on when they say that wrangler stays on
// this machine, so it is tried itself.
func TestTheGuardRefusesToLeaveTheMachine(t *testing.T) {
	t.Parallel()
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer local.Close()
	dir := t.TempDir()
	guard, egress := filepath.Join(dir, "guard.cjs"), filepath.Join(dir, "egress.log")
	write(t, guard, string(loopbackOnly))
	write(t, filepath.Join(dir, "try.mjs"), `
import https from "node:https";
import net from "node:net";
const fails = (f) => f.then(() => console.log("it got out"), () => {});
console.log(await (await fetch("`+local.URL+`")).text());
await fails(fetch("http://example.com/"));
await fails(fetch("http://192.0.2.1/"));
await fails(new Promise((ok, no) => https.get("https://registry.example.org/", ok).on("error", no)));
await fails(new Promise((ok, no) => net.connect(80, "192.0.2.2", ok).on("error", no)));
`)
	cmd := exec.CommandContext(t.Context(), Stable(t).node, filepath.Join(dir, "try.mjs"))
	cmd.Env = []string{"NODE_OPTIONS=--require=" + guard, "HYBRIDGE_EGRESS_LOG=" + egress}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("the program wrote %q, %v; want only what loopback answered", out, err)
	}
	seen, err := os.ReadFile(egress)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"example.com", "192.0.2.1", "registry.example.org", "192.0.2.2"} {
		if !strings.Contains(string(seen), host) {
			t.Errorf("the attempt to reach %s is not recorded in %q", host, seen)
		}
	}
}
