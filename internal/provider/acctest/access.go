// SPDX-License-Identifier: MPL-2.0

package acctest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Gate stands before a plane as Cloudflare Access does: without its service token it
// sends to a login page.
type Gate struct {
	URL          string // of the plane's API behind it; ends in /client/v4
	ClientID     string
	ClientSecret string
	// Passed and Refused count requests.
	Passed, Refused atomic.Int64
	// Echo makes the gate answer what it refuses with an error of the API that repeats
	// the client secret, as no gate should.
	Echo atomic.Bool
}

// BehindAccess puts a gate before the plane. Its plane is asked by no other way if
// only URL is configured.
func (p *Plane) BehindAccess(t testing.TB, secret string) *Gate {
	t.Helper()
	g := &Gate{ClientID: "88bf3b6d86161464f6509f7219099e57.access", ClientSecret: secret}
	plane := p.Faults.Handler(p.Plane.Handler())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch sent := r.Header.Get("CF-Access-Client-Secret"); {
		case r.Header.Get("CF-Access-Client-Id") == g.ClientID && sent == g.ClientSecret:
			g.Passed.Add(1)
			r.Header.Del("CF-Access-Client-Id")
			r.Header.Del("CF-Access-Client-Secret")
			plane.ServeHTTP(w, r)
		case g.Echo.Load():
			g.Refused.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"message":%q}],"messages":[],"result":null}`, "no such token: "+sent)
		default:
			g.Refused.Add(1)
			host, _, _ := strings.Cut(r.Host, ":")
			http.Redirect(w, r, "https://acme.cloudflareaccess.com/cdn-cgi/access/login/"+host+"?kid=0&meta=signed", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	g.URL = server.URL + "/client/v4"
	return g
}
