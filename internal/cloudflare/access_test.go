// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

const (
	testAccessID     = "88bf3b6d86161464f6509f7219099e57.access"
	testAccessSecret = "canary5ecret0canary5ecret0canary5ecret0canary5ecret0canary5ecret"
)

// behindAccess gives a client of a server that answers as Access does in front of a
// plane: with refuse, unless the request carries the service token.
func behindAccess(t *testing.T, access *Access, refuse http.HandlerFunc) (*Client, *atomic.Int32) {
	t.Helper()
	var passed atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("CF-Access-Client-Id") != testAccessID || r.Header.Get("CF-Access-Client-Secret") != testAccessSecret {
			refuse(w, r)
			return
		}
		passed.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, testWorker)
	}))
	t.Cleanup(server.Close)
	none := 0
	c, err := New(Config{Plane: "paris", BaseURL: server.URL, AccountID: testAccount, Token: testToken, Access: access, MaxRetries: &none})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &passed
}

func loginPage(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://acme.cloudflareaccess.com/cdn-cgi/access/login/plane.example.com?kid=abc&meta=signed-description", http.StatusFound)
}

func forbiddenPage(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, body)
	}
}

func TestEveryRequestCarriesTheServiceToken(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	for name, access := range map[string]*Access{
		"in clear": {ClientID: testAccessID, ClientSecret: testAccessSecret},
		"fetched": {ClientID: testAccessID, SecretFrom: func(context.Context) (string, error) {
			fetched.Add(1)
			return testAccessSecret, nil
		}},
	} {
		c, passed := behindAccess(t, access, loginPage)
		for range 3 {
			if _, err := c.FreshWorker(t.Context(), "api"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if passed.Load() != 3 {
			t.Errorf("%s: %d requests passed, want 3", name, passed.Load())
		}
	}
	if fetched.Load() != 1 {
		t.Errorf("the secret was fetched %d times", fetched.Load())
	}
}

func TestAccessThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	wrong := &Access{ClientID: testAccessID, ClientSecret: strings.Repeat("0", 64)}
	for name, tt := range map[string]struct {
		access *Access
		refuse http.HandlerFunc
		says   []string
		proven bool
	}{
		"login, no token":    {nil, loginPage, []string{"behind Cloudflare Access", "login page of acme.cloudflareaccess.com", "set access = { client_id"}, true},
		"login, wrong token": {wrong, loginPage, []string{"does not accept the service token", "acme.cloudflareaccess.com", "Service Auth"}, true},
		"login at own host": {wrong, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/cdn-cgi/access/login?a=b", http.StatusFound)
		}, []string{"behind Cloudflare Access", "Service Auth"}, true},
		"page, by its text":    {wrong, forbiddenPage("<title>Forbidden ・ Cloudflare Access</title>"), []string{"behind Cloudflare Access, which refuses the request (status 403)", "expired"}, true},
		"page, by its header":  {wrong, forbiddenPage("<h1>Forbidden</h1>", "Cf-Access-Domain", "plane.example.com"), []string{"behind Cloudflare Access", "expired"}, true},
		"page of who knows":    {nil, forbiddenPage("<h1>Forbidden</h1>"), []string{"answered text/html (status 403), not the Cloudflare API", "Cloudflare Access where it refuses", "check base_url", "set access ="}, false},
		"page of the firewall": {wrong, forbiddenPage("<h1>Just a moment</h1>", "Cf-Mitigated", "challenge"), []string{"answered text/html, not the Cloudflare API", "check base_url"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := behindAccess(t, tt.access, tt.refuse)
			_, err := c.FreshWorker(t.Context(), "api")
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "signed-description") {
				t.Errorf("the error repeats the redirect: %v", err)
			}
			if IsUnreachable(err) != tt.proven || outcomeUnknown(err) == tt.proven || IsNotFound(err) {
				t.Errorf("never asked: %v, outcome unknown: %v, not found: %v", IsUnreachable(err), outcomeUnknown(err), IsNotFound(err))
			}
			if c.Requests() != 1 {
				t.Errorf("%d requests, want 1", c.Requests())
			}
		})
	}
}

// A redirect is never followed, so what is sent to a plane reaches nobody else.
func TestNoOtherHostGetsTheServiceToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(thief.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		c, _ := behindAccess(t, &Access{ClientID: testAccessID, ClientSecret: testAccessSecret + "0"}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+"/?secret="+r.Header.Get("CF-Access-Client-Secret"), code)
		})
		_, err := c.FreshWorker(t.Context(), "api")
		if err == nil || !strings.Contains(err.Error(), "redirects to "+thief.URL) || strings.Contains(err.Error(), testAccessSecret) {
			t.Errorf("%d: got %v", code, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the other host got %d requests", asked.Load())
	}
}

type remembered struct{ lines []string }

func (r *remembered) Debug(_ context.Context, msg string, fields map[string]any) {
	r.lines = append(r.lines, fmt.Sprint(msg, fields))
}

func TestAnEchoOfTheServiceTokenIsRedacted(t *testing.T) {
	t.Parallel()
	const secret = testAccessSecret + "/+&\"x"
	forms := []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"message":%q}]}`, strings.Join(forms, " ")+r.Header.Get("CF-Access-Client-Id"))
	}))
	t.Cleanup(server.Close)
	var log remembered
	none := 0
	c, err := New(Config{BaseURL: server.URL, AccountID: testAccount, Token: testToken, MaxRetries: &none, Logger: &log, Access: &Access{ClientID: testAccessID, ClientSecret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.FreshWorker(t.Context(), "api")
	text := fmt.Sprintf("%v %+v %q", err, errors.Unwrap(err), log.lines)
	for _, form := range append(forms, testAccessID) {
		if strings.Contains(text, form) {
			t.Errorf("%s is in %s", form, text)
		}
	}
	if len(log.lines) != 1 || err == nil {
		t.Errorf("%d lines in the log, error %v", len(log.lines), err)
	}
}

func TestAServiceTokenIsChecked(t *testing.T) {
	t.Parallel()
	good := Access{ClientID: testAccessID, ClientSecret: testAccessSecret}
	for name, tt := range map[string]struct {
		url    string
		access Access
		says   string
	}{
		"good":                   {"https://plane.example.com", good, ""},
		"edge":                   {"", good, "no use at Cloudflare's own API"},
		"socket":                 {"unix:///run/hybridge/api.sock", good, "no use at the socket /run/hybridge/api.sock"},
		"id with a line break":   {"https://plane.example.com", Access{ClientID: testAccessID + "\n", ClientSecret: testAccessSecret}, "the client id has white space"},
		"short secret":           {"https://plane.example.com", Access{ClientID: testAccessID, ClientSecret: "hunter2"}, "the client secret has 7 characters"},
		"secret with two values": {"https://plane.example.com", Access{ClientID: testAccessID, ClientSecret: testAccessSecret + "\r\nX: y"}, "the client secret has white space"},
	} {
		_, err := New(Config{Plane: "paris", BaseURL: tt.url, AccountID: testAccount, Token: testToken, Access: &tt.access})
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), testAccessSecret)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
	c, _ := behindAccess(t, &Access{ClientID: testAccessID, SecretFrom: func(context.Context) (string, error) { return "hunter2", nil }}, loginPage)
	_, err := c.FreshWorker(t.Context(), "api")
	if err == nil || !IsUnreachable(err) || c.Requests() != 0 || !strings.Contains(err.Error(), `the client secret for Cloudflare Access of plane "paris" cannot be had`) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("after %d requests: %v", c.Requests(), err)
	}
}

func TestTheEnvironmentsServiceTokenGoesToPlanesOnly(t *testing.T) {
	t.Parallel()
	env := func(id, secret string) func(string) string {
		return func(name string) string {
			return map[string]string{EnvAccessClientID: id, EnvAccessClientSecret: secret}[name]
		}
	}
	for name, tt := range map[string]struct {
		url, id, secret string
		want            bool
		says            string
	}{
		"both":        {"https://plane.example.com", testAccessID, testAccessSecret, true, ""},
		"none":        {"https://plane.example.com", "", "", false, ""},
		"only an id":  {"https://plane.example.com", testAccessID, "", false, EnvAccessClientSecret + " is not"},
		"only secret": {"https://plane.example.com", "", testAccessSecret, false, EnvAccessClientID + " is not"},
		"edge":        {"", testAccessID, testAccessSecret, false, ""},
		"edge, half":  {"", testAccessID, "", false, ""},
		"socket":      {"unix:///run/hybridge/api.sock", testAccessID, testAccessSecret, false, ""},
	} {
		got, err := AccessFromEnvironment(tt.url, env(tt.id, tt.secret))
		if (got != nil) != tt.want || (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, %v", name, got != nil, err)
		}
	}
}
