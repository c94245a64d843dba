// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/option"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// What the SDK, and with it the official provider, does with account tokens, over the plane.
func TestCloudflareGoKeepsTokens(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	tokens := accounts.NewTokenService(option.WithBaseURL(p.BaseURL), option.WithAPIToken(p.Token), option.WithMaxRetries(0))
	ctx := t.Context()
	account := map[string]any{"AccountID": p.AccountID}
	check := func(what string, v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, p.Log())
		}
		requireAll(t, what, reflect.ValueOf(v))
	}
	groups, err := tokens.PermissionGroups.Get(ctx, params[accounts.TokenPermissionGroupGetParams](account))
	check("permission groups", groups, err)
	id := ""
	for _, g := range *groups {
		if g.Name == "DNS Write" {
			id = g.ID
		}
	}
	body := body(`{"name":"dns","expires_on":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `","policies":[{"effect":"allow","resources":{"com.cloudflare.api.account.` +
		p.AccountID + `":"*"},"permission_groups":[{"id":"` + id + `","meta":{"key":"k","value":"v"}}]}]}`)
	made, err := tokens.New(ctx, params[accounts.TokenNewParams](account), body)
	check("create", made, err)
	if len(made.Value) < 40 || made.Status != "active" || len(made.Policies) != 1 || made.Policies[0].PermissionGroups[0].Name != "DNS Write" {
		t.Errorf("made: %+v", made)
	}
	got, err := tokens.Get(ctx, made.ID, params[accounts.TokenGetParams](account))
	check("get", got, err)
	verified, err := tokens.Verify(ctx, params[accounts.TokenVerifyParams](account), option.WithAPIToken(made.Value))
	check("verify", verified, err)
	if verified.ID != made.ID {
		t.Errorf("verified: %+v", verified)
	}
	n := 0
	all := tokens.ListAutoPaging(ctx, params[accounts.TokenListParams](account))
	for ; all.Next(); n++ {
		requireAll(t, "listed token", reflect.ValueOf(all.Current()))
	}
	if all.Err() != nil || n != 2 {
		t.Errorf("listed %d tokens, %v", n, all.Err())
	}
	gone, err := tokens.Delete(ctx, made.ID, params[accounts.TokenDeleteParams](account))
	check("delete", gone, err)
	if _, err := tokens.Get(ctx, made.ID, params[accounts.TokenGetParams](account)); err == nil {
		t.Error("it is still there")
	}
}
