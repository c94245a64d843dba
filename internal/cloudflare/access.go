// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// Environment variables with a service token of Cloudflare Access; wrangler knows
// them too.
const (
	EnvAccessClientID     = "CLOUDFLARE_ACCESS_CLIENT_ID"
	EnvAccessClientSecret = "CLOUDFLARE_ACCESS_CLIENT_SECRET" //nolint:gosec // the name of a variable
)

// Headers of a service token.
const (
	headerAccessID     = "CF-Access-Client-Id"
	headerAccessSecret = "CF-Access-Client-Secret" //nolint:gosec // the name of a header
)

// Access is a service token of Cloudflare Access, for a plane that is behind it.
type Access struct {
	ClientID     string
	ClientSecret string
	// SecretFrom, if not nil, gives the secret instead of ClientSecret, as
	// Config.TokenFrom gives the API token.
	SecretFrom func(ctx context.Context) (string, error)
}

// AccessFromEnvironment is the service token in the environment; nil if there is
// none, or if what baseURL leads to is never behind Access: nobody else gets it.
func AccessFromEnvironment(baseURL string, getenv func(string) string) (*Access, error) {
	a := &Access{ClientID: getenv(EnvAccessClientID), ClientSecret: getenv(EnvAccessClientSecret)}
	switch {
	case a.ClientID == "" && a.ClientSecret == "", neverBehindAccess(baseURL):
		return nil, nil
	case a.ClientID == "":
		return nil, fmt.Errorf("the environment variable %s is set, but %s is not: set both or neither", EnvAccessClientSecret, EnvAccessClientID)
	case a.ClientSecret == "":
		return nil, fmt.Errorf("the environment variable %s is set, but %s is not: set both or neither", EnvAccessClientID, EnvAccessClientSecret)
	}
	return a, nil
}

func neverBehindAccess(baseURL string) bool { return CheckAccess(baseURL) != nil }

// CheckAccess says why a plane at this base URL can have no use for a service
// token. An invalid URL passes: New refuses it.
func CheckAccess(baseURL string) error {
	at, err := parseBaseURL(baseURL, true)
	switch {
	case err != nil:
		return nil //nolint:nilerr // see above
	case at.socket != "":
		return fmt.Errorf("access is of no use at the socket %s, which no Cloudflare Access stands before: leave access out", at.socket)
	case isEdge(at.url):
		return errors.New("access is of no use at Cloudflare's own API, which no Cloudflare Access stands before: leave access out, or set base_url to the plane behind it")
	}
	return nil
}

// CheckAccessClientID and CheckAccessClientSecret report what cannot be part of a
// service token. Their errors never repeat it.
func CheckAccessClientID(text string) error {
	return checkAccessText("the client id", "like 88bf3b6d86161464f6509f7219099e57.access", 8, text)
}

// CheckAccessClientSecret is described with CheckAccessClientID.
func CheckAccessClientSecret(text string) error {
	return checkAccessText("the client secret", "64 hexadecimal digits", 16, text)
}

func checkAccessText(what, like string, shortest int, text string) error {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%s has white space or characters that no header may have: it was probably pasted with something else; it looks %s", what, like)
	case len(text) < shortest:
		return fmt.Errorf("%s has %d characters, which is too short for one of a service token; it looks %s", what, len(text), like)
	}
	return nil
}

// access is the service token of one Client.
type access struct {
	clientID string
	secret   *token
}

// newAccess makes it; nil if there is none.
func newAccess(cfg Config, at address) (*access, error) {
	a := cfg.Access
	if a == nil {
		return nil, nil
	}
	if err := CheckAccess(at.String()); err != nil {
		return nil, err
	}
	if err := CheckAccessClientID(a.ClientID); err != nil {
		return nil, fmt.Errorf("access of %s: %w", planeLabel(cfg.Plane), err)
	}
	secret := &token{plane: cfg.Plane, what: accessSecret, fetch: a.SecretFrom, check: CheckAccessClientSecret}
	if a.SecretFrom == nil {
		if err := CheckAccessClientSecret(a.ClientSecret); err != nil {
			return nil, fmt.Errorf("access of %s: %w", planeLabel(cfg.Plane), err)
		}
		secret.text.Store(&a.ClientSecret)
	}
	return &access{clientID: a.ClientID, secret: secret}, nil
}

// keys are what one request proves itself with.
type keys struct {
	token               string
	accessID, accessKey string // empty: not behind Access
}

func (k keys) set(h http.Header) {
	h.Set("Authorization", "Bearer "+k.token)
	h.Del(headerAccessID)
	h.Del(headerAccessSecret)
	if k.accessKey != "" {
		h.Set(headerAccessID, k.accessID)
		h.Set(headerAccessSecret, k.accessKey)
	}
}

// keys fetches what requests prove themselves with, and sees to it that nothing
// can come back with it in clear.
func (w *wire) keys(ctx context.Context) (keys, error) {
	var k keys
	var err error
	if k.token, err = w.token.get(ctx); err != nil {
		return keys{}, err
	}
	if w.access != nil {
		k.accessID = w.access.clientID
		if k.accessKey, err = w.access.secret.get(ctx); err != nil {
			return keys{}, err
		}
	}
	w.withheld.add(k.token, k.accessID, k.accessKey)
	return k, nil
}

// AccessError says that Cloudflare Access, which stands before a plane, did not let
// a request pass. The plane got nothing, if that is Proven.
type AccessError struct {
	Plane   string
	BaseURL string
	Method  string
	Path    string
	Status  int
	Content string // media type of the answer
	Login   string // host of the login page that Access sends to; empty if it answered a page
	Token   bool   // whether a service token was sent
	Proven  bool   // whether the answer says itself that it is from Access
}

func (e *AccessError) Error() string { return e.What() + ": " + e.Remedy() }

// What says what was answered.
func (e *AccessError) What() string {
	request := fmt.Sprintf("%s %s: %s at %s", e.Method, e.Path, planeLabel(e.Plane), e.BaseURL)
	switch {
	case e.Login != "" && e.Token:
		return fmt.Sprintf("%s is behind Cloudflare Access, which does not accept the service token: it sends to the login page of %s (status %d)", request, e.Login, e.Status)
	case e.Login != "":
		return fmt.Sprintf("%s is behind Cloudflare Access, which sends to the login page of %s (status %d)", request, e.Login, e.Status)
	case e.Proven:
		return fmt.Sprintf("%s is behind Cloudflare Access, which refuses the request (status %d)", request, e.Status)
	default:
		content := e.Content
		if content == "" {
			content = "something without a content type"
		}
		return fmt.Sprintf("%s answered %s (status %d), not the Cloudflare API: a proxy does that, and so does Cloudflare Access where it refuses a request", request, content, e.Status)
	}
}

// Remedy says what to do.
func (e *AccessError) Remedy() string {
	if !e.Proven {
		proven := *e
		proven.Proven = true
		return "check base_url; if Cloudflare Access stands before the plane, " + proven.Remedy()
	}
	if !e.Token {
		return "set access = { client_id, client_secret_sops } for this plane, with a service token that a policy of the Access application admits by the action Service Auth"
	}
	return "check access of this plane: that the service token has not expired, that client_id and client secret belong together, " +
		"and that a policy of the Access application with the action Service Auth includes it (one with the action Allow asks for a login)"
}

const accessLoginDomain = "cloudflareaccess.com"

// accessRefusal makes the error of an answer that Access gave in place of the plane;
// nil if it is none.
func (w *wire) accessRefusal(req *http.Request, raw *http.Response, content []byte) error {
	media, _, _ := mime.ParseMediaType(raw.Header.Get("Content-Type"))
	e := &AccessError{
		Content: media,
		Plane:   w.plane, BaseURL: w.at.String(), Method: req.Method, Path: w.path(req), Status: raw.StatusCode,
		Token: req.Header.Get(headerAccessSecret) != "",
	}
	switch {
	case w.at.socket != "":
		return nil
	case raw.StatusCode >= 300 && raw.StatusCode < 400:
		to, err := raw.Location()
		if err != nil {
			return nil //nolint:nilerr // a redirect to nowhere
		}
		host := strings.ToLower(to.Hostname())
		if host != accessLoginDomain && !strings.HasSuffix(host, "."+accessLoginDomain) && !strings.HasPrefix(to.Path, "/cdn-cgi/access/") {
			return nil
		}
		// Its query holds a signed description of the request.
		e.Login, e.Proven = w.redact(host), true
		return e
	case raw.StatusCode != http.StatusForbidden && raw.StatusCode != http.StatusUnauthorized:
		return nil
	}
	e.Proven = raw.Header.Get("Cf-Access-Domain") != "" || raw.Header.Get("Cf-Access-Aud") != "" ||
		strings.HasPrefix(raw.Header.Get("Www-Authenticate"), "Cloudflare-Access") ||
		bytes.Contains(content, []byte("Cloudflare Access")) || bytes.Contains(content, []byte(accessLoginDomain)) || bytes.Contains(content, []byte("/cdn-cgi/access/"))
	if !e.Proven && (isEdge(w.at.url) || raw.Header.Get("Cf-Mitigated") != "") {
		return nil // a page of Cloudflare's firewall
	}
	return e
}
