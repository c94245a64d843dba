// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// noEnvironment is sops that uses nothing of who runs the test.
func noEnvironment(more map[string]any) map[string]any {
	block := map[string]any{"env_allowed": false}
	for k, v := range more {
		block[k] = v
	}
	return block
}

// sealedPlane is a plane whose token lies at key "token" of a SOPS file.
func sealedPlane(url, account, file string) map[string]any {
	return map[string]any{"base_url": url, "account_id": account, "api_token_sops": map[string]any{"file": file, "key": "token"}}
}

func TestSOPSOfTheProviderBlockIsChecked(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	open, link := filepath.Join(box.Dir, "open.txt"), filepath.Join(box.Dir, "link.txt")
	if err := os.WriteFile(open, []byte(box.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(box.KeyFile, link); err != nil {
		t.Fatal(err)
	}
	recipient := filepath.Join(box.Dir, "recipient.txt")
	if err := os.WriteFile(recipient, []byte("# public key\nage1qqqq\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		sops any
		want []string
	}{
		"nothing":              {nil, nil},
		"key file":             {map[string]any{"age_key_file": box.KeyFile}, nil},
		"missing key file":     {map[string]any{"age_key_file": filepath.Join(box.Dir, "none.txt")}, nil}, // a plan needs no key
		"empty key file":       {map[string]any{"age_key_file": ""}, []string{"at sops.age_key_file"}},
		"exposed key file":     {map[string]any{"age_key_file": open}, []string{"at sops.age_key_file", "Key file cannot be used", open, "0644", "chmod 600"}},
		"link to a key file":   {map[string]any{"age_key_file": link}, []string{"at sops.age_key_file", "symbolic link"}},
		"key file with no key": {map[string]any{"age_key_file": recipient}, []string{"at sops.age_key_file", recipient, "no usable identity"}},
		"home of the shell":    {map[string]any{"age_key_file": "~/none.txt"}, []string{"at sops.age_key_file", `pathexpand("~/none.txt")`}},
		"directory":            {map[string]any{"age_key_file": box.Dir}, []string{"at sops.age_key_file", "no regular file"}},
		"key":                  {map[string]any{"age_key": box.Key}, nil},
		"key that is none":     {map[string]any{"age_key": "hunter2hunter2hunter2"}, []string{"at sops.age_key", "no usable identity", "AGE-SECRET-KEY-1"}},
		"Vault":                {map[string]any{"vault_allowlist": []any{"https://vault.example.com"}}, nil},
		"all Vaults":           {map[string]any{"vault_allowlist": []any{"all"}}, []string{"sops.vault_allowlist", "http or https URL"}},
		"GnuPG":                {map[string]any{"gnupg_home": box.Dir}, nil},
		"relative GnuPG":       {map[string]any{"gnupg_home": "gnupg"}, []string{"at sops.gnupg_home", "absolute path"}},
		"unknown":              {tfproto.Unknown, nil},
		"unknown key":          {map[string]any{"age_key": tfproto.Unknown}, nil},
		"unknown Vault server": {map[string]any{"vault_allowlist": []any{tfproto.Unknown}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && strings.Contains(name, "exposed") {
				t.Log("files have no mode here")
				return
			}
			d := acctest.Configure(t, acctest.NoEnv, tfproto.Object{"sops": tt.sops})
			expect(t, d, tt.want...)
			if strings.Contains(d.String(), "hunter2") || strings.Contains(d.String(), "AGE-SECRET-KEY-1Q") {
				t.Errorf("the diagnostics repeat the key:\n%s", d)
			}
		})
	}
}

func TestExactlyOneTokenForEachPlane(t *testing.T) {
	t.Parallel()
	ref := map[string]any{"file": "prod.enc.yaml", "key": "token"}
	vars := env(map[string]string{"CLOUDFLARE_API_TOKEN": token, "CLOUDFLARE_ACCOUNT_ID": account})
	for name, tt := range map[string]struct {
		block tfproto.Object
		want  []string
	}{
		"default plane, reference": {tfproto.Object{"api_token_sops": ref}, nil},
		"default plane, both":      {tfproto.Object{"api_token": token, "api_token_sops": ref}, []string{"at api_token:", "at api_token_sops:", "leave one of them out"}},
		"default plane, unknown file": {
			tfproto.Object{"api_token_sops": map[string]any{"file": tfproto.Unknown, "key": "token"}}, []string{"at api_token_sops:", "not known yet"},
		},
		"bad key path": {
			tfproto.Object{"api_token_sops": map[string]any{"file": "f.yaml", "key": "a..b"}}, []string{"at api_token_sops.key", "key path", "a name is missing"},
		},
		"empty key path": {tfproto.Object{"api_token_sops": map[string]any{"file": "f.yaml", "key": ""}}, []string{"at api_token_sops.key", "empty"}},
		"plane, reference": {
			tfproto.Object{"planes": map[string]any{"paris": sealedPlane("http://127.0.0.1:1", account, "f.yaml")}}, nil,
		},
		"plane, both": {
			tfproto.Object{"planes": map[string]any{"paris": planeBlock(tfproto.Object{"api_token_sops": ref})}},
			[]string{`at planes["paris"].api_token:`, `at planes["paris"].api_token_sops:`},
		},
		"plane, none": {
			tfproto.Object{"planes": map[string]any{"paris": map[string]any{"account_id": account}}}, []string{`at planes["paris"]:`, "neither api_token nor api_token_sops"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, acctest.Configure(t, vars, tt.block), tt.want...)
		})
	}
}

func TestATokenThatIsNotKnownYetMayTurnOutToBeNull(t *testing.T) {
	t.Parallel()
	ref := map[string]any{"file": "prod.enc.yaml", "key": "token"}
	for name, tt := range map[string]tfproto.Object{
		"api_token":        {"api_token": tfproto.Unknown, "api_token_sops": ref},
		"api_token_sops":   {"api_token": token, "api_token_sops": tfproto.Unknown},
		"both":             {"api_token": tfproto.Unknown, "api_token_sops": tfproto.Unknown},
		"both of a plane":  {"planes": map[string]any{"paris": planeBlock(tfproto.Object{"api_token": tfproto.Unknown, "api_token_sops": tfproto.Unknown})}},
		"one of a plane":   {"planes": map[string]any{"paris": planeBlock(tfproto.Object{"api_token": token, "api_token_sops": tfproto.Unknown})}},
		"a plane as whole": {"planes": map[string]any{"paris": tfproto.Unknown}},
	} {
		// Nothing can be planned with an unknown token: Configure says so, of the default plane.
		d := acctest.Configure(t, acctest.NoEnv, tt).String()
		for _, wrong := range []string{"leave one of them out", "Plane without an API token", "Conversion Error"} {
			if strings.Contains(d, wrong) {
				t.Errorf("%s unknown: what may be null is taken for set, or the other way round:\n%s", name, d)
			}
		}
	}
}

func TestATokenInASOPSFileGoesBeforeTheEnvironment(t *testing.T) {
	t.Parallel()
	plane, box := acctest.NewPlane(t), acctest.NewStrongbox(t)
	file := box.Seal(t, "token.enc.yaml", map[string]string{"token": plane.Token + "\n"}) // as an editor leaves it
	for name, sops := range map[string]map[string]any{
		"key file": noEnvironment(map[string]any{"age_key_file": box.KeyFile}),
		"key":      noEnvironment(map[string]any{"age_key": box.Key}),
	} {
		block := sealedPlane(plane.URL, plane.AccountID, file)
		block["sops"] = sops
		p := acctest.Proto(t, env(map[string]string{"CLOUDFLARE_API_TOKEN": token}), block)
		state := p.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": "api-" + strings.ReplaceAll(name, " ", "-")})
		if state.Object["id"] == nil {
			t.Errorf("%s: no Worker was made: %v", name, state.Object)
		}
	}
}

func TestPlanningNeedsNoTokenUntilAPlaneIsAsked(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	file := box.Seal(t, "token.enc.yaml", map[string]string{"token": token, "other": "x"})
	for name, sops := range map[string]any{
		"no key":      noEnvironment(nil),
		"missing":     noEnvironment(map[string]any{"age_key_file": filepath.Join(box.Dir, "none.txt")}),
		"unknown key": noEnvironment(map[string]any{"age_key": tfproto.Unknown}),
	} {
		block := sealedPlane("http://127.0.0.1:1", account, file)
		block["sops"] = sops
		p := acctest.Proto(t, acctest.NoEnv, block)
		expect(t, planWorker(t, p, nil))
		_, d := p.Import(t.Context(), t, "hybridge_worker", account+"/api", nil)
		expect(t, d, "the default plane", "api_token_sops of the provider block", file, "token")
		if name == "unknown key" {
			expect(t, d, "sops.age_key of the provider block is only known after apply", "nothing stands in for it")
		}
		if name == "missing" {
			expect(t, d, "none.txt", "does not exist")
		}
	}
	// What needs no key to be seen is seen at plan.
	for key, want := range map[string]string{"tokne": "other, token", "token.x": "token"} {
		p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{
			"account_id": account, "sops": noEnvironment(nil), "api_token_sops": map[string]any{"file": file, "key": key},
		})
		expect(t, planWorker(t, p, nil), "at plane", "api_token_sops", file, want)
	}
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{"account_id": account, "api_token_sops": map[string]any{"file": "nowhere.yaml", "key": "token"}})
	expect(t, planWorker(t, p, nil), "at plane", "nowhere.yaml", "cannot be read")
}

func TestATokenThatIsNoneIsNotShown(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	block := sealedPlane("http://127.0.0.1:1", account, box.Seal(t, "token.enc.yaml", map[string]string{"token": "hunter2 is no token"}))
	block["sops"] = noEnvironment(map[string]any{"age_key_file": box.KeyFile})
	_, d := acctest.Proto(t, acctest.NoEnv, block).Import(t.Context(), t, "hybridge_worker", account+"/api", nil)
	expect(t, d, "19 characters", "40 to 80", "key token", "api_token_sops")
	if strings.Contains(d.String(), "hunter2") {
		t.Errorf("the diagnostics repeat the value:\n%s", d)
	}
}

func TestNoPlaneHoldsUpTheOthers(t *testing.T) {
	t.Parallel()
	good, box, stranger := acctest.NewPlane(t), acctest.NewStrongbox(t), acctest.NewStrongbox(t)
	lost := stranger.Seal(t, "lost.enc.yaml", map[string]string{"token": token})
	block := fmt.Sprintf(`
provider "hybridge" {
  max_retries = 0
  sops        = { age_key_file = %q, env_allowed = false }
  planes = {
    good = { base_url = %q, account_id = %q, api_token_sops = { file = %q, key = "token" } }
    lost = { base_url = %q, account_id = %q, api_token_sops = { file = %q, key = "token" } }
    down = { base_url = "http://127.0.0.1:1/client/v4", account_id = %q, api_token = %q }
  }
}
`, box.KeyFile, good.URL, good.AccountID, box.Seal(t, "good.enc.yaml", map[string]string{"token": good.Token}), good.URL, good.AccountID, lost, account, token)
	workers := func(planes ...string) string {
		var b strings.Builder
		for _, plane := range planes {
			fmt.Fprintf(&b, "resource \"hybridge_worker\" %q {\n  name  = %q\n  plane = %q\n}\n", plane, "w-"+plane, strings.TrimRight(plane, "0123456789"))
		}
		return block + b.String()
	}
	// Terraform wraps the lines of its messages.
	says := func(texts ...string) *regexp.Regexp {
		var all []string
		for _, text := range texts {
			var parts []string
			for _, word := range strings.Fields(text) {
				parts = append(parts, regexp.QuoteMeta(word))
			}
			all = append(all, strings.Join(parts, `[\s│]+`))
		}
		return regexp.MustCompile(`(?s)` + strings.Join(all, `.*`))
	}
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{
		{Config: workers("good"), Check: resource.TestCheckResourceAttrSet("hybridge_worker.good", "id")},
		{
			Config: workers("good", "good2", "lost"), // errors come in no order, so one at a time
			ExpectError: says(`plane "lost"`, `planes["lost"].api_token_sops`, "lost.enc.yaml", "key token", "no identity at hand opens the file",
				stranger.Recipient, "no other plane is affected"),
		},
		{Config: workers("good", "good2"), PlanOnly: true}, // so it was made in spite of the error
		{Config: workers("good", "good2", "good3", "lost", "down"), ExpectError: says(`plane "down"`, "http://127.0.0.1:1/client/v4", "cannot be reached")},
		{Config: workers("good", "good2", "good3"), PlanOnly: true},
		{Config: workers("good")},
	}})
}

// TestAPlaneThatGoesDownHoldsUpNobody: what lives on it stays as it was known, and
// what lives elsewhere is planned and applied.
func TestAPlaneThatGoesDownHoldsUpNobody(t *testing.T) {
	t.Parallel()
	box, stranger := acctest.NewStrongbox(t), acctest.NewStrongbox(t)
	planes := map[string]*acctest.Plane{"good": acctest.NewPlane(t), "down": acctest.NewPlane(t), "lost": acctest.NewPlane(t)}
	config := func(broken bool, greeting string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "provider \"hybridge\" {\n  max_retries = 0\n  sops = { age_key_file = %q, env_allowed = false }\n  planes = {\n", box.KeyFile)
		for name, plane := range planes {
			url, file := plane.URL, box.Seal(t, name+".enc.yaml", map[string]string{"token": plane.Token})
			if broken && name == "down" {
				url = "http://127.0.0.1:1/client/v4"
			}
			if broken && name == "lost" {
				file = stranger.Seal(t, name+".enc.yaml", map[string]string{"token": plane.Token})
			}
			fmt.Fprintf(&b, "    %s = { base_url = %q, account_id = %q, api_token_sops = { file = %q, key = \"token\" } }\n", name, url, plane.AccountID, file)
		}
		b.WriteString("  }\n}\n")
		for name := range planes {
			value := "first"
			if name == "good" {
				value = greeting
			}
			fmt.Fprintf(&b, `
resource "hybridge_worker" %[1]q {
  name  = "api"
  plane = %[1]q
}
resource "hybridge_worker_version" %[1]q {
  worker             = hybridge_worker.%[1]s.id
  plane              = %[1]q
  compatibility_date = "2026-01-01"
  script             = "export default {}"
  vars               = { GREETING = %[2]q }
  lifecycle { create_before_destroy = true }
}
resource "hybridge_worker_deployment" %[1]q {
  worker     = hybridge_worker.%[1]s.id
  plane      = %[1]q
  version_id = hybridge_worker_version.%[1]s.id
}
`, name, value)
		}
		return b.String()
	}
	acctest.Terraform(t, acctest.NoEnv, resource.TestCase{Steps: []resource.TestStep{
		{Config: config(false, "first")},
		{Config: config(true, "first"), PlanOnly: true},
		{
			Config: config(true, "second"),
			Check: func(*terraform.State) error {
				for name, plane := range planes {
					want := 1
					if name == "good" {
						want = 2
					}
					if n := plane.Faults.Count("POST", "/client/v4/accounts/*/workers/workers/*/versions"); n != want {
						return fmt.Errorf("%s got %d versions, want %d", name, n, want)
					}
				}
				return nil
			},
		},
		{Config: config(false, "second"), PlanOnly: true},
	}})
}

func TestEveryCallThatBringsSecretsRefusesProtocolFiles(t *testing.T) {
	t.Parallel()
	server := provider.Server("test", env(map[string]string{"TF_LOG_SDK_PROTO_DATA_DIR": "/tmp"}))()
	resp, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, resp.Diagnostics, "Secrets would be written to files", "Unset it")
	validated, err := server.ValidateProviderConfig(t.Context(), &tfprotov6.ValidateProviderConfigRequest{Config: &tfprotov6.DynamicValue{}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, validated.Diagnostics, "Secrets would be written to files")
	configured, err := server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: &tfprotov6.DynamicValue{}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, configured.Diagnostics, "Secrets would be written to files")
}

func TestAPlaneWhoseTokenCannotBeDecryptedIsNotHealthy(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	block := sealedPlane("http://127.0.0.1:1", account, box.Seal(t, "token.enc.yaml", map[string]string{"token": token}))
	block["sops"] = noEnvironment(nil)
	got, d := acctest.Proto(t, acctest.NoEnv, block).Data(t.Context(), t, "hybridge_plane", tfproto.Object{})
	details, _ := got["details"].(string)
	if len(d) > 0 || got["healthy"] != false || !strings.Contains(details, box.Recipient) || !strings.Contains(details, "api_token_sops") {
		t.Errorf("healthy is %v, details are %q; %s", got["healthy"], details, d)
	}
}
