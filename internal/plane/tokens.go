// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	tokensPath = accountPattern + "/tokens"
	// maxTokenName is Cloudflare's limit.
	maxTokenName = 120
	// accountResource starts the names of resources that a policy is about.
	accountResource = "com.cloudflare.api.account."
)

func (p *Plane) tokensRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: tokensPath, permission: tokensRead, handle: p.listTokens},
		{method: http.MethodPost, pattern: tokensPath, permission: tokensWrite, handle: p.postToken},
		{method: http.MethodGet, pattern: tokensPath + "/permission_groups", permission: tokensRead, handle: p.listPermissionGroups},
		{method: http.MethodGet, pattern: tokensPath + "/{token}", permission: tokensRead, handle: p.getToken},
		{method: http.MethodDelete, pattern: tokensPath + "/{token}", permission: tokensWrite, handle: p.deleteToken},
	}
}

// groupID is the id of a permission group on every plane. Clients look the ids up by
// name, as at Cloudflare, where they are others.
func groupID(name string) string {
	sum := sha256.Sum256([]byte("permission group " + name))
	return hex.EncodeToString(sum[:16])
}

func groupJSON(name string) object { return object{"id": groupID(name), "name": name} }

func (p *Plane) listPermissionGroups(r *request) (*reply, error) {
	name := r.URL.Query().Get("name")
	out := []object{}
	for _, g := range knownPermissions {
		if name == "" || string(g) == name {
			group := groupJSON(string(g))
			group["scopes"] = []string{strings.TrimSuffix(accountResource, ".")}
			out = append(out, group)
		}
	}
	// Cloudflare sends them all, whatever page is asked for; a page past the end is empty.
	if number, _, err := r.pageParams(); err != nil || number > 1 {
		return ok([]object{}), err
	}
	return ok(out), nil
}

func (p *Plane) tokenJSON(t registry.Token) object {
	groups := []object{}
	for _, name := range t.Permissions {
		groups = append(groups, groupJSON(name))
	}
	status := "active"
	if t.Expired(p.now()) {
		status = "expired"
	}
	return object{
		"id": t.ID, "name": t.Name, "status": status, "issued_on": stamp(t.CreatedOn), "modified_on": stamp(t.CreatedOn),
		"last_used_on": nullStamp(t.LastUsedOn), "expires_on": nullStamp(t.ExpiresOn),
		"policies": []object{{"id": t.ID, "effect": "allow", "resources": object{accountResource + t.AccountID: "*"}, "permission_groups": groups}},
	}
}

func (p *Plane) listTokens(r *request) (*reply, error) {
	list, err := p.reg.Tokens(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	out := make([]object, len(list))
	for i, t := range list {
		out[i] = p.tokenJSON(t)
	}
	cut, info, err := paginate(r, out)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

func tokenNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeTokenNotFound, "This account has no API token %q.", id)
}

func (p *Plane) getToken(r *request) (*reply, error) {
	t, err := p.reg.Token(r.Context(), r.account.ID, r.param("token"))
	if err != nil {
		return nil, orElse(err, tokenNotFound(r.param("token")))
	}
	return ok(p.tokenJSON(t)), nil
}

// tokenBody is a token as clients ask for it.
type tokenBody struct {
	Name      string         `json:"name"`
	ExpiresOn *time.Time     `json:"expires_on"`
	NotBefore *time.Time     `json:"not_before"`
	Condition map[string]any `json:"condition"`
	Policies  []struct {
		Effect    string            `json:"effect"`
		Resources map[string]any    `json:"resources"`
		Groups    []permissionGroup `json:"permission_groups"`
	} `json:"policies"`
}

// permissionGroup is named by either.
type permissionGroup struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// permissions are what the policies of a body give. What a plane cannot keep is refused:
// a token must not be able to do more than it was asked for.
func (b tokenBody) permissions(accountID string) ([]string, error) {
	bad := func(format string, args ...any) ([]string, error) {
		return nil, fail(http.StatusBadRequest, codeBadToken, format, args...)
	}
	switch {
	case b.NotBefore != nil:
		return bad("A plane knows no tokens that begin later: leave not_before out.")
	case len(b.Condition) > 0:
		return bad("A plane knows no conditions of tokens: leave condition out.")
	}
	var names []string
	for _, policy := range b.Policies {
		if policy.Effect != "allow" {
			return bad("A policy of a plane's token has the effect \"allow\", not %q.", policy.Effect)
		}
		for resource, scope := range policy.Resources {
			id := strings.TrimPrefix(resource, accountResource)
			if scope != "*" || id != accountID && id != "*" && id != "zone.*" {
				return bad("A plane's token is for its account as a whole: the only resource of a policy is %q, with \"*\".", accountResource+accountID)
			}
		}
		if len(policy.Resources) == 0 || len(policy.Groups) == 0 {
			return bad("A policy needs resources and permission_groups.")
		}
		for _, g := range policy.Groups {
			i := slices.IndexFunc(knownPermissions, func(known permission) bool {
				return g.ID == groupID(string(known)) || g.ID == "" && g.Name == string(known)
			})
			if i < 0 {
				return bad("This plane has no permission group with the id %q or the name %q: ask %s/tokens/permission_groups.", g.ID, g.Name, strings.Replace(accountPattern, "{account}", accountID, 1))
			}
			names = append(names, string(knownPermissions[i]))
		}
	}
	if len(names) == 0 {
		return bad("A token needs policies.")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// CheckToken says what is wrong with a token that is to be made, as an *Error.
func CheckToken(t registry.Token, now time.Time) error {
	bad := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, codeBadToken, format, args...)
	}
	switch {
	case strings.TrimSpace(t.Name) == "" || len(t.Name) > maxTokenName || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' }):
		return bad("A token needs a name of at most %d bytes.", maxTokenName)
	case t.Expired(now):
		return bad("expires_on is over already.")
	}
	return nil
}

// ErrLastToken is why RevokeToken refuses.
var ErrLastToken = errors.New("it is the last token that can make others: make another one first")

// RevokeToken removes a token, by id or name, so that it authenticates nothing from then
// on. The last one that makes others stays: without any, only who stops the plane gets in.
func RevokeToken(ctx context.Context, reg *registry.Registry, accountID, idOrName string, now time.Time) (registry.Token, error) {
	keeps := func(t registry.Token) bool { return !t.Expired(now) && grants(t.Permissions, tokensWrite) }
	return reg.RevokeToken(ctx, accountID, idOrName, func(gone registry.Token, rest []registry.Token) error {
		if keeps(gone) && !slices.ContainsFunc(rest, keeps) {
			return ErrLastToken
		}
		return nil
	})
}

func (p *Plane) postToken(r *request) (*reply, error) {
	var body tokenBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	groups, err := body.permissions(r.account.ID)
	if err != nil {
		return nil, err
	}
	wanted := registry.Token{AccountID: r.account.ID, Name: body.Name, Permissions: groups, ExpiresOn: body.ExpiresOn}
	if err := CheckToken(wanted, p.now()); err != nil {
		return nil, err
	}
	for _, g := range groups {
		if !grants(r.token.Permissions, permission(g)) {
			return nil, fail(http.StatusForbidden, codeAuthentication, "Authentication error: the API token %q cannot give the permission %q, which it lacks itself.", r.token.Name, g)
		}
	}
	text := registry.MintToken()
	t, err := p.reg.AddToken(r.Context(), wanted, text)
	if errors.Is(err, registry.ErrNameTaken) {
		return nil, fail(http.StatusConflict, codeNameTaken, "An API token named %q already exists in this account: revoke it, or choose another name.", body.Name)
	}
	if err != nil {
		return nil, err
	}
	p.audit(r, "token.create", "token_id", t.ID, "name", t.Name, "permissions", t.Permissions, "expires_on", t.ExpiresOn)
	view := p.tokenJSON(t)
	view["value"] = text
	return ok(view).with("Cache-Control", "no-store"), nil
}

func (p *Plane) deleteToken(r *request) (*reply, error) {
	t, err := RevokeToken(r.Context(), p.reg, r.account.ID, r.param("token"), p.now())
	if errors.Is(err, ErrLastToken) {
		return nil, fail(http.StatusConflict, codeLastToken, "The API token %q is the last one that can make others: make another one first.", r.param("token"))
	}
	if err != nil {
		return nil, orElse(err, tokenNotFound(r.param("token")))
	}
	p.audit(r, "token.revoke", "token_id", t.ID, "name", t.Name)
	return ok(object{"id": t.ID}), nil
}

// audit notes who has changed who may do what.
func (p *Plane) audit(r *request, action string, fields ...any) {
	p.log.Info("audit", append([]any{"action", action, "account", r.account.ID, "by", r.token.Name, "by_id", r.token.ID, "client", clientOf(r.Request)}, fields...)...)
}
