// SPDX-License-Identifier: MPL-2.0

package agentfiles_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agentfiles"
)

// Whatever is rendered, the agent reads, and as what was said: the checks here and those of the agent are
// two, and must not drift apart.
func TestWhatIsRenderedIsWhatTheAgentReads(t *testing.T) {
	t.Parallel()
	knows := knowsSOPS(t)
	rapid.Check(t, func(t *rapid.T) {
		in := machines(t, knows)
		if knows {
			in["unit"] = map[string]any{"load": rapid.SampledFrom([]string{"sops", "encrypted", "plain", "files"}).Draw(t, "load")}
		}
		files, err := agentfiles.Render(in)
		if err != nil {
			t.Skip("it was refused") // what is refused wrongly, the other tests would miss
		}
		f, err := agentfile.Parse([]byte(files[agentfiles.AgentYAML]), func(name string) string {
			return map[string]string{"CREDENTIALS_DIRECTORY": "/run/credentials/x"}[name]
		})
		if err != nil {
			t.Fatalf("the agent refuses it: %v\n%s", err, files[agentfiles.AgentYAML])
		}
		if region, _ := in["region"].(string); f.Region != region {
			t.Fatalf("region %q became %q", region, f.Region)
		}
		ingress, ok := in["ingress"].(map[string]any)
		if !ok {
			return
		}
		for zone, hosts := range ingress["zones"].(map[string]any) {
			for host, worker := range hosts.(map[string]any) {
				if got := f.Ingress.Zones[zone].Hostnames[host].Worker; got != worker {
					t.Fatalf("%s leads to %q, not %q", host, got, worker)
				}
			}
		}
		var config map[string]any
		if err := yaml.Unmarshal([]byte(files[agentfiles.CloudInit]), &config); err != nil {
			t.Fatal(err)
		}
		again, err := agentfiles.Render(in)
		if err != nil || !cmp.Equal(files, again) {
			t.Fatalf("the same input gives other bytes: %v", err)
		}
	})
}

// machines draws inputs of which most are valid. Names are such as YAML reads as something else.
func machines(t *rapid.T, knows bool) map[string]any {
	name := rapid.OneOf(rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?`), rapid.SampledFrom([]string{"null", "true", "no", "1e3", "0x10", "12", "on", "y"}))
	address := rapid.SampledFrom([]string{"127.0.0.1:8787", "127.0.0.2:1", "[::1]:8080", "0.0.0.0:443", ":8443", "unix:///run/hybridge/x.sock", "localhost:80"})
	odd := func(t *rapid.T, label string) bool { return rapid.IntRange(0, 19).Draw(t, label) == 0 }
	in := map[string]any{"format": 1.0}
	programs := map[string]any{"hybridge": map[string]any{"path": "/usr/bin/hybridge"}}
	if rapid.Bool().Draw(t, "region") {
		in["region"] = name.Draw(t, "region's name")
	}
	if rapid.Bool().Draw(t, "plane") {
		plane := map[string]any{}
		if rapid.Bool().Draw(t, "API") {
			plane["listen"] = address.Draw(t, "API's address")
		}
		in["plane"], programs["workerd"] = plane, map[string]any{"path": "/usr/bin/workerd"}
		zones := map[string]any{}
		for _, zone := range rapid.SliceOfNDistinct(name, 0, 3, rapid.ID).Draw(t, "zones") {
			zone := strings.ReplaceAll(zone, "_", "-") + ".example"
			hosts := map[string]any{}
			for _, host := range rapid.SliceOfNDistinct(name, 0, 3, rapid.ID).Draw(t, "hosts") {
				hosts[strings.ReplaceAll(host, "_", "-")+"."+zone] = name.Draw(t, "Worker")
			}
			zones[zone] = hosts
		}
		ingress := map[string]any{"zones": zones}
		if rapid.Bool().Draw(t, "listen") {
			ingress["listen"] = []any{map[string]any{"address": address.Draw(t, "address"), "tls": rapid.Bool().Draw(t, "tls")}}
			ingress["certificates"] = []any{"app"}
		}
		in["ingress"] = ingress
	}
	if in["plane"] == nil || rapid.Bool().Draw(t, "connectors") {
		connectors := map[string]any{}
		for _, one := range rapid.SliceOfNDistinct(name, 1, 3, rapid.ID).Draw(t, "connectors' names") {
			c := map[string]any{"tunnel_id": rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(t, "tunnel")}
			if knows && rapid.Bool().Draw(t, "asks for its token") {
				c["account_id"] = rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "account")
			}
			if odd(t, "metrics") {
				c["metrics"] = address.Draw(t, "metrics' address")
			}
			connectors[one] = c
		}
		in["connectors"], programs["cloudflared"] = connectors, map[string]any{"path": "/usr/bin/cloudflared"}
	}
	if rapid.Bool().Draw(t, "health") {
		in["health"] = map[string]any{"listen": address.Draw(t, "health's address")}
	}
	if rapid.Bool().Draw(t, "alerts") {
		webhooks := map[string]any{}
		for _, one := range rapid.SliceOfNDistinct(name, 0, 2, rapid.ID).Draw(t, "webhooks") {
			webhooks[one] = "https://example.com/" + rapid.StringMatching(`[a-zA-Z0-9#' "${}\\é]{0,12}`).Draw(t, "path")
		}
		in["alerts"] = map[string]any{"webhooks": webhooks, "disk_free": rapid.SampledFrom([]string{"5%", "0.5%", "1e1%", "NaN%", "0x1p4%", "100%"}).Draw(t, "disk"),
			"certificate_expiry": rapid.SampledFrom([]string{"48h", "1h30m", "1d", "-1h", "0s"}).Draw(t, "expiry")}
	}
	in["programs"] = programs
	in["unit"] = map[string]any{"load": rapid.SampledFrom([]string{"encrypted", "plain", "files"}).Draw(t, "load")}
	return in
}

// The heredocs of the script hold what they should: nothing of an input ends one early, and no shell expands
// anything in it.
func TestTheScriptCarriesTheFilesAsTheyAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files, err := agentfiles.Render(machines(t, true))
		if err != nil {
			t.Skip("it was refused")
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if name == agentfiles.Install || name == agentfiles.CloudInit {
				continue
			}
			if !strings.Contains(files[agentfiles.Install], "cat >\"$work/"+name+"\" <<'HYBRIDGE_EOF'\n"+files[name]+"HYBRIDGE_EOF\n") {
				t.Fatalf("the script has another %s", name)
			}
			if strings.Contains(files[name], "HYBRIDGE_EOF") {
				t.Fatalf("%s ends its own text", name)
			}
		}
	})
}
