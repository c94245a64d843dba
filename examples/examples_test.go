// SPDX-License-Identifier: MPL-2.0

// Package examples_test applies every directory of examples with a real CLI,
// the built provider, a real self-hosted plane and real workerd.
package examples_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
	"github.com/hybridge/terraform-provider-hybridge/internal/stage"
)

// programs are built once, by TestMain.
var programs stage.Programs

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hybridge-examples-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	if programs, err = stage.Build(ctx, "..", dir); err == nil {
		programs.CLI = os.Getenv("HYBRIDGE_TERRAFORM")
		programs, err = programs.Locate(ctx, "..")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// question is a request to a Worker and the answer that it has to give.
type question struct {
	output string // the output that holds the URL; empty: the plane's ingress
	host   string // Host header; empty: as the URL has it
	path   string // appended to it
	method string // GET if empty
	body   string
	status int // 200 if zero
	want   string
}

// example says how a directory shows that it works.
type example struct {
	seed      string            // a directory that is applied before, on the same plane
	variables map[string]string // values of variables without a default
	questions []question
	outputs   map[string]string // regular expressions of outputs
	sealed    map[string]string // what secrets.enc.yaml holds
	backend   bool              // needs a private service at the port in var.port, which answers "prices"
}

const uuid = `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`

const digest = `^[0-9a-f]{64}$`

// secrets are long enough to be looked for in everything that Terraform writes.
var secrets = map[string]string{"database_password": "correct-horse-battery-staple", "session_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}

// examples has an entry for every directory with .tf files.
var examples = map[string]example{
	"quickstart": {
		questions: []question{
			{output: "url", want: "Hello, world! (quickstart)"},
			{output: "url", path: "hello/you", want: "Hello, you! (quickstart)"},
			{output: "url", path: "planets/mars", want: `{"name":"mars","moons":2}`},
			{output: "url", path: "nowhere", status: 404, want: `{"error":"nothing at /nowhere"}`},
		},
		outputs: map[string]string{"version_id": uuid},
	},
	"wasm": {
		questions: []question{
			{output: "url", method: "POST", body: "Wikipedia", want: "11e60398\n"},
			{output: "url", status: 405, want: "POST something; the answer is its Adler-32 checksum.\n"},
		},
	},
	"service-binding": {
		questions: []question{
			{output: "url", want: `{"path":"/","fruits":["apple","pear"]}`},
			{output: "url", path: "price/pear", want: "pear: 4\n"},
			{output: "url", path: "price/plum", status: 404, want: "no price for plum\n"},
		},
	},
	"provider": { // configures planes and makes nothing
		variables: map[string]string{"tokyo_token": strings.Repeat("0", 40)},
	},
	"resources/hybridge_worker": {}, // nothing is live, so nothing answers
	"resources/hybridge_worker_version": {
		questions: []question{{output: "preview_url", want: "Hello, at most 10 at a time"}},
	},
	"resources/hybridge_worker_deployment": {
		questions: []question{{output: "url", want: "live"}},
	},
	"data-sources/hybridge_worker": {
		seed:      "resources/hybridge_worker_deployment",
		questions: []question{{output: "url", want: "live"}},
	},
	"data-sources/hybridge_worker_versions": {
		seed:    "resources/hybridge_worker_deployment",
		outputs: map[string]string{"newest": uuid},
	},
	"data-sources/hybridge_worker_deployments": {
		seed: "resources/hybridge_worker_deployment",
	},
	"data-sources/hybridge_plane": {
		outputs: map[string]string{"kind": "^self-hosted$"},
	},
	"sops": {
		sealed: map[string]string{"db_password": "another-horse-battery", "webhook_key": "another-key-to-sign-with"},
		questions: []question{
			{output: "url", want: "the password has 21 characters\n"},
			{output: "url", method: "POST", body: "hello", want: "015df38716b60e0a2488597ff22fcd9e5420b82e738e1cecd66d5dc87a545d72\n"},
		},
	},
	"ephemeral-resources/hybridge_sops_file": {
		sealed: secrets, // its preconditions look at the values
	},
	"resources/hybridge_tunnel": {
		questions: []question{
			{host: "hello.example.com", want: "<!doctype html>\n<title>Hello, world</title>\n<h1>The tunnel works</h1>\n<p>A rule with the service hello_world answered.</p>\n"},
			{host: "db.example.com", path: "elsewhere", status: 404},
		},
		outputs: map[string]string{"cname": `^[0-9a-f-]{36}\.cfargotunnel\.com$`},
	},
	"resources/hybridge_tunnel_connected": {},
	"resources/hybridge_tunnel_hostname": {
		questions: []question{{host: "app.example.com", want: "<!doctype html>\n<title>Hello, world</title>\n<h1>The tunnel works</h1>\n<p>A rule with the service hello_world answered.</p>\n"}},
	},
	"resources/hybridge_tunnel_route":           {},
	"resources/hybridge_tunnel_virtual_network": {},
	"resources/hybridge_vpc_service": {
		backend:   true,
		questions: []question{{output: "url", want: "prices"}},
	},
	"data-sources/hybridge_zone":                {outputs: map[string]string{"zone_id": `^[0-9a-f]{32}$`}},
	"data-sources/hybridge_tunnel_health":       {},
	"ephemeral-resources/hybridge_tunnel_token": {},
	"functions/sops_fingerprint": {
		sealed:  secrets,
		outputs: map[string]string{"fingerprint": digest, "whole_file": digest},
	},
	"hcp-agent": {
		questions: []question{{output: "url", want: "deployed by an agent beside the plane"}},
	},
	"functions/agent_files": {
		outputs: map[string]string{
			"cloud_init": "^#cloud-config\n(?s:.*)tunnel_id: \"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\"", "names": `^agent\.yaml cloud-init\.yaml hybridge-agent\.service hybridge-agent\.socket install\.sh$`,
		},
	},
	"functions/sops_keys": {
		sealed:  secrets,
		outputs: map[string]string{"names": "^database_password session_key$"},
	},
}

func TestEveryDirectoryIsApplied(t *testing.T) {
	t.Parallel()
	var found []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == "actions" || path == "list-resources" { // they need a newer CLI: TestActionsAreWellFormed, and tests of the protocol
			return filepath.SkipDir
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".terraform") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".tf" && !slices.Contains(found, filepath.Dir(path)) {
			found = append(found, filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for dir := range examples {
		known = append(known, dir)
	}
	slices.Sort(found)
	slices.Sort(known)
	if diff := cmp.Diff(found, known); diff != "" {
		t.Errorf("directories with .tf files (-) and with an entry in this test (+):\n%s", diff)
	}
}

// Terraform before 1.14 takes an action for an error of syntax, so what is tested here is
// that the examples name what there is; what actions do, tests of the protocol show.
func TestActionsAreWellFormed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("actions/*/action.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no examples of actions: %v", err)
	}
	schemas, err := provider.Server("test", os.Getenv)().GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(schemas.ActionSchemas) {
		t.Errorf("there are %d examples for %d actions", len(files), len(schemas.ActionSchemas))
	}
	for _, file := range files {
		parsed, diags := hclparse.NewParser().ParseHCLFile(file)
		if diags.HasErrors() {
			t.Errorf("%s: %v", file, diags)
			continue
		}
		content, diags := parsed.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "action", LabelNames: []string{"type", "name"}}}})
		if diags.HasErrors() || len(content.Blocks) != 1 {
			t.Errorf("%s: %v", file, diags)
			continue
		}
		block := content.Blocks[0]
		schema := schemas.ActionSchemas[block.Labels[0]]
		config, diags := block.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "config"}}})
		if schema == nil || diags.HasErrors() || len(config.Blocks) != 1 {
			t.Errorf("%s: action %q: %v", file, block.Labels[0], diags)
			continue
		}
		attributes, diags := config.Blocks[0].Body.JustAttributes()
		if diags.HasErrors() {
			t.Errorf("%s: %v", file, diags)
		}
		for name := range attributes {
			if !slices.ContainsFunc(schema.Schema.Block.Attributes, func(a *tfprotov6.SchemaAttribute) bool { return a.Name == name }) {
				t.Errorf("%s: %s has no attribute %s", file, block.Labels[0], name)
			}
		}
	}
}

func TestExamples(t *testing.T) {
	t.Parallel()
	for dir, e := range examples {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			site := newSite(t)
			if e.seed != "" {
				site.apply(t, site.configuration(t, e.seed, nil))
			}
			if e.backend {
				e.variables = map[string]string{"port": prices(t)}
			}
			tf := site.configuration(t, dir, e.variables)
			if e.sealed != nil {
				seal(t, tf, site, e.sealed)
			}
			site.apply(t, tf)
			for _, q := range e.questions {
				ask(t, site, tf, q)
			}
			for name, pattern := range e.outputs {
				if got := output(t, tf, name); !regexp.MustCompile(pattern).MatchString(got) {
					t.Errorf("output %s = %q, want a match of %s", name, got, pattern)
				}
			}
			site.destroy(t, tf)
			values := slices.Collect(maps.Values(e.sealed))
			if found, err := canary.InFiles(site.stage.Dir, values, filepath.Join(site.stage.Dir, "mirror")); err != nil || len(found) > 0 {
				t.Errorf("a secret was stored: %v %v", found, err)
			}
		})
	}
}

// seal makes an age key and encrypts values for it beside the configuration.
func seal(t *testing.T, tf *stage.Terraform, site *site, values map[string]string) {
	t.Helper()
	key, recipient, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	to, err := sealed.AgeRecipients(recipient)
	if err != nil {
		t.Fatal(err)
	}
	var entries []sealed.Entry
	for _, name := range slices.Sorted(maps.Keys(values)) {
		entries = append(entries, sealed.Entry{Name: name, Value: sealed.NewSecret(values[name])})
	}
	text, err := sealed.Seal("secrets.enc.yaml", sealed.YAML, entries, to, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tf.Dir, "secrets.enc.yaml"), string(text))
	for _, path := range []string{site.keyFile(), filepath.Join(tf.Dir, "key.txt")} { // where SOPS looks, and where an example may
		if err := os.WriteFile(path, []byte(key.Reveal()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// site is a stage with a plane that runs as long as the test.
type site struct {
	stage *stage.Stage
	plane *stage.Plane
}

func newSite(t *testing.T) *site {
	t.Helper()
	st, err := stage.Open(t.TempDir(), programs)
	if err != nil {
		t.Fatal(err)
	}
	plane, err := st.StartPlane(t.Context(), "plane")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the plane's log ends:\n%s", plane.LogTail(60))
		}
	})
	if err := stage.CopyTree(filepath.Join(st.Dir, "modules", "worker"), filepath.Join("..", "modules", "worker")); err != nil {
		t.Fatal(err)
	}
	return &site{stage: st, plane: plane}
}

// keyFile is where the age key of an example with secrets lies.
func (s *site) keyFile() string { return filepath.Join(s.stage.Dir, "age.txt") }

// configuration copies a directory of examples to the site and runs init in it.
// The import blocks stay behind: they name objects that exist nowhere.
func (s *site) configuration(t *testing.T, dir string, variables map[string]string) *stage.Terraform {
	t.Helper()
	to := filepath.Join(s.stage.Dir, "examples", dir)
	if err := stage.CopyTree(to, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"import-by-string-id.tf", "import-by-identity.tf"} {
		if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(dir, "/") { // the snippets of the reference leave out what every configuration has
		const preamble = "terraform {\n  required_providers {\n    hybridge = { source = \"hybridge/hybridge\" }\n  }\n}\n"
		write(t, filepath.Join(to, "terraform.tf"), preamble)
	}
	env := s.plane.Env()
	env["SOPS_AGE_KEY_FILE"] = s.keyFile()
	for name, value := range variables {
		env["TF_VAR_"+name] = value
	}
	tf := s.stage.Terraform(to, env)
	run(t, tf, "init", "-no-color")
	return tf
}

// apply applies and makes sure that nothing is left to do then.
func (s *site) apply(t *testing.T, tf *stage.Terraform) string {
	t.Helper()
	out := run(t, tf, "apply", "-no-color", "-auto-approve")
	empty, plan, err := tf.PlanIsEmpty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !empty {
		t.Errorf("the plan after an apply is not empty:\n%s", plan)
	}
	return out
}

func (s *site) destroy(t *testing.T, tf *stage.Terraform) {
	t.Helper()
	run(t, tf, "destroy", "-no-color", "-auto-approve")
	if left := run(t, tf, "state", "list"); left != "" {
		t.Errorf("destroy has left in the state:\n%s", left)
	}
}

func run(t *testing.T, tf *stage.Terraform, args ...string) string {
	t.Helper()
	out, err := tf.Must(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func output(t *testing.T, tf *stage.Terraform, name string) string {
	t.Helper()
	var value string
	if err := tf.Output(t.Context(), name, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// prices is a private service on this machine, and its port.
func prices(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "prices") }))
	t.Cleanup(s.Close)
	return s.URL[strings.LastIndex(s.URL, ":")+1:]
}

func ask(t *testing.T, site *site, tf *stage.Terraform, q question) {
	t.Helper()
	method, status := q.method, q.status
	if method == "" {
		method = "GET"
	}
	if status == 0 {
		status = 200
	}
	base := site.plane.Env()["HYBRIDGE_INGRESS_URL"]
	if q.output != "" {
		base = output(t, tf, q.output)
	}
	url := strings.TrimSuffix(base, "/") + "/" + q.path
	answer, err := stage.AskHost(t.Context(), method, url, q.host, q.body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != status || answer.Body != q.want {
		t.Errorf("%s %s = %d %q, want %d %q", method, url, answer.Status, answer.Body, status, q.want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
