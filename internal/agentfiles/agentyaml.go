// SPDX-License-Identifier: MPL-2.0

package agentfiles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

const header = "# Rendered by provider::hybridge::agent_files, format 1. Change it in Terraform, not here.\n"

// Places on the machine.
const (
	configDir   = "/etc/hybridge"
	dataDir     = "/var/lib/hybridge"
	programDir  = "/usr/lib/hybridge"
	tlsDir      = configDir + "/tls"
	secretsDir  = configDir + "/credentials"
	healthToken = "health-token"
	// Where hybridge agent enroll has them.
	identityFile = configDir + "/age-identity"
	sopsFile     = configDir + "/secrets.enc.yaml"
	identity     = "age-identity"
)

// program returns where one lies.
func (in *input1) program(name string) string {
	if p := in.programs[name]; p.path != "" {
		return p.path
	}
	return programDir + "/" + name
}

// fromSOPS reports whether the machine needs its SOPS file.
func (in *input1) fromSOPS() bool { return in.unit.load == loadSOPS && len(in.connectors) > 0 }

// secrets names what the machine is given one by one, in order: the tunnels' tokens, the one of readers
// of the health endpoint, the keys of webhooks' signatures.
func (in *input1) secrets() (names []string) {
	for _, name := range sorted(in.connectors) {
		if !in.fromSOPS() {
			names = append(names, in.connectors[name].secret(name))
		}
	}
	if in.healthNeedsToken() {
		names = append(names, healthToken)
	}
	for _, name := range sorted(in.alerts.webhooks) {
		names = append(names, webhookSecret(name))
	}
	return names
}

// secret is the name of what the connector called name needs: the tunnel's token, or the API token that
// gets it.
func (c connector) secret(name string) string {
	if c.accountID != "" {
		return "api-" + name
	}
	return "tunnel-" + name
}

func webhookSecret(name string) string { return "webhook-" + name }

func (in *input1) healthNeedsToken() bool { return in.health != "" && !isUnix(in.health) }

// secretFile is where the agent reads a secret from.
func (in *input1) secretFile(name string) string {
	if in.unit.load == loadFiles {
		return secretsDir + "/" + name
	}
	return "${CREDENTIALS_DIRECTORY}/" + name
}

// agentYAML writes the configuration. Texts are quoted as in JSON, which YAML reads alike.
func (in *input1) agentYAML() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString(header)
	line("format: 1")
	if in.region != "" {
		line("region: %s", quote(in.region))
	}
	line("data_dir: %s", quote(dataDir))
	if p := in.plane; p != nil {
		line("plane:")
		line("  api:")
		line("    listen: %s", quote(p.listen))
		line("  workerd: %s", quote(in.program("workerd")))
		if len(p.allowEgress) > 0 {
			line("  allow_egress:")
			for _, c := range p.allowEgress {
				line("    - %s", quote(c))
			}
		}
	}
	if i := in.ingress; i != nil {
		i.write(line)
	}
	if len(in.connectors) > 0 {
		line("connectors:")
		for _, name := range sorted(in.connectors) {
			c := in.connectors[name]
			line("  %s:", quote(name))
			line("    tunnel_id: %s", quote(c.tunnelID))
			line("    cloudflared: %s", quote(in.program("cloudflared")))
			if c.accountID == "" {
				in.writeToken(line, "    ", "token", c.secret(name))
			} else {
				line("    token_from_api:")
				line("      account_id: %s", quote(c.accountID))
				if c.baseURL != "" {
					line("      base_url: %s", quote(c.baseURL))
				}
				in.writeToken(line, "      ", "api_token", c.secret(name))
			}
			if c.metrics != "" {
				line("    metrics: %s", quote(c.metrics))
			}
		}
	}
	if in.health != "" {
		line("health:")
		line("  listen: %s", quote(in.health))
		if in.healthNeedsToken() {
			line("  token_file: %s", quote(in.secretFile(healthToken)))
		}
	}
	in.writeAlerts(line)
	line("log:")
	line("  level: %s", quote(in.logLevel))
	return b.String()
}

// writeToken says where a connector's secret comes from: key_file, or key_sops.
func (in *input1) writeToken(line func(string, ...any), indent, key, secret string) {
	if !in.fromSOPS() {
		line("%s%s_file: %s", indent, key, quote(in.secretFile(secret)))
		return
	}
	line("%s%s_sops:", indent, key)
	line("%s  file: %s", indent, quote(sopsFile))
	line("%s  key: %s", indent, quote(secret))
	line("%s  age_identity_file: %s", indent, quote(in.secretFile(identity)))
}

func (i *ingress) write(line func(string, ...any)) {
	line("ingress:")
	line("  listen:")
	for _, l := range i.listen {
		line("    - address: %s", quote(l.address))
		if l.tls {
			line("      tls: true")
		}
	}
	if len(i.certificates) > 0 {
		line("  certificates:")
		for _, name := range i.certificates {
			line("    - cert_file: %s", quote(tlsDir+"/"+name+".crt"))
			line("      key_file: %s", quote(tlsDir+"/"+name+".key"))
		}
	}
	if len(i.zones) == 0 {
		return
	}
	line("  zones:")
	for _, zone := range sorted(i.zones) {
		if len(i.zones[zone]) == 0 {
			line("    %s: { hostnames: {} }", quote(zone))
			continue
		}
		line("    %s:", quote(zone))
		line("      hostnames:")
		for _, host := range sorted(i.zones[zone]) {
			line("        %s: { worker: %s }", quote(host), quote(i.zones[zone][host]))
		}
	}
}

func (in *input1) writeAlerts(line func(string, ...any)) {
	a := in.alerts
	if len(a.webhooks) == 0 && a.certificateExpiry == "" && a.diskFree == "" {
		return
	}
	line("alerts:")
	if len(a.webhooks) > 0 {
		line("  webhooks:")
		for _, name := range sorted(a.webhooks) {
			line("    - url: %s", quote(a.webhooks[name]))
			line("      secret_file: %s", quote(in.secretFile(webhookSecret(name))))
		}
	}
	if a.certificateExpiry != "" {
		line("  certificate_expiry: %s", quote(a.certificateExpiry))
	}
	if a.diskFree != "" {
		line("  disk_free: %s", quote(a.diskFree))
	}
}

// quote writes a text as a double-quoted scalar. Everything that the input may hold is text
// without line ends, so that JSON's escapes are YAML's.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text always can be written
	return strings.TrimSuffix(b.String(), "\n")
}
