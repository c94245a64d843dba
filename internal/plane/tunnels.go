// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

const (
	tunnelsPath = accountPattern + "/cfd_tunnel"
	tunnelPath  = tunnelsPath + "/{tunnel}"

	// minTunnelSecret is what Cloudflare takes, in bytes.
	minTunnelSecret = 32
	tunnelSecretLen = 32
)

func (p *Plane) tunnelsRoutes() []route {
	const get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	return []route{
		{method: get, pattern: tunnelsPath, permission: tunnelRead, handle: p.listTunnels},
		{method: get, pattern: accountPattern + "/tunnels", permission: tunnelRead, handle: p.listTunnels},
		{method: post, pattern: tunnelsPath, permission: tunnelWrite, handle: p.postTunnel},
		{method: get, pattern: tunnelPath, permission: tunnelRead, handle: p.getTunnel},
		{method: patch, pattern: tunnelPath, permission: tunnelWrite, handle: p.patchTunnel},
		{method: del, pattern: tunnelPath, permission: tunnelWrite, handle: p.deleteTunnel},
		// The token is the secret, so reading it takes the right to write, as at Cloudflare.
		{method: get, pattern: tunnelPath + "/token", permission: tunnelWrite, handle: p.getTunnelToken},
		{method: get, pattern: tunnelPath + "/configurations", permission: tunnelRead, handle: p.getTunnelConfig},
		{method: put, pattern: tunnelPath + "/configurations", permission: tunnelWrite, handle: p.putTunnelConfig},
		{method: get, pattern: tunnelPath + "/connections", permission: tunnelRead, handle: p.getTunnelConnections},
		{method: del, pattern: tunnelPath + "/connections", permission: tunnelWrite, handle: p.deleteTunnelConnections},
		{method: get, pattern: tunnelPath + "/connectors/{connector}", permission: tunnelRead, handle: p.getTunnelConnector},
	}
}

type tunnelJSON struct {
	ID              string           `json:"id"`
	AccountTag      string           `json:"account_tag"`
	CreatedAt       stamp            `json:"created_at"`
	DeletedAt       *stamp           `json:"deleted_at"`
	Name            string           `json:"name"`
	Connections     []connectionJSON `json:"connections"`
	ConnsActiveAt   *stamp           `json:"conns_active_at"`
	ConnsInactiveAt *stamp           `json:"conns_inactive_at"`
	TunType         string           `json:"tun_type"`
	Metadata        object           `json:"metadata"`
	Status          string           `json:"status"`
	RemoteConfig    bool             `json:"remote_config"`
	ConfigSrc       string           `json:"config_src"`

	// Only in the answer to the creation.
	CredentialsFile *credentialsJSON `json:"credentials_file,omitempty"`
	Token           string           `json:"token,omitempty"`
}

// credentialsJSON is cloudflared's credentials file.
type credentialsJSON struct {
	AccountTag   string `json:"AccountTag"`
	TunnelID     string `json:"TunnelID"`
	TunnelName   string `json:"TunnelName"`
	TunnelSecret string `json:"TunnelSecret"`
}

func (p *Plane) tunnelJSON(t registry.Tunnel) tunnelJSON {
	s := p.connectors.state(t.ID)
	out := tunnelJSON{
		ID: t.ID, AccountTag: t.AccountID, CreatedAt: stamp(t.CreatedOn), DeletedAt: nullStamp(t.DeletedOn), Name: t.Name,
		Connections: []connectionJSON{}, ConnsActiveAt: nullStamp(s.activeAt), ConnsInactiveAt: nullStamp(s.inactiveAt),
		TunType: "cfd_tunnel", Metadata: object{}, Status: s.status, RemoteConfig: t.ConfigSrc == "cloudflare", ConfigSrc: t.ConfigSrc,
	}
	for _, c := range s.connectors {
		out.Connections = append(out.Connections, connectionsJSON(c)...)
	}
	return out
}

func tunnelNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeTunnelNotFound, "Tunnel not found: %q.", id)
}

// tunnel is the tunnel that the path names, also a deleted one.
func (p *Plane) tunnel(r *request) (registry.Tunnel, error) {
	t, err := p.reg.Tunnel(r.Context(), r.account.ID, r.param("tunnel"))
	return t, orElse(err, tunnelNotFound(r.param("tunnel")))
}

// liveTunnel is one that is not deleted.
func (p *Plane) liveTunnel(r *request) (registry.Tunnel, error) {
	t, err := p.tunnel(r)
	if err == nil && t.DeletedOn != nil {
		return t, fail(http.StatusNotFound, codeTunnelNotFound, "The tunnel %q was deleted on %s.", t.Name, t.DeletedOn.Format(time.DateTime))
	}
	return t, err
}

func (p *Plane) listTunnels(r *request) (*reply, error) {
	all, err := p.reg.Tunnels(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	keep, err := tunnelFilter(r)
	if err != nil {
		return nil, err
	}
	var kept []tunnelJSON
	for _, t := range all {
		if out := p.tunnelJSON(t); keep(out) {
			kept = append(kept, out)
		}
	}
	cut, info, err := paginate(r, kept)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

// tunnelFilter reads the filters of cloudflared, wrangler and the OpenAPI document.
func tunnelFilter(r *request) (func(tunnelJSON) bool, error) {
	q := r.URL.Query()
	var deleted *bool
	if text := q.Get("is_deleted"); text != "" {
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fail(http.StatusBadRequest, codeBadParameter, "The query parameter is_deleted must be true or false.")
		}
		deleted = &v
	}
	var existed time.Time
	if text := q.Get("existed_at"); text != "" {
		var err error
		if existed, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fail(http.StatusBadRequest, codeBadParameter, "The query parameter existed_at must be a time as in RFC 3339.")
		}
	}
	prefixes := slices.Concat(q["name_prefix"], q["include_prefix"])
	return func(t tunnelJSON) bool {
		switch {
		case q.Get("name") != "" && q.Get("name") != t.Name,
			q.Get("uuid") != "" && q.Get("uuid") != t.ID,
			q.Get("status") != "" && q.Get("status") != t.Status,
			deleted != nil && *deleted != (t.DeletedAt != nil),
			!existed.IsZero() && (time.Time(t.CreatedAt).After(existed) || t.DeletedAt != nil && time.Time(*t.DeletedAt).Before(existed)):
			return false
		}
		for _, prefix := range prefixes {
			if !strings.HasPrefix(t.Name, prefix) {
				return false
			}
		}
		for _, prefix := range q["exclude_prefix"] {
			if prefix != "" && strings.HasPrefix(t.Name, prefix) {
				return false
			}
		}
		return true
	}, nil
}

type tunnelBody struct {
	Name      string  `json:"name"`
	ConfigSrc string  `json:"config_src"`
	Secret    *string `json:"tunnel_secret"`
}

// checkTunnelName refuses what cloudflared does.
func checkTunnelName(name string) error {
	switch {
	case name == "" || len(name) > 100:
		return fail(http.StatusBadRequest, codeBadBody, "The name of a tunnel must have 1 to 100 bytes.")
	case uuid.Validate(name) == nil:
		return fail(http.StatusBadRequest, codeBadBody, "The name of a tunnel must not be a UUID.")
	}
	return nil
}

// secret is what the body says, or a new one if it must be there. nil is none.
func (b tunnelBody) secret(needed bool) ([]byte, error) {
	if b.Secret == nil || *b.Secret == "" {
		if !needed {
			return nil, nil
		}
		secret := make([]byte, tunnelSecretLen)
		rand.Read(secret) // never fails
		return secret, nil
	}
	secret, err := base64.StdEncoding.DecodeString(*b.Secret)
	if err != nil || len(secret) < minTunnelSecret {
		return nil, fail(http.StatusBadRequest, codeBadBody, "tunnel_secret must be base64 of at least %d bytes.", minTunnelSecret)
	}
	return secret, nil
}

func tunnelNameTaken(err error) error {
	if errors.Is(err, registry.ErrNameTaken) {
		return fail(http.StatusConflict, codeTunnelNameTaken, "You already have a tunnel with this name.")
	}
	return err
}

func (p *Plane) postTunnel(r *request) (*reply, error) {
	var body tunnelBody
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := checkTunnelName(body.Name); err != nil {
		return nil, err
	}
	switch body.ConfigSrc {
	case "":
		body.ConfigSrc = "local"
	case "local", "cloudflare":
	default:
		return nil, fail(http.StatusBadRequest, codeBadBody, "config_src must be local or cloudflare.")
	}
	secret, err := body.secret(true)
	if err != nil {
		return nil, err
	}
	t, err := p.reg.CreateTunnel(r.Context(), registry.Tunnel{AccountID: r.account.ID, Name: body.Name, ConfigSrc: body.ConfigSrc}, secret)
	if err != nil {
		return nil, tunnelNameTaken(err)
	}
	p.log.Info("tunnel is made", "tunnel", t.Name, "id", t.ID, "token", r.token.Name)
	out := p.tunnelJSON(t)
	out.CredentialsFile = &credentialsJSON{t.AccountID, t.ID, t.Name, base64.StdEncoding.EncodeToString(secret)}
	out.Token = tunnelToken(t, secret)
	return ok(out), nil
}

// tunnelToken is what cloudflared takes with --token.
func tunnelToken(t registry.Tunnel, secret []byte) string {
	text, _ := json.Marshal(struct {
		A string `json:"a"`
		T string `json:"t"`
		S []byte `json:"s"`
	}{t.AccountID, t.ID, secret}) // strings and bytes always marshal
	return base64.StdEncoding.EncodeToString(text)
}

func (p *Plane) getTunnel(r *request) (*reply, error) {
	t, err := p.tunnel(r)
	if err != nil {
		return nil, err
	}
	return ok(p.tunnelJSON(t)), nil
}

func (p *Plane) patchTunnel(r *request) (*reply, error) {
	t, err := p.liveTunnel(r)
	if err != nil {
		return nil, err
	}
	body := tunnelBody{Name: t.Name}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := checkTunnelName(body.Name); err != nil {
		return nil, err
	}
	secret, err := body.secret(false)
	if err != nil {
		return nil, err
	}
	t.Name = body.Name
	if t, err = p.reg.UpdateTunnel(r.Context(), t, secret); err != nil {
		return nil, tunnelNameTaken(orElse(err, tunnelNotFound(t.ID)))
	}
	if secret != nil {
		p.log.Info("tunnel has a new secret", "tunnel", t.Name, "id", t.ID, "token", r.token.Name)
		p.serveTunnel(t)
	}
	p.routesChanged() // answers name the tunnel
	return ok(p.tunnelJSON(t)), nil
}

func (p *Plane) deleteTunnel(r *request) (*reply, error) {
	t, err := p.liveTunnel(r)
	if err != nil {
		return nil, err
	}
	if r.flag("cascade") {
		p.connectors.drop(t.ID, "", p.now())
	}
	if n := len(p.connectors.state(t.ID).connectors); n > 0 {
		return nil, fail(http.StatusBadRequest, codeTunnelConnected, "There are %d active connectors of the tunnel %q: end them, or delete their connections first.", n, t.Name)
	}
	t, err = p.reg.DeleteTunnel(r.Context(), t.ID)
	if errors.Is(err, registry.ErrInUse) {
		return nil, fail(http.StatusBadRequest, codeTunnelRouted, "Routes lead through the tunnel %q: delete them first.", t.Name)
	}
	if err != nil {
		return nil, orElse(err, tunnelNotFound(r.param("tunnel")))
	}
	p.connectors.forget(t.ID)
	p.routesChanged()
	p.log.Info("tunnel is deleted", "tunnel", t.Name, "id", t.ID, "token", r.token.Name)
	return ok(p.tunnelJSON(t)), nil
}

func (p *Plane) getTunnelToken(r *request) (*reply, error) {
	t, err := p.liveTunnel(r)
	if err != nil {
		return nil, err
	}
	secret, err := p.reg.TunnelSecret(r.Context(), t.ID)
	if err != nil {
		return nil, orElse(err, tunnelNotFound(t.ID))
	}
	p.log.Info("token of a tunnel is read", "tunnel", t.Name, "id", t.ID, "token", r.token.Name)
	return ok(tunnelToken(t, secret)).with("Cache-Control", "no-store"), nil
}

type tunnelConfigJSON struct {
	AccountID string          `json:"account_id"`
	TunnelID  string          `json:"tunnel_id"`
	Version   int             `json:"version"`
	Config    json.RawMessage `json:"config"`
	Source    string          `json:"source"`
	CreatedAt *stamp          `json:"created_at"`
}

func configJSON(t registry.Tunnel) tunnelConfigJSON {
	return tunnelConfigJSON{t.AccountID, t.ID, t.ConfigVersion, t.Config, t.ConfigSrc, nullStamp(t.ConfigOn)}
}

func (p *Plane) getTunnelConfig(r *request) (*reply, error) {
	t, err := p.liveTunnel(r)
	if err != nil {
		return nil, err
	}
	return ok(configJSON(t)), nil
}

func (p *Plane) putTunnelConfig(r *request) (*reply, error) {
	t, err := p.liveTunnel(r)
	if err != nil {
		return nil, err
	}
	var body struct {
		Config json.RawMessage `json:"config"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	config, err := tunnelrule.Parse(body.Config)
	if err != nil {
		return nil, fail(http.StatusBadRequest, codeTunnelConfig, "Bad Configuration: %s", err)
	}
	if problems := config.Validate(); len(problems) > 0 {
		var list Errors
		for _, problem := range problems {
			list = append(list, fail(http.StatusBadRequest, codeTunnelConfig, "Bad Configuration: %s", problem))
		}
		return nil, list
	}
	if t, err = p.reg.ConfigureTunnel(r.Context(), t.ID, body.Config); err != nil {
		return nil, orElse(err, tunnelNotFound(r.param("tunnel")))
	}
	p.log.Info("tunnel is configured", "tunnel", t.Name, "version", t.ConfigVersion, "rules", len(config.Ingress), "token", r.token.Name)
	p.routesChanged()
	p.serveTunnel(t)
	return ok(configJSON(t)), nil
}

func (p *Plane) getTunnelConnections(r *request) (*reply, error) {
	t, err := p.tunnel(r)
	if err != nil {
		return nil, err
	}
	out := []connectorJSON{}
	for _, c := range p.connectors.state(t.ID).connectors {
		out = append(out, viewConnector(c))
	}
	return ok(out), nil
}

func (p *Plane) deleteTunnelConnections(r *request) (*reply, error) {
	t, err := p.tunnel(r)
	if err != nil {
		return nil, err
	}
	client := r.URL.Query().Get("client_id")
	n := p.connectors.drop(t.ID, client, p.now())
	p.log.Info("connections of a tunnel are dropped", "tunnel", t.Name, "connectors", n, "token", r.token.Name)
	if t.DeletedOn == nil {
		p.serveTunnelAgain(t)
	}
	return ok(nil), nil
}

func (p *Plane) getTunnelConnector(r *request) (*reply, error) {
	t, err := p.tunnel(r)
	if err != nil {
		return nil, err
	}
	for _, c := range p.connectors.state(t.ID).connectors {
		if c.ID == r.param("connector") {
			return ok(viewConnector(c)), nil
		}
	}
	return nil, fail(http.StatusNotFound, codeTunnelNotFound, "The tunnel %q has no connector %q.", t.Name, r.param("connector"))
}
