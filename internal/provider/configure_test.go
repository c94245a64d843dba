// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	fwprovider "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

var (
	token   = strings.Repeat("t", 40)
	account = strings.Repeat("a", 32)
)

// expect fails unless d holds every text.
func expect(t *testing.T, d tfproto.Diagnostics, texts ...string) {
	t.Helper()
	if len(texts) == 0 && len(d) > 0 {
		t.Errorf("unexpected diagnostics:\n%s", d)
	}
	for _, want := range texts {
		if !strings.Contains(d.String(), want) {
			t.Errorf("diagnostics lack %q:\n%s", want, d)
		}
	}
	if strings.Contains(d.String(), token) {
		t.Errorf("the diagnostics repeat the token:\n%s", d)
	}
}

func planeBlock(more tfproto.Object) map[string]any {
	block := map[string]any{"api_token": token, "account_id": account}
	for k, v := range more {
		block[k] = v
	}
	return block
}

func TestTheProviderBlockIsChecked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		block tfproto.Object
		want  []string
	}{
		"nothing at all":   {nil, nil},
		"short token":      {tfproto.Object{"api_token": "short"}, []string{"at api_token", "40 to 80", "Global API Key"}},
		"empty token":      {tfproto.Object{"api_token": ""}, []string{"at api_token", "40 to 80"}},
		"bad account":      {tfproto.Object{"account_id": "me"}, []string{"at account_id", "32 lower-case hexadecimal"}},
		"http to a name":   {tfproto.Object{"base_url": "http://plane.example.com/client/v4"}, []string{"at base_url", "unencrypted", "insecure_http", "https"}},
		"http allowed":     {tfproto.Object{"base_url": "http://plane.example.com/client/v4", "insecure_http": true}, nil},
		"http to loopback": {tfproto.Object{"base_url": "http://127.0.0.1:8780/client/v4/"}, nil},
		"no URL":           {tfproto.Object{"base_url": "plane.example.com"}, []string{"at base_url", "http or https"}},
		"socket":           {tfproto.Object{"base_url": "unix:///run/hybridge/api.sock"}, nil},
		"socket and path":  {tfproto.Object{"base_url": "unix:///run/hybridge/api.sock:/planes/a/v4"}, nil},
		"relative socket":  {tfproto.Object{"base_url": "unix://api.sock"}, []string{"at base_url", "no absolute path", "unix:///run/hybridge/api.sock"}},
		"relative socket of a named plane": {
			tfproto.Object{"planes": map[string]any{"paris": planeBlock(tfproto.Object{"base_url": "unix://./api.sock"})}},
			[]string{`at planes["paris"].base_url`, "no absolute path"},
		},
		"empty URL":           {tfproto.Object{"base_url": ""}, []string{"at base_url", "empty"}},
		"URL with a password": {tfproto.Object{"base_url": "https://u:hunter2@example.com"}, []string{"at base_url", "credentials"}},
		"http of a named plane": {
			tfproto.Object{"planes": map[string]any{"paris": planeBlock(tfproto.Object{"base_url": "http://10.0.0.1/client/v4"})}},
			[]string{`at planes["paris"].base_url`, "insecure_http"},
		},
		"http of a named plane allowed": {
			tfproto.Object{"planes": map[string]any{"paris": planeBlock(tfproto.Object{"base_url": "http://10.0.0.1/client/v4", "insecure_http": true})}}, nil,
		},
		"token of a named plane": {
			tfproto.Object{"planes": map[string]any{"paris": planeBlock(tfproto.Object{"api_token": "x"})}}, []string{`at planes["paris"].api_token`},
		},
		"plane that is null":  {tfproto.Object{"planes": map[string]any{"paris": nil}}, []string{`at planes["paris"]`, "is null", "leave the element out"}},
		"name of a plane":     {tfproto.Object{"planes": map[string]any{"A:b": planeBlock(nil)}}, []string{`planes["A:b"]`, "lower-case"}},
		"rate of zero":        {tfproto.Object{"requests_per_second": 0}, []string{"at requests_per_second"}},
		"negative retries":    {tfproto.Object{"max_retries": -1}, []string{"at max_retries"}},
		"timeout":             {tfproto.Object{"request_timeout": "60"}, []string{"at request_timeout", "30s"}},
		"line break in agent": {tfproto.Object{"user_agent_suffix": "a\nb"}, []string{"at user_agent_suffix", "printable"}},
		"unknown token":       {tfproto.Object{"api_token": tfproto.Unknown}, []string{"at api_token", "not known yet", "-target"}},
		"unknown account":     {tfproto.Object{"account_id": tfproto.Unknown}, []string{"at account_id", "not known yet"}},
		"unknown URL":         {tfproto.Object{"base_url": tfproto.Unknown}, []string{"at base_url", "not known yet"}},
		"unknown planes":      {tfproto.Object{"planes": tfproto.Unknown}, []string{"at planes", "not known yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The environment must never stand in for something that is unknown.
			d := acctest.Configure(t, env(map[string]string{"CLOUDFLARE_API_TOKEN": token, "CLOUDFLARE_ACCOUNT_ID": account}), tt.block)
			expect(t, d, tt.want...)
			if strings.Contains(d.String(), "hunter2") {
				t.Errorf("the diagnostics repeat the password:\n%s", d)
			}
		})
	}
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// planWorker plans a Worker on a plane; nil is the default one.
func planWorker(t *testing.T, p *tfproto.Provider, plane any) tfproto.Diagnostics {
	t.Helper()
	_, d := p.Plan(t.Context(), t, tfproto.State{Type: "hybridge_worker"}, tfproto.Object{"name": "api", "plane": plane})
	return d
}

func TestTheDefaultPlaneMayBeAbsentWhileNothingUsesIt(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{"paris": planeBlock(nil)}})
	expect(t, planWorker(t, p, "paris"))
	expect(t, planWorker(t, p, nil), "at plane", "the default plane", "no API token", "api_token", "CLOUDFLARE_API_TOKEN", "configured planes: paris")
}

func TestEmptyEnvironmentIsNoEnvironment(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, env(map[string]string{"CLOUDFLARE_API_TOKEN": token, "CLOUDFLARE_ACCOUNT_ID": "", "CLOUDFLARE_BASE_URL": ""}), nil)
	expect(t, planWorker(t, p, nil), "no account id", "CLOUDFLARE_ACCOUNT_ID")
}

func TestTheEnvironmentIsCheckedToo(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"CLOUDFLARE_API_TOKEN": token, "CLOUDFLARE_ACCOUNT_ID": account, "CLOUDFLARE_BASE_URL": "http://plane.example.com/client/v4"}
	expect(t, planWorker(t, acctest.Proto(t, env(vars), nil), nil), "environment variable CLOUDFLARE_BASE_URL", "unencrypted")
	expect(t, planWorker(t, acctest.Proto(t, env(vars), tfproto.Object{"insecure_http": true}), nil))
	expect(t, planWorker(t, acctest.Proto(t, env(vars), tfproto.Object{"base_url": "https://plane.example.com"}), nil))
	vars["CLOUDFLARE_BASE_URL"], vars["CLOUDFLARE_API_TOKEN"] = "", "hunter2"
	d := planWorker(t, acctest.Proto(t, env(vars), nil), nil)
	expect(t, d, "environment variable CLOUDFLARE_API_TOKEN", "7 characters", "40 to 80")
	if strings.Contains(d.String(), "hunter2") {
		t.Errorf("the diagnostics repeat the token:\n%s", d)
	}
	expect(t, planWorker(t, acctest.Proto(t, env(vars), tfproto.Object{"api_token": token}), nil))
}

func TestABrokenPlaneLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{
		"paris": planeBlock(nil), "oslo": planeBlock(tfproto.Object{"api_token": tfproto.Unknown}),
	}})
	expect(t, planWorker(t, p, "paris"))
	expect(t, planWorker(t, p, "oslo"), "at plane", `planes["oslo"].api_token`, "only known after apply", "-target")
}

func TestTheBaseURLIsTakenWithAndWithoutSlash(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	for _, url := range []string{plane.URL, plane.URL + "/", strings.TrimSuffix(plane.URL, "/client/v4")} {
		p := acctest.Proto(t, env(map[string]string{
			"CLOUDFLARE_API_TOKEN": plane.Token, "CLOUDFLARE_ACCOUNT_ID": plane.AccountID, "CLOUDFLARE_BASE_URL": url,
		}), nil)
		p.Change(t.Context(), t, p.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": "api"}), nil)
	}
}

func TestConfigureUsesNoNetwork(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	acctest.Proto(t, plane.Env, nil)
	if n := plane.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestRequestsSayWhoSendsThem(t *testing.T) {
	t.Parallel()
	agents := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	p := acctest.Proto(t, acctest.NoEnv, tfproto.Object{
		"base_url": server.URL + "/client/v4", "api_token": token, "account_id": account, "user_agent_suffix": "team/7", "max_retries": 0,
	})
	p.Import(t.Context(), t, "hybridge_worker", account+"/api", nil)
	want := "terraform-provider-hybridge/test terraform/1.11.4 team/7"
	if got := <-agents; got != want {
		t.Errorf("User-Agent %q, want %q", got, want)
	}
}

func TestEveryFaceGetsTheSameData(t *testing.T) {
	t.Parallel()
	p := provider.New("test", acctest.NoEnv)
	var schema fwprovider.SchemaResponse
	p.Schema(t.Context(), fwprovider.SchemaRequest{}, &schema)
	kind := schema.Schema.Type().TerraformType(t.Context())
	object, ok := kind.(tftypes.Object)
	if !ok {
		t.Fatalf("the provider block is a %s", kind)
	}
	members := map[string]tftypes.Value{}
	for name, of := range object.AttributeTypes {
		members[name] = tftypes.NewValue(of, nil)
	}
	var resp fwprovider.ConfigureResponse
	p.Configure(t.Context(), fwprovider.ConfigureRequest{
		Config: tfsdk.Config{Schema: schema.Schema, Raw: tftypes.NewValue(kind, members)},
	}, &resp)
	if resp.Diagnostics.HasError() || resp.ResourceData == nil {
		t.Fatalf("Configure gives %v %v", resp.ResourceData, resp.Diagnostics)
	}
	for name, data := range map[string]any{
		"data source": resp.DataSourceData, "ephemeral": resp.EphemeralResourceData, "action": resp.ActionData, "list": resp.ListResourceData,
	} {
		if data != resp.ResourceData {
			t.Errorf("%s data is %v, not that of resources", name, data)
		}
	}
	var (
		_ resource.ConfigureRequest   = resource.ConfigureRequest{ProviderData: resp.ResourceData}
		_ datasource.ConfigureRequest = datasource.ConfigureRequest{ProviderData: resp.DataSourceData}
	)
}
