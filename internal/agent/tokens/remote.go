// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// askTimeout bounds one request.
	askTimeout = 30 * time.Second
	maxAnswer  = 4 << 20
	apiPath    = "/client/v4"
)

// remote keeps the tokens of a running plane, through its API.
type remote struct {
	client  *http.Client
	base    string // without a slash at its end
	token   string
	account string
}

// Connect speaks to the plane whose API is at base: https, http on this machine, or
// unix:///path of its socket. token needs the permission to make tokens. accountID may
// be empty: a token belongs to one account.
func Connect(ctx context.Context, base, token, accountID string) (Keeper, error) {
	r := &remote{token: token, account: accountID, client: &http.Client{
		Timeout: askTimeout,
		// The token is for this address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if path, ok := strings.CutPrefix(base, "unix://"); ok {
		r.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
		r.base = "http://plane" + apiPath
	} else {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			return nil, errors.New("the address of the plane's API must be an https URL without credentials, an http one of this machine, or unix:///path: a token must not be readable on its way")
		}
		r.base = strings.TrimSuffix(base, "/")
	}
	if r.account != "" {
		return r, nil
	}
	var accounts []struct{ ID string }
	if err := r.call(ctx, http.MethodGet, "/accounts", nil, &accounts); err != nil {
		return nil, err
	}
	if len(accounts) != 1 {
		return nil, fmt.Errorf("the token belongs to %d accounts: name one with CLOUDFLARE_ACCOUNT_ID", len(accounts))
	}
	r.account = accounts[0].ID
	return r, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// call sends a request and decodes its result. What the API refuses is said in its words.
func (r *remote) call(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("asking the plane: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("asking the plane: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if wrong := (*tls.CertificateVerificationError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("asking the plane: %w: set CLOUDFLARE_BASE_URL and CLOUDFLARE_API_TOKEN, with a host that its certificate names", wrong.Err)
	}
	if err != nil {
		return fmt.Errorf("asking the plane: %w: does it run?", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("asking the plane: %w", err)
	}
	var env struct {
		Success bool
		Result  json.RawMessage
		Errors  []struct {
			Code    int
			Message string
		}
	}
	// Without the parser's words: they quote what may hold a token.
	if err := json.Unmarshal(answer, &env); err != nil {
		return fmt.Errorf("asking the plane: what answers is no plane (%s)", resp.Status)
	}
	if !env.Success {
		var said []string
		for _, e := range env.Errors {
			said = append(said, fmt.Sprintf("%s [code: %d]", e.Message, e.Code))
		}
		return fmt.Errorf("the plane refused (%s): %s", resp.Status, strings.Join(said, "; "))
	}
	if err := json.Unmarshal(env.Result, into); err != nil {
		return errors.New("asking the plane: its answer has another form than expected")
	}
	return nil
}

type remoteToken struct {
	ID         string
	Name       string
	Status     string
	Value      string
	IssuedOn   time.Time  `json:"issued_on"`
	ExpiresOn  *time.Time `json:"expires_on"`
	LastUsedOn *time.Time `json:"last_used_on"`
	Policies   []policy
}

type policy struct {
	Effect    string            `json:"effect"`
	Resources map[string]string `json:"resources"`
	Groups    []group           `json:"permission_groups"`
}

type group struct {
	Name string `json:"name"`
}

func (t remoteToken) view() Token {
	out := Token{ID: t.ID, Name: t.Name, Status: t.Status, CreatedOn: t.IssuedOn, ExpiresOn: t.ExpiresOn, LastUsedOn: t.LastUsedOn}
	for _, p := range t.Policies {
		for _, g := range p.Groups {
			out.Permissions = append(out.Permissions, g.Name)
		}
	}
	slices.Sort(out.Permissions)
	return out
}

func (r *remote) path(more ...string) string {
	return "/accounts/" + url.PathEscape(r.account) + "/tokens" + strings.Join(more, "")
}

func (r *remote) Create(ctx context.Context, w Wanted) (Token, string, error) {
	groups := make([]group, len(w.Permissions))
	for i, name := range w.Permissions {
		groups[i].Name = name
	}
	var t remoteToken
	err := r.call(ctx, http.MethodPost, r.path(), map[string]any{
		"name": w.Name, "expires_on": w.ExpiresOn,
		"policies": []policy{{"allow", map[string]string{"com.cloudflare.api.account." + r.account: "*"}, groups}},
	}, &t)
	return t.view(), t.Value, err
}

func (r *remote) List(ctx context.Context) ([]Token, error) {
	out := []Token{}
	for page := 1; ; page++ {
		var list []remoteToken
		if err := r.call(ctx, http.MethodGet, r.path(fmt.Sprintf("?per_page=100&page=%d", page)), nil, &list); err != nil {
			return nil, err
		}
		for _, t := range list {
			out = append(out, t.view())
		}
		if len(list) == 0 {
			return out, nil
		}
	}
}

func (r *remote) Revoke(ctx context.Context, idOrName string) (Token, error) {
	all, err := r.List(ctx)
	if err != nil {
		return Token{}, err
	}
	i := slices.IndexFunc(all, func(t Token) bool { return t.ID == idOrName })
	if i < 0 {
		i = slices.IndexFunc(all, func(t Token) bool { return t.Name == idOrName })
	}
	if i < 0 {
		return Token{}, notFound(idOrName)
	}
	var gone struct{ ID string }
	return all[i], r.call(ctx, http.MethodDelete, r.path("/", all[i].ID), nil, &gone)
}

func (r *remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
