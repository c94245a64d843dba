// SPDX-License-Identifier: MPL-2.0

package agentfile

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

const whole = `format: 1
region: fr
data_dir: /var/lib/hybridge
plane:
  api: { listen: "unix:///run/hybridge/api.sock" }
  workerd: /usr/lib/hybridge/workerd
  allow_egress: [10.1.2.3/32]
  initial_token_file: /var/lib/hybridge/token
ingress:
  listen:
    - { address: "127.0.0.1:8787" }
    - { address: "0.0.0.0:443", tls: true }
  certificates:
    - { cert_file: /etc/hybridge/tls/app.crt, key_file: "${CREDENTIALS_DIRECTORY}/app.key" }
  zones:
    example.com: { hostnames: { "app.example.com": { worker: api } } }
connectors:
  paris-1:
    tunnel_id: 5f1b0c3a-0000-4000-8000-000000000001
    cloudflared: /usr/bin/cloudflared
    token_file: ${CREDENTIALS_DIRECTORY}/tunnel-token
    metrics: 127.0.0.1:20241
health:
  listen: "127.0.0.1:8790"
  token_file: ${CREDENTIALS_DIRECTORY}/health-token
alerts:
  webhooks: [ { url: "https://ops.example.com/hook", secret_file: "/etc/hybridge/hook" } ]
  certificate_expiry: 48h
  disk_free: 5%
log: { level: debug, format: text }
`

func credentials(name string) string {
	return map[string]string{"CREDENTIALS_DIRECTORY": "/run/credentials/h"}[name]
}

func TestAWholeFileIsRead(t *testing.T) {
	t.Parallel()
	f, err := Parse([]byte(whole), credentials)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Connectors["paris-1"].TokenFile; got != "/run/credentials/h/tunnel-token" {
		t.Errorf("token_file is %q", got)
	}
	if f.Alerts.DiskFree != 5 || time.Duration(f.Alerts.CertificateExpiry) != 48*time.Hour {
		t.Errorf("alerts are %+v", f.Alerts)
	}
}

func TestWhatIsRefusedIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "region: fr", "regoin: fr", `line 2, column 1: unknown field "regoin"`},
		{"unknown key inside", "worker: api", "wrker: api", "line 16, column"},
		{"twice the same key", "region: fr", "region: fr\nregion: de", "line 3, column 1"},
		{"wrong type", "format: 1", "format: [1]", "line 1, column"},
		{"another format", "format: 1", "format: 2", "format: 2 is unknown"},
		{"a variable that is not set", "${CREDENTIALS_DIRECTORY}/app.key", "${NOPE}/app.key", "certificates[0].key_file: the environment variable NOPE"},
		{"public API", "unix:///run/hybridge/api.sock", "0.0.0.0:8780", "plane.api.listen: other machines could reach"},
		{"plain HTTP in public", "127.0.0.1:8787", "0.0.0.0:8787", "ingress.listen[0]: plain HTTP"},
		{"public health", "127.0.0.1:8790", "10.0.0.1:8790", "health.listen: other machines"},
		{"health without a token", "  token_file: ${CREDENTIALS_DIRECTORY}/health-token\n", "", "health.token_file: it is needed"},
		{"host of another zone", `"app.example.com"`, `"app.example.org"`, "app.example.org"},
		{"no tunnel", "5f1b0c3a-0000-4000-8000-000000000001", "5f1b", "connectors.paris-1.tunnel_id"},
		{"public metrics", "127.0.0.1:20241", "0.0.0.0:20241", "connectors.paris-1.metrics"},
		{"no share", "5%", "five", "five"},
		{"no duration", "48h", "two days", "two days"},
		{"unsigned webhook", `, secret_file: "/etc/hybridge/hook"`, "", "alerts.webhooks[0].secret_file"},
		{"two documents", "log: {", "---\nlog: {", "more than one document"},
	} {
		text := strings.Replace(whole, c.old, c.new, 1)
		if text == whole {
			t.Fatalf("%s: nothing was replaced", c.name)
		}
		if _, err := Parse([]byte(text), credentials); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestATokenHasOneSource(t *testing.T) {
	t.Parallel()
	const connector = `format: 1
connectors:
  paris-1: { tunnel_id: 5f1b0c3a-0000-4000-8000-000000000001, %s }
`
	const sops = `{ file: "${CREDENTIALS_DIRECTORY}/s.yaml", key: tunnel.token }`
	parse := func(source string) (*File, error) {
		return Parse([]byte(strings.Replace(connector, "%s", source, 1)), credentials)
	}
	for _, source := range []string{
		"token_file: /t", "token_sops: " + sops,
		`token_from_api: { account_id: 0123456789abcdef0123456789abcdef, api_token_file: "${CREDENTIALS_DIRECTORY}/api", refresh: 5m }`,
		`token_from_api: { account_id: 0123456789abcdef0123456789abcdef, base_url: "http://127.0.0.1:8780/client/v4", api_token_sops: ` + sops + " }",
	} {
		f, err := parse(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		for _, s := range f.Connectors["paris-1"].sops() {
			if s.File != "/run/credentials/h/s.yaml" || s.AgeIdentityFile != DefaultAgeIdentity {
				t.Errorf("%s: %+v", source, s)
			}
		}
	}
	for source, want := range map[string]string{
		"metrics: 127.0.0.1:1":                                               "with one of token_file, token_sops, token_from_api",
		"token_file: /t, token_sops: " + sops:                                "with one of token_file, token_sops, token_from_api",
		"token_file: t":                                                      "token_file: \"t\" is no absolute path",
		"token_sops: { file: s.yaml, key: t }":                               "token_sops.file: \"s.yaml\" is no absolute path",
		"token_sops: { file: /s.yaml }":                                      "token_sops.key: it is needed",
		"token_from_api: { account_id: me }":                                 "account_id: \"me\" is not 32",
		"token_from_api: { api_token_file: /a, refresh: 1ms }":               "refresh: it is shorter than 1s",
		"token_from_api: { api_token_file: /a, base_url: http://10.0.0.1/ }": "base_url: it must be an https URL",
		"token_from_api: {}":                                                 "with one of api_token_file, api_token_sops",
		"token_from_api: { api_token: canary }":                              "line 3, column",
	} {
		if _, err := parse(source); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}

func TestTheSchemaNamesEveryKeyAndRefusesOthers(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"additionalProperties":false`, `"connectors"`, `"token_file"`, `"initial_token_file"`, `"disk_free"`, `"$defs"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the schema lacks %s", want)
		}
	}
}

func TestWhatTheGuideShowsIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../templates/guides/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("it has %d blocks of YAML", len(blocks))
	}
	for _, block := range blocks {
		yaml := block[1]
		if !strings.Contains(yaml, "format: 1") {
			yaml = "format: 1\n" + yaml
		}
		if _, err := Parse([]byte(yaml), credentials); err != nil {
			t.Errorf("%v\n%s", err, yaml)
		}
	}
}
