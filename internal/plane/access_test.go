// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	_, foreign := p.NewAccount(t, "Other")
	reader, logs := p.NewToken(t, "read"), p.NewToken(t, "logs")
	unknown := strings.Repeat("a", 40)

	refused(t, p, 401, 10000, "does not know the API token", "GET", "/workers/workers", "", bearer(unknown)...)
	refused(t, p, 400, 6003, "Bearer", "GET", "/workers/workers", "", "Authorization", "Basic Zm9v")
	refused(t, p, 400, 9106, "send an API token", "GET", "/workers/workers", "", "Authorization", "")
	refused(t, p, 403, 9109, "belongs to another account", "GET", "/workers/workers", "", bearer(foreign)...)
	refused(t, p, 403, 10000, `lacks the permission \"Workers Scripts Read\"`, "GET", "/workers/workers", "", bearer(logs)...)
	refused(t, p, 403, 10000, `lacks the permission \"Workers Scripts Write\"`, "POST", "/workers/workers", `{"name":"b"}`, bearer(reader)...)
	refused(t, p, 404, 7003, "object identifier is invalid", "GET", "/client/v4/accounts/not-an-id/workers/workers", "")
	call(t, p, "GET", "/workers/workers", "", bearer(reader)...)
	call(t, p, "GET", "/workers/workers", "", "Authorization", "", "X-Auth-Key", reader, "X-Auth-Email", "me@example.com")

	if strings.Contains(p.Log(), p.Token) || strings.Contains(p.Log(), reader) || strings.Contains(p.Log(), unknown) {
		t.Error("a token is in the log")
	}
}

func TestUnknownEndpointsAreAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	refused(t, p, 404, 7003, "Could not route to", "GET", "/nowhere/at%2Fall", "")
	refused(t, p, 404, 7003, "Could not route to", "POST", "/client/v9/x", "{}")
	a := refused(t, p, 405, 10405, "it takes GET, POST", "DELETE", "/workers/workers", "")
	if got := a.header.Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow is %q", got)
	}
	for _, want := range []string{"does not have: method=GET path=\"/client/v4/accounts/" + p.AccountID + "/nowhere/at%2Fall\"", "method=POST path=/client/v9/x"} {
		if !strings.Contains(p.Log(), want) {
			t.Errorf("the log has no %q:\n%s", want, p.Log())
		}
	}
}

func TestAPanicIsAnErrorAndEndsNothing(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	newWorker(t, p, "api")
	p.Runtime.OnValidate = func(workerd.Version) (workerd.Validation, error) { panic("boom") }
	a := try(t, p, "POST", "/workers/workers/api/versions", uploadBody(helloModule, ""))
	if a.status != http.StatusInternalServerError || a.code() != 10002 || bytes.Contains(a.body, []byte("boom")) {
		t.Errorf("got %v, want 10002 without the details", a)
	}
	if a.header.Get("X-Should-Retry") == "false" {
		t.Error("a fault of the plane may be retried")
	}
	if !strings.Contains(p.Log(), "boom") || !strings.Contains(p.Log(), "storeVersion") {
		t.Error("the log lacks the panic or its stack")
	}
	call(t, p, "GET", "/workers/workers/api", "")
}

func TestBodiesAreJSONWhateverTheySayTheyAre(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	for i, contentType := range []string{"", "text/plain;charset=UTF-8", "application/merge-patch+json", "application/json"} {
		name := string(rune('a' + i))
		call(t, p, "POST", "/workers/workers", `{"name":"`+name+`"}`, "Content-Type", contentType)
	}
	refused(t, p, 400, 10026, "at byte 15", "POST", "/workers/workers", `{"name":"secret`)
	refused(t, p, 400, 10026, "name", "POST", "/workers/workers", `{"name":7}`)
	refused(t, p, 413, 10027, "1048576", "POST", "/workers/workers", `{"name":"`+strings.Repeat("a", 1<<20)+`"}`)
	call(t, p, "GET", "/workers/workers/a", "", "Content-Type", "application/json")
	call(t, p, "DELETE", "/workers/workers/a?bindings_inherit=strict&unknown=1", "", "Content-Type", "application/json")
}

func TestPagersComeToAnEnd(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	for _, name := range []string{"c", "a", "b"} {
		newWorker(t, p, name)
	}
	names := func(query string) (string, answer) {
		t.Helper()
		a := call(t, p, "GET", "/workers/workers"+query, "")
		var list []struct{ Name string }
		a.into(t, &list)
		var out string
		for _, w := range list {
			out += w.Name
		}
		return out, a
	}
	for query, want := range map[string]string{
		"": "abc", "?page=1&per_page=2": "ab", "?page=2&per_page=2": "c", "?page=3&per_page=2": "", "?page=1000000": "", "?per_page=5000": "abc", "?page=0": "abc",
		"?order_by=name&order=desc": "cba", "?order_by=created_on": "cab", "?order_by=created_on&order=desc": "bac",
	} {
		if got, _ := names(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	_, a := names("?page=2&per_page=2")
	if i := a.env.ResultInfo; i.Page != 2 || i.PerPage != 2 || i.Count != 1 || i.TotalCount != 3 || i.TotalPages != 2 {
		t.Errorf("result_info: %+v", i)
	}
	_, a = names("?page=9")
	if string(a.env.Result) != "[]" {
		t.Errorf("a page past the end is %s, want []", a.env.Result)
	}
	for _, query := range []string{"?page=x", "?page=-1", "?per_page=99999999999999999999", "?order_by=size"} {
		refused(t, p, 400, 10004, "query parameter", "GET", "/workers/workers"+query, "")
	}
}
