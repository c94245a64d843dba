// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

func TestARefusalDoesNotWaitForATricklingBody(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "POST /client/v4/accounts/%s/workers/workers HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", p.AccountID)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer while the body is missing: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || !res.Close {
		t.Errorf("%d, close %v", res.StatusCode, res.Close)
	}
}

func TestNoSpellingOfARequestGetsAroundTheChecks(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	id := newWorker(t, p, "api")
	version := newVersion(t, p, "api", "")
	newDeployment(t, p, "api", version, 100)
	otherID, other := p.NewAccount(t, "Other")
	reader := p.NewToken(t, "read")
	ours, theirs := "/client/v4/accounts/"+p.AccountID, "/client/v4/accounts/"+otherID

	for _, path := range []string{
		// Another account's Worker by its id, under the caller's own account.
		theirs + "/workers/workers/" + id,
		theirs + "/workers/workers/" + id + "/versions",
		theirs + "/workers/workers/" + id + "/versions/" + version,
		theirs + "/workers/scripts/api", theirs + "/workers/scripts/" + id,
		theirs + "/workers/scripts/api/deployments", theirs + "/workers/scripts/" + id + "/versions/" + version,
		theirs + "/workers/scripts/api/secrets", theirs + "/workers/services/api",
		// Paths that a careless server would take for others.
		theirs + "/../" + p.AccountID + "/workers/workers/api",
		theirs + "/%2e%2e/" + p.AccountID + "/workers/workers/api",
		theirs + "%2f..%2f" + p.AccountID + "/workers/workers/api",
		"/client/v4/accounts/" + strings.ToUpper(p.AccountID) + "/workers/workers/api",
		"/client/v4/accounts/%" + fmt.Sprintf("%x", p.AccountID[0]) + p.AccountID[1:] + "/workers/workers/api",
		"/client/v4//accounts/" + p.AccountID + "/workers/workers/api",
		ours + "/workers/workers/api/", ours + ";x/workers/workers/api",
	} {
		if a := try(t, p, "GET", path, "", "Authorization", "Bearer "+other); a.status < 400 || strings.Contains(string(a.body), version) {
			t.Errorf("GET %s: %v", path, a)
		}
	}
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		try(t, p, "GET", "/workers/workers/api?_method=DELETE", "", "Authorization", "Bearer "+p.Token, header, "DELETE")
	}
	for _, path := range []string{"/workers/workers/api", "/workers/workers/%61pi", "/workers/workers/" + id + "/", "/workers/scripts/api?_method=GET", "/workers/services/api"} {
		a := try(t, p, "DELETE", ours+path, "", "Authorization", "Bearer "+reader, "X-HTTP-Method-Override", "GET")
		if a.status < 400 {
			t.Errorf("a reader may DELETE %s: %v", path, a)
		}
	}
	if a := try(t, p, "GET", "/workers/workers/api", "", "Authorization", "Bearer "+p.Token); a.status != http.StatusOK {
		t.Errorf("the Worker is gone: %v", a)
	}
	for _, name := range []string{"..", "%2e%2e", "..%2f..%2fregistry.db", "a%00b", "a%2fb", "%0d%0aX", "A%20B", strings.Repeat("a", 300)} {
		for _, path := range []string{"/workers/scripts/" + name + "/settings", "/workers/workers/" + name} {
			if a := try(t, p, "GET", ours+path, "", "Authorization", "Bearer "+p.Token); a.status < 400 || a.status >= 500 {
				t.Errorf("GET %s: %v", path, a)
			}
		}
	}
}
