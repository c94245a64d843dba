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
			names = append(names, tunnelSecret(name))
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

func tunnelSecret(name string) string  { return "tunnel-" + name }
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
			if in.fromSOPS() {
				line("    token_sops:")
				line("      file: %s", quote(sopsFile))
				line("      key: %s", quote(tunnelSecret(name)))
				line("      age_identity_file: %s", quote(in.secretFile(identity)))
			} else {
				line("    token_file: %s", quote(in.secretFile(tunnelSecret(name))))
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
