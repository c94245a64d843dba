// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// An agent whose API has no port at all is asked by its socket, or through a tunnel.
func TestRolloutsAreAskedThroughTheSocketAndThroughAccess(t *testing.T) {
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
	list := func(base string, env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "hybridge", "rollout", "list")
		cmd.Env = append(os.Environ(), "CLOUDFLARE_API_TOKEN="+strings.TrimSpace(string(token)),
			"CLOUDFLARE_ACCOUNT_ID="+accounts.Result[0].ID, "CLOUDFLARE_BASE_URL="+base)
		cmd.Env = append(cmd.Env, env...)
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

	// The same agent through a tunnel that Access guards.
	const id, secret = "88bf3b6d86161464f6509f7219099e57.access", "canary5ecret0canary5ecret0canary5ecret0canary5ecret0canary5ecret"
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "plane"})
	behind.Transport = overUnix(m.path("api.sock")).Transport
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("CF-Access-Client-Id") != id || r.Header.Get("CF-Access-Client-Secret") != secret {
			http.Redirect(w, r, "https://acme.cloudflareaccess.com/cdn-cgi/access/login/plane?meta=signed", http.StatusFound)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(gate.Close)
	if out, err := list(gate.URL, "CLOUDFLARE_ACCESS_CLIENT_ID="+id, "CLOUDFLARE_ACCESS_CLIENT_SECRET="+secret); err != nil || out != "there are no rollouts\n" {
		t.Errorf("%v: %s", err, out)
	}
	for says, env := range map[string][]string{
		"login page of acme.cloudflareaccess.com": nil,
		"does not accept the service token":       {"CLOUDFLARE_ACCESS_CLIENT_ID=" + id, "CLOUDFLARE_ACCESS_CLIENT_SECRET=" + strings.ToUpper(secret)},
		"CLOUDFLARE_ACCESS_CLIENT_SECRET is not":  {"CLOUDFLARE_ACCESS_CLIENT_ID=" + id},
	} {
		if out, err := list(gate.URL, env...); err == nil || !strings.Contains(out, says) || strings.Contains(strings.ToLower(out), secret) {
			t.Errorf("%v: %s, want %q", err, out, says)
		}
	}
	m.stop()
}
