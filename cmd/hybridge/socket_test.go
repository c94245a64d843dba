// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// An agent whose API has no port at all is asked by its socket.
func TestRolloutsAreAskedThroughTheSocket(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("agent.yaml", m.config(`{ address: "127.0.0.1:0" }`, ""))
	m.start()
	token, err := os.ReadFile(m.path("token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://plane/client/v4/accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := overUnix(m.path("api.sock")).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var accounts struct{ Result []struct{ ID string } }
	if err := json.NewDecoder(resp.Body).Decode(&accounts); err != nil || len(accounts.Result) != 1 {
		t.Fatalf("%+v %v", accounts, err)
	}
	// It says where it is, which the planes in Terraform have to agree with.
	about, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://plane/hybridge/v1/plane", nil)
	if err != nil {
		t.Fatal(err)
	}
	about.Header = req.Header
	told, err := overUnix(m.path("api.sock")).Do(about)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Body.Close()
	var plane struct{ Region string }
	if err := json.NewDecoder(told.Body).Decode(&plane); err != nil || plane.Region != "fr" {
		t.Errorf("the plane says that it is in %q, %v", plane.Region, err)
	}
	list := func(base string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "hybridge", "rollout", "list")
		cmd.Env = append(os.Environ(), "CLOUDFLARE_API_TOKEN="+strings.TrimSpace(string(token)),
			"CLOUDFLARE_ACCOUNT_ID="+accounts.Result[0].ID, "CLOUDFLARE_BASE_URL="+base)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := list("unix://" + m.path("api.sock")); err != nil || out != "there are no rollouts\n" {
		t.Errorf("%v: %s", err, out)
	}
	for base, says := range map[string]string{
		"unix://" + m.path("other.sock"): "there is no socket " + m.path("other.sock") + ": start the agent",
		"unix://api.sock":                "has no absolute path",
	} {
		if out, err := list(base); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v: %s, want %q", base, err, out, says)
		}
	}
	m.stop()
}
