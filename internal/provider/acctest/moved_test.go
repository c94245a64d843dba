// SPDX-License-Identifier: MPL-2.0

package acctest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const official = "registry.terraform.io/cloudflare/cloudflare"

// TestWhatTheOfficialProviderMadeIsTakenOver: a moved block reads the object, so the
// plan after it has nothing to do.
func TestWhatTheOfficialProviderMadeIsTakenOver(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	tunnelConfig := tfproto.Object{"name": "paris-1", "ingress": []any{map[string]any{"hostname": "app.example.com", "service": "http://localhost:1"}}}
	tunnel := p.Create(t.Context(), t, "hybridge_tunnel", tunnelConfig)
	id := tunnel.Object["id"].(string)
	cases := []struct {
		from, to string
		config   tfproto.Object
		made     tfproto.State
		source   string // of its id; the account is added where it is known
	}{
		{from: "cloudflare_zero_trust_tunnel_cloudflared", to: "hybridge_tunnel", config: tunnelConfig, made: tunnel, source: `"account_id": "%[1]s", "id": "%[2]s"`},
		{from: "cloudflare_dns_record", to: "hybridge_tunnel_hostname", config: tfproto.Object{"tunnel_id": id, "zone_id": zone, "hostname": "app.example.com"}, source: `"zone_id": "` + zone + `", "id": "%[2]s"`},
		{from: "cloudflare_zero_trust_tunnel_cloudflared_route", to: "hybridge_tunnel_route", config: tfproto.Object{"tunnel_id": id, "network": "10.0.0.0/8"}, source: `"account_id": "%[1]s", "id": "%[2]s"`},
		{from: "cloudflare_zero_trust_tunnel_cloudflared_virtual_network", to: "hybridge_tunnel_virtual_network", config: tfproto.Object{"name": "customer"}, source: `"account_id": "%[1]s", "id": "%[2]s"`},
		{from: "cloudflare_connectivity_directory_service", to: "hybridge_vpc_service", config: tfproto.Object{"name": "api", "type": "http", "tunnel_id": id, "ipv4": "10.0.0.1"}, source: `"account_id": "%[1]s", "service_id": "%[2]s"`},
	}
	for _, c := range cases {
		if c.made.Object == nil {
			c.made = p.Create(t.Context(), t, c.to, c.config)
		}
		source := fmt.Sprintf("{"+c.source+"}", plane.AccountID, c.made.Object["id"])
		moved, d := p.Move(t.Context(), t, official, c.from, source, c.to)
		if !d.HasError() { // Terraform refreshes before it plans
			moved, d = p.Read(t.Context(), t, moved)
		}
		if d.HasError() {
			t.Errorf("%s: %s", c.from, d)
			continue
		}
		if diff := cmp.Diff(c.made.Object, moved.Object); diff != "" {
			t.Errorf("%s (-made +moved):\n%s", c.from, diff)
		}
		if plan, d := p.Plan(t.Context(), t, moved, c.config); d.HasError() || !plan.Empty() {
			t.Errorf("%s: the plan is not empty: %s", c.from, d)
		}
		if _, d := p.Move(t.Context(), t, "registry.terraform.io/somebody/else", c.from, source, c.to); !d.HasError() {
			t.Errorf("%s: another provider's object is taken", c.from)
		}
		if _, d := p.Move(t.Context(), t, official, c.from, `{}`, c.to); !strings.Contains(d.String(), "import it instead") {
			t.Errorf("%s: without an id: %s", c.from, d)
		}
	}
}
