// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// Connector is who serves a tunnel. This plane's own ingress is one where it serves
// the hostnames of tunnels itself.
type Connector struct {
	ID            string // client id, a UUID
	Version       string
	Arch          string
	RunAt         time.Time
	ConfigVersion int
	Connections   []Connection
	// Wanted is how many connections it keeps when nothing is wrong.
	Wanted int

	own      bool
	secretOn time.Time
}

// Connection is one of a connector's.
type Connection struct {
	ID       string // UUID
	Colo     string
	OpenedAt time.Time
	OriginIP string
}

// tunnelDomain is what the names that DNS records of tunnels point to end with.
const tunnelDomain = "cfargotunnel.com"

// Status of a tunnel, as Cloudflare has it.
const (
	tunnelInactive = "inactive" // nobody ever served it
	tunnelHealthy  = "healthy"
	tunnelDegraded = "degraded" // some connections lack
	tunnelDown     = "down"
)

// connectors are those that are connected, in memory: after a restart of the plane
// they come again.
type connectors struct {
	mu       sync.Mutex
	byTunnel map[string]*tunnelState
}

type tunnelState struct {
	connectors []Connector
	status     string
	activeAt   *time.Time // since when there is a connection
	inactiveAt *time.Time // since when there is none
}

func (cs *connectors) state(tunnelID string) tunnelState {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.byTunnel[tunnelID]
	if s == nil {
		return tunnelState{status: tunnelInactive}
	}
	out := *s
	out.connectors = slices.Clone(s.connectors)
	out.status = s.judge()
	return out
}

func (s *tunnelState) judge() string {
	switch {
	case len(s.connectors) > 0 && !slices.ContainsFunc(s.connectors, func(c Connector) bool { return len(c.Connections) < c.Wanted }):
		return tunnelHealthy
	case len(s.connectors) > 0:
		return tunnelDegraded
	case s.activeAt != nil || s.inactiveAt != nil:
		return tunnelDown
	default:
		return tunnelInactive
	}
}

func (cs *connectors) up(tunnelID string, c Connector, now time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.byTunnel == nil {
		cs.byTunnel = map[string]*tunnelState{}
	}
	s := cs.byTunnel[tunnelID]
	if s == nil {
		s = &tunnelState{}
		cs.byTunnel[tunnelID] = s
	}
	s.connectors = slices.DeleteFunc(s.connectors, func(o Connector) bool { return o.ID == c.ID })
	s.connectors = append(s.connectors, c)
	if s.activeAt == nil {
		s.activeAt, s.inactiveAt = &now, nil
	}
}

// drop takes a connector away, or all if clientID is empty, and says how many.
func (cs *connectors) drop(tunnelID, clientID string, now time.Time) int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.byTunnel[tunnelID]
	if s == nil {
		return 0
	}
	before := len(s.connectors)
	s.connectors = slices.DeleteFunc(s.connectors, func(o Connector) bool { return clientID == "" || o.ID == clientID })
	if before > 0 && len(s.connectors) == 0 {
		s.activeAt, s.inactiveAt = nil, &now
	}
	return before - len(s.connectors)
}

func (cs *connectors) forget(tunnelID string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.byTunnel, tunnelID)
}

// ConnectorUp notes that a connector serves a tunnel, or how it does now.
func (p *Plane) ConnectorUp(tunnelID string, c Connector) { p.connectors.up(tunnelID, c, p.now()) }

// ConnectorDown notes that a connector has gone.
func (p *Plane) ConnectorDown(tunnelID, clientID string) {
	p.connectors.drop(tunnelID, clientID, p.now())
}

// serveTunnel makes this plane a connector of the tunnel, if it serves tunnels and
// there is a configuration. After a rotation of the secret that is a new one: as with
// cloudflared, the old one's connections stay until somebody drops them.
func (p *Plane) serveTunnel(t registry.Tunnel) {
	if p.tunnelServer == nil || t.DeletedOn != nil || t.ConfigVersion == 0 {
		return
	}
	p.servingMu.Lock()
	defer p.servingMu.Unlock()
	now := p.now().UTC()
	own := Connector{
		ID: uuid.NewString(), Version: "hybridge " + p.version, Arch: runtime.GOOS + "_" + runtime.GOARCH,
		RunAt: now, ConfigVersion: t.ConfigVersion, Wanted: 1, own: true, secretOn: t.SecretOn,
		Connections: []Connection{{ID: uuid.NewString(), Colo: "local", OpenedAt: now, OriginIP: "127.0.0.1"}},
	}
	for _, c := range p.connectors.state(t.ID).connectors {
		if c.own && c.secretOn.Equal(t.SecretOn) { // it only takes the configuration
			c.ConfigVersion = t.ConfigVersion
			own = c
		}
	}
	p.connectors.up(t.ID, own, now)
}

// serveTunnelAgain brings this plane's own connector back after its connections were
// dropped, as cloudflared comes back: not at once, so that a tunnel can be deleted.
func (p *Plane) serveTunnelAgain(t registry.Tunnel) {
	if p.tunnelServer == nil {
		return
	}
	p.inBackground(func() {
		select {
		case <-time.After(p.reconnectPause):
		case <-p.ctx.Done():
			return
		}
		now, err := p.reg.Tunnel(p.ctx, t.AccountID, t.ID)
		if err != nil {
			p.log.Warn("a tunnel is not served again", "tunnel", t.Name, "error", err)
			return
		}
		p.serveTunnel(now)
	})
}

// restoreTunnels serves all tunnels.
func (p *Plane) restoreTunnels() error {
	all, err := p.reg.Tunnels(p.ctx, "")
	if err != nil {
		return err
	}
	p.routesChanged()
	for _, t := range all {
		p.serveTunnel(t)
	}
	return nil
}

// routesChanged tells the ingress all rules. What it cannot take is logged: the
// configuration is stored, and the rules before it stay.
func (p *Plane) routesChanged() {
	if p.tunnelServer == nil {
		return
	}
	p.tunnelsMu.Lock()
	defer p.tunnelsMu.Unlock()
	all, err := p.reg.Tunnels(p.ctx, "")
	if err != nil {
		p.log.Error("the rules of tunnels cannot be read", "error", err)
		return
	}
	records, err := p.reg.CNAMEsBelow(p.ctx, tunnelDomain)
	if err != nil {
		p.log.Error("the names of tunnels cannot be read", "error", err)
		return
	}
	hosts := map[string][]string{}
	for _, d := range records {
		id := strings.TrimSuffix(strings.ToLower(d.Content), "."+tunnelDomain)
		hosts[id] = append(hosts[id], d.Name)
	}
	var served []ServedTunnel
	for _, t := range all {
		if t.DeletedOn != nil || t.ConfigVersion == 0 {
			continue
		}
		config, err := tunnelrule.Parse(t.Config)
		if err != nil {
			p.log.Error("a tunnel's configuration is damaged: put it again", "tunnel", t.Name, "error", err)
			continue
		}
		served = append(served, ServedTunnel{ID: t.ID, Name: t.Name, Config: config, Hosts: hosts[t.ID]})
	}
	if err := p.tunnelServer.SetTunnels(served); err != nil {
		p.log.Error("the rules of tunnels are not served", "error", err)
	}
}

type connectionJSON struct {
	ID                 string `json:"id"`
	UUID               string `json:"uuid"`
	ClientID           string `json:"client_id"`
	ClientVersion      string `json:"client_version"`
	ColoName           string `json:"colo_name"`
	OpenedAt           stamp  `json:"opened_at"`
	OriginIP           string `json:"origin_ip"`
	IsPendingReconnect bool   `json:"is_pending_reconnect"`
}

type connectorJSON struct {
	ID            string           `json:"id"`
	Arch          string           `json:"arch"`
	Version       string           `json:"version"`
	Features      []string         `json:"features"`
	RunAt         stamp            `json:"run_at"`
	ConfigVersion int              `json:"config_version"`
	Conns         []connectionJSON `json:"conns"`
}

func connectionsJSON(c Connector) []connectionJSON {
	out := make([]connectionJSON, len(c.Connections))
	for i, n := range c.Connections {
		out[i] = connectionJSON{ID: n.ID, UUID: n.ID, ClientID: c.ID, ClientVersion: c.Version, ColoName: n.Colo, OpenedAt: stamp(n.OpenedAt), OriginIP: n.OriginIP}
	}
	return out
}

func viewConnector(c Connector) connectorJSON {
	return connectorJSON{ID: c.ID, Arch: c.Arch, Version: c.Version, Features: []string{}, RunAt: stamp(c.RunAt), ConfigVersion: c.ConfigVersion, Conns: connectionsJSON(c)}
}
