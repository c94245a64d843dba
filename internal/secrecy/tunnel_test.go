// SPDX-License-Identifier: MPL-2.0

package secrecy

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

const tunnelConfig = `terraform {
  required_providers {
    hybridge = { source = "hybridge/hybridge" }
  }
}

variable "rotation" {
  default = "1"
}

data "hybridge_zone" "example" {
  name = "example.com"
}

resource "hybridge_tunnel" "vps" {
  name             = "paris-1"
  ingress          = [{ hostname = "app.example.com", service = "hello_world" }]
  rotation_trigger = var.rotation
}

resource "hybridge_tunnel_connected" "vps" {
  tunnel_id = hybridge_tunnel.vps.id
}

resource "hybridge_tunnel_hostname" "app" {
  tunnel_id = hybridge_tunnel.vps.id
  zone_id   = data.hybridge_zone.example.id
  hostname  = "app.example.com"
}

ephemeral "hybridge_tunnel_token" "vps" {
  tunnel_id = hybridge_tunnel.vps.id
}

resource "terraform_data" "token" {
  lifecycle {
    precondition {
      condition     = startswith(ephemeral.hybridge_tunnel_token.vps.token, "ey")
      error_message = "There is no token."
    }
  }
}

output "id" { value = hybridge_tunnel.vps.id }
`

// tokenOf asks the plane for a tunnel's token, and has all that is secret in it looked for.
func (l *life) tokenOf(plane *stage.Plane, id string) string {
	l.t.Helper()
	env := plane.Env()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, env["CLOUDFLARE_BASE_URL"]+"/accounts/"+env["CLOUDFLARE_ACCOUNT_ID"]+"/cfd_tunnel/"+id+"/token", nil)
	l.must(err)
	req.Header.Set("Authorization", "Bearer "+env["CLOUDFLARE_API_TOKEN"])
	resp, err := http.DefaultClient.Do(req)
	l.must(err)
	defer resp.Body.Close()
	var answer struct{ Result string }
	l.must(json.NewDecoder(resp.Body).Decode(&answer))
	raw, err := base64.StdEncoding.DecodeString(answer.Result)
	l.must(err)
	var parts struct{ S string }
	l.must(json.Unmarshal(raw, &parts))
	secret, err := base64.StdEncoding.DecodeString(parts.S)
	l.must(err)
	if len(secret) < 32 {
		l.t.Fatalf("the tunnel's secret has %d bytes", len(secret))
	}
	for _, s := range []string{answer.Result, parts.S, string(secret)} {
		l.secrets = append(l.secrets, s)
		l.watch.look(s)
	}
	return answer.Result
}

// TestATunnelsSecretIsNowhereButOnThePlane: and there it is encrypted.
func TestATunnelsSecretIsNowhereButOnThePlane(t *testing.T) {
	t.Parallel()
	l := newLife(t, "")
	l.shows = "hybridge_tunnel"
	l.write("main.tf", []byte(tunnelConfig), nil)
	plane, err := l.stage.StartPlane(t.Context(), "plane")
	l.must(err)
	tf := l.terraform(l.dir, plane.Env())
	tf(0, "init", "-no-color")
	tf(2, "plan", "-no-color", "-detailed-exitcode", "-out=first.tfplan")
	tf(0, "show", "-json", "first.tfplan")
	tf(0, "apply", "-no-color", "first.tfplan")
	var id string
	l.must(json.Unmarshal([]byte(tf(0, "output", "-json", "id")), &id))
	first := l.tokenOf(plane, id)
	tf(0, "plan", "-no-color", "-detailed-exitcode") // it opens the token

	tf(0, "apply", "-no-color", "-auto-approve", "-var=rotation=2")
	if second := l.tokenOf(plane, id); second == first {
		t.Error("the secret was not rotated")
	}
	tf(0, "plan", "-no-color", "-detailed-exitcode", "-var=rotation=2")
	tf(0, "state", "pull")

	// Somebody else's state, and a plane that repeats what it was sent in its error.
	other := filepath.Join(l.stage.Dir, "imported")
	l.must(stage.CopyTree(other, l.dir))
	l.must(os.Remove(filepath.Join(other, "key.txt")))
	imported := l.terraform(other, plane.Env())
	imported(0, "init", "-no-color")
	imported(0, "import", "-no-color", "hybridge_tunnel.vps", plane.Env()["CLOUDFLARE_ACCOUNT_ID"]+"/"+id)
	env := plane.Env()
	env["CLOUDFLARE_BASE_URL"] = echoing(t, env["CLOUDFLARE_BASE_URL"])
	fresh := filepath.Join(l.stage.Dir, "fresh")
	l.must(stage.CopyTree(fresh, l.dir))
	l.must(os.Remove(filepath.Join(fresh, "key.txt")))
	refusing := l.terraform(fresh, env)
	refusing(0, "init", "-no-color")
	refused := refusing(1, "apply", "-no-color", "-auto-approve")
	if !strings.Contains(refused, "[redacted]") {
		t.Errorf("the echo does not show, so it proves nothing:\n%s", refused)
	}

	tf(0, "destroy", "-no-color", "-auto-approve", "-var=rotation=2")
	l.must(plane.Stop())
	l.wantClean()
}
