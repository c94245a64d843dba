// SPDX-License-Identifier: MPL-2.0

package modules_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
)

// moduleRegistry is a module registry on loopback: the protocol is Terraform's, and the modules are those
// of this repository, packed as a release packs them.
type moduleRegistry struct {
	host string // with its port, as a source names it
	ca   string // file of the certificate's authority
	mu   sync.Mutex
	log  []string
}

func startRegistry(t *testing.T) *moduleRegistry {
	t.Helper()
	archive := packed(t)
	r := &moduleRegistry{}
	answers := map[string]func(http.ResponseWriter){
		"/.well-known/terraform.json":                    text(`{"modules.v1": "/v1/modules/"}`),
		"/v1/modules/hybridge/modules/hybridge/versions": text(`{"modules": [{"versions": [{"version": "0.1.0"}, {"version": "0.2.0"}]}]}`),
		"/v1/modules/hybridge/modules/hybridge/0.1.0/download": func(w http.ResponseWriter) {
			w.Header().Set("X-Terraform-Get", "/archives/modules.tar.gz")
			w.WriteHeader(http.StatusNoContent)
		},
		"/archives/modules.tar.gz": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/gzip")
			_, _ = w.Write(archive)
		},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.log = append(r.log, req.URL.Path)
		r.mu.Unlock()
		answer, ok := answers[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		answer(w)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "https://")
	r.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(r.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

func text(s string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(s))
	}
}

// packed is the archive of the directory modules, without its tests.
func packed(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	compressed := gzip.NewWriter(&b)
	w := tar.NewWriter(compressed)
	err := filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: "modules/" + path, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestModulesComeFromARegistry(t *testing.T) {
	t.Parallel()
	registry, edge, s := startRegistry(t), startPlane(t, agent.Config{}), newSite(t)
	source := registry.host + "/hybridge/modules/hybridge//modules/"
	tf := s.terraform(s.write("user", strings.ReplaceAll(`
module "worker" {
  source             = "SOURCEworker"
  version            = "~> 0.1.0"
  name               = "api"
  compatibility_date = "2026-11-01"
  script             = "export default { fetch: () => new Response('from a registry') }"
}
module "plane" {
  source   = "SOURCEself-hosted-plane"
  version  = "~> 0.1.0"
  name     = "paris-1"
  zones    = { "example.com" = { zone_id = "`+edge.zone+`", hostnames = { "app.example.com" = module.worker.name } } }
  `+paths+`
}
module "front" {
  source             = "SOURCEhybrid-worker"
  version            = "~> 0.1.0"
  name               = "front"
  compatibility_date = "2026-11-01"
  fallback_url       = "https://app.example.com"
  script             = "export default { fetch: (_, env) => new Response(env.ORIGIN_URL) }"
}
output "url" { value = module.worker.url }
output "front" { value = module.front.url }
output "cloud_init" { value = module.plane.cloud_init }
`, "SOURCE", source)), edge.env(), map[string]string{"SSL_CERT_FILE": registry.ca})
	apply(t, tf)
	asks(t, output(t, tf, "url"), "from a registry")
	asks(t, output(t, tf, "front"), "https://app.example.com")
	if got := output(t, tf, "cloud_init"); !strings.HasPrefix(got, "#cloud-config\n") {
		t.Errorf("the user data is %q", got)
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if asked := strings.Join(registry.log, " "); !strings.Contains(asked, "/0.1.0/download") || strings.Contains(asked, "/0.2.0/") {
		t.Errorf("it was asked for %s", asked)
	}
	run(t, tf, "destroy", "-no-color", "-auto-approve")
}

// The module of a customer is made of another one, which a package that has only the one would lack.
func TestTheModuleOfACustomerComesFromARegistry(t *testing.T) {
	t.Parallel()
	registry, edge, s := startRegistry(t), startPlane(t, agent.Config{}), newSite(t)
	c := s.customer("acme", edge)
	c.release(t, `source = "../.."`, `source  = "`+registry.host+`/hybridge/modules/hybridge//modules/customer"`+"\n  version = \"0.1.0\"")
	c.release(t, `source = "../../../worker"`, `source  = "`+registry.host+`/hybridge/modules/hybridge//modules/worker"`+"\n  version = \"0.1.0\"")
	c.env["SSL_CERT_FILE"] = registry.ca
	c.env["TF_VAR_account_id"] = c.plane.id.AccountID
	tf := s.terraform(c.dir, c.env)
	apply(t, tf)
	asks(t, output(t, tf, "url"), "the shop of acme")
}
