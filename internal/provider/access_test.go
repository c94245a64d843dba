// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const (
	accessID     = "88bf3b6d86161464f6509f7219099e57.access"
	accessSecret = "canary5ecret0canary5ecret0canary5ecret0canary5ecret0canary5ecret"
)

func TestAServiceTokenIsCheckedWhereItIsWritten(t *testing.T) {
	t.Parallel()
	sops := map[string]any{"file": "secrets.enc.yaml", "key": "access"}
	const plane = "https://plane.example.com"
	for name, tt := range map[string]struct {
		url    any
		access map[string]any
		want   []string
	}{
		"whole":            {plane, map[string]any{"client_id": accessID, "client_secret": accessSecret}, nil},
		"sops":             {plane, map[string]any{"client_id": accessID, "client_secret_sops": sops}, nil},
		"no secret":        {plane, map[string]any{"client_id": accessID}, []string{"at access", "neither client_secret nor client_secret_sops"}},
		"two secrets":      {plane, map[string]any{"client_id": accessID, "client_secret": accessSecret, "client_secret_sops": sops}, []string{"access.client_secret and", "leave one of them out"}},
		"short id":         {plane, map[string]any{"client_id": "me", "client_secret": accessSecret}, []string{"at access.client_id", "too short", "7219099e57.access"}},
		"secret with line": {plane, map[string]any{"client_id": accessID, "client_secret": accessSecret + "\n"}, []string{"at access.client_secret", "white space"}},
		"key path":         {plane, map[string]any{"client_id": accessID, "client_secret_sops": map[string]any{"file": "f", "key": "a..b"}}, []string{"at access.client_secret_sops.key"}},
		"socket":           {"unix:///run/hybridge/api.sock", map[string]any{"client_id": accessID, "client_secret": accessSecret}, []string{"at access", "no use at the socket /run/hybridge/api.sock"}},
		"edge":             {"https://api.cloudflare.com/client/v4", map[string]any{"client_id": accessID, "client_secret": accessSecret}, []string{"at access", "Cloudflare's own API"}},
		"unknown":          {plane, map[string]any{"client_id": accessID, "client_secret_sops": map[string]any{"file": "f", "key": tfproto.Unknown}}, []string{"at access", "not known yet"}},
	} {
		d := acctest.Configure(t, acctest.NoEnv, tfproto.Object{"base_url": tt.url, "access": tt.access})
		if name == "sops" {
			d = nil // the file is looked for by who uses the plane
		}
		expect(t, d, tt.want...)
		if strings.Contains(d.String(), accessSecret) {
			t.Errorf("%s: the secret is repeated: %s", name, d)
		}
		if name == "unknown" {
			continue // with a named plane, that is an error of this plane alone
		}
		block := planeBlock(tfproto.Object{"base_url": tt.url, "access": tt.access})
		for i := range tt.want {
			tt.want[i] = strings.Replace(tt.want[i], "at access", `at planes["paris"].access`, 1)
		}
		expect(t, acctest.Configure(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{"paris": block}}), tt.want...)
	}
	// Where base_url is left out, a named plane is Cloudflare's; the default one is the environment's to say.
	access := map[string]any{"client_id": accessID, "client_secret": accessSecret}
	expect(t, acctest.Configure(t, acctest.NoEnv, tfproto.Object{"planes": map[string]any{"paris": planeBlock(tfproto.Object{"access": access})}}), "Cloudflare's own API")
	expect(t, acctest.Configure(t, acctest.NoEnv, tfproto.Object{"access": access}))
}

func TestAPlaneBehindAccessIsReachedWithItsServiceToken(t *testing.T) {
	t.Parallel()
	plane, box := acctest.NewPlane(t), acctest.NewStrongbox(t)
	gate := plane.BehindAccess(t, accessSecret)
	file := box.Seal(t, "access.enc.yaml", map[string]string{"secret": accessSecret + "\n", "wrong": strings.Repeat("0", 64), "short": "hunter2"})
	sealed := func(key string) map[string]any {
		return map[string]any{"client_id": gate.ClientID, "client_secret_sops": map[string]any{"file": file, "key": key}}
	}
	sops := map[string]any{"age_key_file": box.KeyFile, "env_allowed": false}
	block := func(access map[string]any) map[string]any {
		b := map[string]any{"base_url": gate.URL, "api_token": plane.Token, "account_id": plane.AccountID}
		if access != nil {
			b["access"] = access
		}
		return b
	}
	with := func(b map[string]any, more map[string]any) tfproto.Object {
		all := tfproto.Object{}
		for k, v := range b {
			all[k] = v
		}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	clear := map[string]any{"client_id": gate.ClientID, "client_secret": accessSecret}
	env := func(name string) string {
		return map[string]string{"CLOUDFLARE_ACCESS_CLIENT_ID": gate.ClientID, "CLOUDFLARE_ACCESS_CLIENT_SECRET": accessSecret}[name]
	}
	for name, tt := range map[string]struct {
		block  tfproto.Object
		getenv func(string) string
		plane  any
		says   []string // of what is wrong
	}{
		"value":                   {with(block(clear), nil), acctest.NoEnv, nil, nil},
		"sops":                    {with(block(sealed("secret")), map[string]any{"sops": sops}), acctest.NoEnv, nil, nil},
		"environment":             {with(block(nil), nil), env, nil, nil},
		"named plane":             {tfproto.Object{"planes": map[string]any{"paris": block(clear)}}, acctest.NoEnv, "paris", nil},
		"named plane, sops":       {tfproto.Object{"planes": map[string]any{"paris": block(sealed("secret"))}, "sops": sops}, acctest.NoEnv, "paris", nil},
		"none":                    {with(block(nil), nil), acctest.NoEnv, nil, []string{"login page of acme.cloudflareaccess.com", "access = { client_id"}},
		"wrong secret":            {with(block(sealed("wrong")), map[string]any{"sops": sops}), env, nil, []string{"does not accept the service token", "Service Auth"}},
		"no secret":               {with(block(sealed("short")), map[string]any{"sops": sops}), env, nil, []string{"client secret for Cloudflare Access", "access of the provider block.client_secret_sops", "key short", "7 characters"}},
		"no such key":             {with(block(sealed("missing")), map[string]any{"sops": sops}), env, nil, []string{"missing"}},
		"no age key":              {with(block(sealed("secret")), map[string]any{"sops": map[string]any{"env_allowed": false}}), env, nil, []string{"access.enc.yaml"}},
		"environment, named":      {tfproto.Object{"planes": map[string]any{"paris": block(nil)}}, env, "paris", []string{"login page of acme.cloudflareaccess.com"}},
		"half of the environment": {with(block(nil), nil), func(name string) string { return strings.TrimSuffix(env(name), accessSecret) }, nil, []string{"CLOUDFLARE_ACCESS_CLIENT_SECRET is not"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := acctest.Proto(t, tt.getenv, tt.block)
			got, d := p.Data(t.Context(), t, "hybridge_plane", tfproto.Object{"plane": tt.plane})
			details, _ := got["details"].(string)
			said := d.String() + details
			for _, want := range tt.says {
				if !strings.Contains(said, want) {
					t.Errorf("got %q, want %q", said, want)
				}
			}
			if len(tt.says) == 0 && (said != "" || got["healthy"] != true) {
				t.Errorf("healthy is %v: %s", got["healthy"], said)
			}
			for _, secret := range []string{accessSecret, "hunter2", "meta=signed"} {
				if strings.Contains(said, secret) {
					t.Errorf("%s is repeated: %s", secret, said)
				}
			}
		})
	}
	if gate.Passed.Load() != 5 || gate.Refused.Load() != 3 {
		t.Errorf("%d requests passed and %d were refused, want 5 and 3", gate.Passed.Load(), gate.Refused.Load())
	}
}

// One customer's service token has expired: what is there is planned as it was last
// known, and the other planes go on.
func TestOnePlaneThatAccessRefusesKeepsNoOtherFromBeingPlanned(t *testing.T) {
	t.Parallel()
	paris, rome := acctest.NewPlane(t), acctest.NewPlane(t)
	gate := paris.BehindAccess(t, accessSecret)
	block := func(secret string) tfproto.Object {
		return tfproto.Object{"planes": map[string]any{
			"paris": map[string]any{
				"base_url": gate.URL, "api_token": paris.Token, "account_id": paris.AccountID,
				"access": map[string]any{"client_id": gate.ClientID, "client_secret": secret},
			},
			"rome": map[string]any{"base_url": rome.URL, "api_token": rome.Token, "account_id": rome.AccountID},
		}}
	}
	p := acctest.Proto(t, acctest.NoEnv, block(accessSecret))
	here := p.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": "api", "plane": "paris"})
	expired := acctest.Proto(t, acctest.NoEnv, block(strings.Repeat("0", 64)))
	kept, d := expired.Read(t.Context(), t, here)
	if d.HasError() || !strings.Contains(d.String(), "does not accept the service token") || kept.Object["id"] != here.Object["id"] {
		t.Errorf("read gives %v; %s", kept.Object, d)
	}
	expired.Create(t.Context(), t, "hybridge_worker", tfproto.Object{"name": "api", "plane": "rome"})
}
