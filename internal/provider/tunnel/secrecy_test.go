// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const tokenKind = "hybridge_tunnel_token"

func TestATokenIsOpenedAndAMissingPermissionNamed(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	state := p.Create(t.Context(), t, kind, tfproto.Object{"name": "token"})
	id := text(t, state, "id")
	got, d := p.Open(t.Context(), t, tokenKind, tfproto.Object{"tunnel_id": id})
	raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(got["token"]))
	var parts map[string]string
	if err != nil || json.Unmarshal(raw, &parts) != nil || parts["a"] != plane.AccountID || parts["t"] != id || parts["s"] == "" || d.HasError() {
		t.Errorf("the token is %q; %s", raw, d)
	}

	planner := *plane
	planner.Token = plane.TokenFor(t, "Cloudflare Tunnel Read")
	q := acctest.Proto(t, planner.Env, nil)
	if read, d := q.Read(t.Context(), t, state); d.HasError() || read.Object == nil {
		t.Errorf("a token for planning cannot read a tunnel: %s", d)
	}
	_, d = q.Open(t.Context(), t, tokenKind, tfproto.Object{"tunnel_id": id})
	for _, want := range []string{"tunnel_id", "Cloudflare Tunnel Write", "also at plan", "let the agent"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("the diagnostic lacks %q:\n%s", want, d)
		}
	}
}

// secretsOf are the forms of a tunnel's secret that the plane has now.
func secretsOf(t *testing.T, plane *acctest.Plane, id string) []string {
	t.Helper()
	var token string
	call(t, plane, http.MethodGet, "/cfd_tunnel/"+id+"/token", nil, &token)
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	var parts struct{ S string }
	if err := json.Unmarshal(raw, &parts); err != nil {
		t.Fatal(err)
	}
	secret, err := base64.StdEncoding.DecodeString(parts.S)
	if err != nil {
		t.Fatal(err)
	}
	return []string{token, parts.S, string(secret)}
}

// TestNothingThatTerraformKeepsOrShowsHasTheSecret: state, private state, plan,
// identity and diagnostics, in success and when answers are lost or broken.
func TestNothingThatTerraformKeepsOrShowsHasTheSecret(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	var shown []string
	keep := func(s tfproto.State, d tfproto.Diagnostics) {
		shown = append(shown, fmt.Sprintf("%#v", s.Object), s.Private(), fmt.Sprintf("%#v", s.Identity), d.String())
	}
	config := func(trigger string) tfproto.Object {
		return tfproto.Object{"name": "canary", "rotation_trigger": trigger}
	}
	const tunnels = "/client/v4/accounts/*/cfd_tunnel"
	var secrets []string
	for i, k := range []fault.Kind{fault.ErrorAfter, fault.ResetAfter, fault.Truncated, fault.HTMLAfter, fault.ResetBefore} {
		t.Log(k)
		// Creating with a lost answer finds its own tunnel again, by the secret.
		plane.Faults.Add(fault.Rule{Method: http.MethodPost, Path: tunnels, Kind: k})
		name := fmt.Sprintf("lost-%d", i)
		plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"name": name})
		keep(tfproto.State{Object: plan.Object}, d)
		made, d := p.Apply(t.Context(), t, plan)
		if keep(made, d); d.HasError() {
			t.Fatalf("%s: creating: %s", k, d)
		}
		secrets = append(secrets, secretsOf(t, plane, text(t, made, "id"))...)
		var all []struct{ ID string }
		if call(t, plane, http.MethodGet, "/cfd_tunnel?is_deleted=false&name="+name, nil, &all); len(all) != 1 {
			t.Errorf("%s: there are %d tunnels of the name", k, len(all))
		}
		// So does a rotation.
		state := p.Change(t.Context(), t, made, config("1"))
		plane.Faults.Add(fault.Rule{Method: http.MethodPatch, Path: tunnels + "/*", Kind: k})
		plan, d = p.Plan(t.Context(), t, state, config("2"))
		keep(tfproto.State{Object: plan.Object}, d)
		rotated, d := p.Apply(t.Context(), t, plan)
		if keep(rotated, d); d.HasError() {
			t.Fatalf("%s: rotating: %s", k, d)
		}
		secrets = append(secrets, secretsOf(t, plane, text(t, made, "id"))...)
		p.Change(t.Context(), t, rotated, nil)
	}
	// A plane that repeats what it was sent, in an error.
	plane.Faults.Add(fault.Rule{Method: http.MethodPost, Path: tunnels, Kind: fault.Conflict, Times: -1})
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"name": "refused"})
	keep(tfproto.State{Object: plan.Object}, d)
	refused, d := p.Apply(t.Context(), t, plan)
	keep(refused, d)
	if !strings.Contains(d.String(), "exists already") {
		t.Errorf("a conflict is told as: %s", d)
	}
	for _, r := range plane.Faults.Requests() {
		shown = append(shown, r.Path+"?"+r.Query)
	}
	where := strings.Join(shown, "\n")
	for _, secret := range secrets {
		if found := canary.In([]byte(where), secret); len(found) > 0 {
			t.Errorf("a secret is shown: %v", found)
		}
	}
	if len(secrets) != 30 {
		t.Errorf("%d secrets were looked for", len(secrets))
	}
}

func TestFiftyTunnelsKeepToTheirRequests(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	const n = 50
	states, configs := make([]tfproto.State, n), make([]tfproto.Object, n)
	for i := range n {
		configs[i] = tfproto.Object{"name": fmt.Sprintf("t-%d", i), "ingress": ingress(rule(fmt.Sprintf("h%d.example.com", i), "http://localhost:1"))}
		states[i] = p.Create(t.Context(), t, kind, configs[i])
	}
	if got := plane.Requests(); got != 2*n {
		t.Errorf("creating took %d requests, not %d", got, 2*n)
	}
	// Another process plans: the first tunnels alone, then one list; each configuration.
	q, before := acctest.Proto(t, plane.Env, nil), plane.Requests()
	for i := range n {
		quiet(t, q, states[i], configs[i])
	}
	tunnels := plane.Faults.Count(http.MethodGet, "/client/v4/accounts/*/cfd_tunnel") + plane.Faults.Count(http.MethodGet, "/client/v4/accounts/*/cfd_tunnel/*")
	if got := plane.Requests() - before; got != n+tunnels || tunnels > 5 {
		t.Errorf("planning took %d requests, %d of them for tunnels: not %d and at most 5", got, tunnels, n+tunnels)
	}
	before = plane.Requests()
	for i := range n {
		p.Change(t.Context(), t, states[i], nil)
	}
	// Connectors, drop, connectors, delete: this plane serves each of them.
	if got := plane.Requests() - before; got != 4*n {
		t.Errorf("destroying took %d requests, not %d", got, 4*n)
	}
}
