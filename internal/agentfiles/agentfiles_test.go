// SPDX-License-Identifier: MPL-2.0

package agentfiles_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agentfiles"
)

// update writes the golden files of inputs that have none. It never changes one that is there:
// what a released format renders stays as it is, or every upgrade of the provider replaces machines.
var update = flag.Bool("update", false, "write golden files that are missing")

// input reads the input of a golden directory.
func input(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name, "input.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func render(t *testing.T, in any) map[string]string {
	t.Helper()
	files, err := agentfiles.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func goldens(t *testing.T) (names []string) {
	t.Helper()
	dirs, err := os.ReadDir("testdata")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("there are no golden files: %v", err)
	}
	for _, dir := range dirs {
		names = append(names, dir.Name())
	}
	return names
}

func TestTheBytesOfAFormatNeverChange(t *testing.T) {
	t.Parallel()
	for _, name := range goldens(t) {
		files := render(t, input(t, name))
		var want []string
		entries, err := os.ReadDir(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "input.json" {
				want = append(want, e.Name())
			}
		}
		if len(want) == 0 && *update {
			for file, text := range files {
				if err := os.WriteFile(filepath.Join("testdata", name, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
			t.Errorf("%s: files (-golden +rendered):\n%s", name, diff)
		}
		for _, file := range want {
			golden, err := os.ReadFile(filepath.Join("testdata", name, file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), files[file]); diff != "" {
				t.Errorf("%s/%s changed, and with it the user data of every machine that was made with it: make a new format instead (-golden +rendered):\n%s", name, file, diff)
			}
		}
	}
}

// knowsSOPS reports whether the agent of this tree has token_sops.
func knowsSOPS(t *testing.T) bool {
	t.Helper()
	schema, err := json.Marshal(agentfile.Schema())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(schema), `"token_sops"`)
}

// accepted reads agent.yaml as the agent does.
func accepted(t *testing.T, text string) *agentfile.File {
	t.Helper()
	if (strings.Contains(text, "token_sops:") || strings.Contains(text, "token_from_api:")) && !knowsSOPS(t) {
		t.Log("the agent of this tree does not know token_sops and token_from_api yet")
		return nil
	}
	f, err := agentfile.Parse([]byte(text), func(name string) string {
		return map[string]string{"CREDENTIALS_DIRECTORY": "/run/credentials/hybridge-agent.service"}[name]
	})
	if err != nil {
		t.Fatalf("the agent refuses its configuration: %v\n%s", err, text)
	}
	return f
}

func TestTheAgentReadsItsConfiguration(t *testing.T) {
	t.Parallel()
	for _, name := range goldens(t) {
		accepted(t, render(t, input(t, name))[agentfiles.AgentYAML])
	}
	f := accepted(t, render(t, input(t, "whole"))[agentfiles.AgentYAML])
	if f.Region != "fr" || f.Plane.Workerd != "/usr/lib/hybridge/workerd" || f.Ingress.Zones["example.com"].Hostnames["app.example.com"].Worker != "api" ||
		f.Connectors["paris-1"].TokenFile != "/run/credentials/hybridge-agent.service/tunnel-paris-1" || f.Alerts.DiskFree != 5 || !f.Ingress.Listen[1].TLS {
		t.Errorf("it reads %+v", f)
	}
}

func TestAMachineWithASOPSFileNeedsItsIdentityOnly(t *testing.T) {
	t.Parallel()
	files := render(t, input(t, "sops"))
	for name, want := range map[string]string{
		agentfiles.AgentYAML: "    token_sops:\n      file: \"/etc/hybridge/secrets.enc.yaml\"\n      key: \"tunnel-paris-1\"\n      age_identity_file: \"${CREDENTIALS_DIRECTORY}/age-identity\"\n",
		agentfiles.Service:   "LoadCredential=age-identity:/etc/hybridge/age-identity\nLoadCredentialEncrypted=health-token:",
		agentfiles.Install:   "for name in health-token webhook-ops; do",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, files[name])
		}
	}
	if strings.Contains(files[agentfiles.Service], "tunnel-paris-1") {
		t.Error("the unit loads a token besides")
	}
	if want := "    token_from_api:\n      account_id: \"0123456789abcdef0123456789abcdef\"\n      api_token_sops:\n        file: \"/etc/hybridge/secrets.enc.yaml\"\n        key: \"api-paris-2\"\n"; !strings.Contains(files[agentfiles.AgentYAML], want) {
		t.Errorf("it lacks %q:\n%s", want, files[agentfiles.AgentYAML])
	}
}

func TestAMachineThatAsksForItsTokenNeedsAnAPIToken(t *testing.T) {
	t.Parallel()
	in := change(t, "0123456789abcdef0123456789abcdef", "connectors", "paris-1", "account_id")
	files := render(t, in)
	if want := "      account_id: \"0123456789abcdef0123456789abcdef\"\n      api_token_file: \"${CREDENTIALS_DIRECTORY}/api-paris-1\"\n"; !strings.Contains(files[agentfiles.AgentYAML], want) {
		t.Errorf("it lacks %q:\n%s", want, files[agentfiles.AgentYAML])
	}
	accepted(t, files[agentfiles.AgentYAML])
	if want := "LoadCredentialEncrypted=api-paris-1:/etc/credstore.encrypted/api-paris-1\n"; !strings.Contains(files[agentfiles.Service], want) || strings.Contains(files[agentfiles.Service], "tunnel-") {
		t.Errorf("the unit is\n%s", files[agentfiles.Service])
	}
}

func TestUnitsAreWhatSystemdReads(t *testing.T) {
	t.Parallel()
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("there is no systemd-analyze: only the golden files were compared")
		return
	}
	for _, name := range goldens(t) {
		dir, files := t.TempDir(), render(t, input(t, name))
		var units []string
		for _, unit := range []string{agentfiles.Service, agentfiles.Socket} {
			if files[unit] == "" {
				continue
			}
			// What it starts is on no machine that only builds.
			text := strings.ReplaceAll(files[unit], "ExecStart=/usr/lib/hybridge/hybridge", "ExecStart=/bin/true")
			text = strings.ReplaceAll(text, "ExecStart=/usr/bin/hybridge", "ExecStart=/bin/true")
			path := filepath.Join(dir, unit)
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			units = append(units, path)
		}
		out, err := exec.CommandContext(t.Context(), verify, append([]string{"verify", "--man=no", "--recursive-errors=no"}, units...)...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: systemd-analyze verify: %v\n%s", name, err, out)
		}
		out, err = exec.CommandContext(t.Context(), verify, "security", "--offline=true", "--threshold=25", filepath.Join(dir, agentfiles.Service)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: the unit is less closed than it was: %v\n%s", name, err, out)
		}
	}
}

func TestTheCloudConfigRunsTheScript(t *testing.T) {
	t.Parallel()
	for _, name := range goldens(t) {
		files := render(t, input(t, name))
		text := files[agentfiles.CloudInit]
		if !strings.HasPrefix(text, "#cloud-config\n") {
			t.Errorf("%s: cloud-init does not know it for a cloud-config: it begins %q", name, text[:20])
		}
		var config struct {
			Packages   []string
			WriteFiles []struct{ Path, Owner, Permissions, Content string } `yaml:"write_files"`
			Runcmd     [][]string
		}
		if err := yaml.UnmarshalWithOptions([]byte(text), &config, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(config.WriteFiles) != 1 || config.WriteFiles[0].Permissions != "0700" {
			t.Fatalf("%s: it writes %+v", name, config.WriteFiles)
		}
		if diff := cmp.Diff(files[agentfiles.Install], config.WriteFiles[0].Content); diff != "" {
			t.Errorf("%s: the script in it is another one:\n%s", name, diff)
		}
		if diff := cmp.Diff([][]string{{"sh", config.WriteFiles[0].Path}}, config.Runcmd); diff != "" {
			t.Error(diff)
		}
	}
}

// change returns the whole input with one value in another place: a path of names, then the value.
func change(t *testing.T, value any, path ...string) map[string]any {
	t.Helper()
	in := input(t, "whole")
	at := in
	for _, name := range path[:len(path)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			t.Fatalf("there is no object at %v", path)
		}
		at = next
	}
	if value == gone {
		delete(at, path[len(path)-1])
	} else {
		at[path[len(path)-1]] = value
	}
	return in
}

// gone takes an attribute away.
var gone any = new(int)

func TestWhatIsRefusedIsNamedWithItsPath(t *testing.T) {
	t.Parallel()
	obj := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		name string
		in   any
		want string
	}{
		{"no object", "x", "it has to be an object"},
		{"no format", change(t, gone, "format"), "format: it is needed"},
		{"format in words", change(t, "1", "format"), "format: it has to be a whole number, not a text"},
		{"another format", change(t, 2.0, "format"), "format: 2 is unknown"},
		{"unknown attribute", change(t, "x", "regoin"), "regoin: there is no such attribute; there are alerts, "},
		{"unknown inside", change(t, "x", "connectors", "paris-1", "tunel"), `connectors["paris-1"].tunel: there is no such attribute`},
		{"nothing to run", obj("format", 1.0, "programs", obj("hybridge", obj("path", "/usr/bin/hybridge"))), "plane: there is neither"},
		{"region", change(t, "Île-de-France", "region"), "region: "},
		{"public API", change(t, "0.0.0.0:8780", "plane", "listen"), "plane.listen: other machines could reach"},
		{"API by name", change(t, "localhost:8780", "plane", "listen"), "plane.listen: "},
		{"egress", change(t, []any{"10.0.0.1"}, "plane", "allow_egress"), "plane.allow_egress[0]: "},
		{"plain HTTP in public", change(t, []any{obj("address", "0.0.0.0:80")}, "ingress", "listen"), "ingress.listen[0]: plain HTTP"},
		{"no address", change(t, []any{obj("tls", true)}, "ingress", "listen"), "ingress.listen[0].address: it is needed"},
		{"no certificate", change(t, gone, "ingress", "certificates"), "ingress.certificates: ingress.listen[1] has tls = true"},
		{"certificate by path", change(t, []any{"../x"}, "ingress", "certificates"), "ingress.certificates[0]: "},
		{"host of another zone", change(t, obj("app.example.org", "api"), "ingress", "zones", "example.com"), `ingress.zones["example.com"]["app.example.org"]: `},
		{"no Worker", change(t, obj("app.example.com", "A B"), "ingress", "zones", "example.com"), `ingress.zones["example.com"]["app.example.com"]: "A B" is no Worker's name`},
		{"no tunnel", change(t, "5f1b", "connectors", "paris-1", "tunnel_id"), `connectors["paris-1"].tunnel_id: "5f1b" is no tunnel's id`},
		{"no account", change(t, "x", "connectors", "paris-1", "account_id"), `connectors["paris-1"].account_id: `},
		{"API without an account", change(t, "https://x.example/client/v4", "connectors", "paris-1", "base_url"), `connectors["paris-1"].base_url: it is where`},
		{"API with a password", change(t, "https://u:hunter2@x.example", "connectors", "paris-1", "base_url"), `connectors["paris-1"].base_url: it must be`},
		{"tunnel is null", change(t, nil, "connectors", "paris-1", "tunnel_id"), `connectors["paris-1"].tunnel_id: it is needed`},
		{"connector is null", change(t, nil, "connectors", "paris-1"), `connectors["paris-1"]: it is needed`},
		{"public metrics", change(t, "0.0.0.0:20241", "connectors", "paris-1", "metrics"), `connectors["paris-1"].metrics: `},
		{"public health", change(t, "10.0.0.1:8790", "health", "listen"), "health.listen: other machines"},
		{"URL with a password", change(t, "https://u:hunter2@ops.example.com/", "alerts", "webhooks", "ops"), "alerts.webhooks.ops: it must be an https URL without credentials"},
		{"no share", change(t, "five", "alerts", "disk_free"), "alerts.disk_free: "},
		{"log level", change(t, "loud", "log_level"), "log_level: "},
		{"latest", change(t, gone, "programs", "workerd", "version"), "programs.workerd.version: "},
		{"no checksum", change(t, gone, "programs", "workerd", "sha256"), "programs.workerd.sha256: it is needed"},
		{"short checksum", change(t, "abc", "programs", "workerd", "sha256", "amd64"), "programs.workerd.sha256.amd64: "},
		{"unknown machine", change(t, strings.Repeat("0", 64), "programs", "workerd", "sha256", "riscv64"), "programs.workerd.sha256.riscv64: it is unknown"},
		{"one machine too few", change(t, gone, "programs", "workerd", "sha256", "arm64"), "programs.workerd.sha256: it has no arm64, which programs.hybridge.sha256 has"},
		{"path and version", change(t, "/usr/bin/workerd", "programs", "workerd", "path"), "programs.workerd: what has a path is not installed"},
		{"no program", change(t, gone, "programs", "cloudflared"), "programs.cloudflared: it is needed"},
		{"program for nothing", change(t, gone, "connectors"), "programs.cloudflared: the machine has no need of it without connectors"},
		{"download without TLS", change(t, "http://mirror.example.com/hybridge", "programs", "hybridge", "url"), "programs.hybridge.url: "},
		{"a shell's text", change(t, "https://mirror.example.com/';reboot'", "programs", "hybridge", "url"), "programs.hybridge.url: "},
		{"loading", change(t, "none", "unit", "load"), "unit.load: "},
		{"memory", change(t, "lots", "unit", "memory_max"), "unit.memory_max: "},
	} {
		_, err := agentfiles.Render(c.in)
		if err == nil || !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.HasPrefix(line, c.want) }) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a secret: %v", c.name, err)
		}
	}
}

func TestSeveralMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	in := change(t, "loud", "log_level")
	in["region"] = "?"
	_, err := agentfiles.Render(in)
	if err == nil || !strings.Contains(err.Error(), "log_level: ") || !strings.Contains(err.Error(), "region: ") {
		t.Errorf("got %v", err)
	}
}

func TestNoSecretIsAccepted(t *testing.T) {
	t.Parallel()
	const hunter2 = "hunter2-hunter2-hunter2"
	for _, path := range [][]string{
		{"token"}, {"api_token"}, {"connectors", "paris-1", "token"}, {"connectors", "paris-1", "token_file"}, {"health", "token"}, {"plane", "initial_token_file"},
		{"unit", "credentials"}, {"alerts", "signing_secret"}, {"ingress", "private_key"},
	} {
		_, err := agentfiles.Render(change(t, hunter2, path...))
		if err == nil || !strings.Contains(err.Error(), "no secret is accepted") || strings.Contains(err.Error(), hunter2) {
			t.Errorf("%v: %v", path, err)
		}
	}
	for _, secret := range []string{
		"AGE-SECRET-KEY-1QQPQPZ", "eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLCJ0IjoiNWYx", "-----BEGIN PRIVATE KEY-----", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	} {
		for _, path := range [][]string{{"region"}, {"ingress", "zones", "example.com", "app.example.com"}, {"programs", "hybridge", "url"}} {
			_, err := agentfiles.Render(change(t, secret, path...))
			if err == nil || !strings.Contains(err.Error(), "secret by its form") || strings.Contains(err.Error(), secret) {
				t.Errorf("%v = %s: %v", path, secret, err)
			}
		}
	}
}
