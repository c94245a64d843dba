// SPDX-License-Identifier: MPL-2.0

package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// asked returns what the plane's API answers.
func (p *plane) asked(path string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.id.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s %s %v", path, resp.Status, text, err)
	}
	return string(text)
}

const paths = `programs = { for name in ["hybridge", "workerd", "cloudflared"] : name => { path = "/usr/bin/${name}" } }`

func TestASelfHostedPlaneFromALocalPath(t *testing.T) {
	t.Parallel()
	edge, s := startPlane(t, agent.Config{}), newSite(t)
	tf := s.terraform(s.copy("self-hosted-plane/examples/basic", "paris"), edge.env())
	apply(t, tf)
	cloudInit := output(t, tf, "cloud_init")
	if !strings.HasPrefix(cloudInit, "#cloud-config\n") || !strings.Contains(cloudInit, `"app.example.com": { worker: "api" }`) {
		t.Errorf("the user data is\n%s", cloudInit)
	}
	records := edge.asked("/zones/" + edge.zone + "/dns_records")
	if !strings.Contains(records, `"app.example.com"`) || strings.Count(records, `"CNAME"`) != 1 {
		t.Errorf("the records are %s", records)
	}
	run(t, tf, "destroy", "-no-color", "-auto-approve")
	if records := edge.asked("/zones/" + edge.zone + "/dns_records"); strings.Contains(records, "CNAME") {
		t.Errorf("destroy has left %s", records)
	}
}

const withAPI = `
variable "policy_id" {}
variable "audience" { default = "%[2]s" }
resource "terraform_data" "policy" { input = var.policy_id } # known at apply, as that of a policy that is made beside it
module "paris" {
  source = "../modules/self-hosted-plane"
  name   = "paris-1"
  %[1]s
  api    = { hostname = "plane.example.com", zone_id = "%[3]s" }
  access = { policy_id = terraform_data.policy.output, audience = var.audience, team_name = "example" }
}
output "configuration" { value = module.paris.files["agent.yaml"] }
output "base_url" { value = module.paris.base_url }
output "tunnel_id" { value = module.paris.tunnel_id }
`

func TestTheAPIIsBehindAccess(t *testing.T) {
	t.Parallel()
	edge, s := startPlane(t, agent.Config{}), newSite(t)
	dir := s.write("paris", fmt.Sprintf(withAPI, paths, strings.Repeat("a", 64), edge.zone))
	tf := s.terraform(dir, edge.env(), map[string]string{"TF_VAR_policy_id": "5f1b0c3a-0000-4000-8000-00000000000a"})
	apply(t, tf)
	f, err := agentfile.Parse([]byte(output(t, tf, "configuration")), func(string) string { return "/run/credentials/x" })
	if err != nil {
		t.Fatal(err)
	}
	if f.Plane.API.Listen != "unix:///run/hybridge/api.sock" {
		t.Errorf("the API listens at %s", f.Plane.API.Listen)
	}
	if got := output(t, tf, "base_url"); got != "https://plane.example.com/client/v4" {
		t.Errorf("it is reached at %s", got)
	}
	config := edge.asked("/accounts/" + edge.id.AccountID + "/cfd_tunnel/" + output(t, tf, "tunnel_id") + "/configurations")
	for _, want := range []string{`"unix:/run/hybridge/api.sock"`, `"required":true`, strings.Repeat("a", 64), `"teamName":"example"`} {
		if !strings.Contains(config, want) {
			t.Errorf("the tunnel's configuration lacks %s: %s", want, config)
		}
	}
}

func TestTheAPIGetsNoHostNameWithoutAccess(t *testing.T) {
	t.Parallel()
	edge, s := startPlane(t, agent.Config{}), newSite(t)
	config := fmt.Sprintf(withAPI, paths, strings.Repeat("a", 64), edge.zone)
	without := strings.Split(config, "  access = ")[0] + "}\n"
	refused(t, s.terraform(s.write("without", without), edge.env(), map[string]string{"TF_VAR_policy_id": "x"}), "The API of a plane gets a host name only behind Cloudflare Access: set access", "plan")
	for _, policy := range []string{"", "everybody"} { // told at apply, when it is known
		tf := s.terraform(s.write("policy-"+policy, config), edge.env(), map[string]string{"TF_VAR_policy_id": policy})
		refused(t, tf, "The policy's id is a UUID", "apply", "-auto-approve")
	}
	tf := s.terraform(s.write("audience", config), edge.env(), map[string]string{"TF_VAR_policy_id": "5f1b0c3a-0000-4000-8000-00000000000a", "TF_VAR_audience": ""})
	refused(t, tf, "The audience is the application's AUD tag", "plan")
	if records := edge.asked("/zones/" + edge.zone + "/dns_records"); strings.Contains(records, "CNAME") {
		t.Errorf("there is a record: %s", records)
	}
}

// customer is one with a workspace, a plane, a key and a file of its own.
type customer struct {
	name  string
	plane *plane
	dir   string
	env   map[string]string
}

// customer makes the workspace from the example of the module, which is about acme.
func (s *site) customer(name string, edge *plane) customer {
	s.t.Helper()
	c := customer{name: name, plane: startPlane(s.t, agent.Config{}), dir: s.copy("customer/examples/basic", name)}
	main := filepath.Join(c.dir, "main.tf")
	text, err := os.ReadFile(main)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(main, []byte(strings.ReplaceAll(string(text), "acme", name)), 0o644); err != nil {
		s.t.Fatal(err)
	}
	key, recipient, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	_, operator, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	to, err := sealed.AgeRecipients(recipient, operator)
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := sealed.Seal(name+".enc.yaml", sealed.YAML, []sealed.Entry{{Name: "api_token", Value: sealed.NewSecret(c.plane.id.Token)}}, to, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	keyFile := filepath.Join(s.stage.Dir, name+".key")
	for path, text := range map[string]string{filepath.Join(c.dir, name+".enc.yaml"): string(file), keyFile: key.Reveal()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	c.env = edge.env()
	c.env["SOPS_AGE_KEY_FILE"] = keyFile
	c.env["TF_VAR_recipient"], c.env["TF_VAR_operator"] = recipient, operator
	c.env["TF_VAR_base_url"] = c.plane.url()
	return c
}

func (c customer) release(t *testing.T, from, to string) {
	t.Helper()
	main := filepath.Join(c.dir, "main.tf")
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		t.Fatalf("there is no %q", from)
	}
	if err := os.WriteFile(main, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAPlaneThatIsDownHoldsNoOtherCustomerUp(t *testing.T) {
	t.Parallel()
	edge, s := startPlane(t, agent.Config{}), newSite(t)
	customers := []customer{s.customer("acme", edge), s.customer("globex", edge), s.customer("initech", edge)}
	for _, c := range customers {
		// First the machine, whose plane has no account yet; then what runs on it.
		tf := s.terraform(c.dir, c.env)
		apply(t, tf)
		if !strings.HasPrefix(output(t, tf, "cloud_init"), "#cloud-config\n") {
			t.Errorf("%s has no user data", c.name)
		}
		c.env["TF_VAR_account_id"] = c.plane.id.AccountID
		tf = s.stage.Terraform(c.dir, c.env)
		apply(t, tf)
		asks(t, output(t, tf, "url"), "the shop of "+c.name)
		if state := run(t, tf, "state", "pull"); strings.Contains(state, c.plane.id.Token) {
			t.Errorf("%s: the plane's token is in the state", c.name)
		}
	}

	down := customers[1]
	down.plane.stop()
	for _, c := range customers {
		c.release(t, "the shop of", "the new shop of")
		tf := s.stage.Terraform(c.dir, c.env)
		if c.name == down.name {
			// Its own workspace says so, and changes nothing.
			if out := run(t, tf, "plan", "-no-color"); !strings.Contains(out, "Plane cannot be asked") {
				t.Errorf("the plan does not tell that the plane is down:\n%s", out)
			}
			refused(t, tf, `Plane "globex" (`+down.plane.url()+`/) cannot be reached`, "apply", "-auto-approve")
			continue
		}
		apply(t, tf)
		asks(t, output(t, tf, "url"), "the new shop of "+c.name)
	}

	down.plane.start()
	tf := s.stage.Terraform(down.dir, down.env)
	apply(t, tf)
	asks(t, output(t, tf, "url"), "the new shop of globex")
}

func TestACustomersFileIsForThatCustomer(t *testing.T) {
	t.Parallel()
	edge, s := startPlane(t, agent.Config{}), newSite(t)
	c := s.customer("acme", edge)
	s.terraform(c.dir, c.env)
	stranger := "age1" + strings.Repeat("q", 58)
	for name, test := range map[string]struct{ variable, value, want string }{
		"another machine": {"TF_VAR_recipient", stranger, "acme.enc.yaml is not encrypted for " + stranger},
		"somebody else":   {"TF_VAR_operator", stranger, "is encrypted for somebody else too: " + c.env["TF_VAR_operator"]},
		"an identity":     {"TF_VAR_recipient", "AGE-SECRET-KEY-1XXXX", "An identity (AGE-SECRET-KEY-1...) is a secret and does not belong here"},
		"no account's id": {"TF_VAR_account_id", "x", "An account's id has 32 lower-case hexadecimal digits"},
	} {
		env := map[string]string{}
		for n, v := range c.env {
			env[n] = v
		}
		env[test.variable] = test.value
		t.Log(name)
		refused(t, s.stage.Terraform(c.dir, env), test.want, "plan")
	}
	c.release(t, `residency  = ["fr"]`, `residency  = ["de"]`)
	refused(t, s.stage.Terraform(c.dir, c.env), "acme may be served from de only, and the machine is in fr", "plan")
}

func TestAHybridWorkerReachesTheMachine(t *testing.T) {
	t.Parallel()
	edge := startPlane(t, agent.Config{EgressAllow: []string{"127.0.0.0/8", "::1/128"}})
	paris := startPlane(t, agent.Config{Hostnames: map[string]string{"localhost": "records"}})
	s := newSite(t)
	dir := s.copy("hybrid-worker/examples/basic", "front")
	main := filepath.Join(dir, "main.tf")
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	// Not every resolver knows names below localhost, so the machine has a name of its own here.
	_, port, _ := strings.Cut(paris.cfg.Ingress, ":")
	changed := strings.Replace(string(text), `trimsuffix(module.records.url, "/")`, `"http://localhost:`+port+`"`, 1)
	if changed == string(text) {
		t.Fatal("the example has changed")
	}
	if err := os.WriteFile(main, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	tf := s.terraform(dir, edge.env(), map[string]string{
		"TF_VAR_paris":       fmt.Sprintf(`{ base_url = %q, account_id = %q }`, paris.url(), paris.id.AccountID),
		"TF_VAR_paris_token": paris.id.Token,
	})
	apply(t, tf)
	asks(t, strings.TrimSuffix(output(t, tf, "url"), "/")+"/42", "the record of 42")
}

func TestAHybridWorkerGoesThroughTheTunnel(t *testing.T) {
	t.Parallel()
	edge := startPlane(t, agent.Config{})
	paris := startPlane(t, agent.Config{Hostnames: map[string]string{"app.example.com": "records"}})
	s := newSite(t)
	_, port, _ := strings.Cut(paris.cfg.Ingress, ":")
	tf := s.terraform(s.write("front", `
variable "paris_token" {}
provider "hybridge" {
  planes = { paris = { base_url = "`+paris.url()+`", account_id = "`+paris.id.AccountID+`", api_token = var.paris_token } }
}
resource "hybridge_tunnel" "paris" { name = "paris-1" }
module "records" {
  source             = "../modules/worker"
  name               = "records"
  plane              = "paris"
  compatibility_date = "2026-11-01"
  script             = "export default { fetch: (request) => new Response('the record of ' + new URL(request.url).pathname.slice(1)) }"
}
module "front" {
  source             = "../modules/hybrid-worker"
  name               = "front"
  compatibility_date = "2026-11-01"
  vpc                = { tunnel_id = hybridge_tunnel.paris.id, ipv4 = "127.0.0.1", http_port = `+port+` }
  script             = "export default { fetch: (request, env) => env.ORIGIN.fetch('http://app.example.com' + new URL(request.url).pathname) }"
}
output "url" { value = module.front.url }
`), edge.env(), map[string]string{"TF_VAR_paris_token": paris.id.Token})
	apply(t, tf)
	asks(t, strings.TrimSuffix(output(t, tf, "url"), "/")+"/42", "the record of 42")
	run(t, tf, "destroy", "-no-color", "-auto-approve")
}
