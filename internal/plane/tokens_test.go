// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// aToken is what tests look at of a token.
type aToken struct {
	ID, Name, Status, Value string
	ExpiresOn               *time.Time `json:"expires_on"`
	Policies                []struct {
		Groups []struct{ ID, Name string } `json:"permission_groups"`
	}
}

func tokenRequest(p *planetest.Plane, name, more string, groups ...string) string {
	var list []string
	for _, g := range groups {
		list = append(list, `{"name":"`+g+`"}`)
	}
	return fmt.Sprintf(`{"name":%q%s,"policies":[{"effect":"allow","resources":{"com.cloudflare.api.account.%s":"*"},"permission_groups":[%s]}]}`, name, more, p.AccountID, strings.Join(list, ","))
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func TestATokensLife(t *testing.T) {
	t.Parallel()
	var hours atomic.Int64
	p := planetest.New(t, planetest.Options{Now: func() time.Time { return time.Now().Add(time.Duration(hours.Load()) * time.Hour) }})
	newWorker(t, p, "api")
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	var made aToken
	call(t, p, "POST", "/tokens", tokenRequest(p, "ci", `,"expires_on":"`+end.Format(time.RFC3339)+`"`, "Workers Scripts Read")).into(t, &made)
	if made.Status != "active" || !made.ExpiresOn.Equal(end) || len(made.Value) < 40 || made.Policies[0].Groups[0].Name != "Workers Scripts Read" {
		t.Errorf("made: %+v", made)
	}
	call(t, p, "GET", "/workers/workers", "", bearer(made.Value)...)
	call(t, p, "GET", "/tokens/verify", "", bearer(made.Value)...)
	refused(t, p, 403, 10000, "Workers Scripts Write", "POST", "/workers/workers", `{"name":"b"}`, bearer(made.Value)...)
	refused(t, p, 403, 10000, "Account API Tokens Read", "GET", "/tokens", "", bearer(made.Value)...)

	// Its text is shown once, and nowhere else.
	for _, path := range []string{"/tokens", "/tokens/" + made.ID} {
		if a := call(t, p, "GET", path, ""); strings.Contains(string(a.body), made.Value) || !strings.Contains(string(a.body), made.ID) {
			t.Errorf("GET %s: %s", path, a.body)
		}
	}
	if strings.Contains(p.Log(), made.Value) || !strings.Contains(p.Log(), "audit: action=token.create") {
		t.Error("the log has the token, or no audit line")
	}

	// It ends by itself, also where it was good a moment before.
	hours.Store(2)
	refused(t, p, 401, 10000, `\"ci\" expired on `+end.Format(time.RFC3339), "GET", "/workers/workers", "", bearer(made.Value)...)
	var list []aToken
	call(t, p, "GET", "/tokens", "").into(t, &list)
	if len(list) != 2 || list[1].Status != "expired" || list[1].Value != "" {
		t.Errorf("listed: %+v", list)
	}

	// A revoked one is refused at once.
	var other aToken
	call(t, p, "POST", "/tokens", tokenRequest(p, "other", "", "Workers Scripts Read")).into(t, &other)
	call(t, p, "GET", "/workers/workers", "", bearer(other.Value)...)
	call(t, p, "DELETE", "/tokens/"+other.ID, "")
	refused(t, p, 401, 10000, "does not know", "GET", "/workers/workers", "", bearer(other.Value)...)
	refused(t, p, 404, 1003, "no API token", "GET", "/tokens/"+other.ID, "")
	refused(t, p, 404, 1003, "no API token", "DELETE", "/tokens/"+other.ID, "")
	if !strings.Contains(p.Log(), "audit: action=token.revoke") {
		t.Error("no audit line of the revocation")
	}
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	maker := p.NewToken(t, "Account API Tokens Write", "Workers Scripts Read")
	refused(t, p, 403, 10000, `cannot give the permission \"Workers Scripts Write\"`, "POST", "/tokens", tokenRequest(p, "a", "", "Workers Scripts Write"), bearer(maker)...)
	call(t, p, "POST", "/tokens", tokenRequest(p, "a", "", "Workers Scripts Read"), bearer(maker)...)
	refused(t, p, 409, 19001, "already exists", "POST", "/tokens", tokenRequest(p, "a", "", "Workers Scripts Read"), bearer(maker)...)

	for body, want := range map[string]string{
		tokenRequest(p, "", "", "Workers Scripts Read"):                                                "needs a name",
		tokenRequest(p, "b", `,"expires_on":"2020-01-01T00:00:00Z"`, "Workers Scripts Read"):           "is over already",
		tokenRequest(p, "b", `,"not_before":"2099-01-01T00:00:00Z"`, "Workers Scripts Read"):           "not_before",
		tokenRequest(p, "b", `,"condition":{"request_ip":{"in":["10.0.0.1"]}}`, "DNS Read"):            "condition",
		tokenRequest(p, "b", "", "Everything"):                                                         "no permission group",
		tokenRequest(p, "b", ""):                                                                       "permission_groups",
		`{"name":"b"}`:                                                                                 "needs policies",
		strings.Replace(tokenRequest(p, "b", "", "DNS Read"), p.AccountID, strings.Repeat("0", 32), 1): "account as a whole",
		strings.Replace(tokenRequest(p, "b", "", "DNS Read"), "allow", "deny", 1):                      "has the effect",
	} {
		refused(t, p, 400, 1001, want, "POST", "/tokens", body)
	}
	// Groups are named by id as well.
	var groups []struct{ ID, Name string }
	call(t, p, "GET", "/tokens/permission_groups", "").into(t, &groups)
	var made aToken
	call(t, p, "POST", "/tokens", strings.Replace(tokenRequest(p, "b", "", "X"), `"name":"X"`, `"id":"`+groups[0].ID+`"`, 1)).into(t, &made)
	if diff := cmp.Diff(groups[0].Name, made.Policies[0].Groups[0].Name); diff != "" {
		t.Error(diff)
	}
}

func TestTheLastTokenThatMakesOthersStays(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	var list []aToken
	call(t, p, "GET", "/tokens", "").into(t, &list)
	refused(t, p, 409, 19006, "the last one", "DELETE", "/tokens/"+list[0].ID, "")
	other := p.NewToken(t, "admin")
	call(t, p, "DELETE", "/tokens/"+list[0].ID, "", bearer(other)...)
	refused(t, p, 401, 10000, "does not know", "GET", "/tokens", "")
}

func TestFailedAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	var seconds atomic.Int64
	began := time.Now()
	p := planetest.New(t, planetest.Options{Now: func() time.Time { return began.Add(time.Duration(seconds.Load()) * time.Second) }})
	call(t, p, "GET", "/workers/workers", "")
	from := func(n int) []string { // a client behind the tunnel, with another guess each time
		return append(bearer(fmt.Sprintf("%040d", n)), "Cf-Connecting-Ip", "203.0.113.7")
	}
	for n := range 20 {
		refused(t, p, 401, 10000, "does not know", "GET", "/workers/workers", "", from(n)...)
	}
	limited := func(header ...string) answer {
		t.Helper()
		a := try(t, p, "GET", "/workers/workers", "", header...)
		if a.status != http.StatusTooManyRequests || a.code() != 10429 || a.header.Get("X-Should-Retry") == "false" {
			t.Errorf("got %v, want a 429 that may be repeated", a)
		}
		return a
	}
	a := limited(from(20)...)
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || after > 3 {
		t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
	// A good token that nobody has used yet is not looked at for this client, but for others; one that has been
	// used is always.
	fresh := p.NewToken(t, "read")
	limited(append(bearer(fresh), "Cf-Connecting-Ip", "203.0.113.7")...)
	call(t, p, "GET", "/workers/workers", "", append(bearer(fresh), "Cf-Connecting-Ip", "203.0.113.8")...)
	call(t, p, "GET", "/workers/workers", "", append(bearer(fresh), "Cf-Connecting-Ip", "203.0.113.7")...)
	call(t, p, "GET", "/workers/workers", "", append(bearer(p.Token), "Cf-Connecting-Ip", "203.0.113.7")...)
	// Time heals: one attempt each three seconds.
	seconds.Store(3)
	refused(t, p, 401, 10000, "does not know", "GET", "/workers/workers", "", from(30)...)
	limited(from(31)...)
	// A crowd of clients is bounded as a whole: 200 at once.
	status := 0
	for n := range 250 {
		a := try(t, p, "GET", "/workers/workers", "", append(bearer(fmt.Sprintf("%040d", n)), "Cf-Connecting-Ip", fmt.Sprintf("2001:db8:0:%x::1", n))...)
		if status = a.status; status == http.StatusTooManyRequests {
			if n < 150 || n > 230 {
				t.Errorf("the crowd was stopped after %d attempts", n)
			}
			break
		}
	}
	if status != http.StatusTooManyRequests {
		t.Error("the crowd was not stopped")
	}
	call(t, p, "GET", "/workers/workers", "")
}
