// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"fmt"
	"slices"
	"strings"
)

// permission is the name of one of Cloudflare's permission groups, or one of the
// two pseudo-permissions of routes.
type permission string

const (
	public   permission = "public"    // no token at all
	anyToken permission = "any token" // whoever the token belongs to

	scriptsRead  permission = "Workers Scripts Read"
	scriptsWrite permission = "Workers Scripts Write"
	routesRead   permission = "Workers Routes Read"
	routesWrite  permission = "Workers Routes Write"
	tailRead     permission = "Workers Tail Read"
	kvRead       permission = "Workers KV Storage Read"
	kvWrite      permission = "Workers KV Storage Write"
	r2Read       permission = "Workers R2 Storage Read"
	r2Write      permission = "Workers R2 Storage Write"
	d1Read       permission = "D1 Read"
	d1Write      permission = "D1 Write"
	queuesRead   permission = "Queues Read"
	queuesWrite  permission = "Queues Write"
	settingsRead permission = "Account Settings Read"
	// settingsWrite covers the account itself, such as its workers.dev subdomain.
	settingsWrite   permission = "Account Settings Write"
	zoneRead        permission = "Zone Read"
	logsRead        permission = "Logs Read"
	logsWrite       permission = "Logs Write"
	auditRead       permission = "Access: Audit Logs Read"
	analyticsRead   permission = "Account Analytics Read"
	userRead        permission = "User Details Read"
	membershipsRead permission = "Memberships Read"
	tunnelRead      permission = "Cloudflare Tunnel Read"
	tunnelWrite     permission = "Cloudflare Tunnel Write"
	vpcRead         permission = "Connectivity Directory Read"
	// vpcBind lets versions bind to VPC services, vpcAdmin makes them.
	vpcBind  permission = "Connectivity Directory Bind"
	vpcAdmin permission = "Connectivity Directory Admin"
	dnsRead  permission = "DNS Read"
	dnsWrite permission = "DNS Write"
	// tokensWrite makes and revokes tokens. Nobody gives more than they have.
	tokensRead  permission = "Account API Tokens Read"
	tokensWrite permission = "Account API Tokens Write"
)

// whoami is what every client asks for before it does anything.
var whoami = []permission{settingsRead, userRead, membershipsRead}

// shorthands are sets of permission groups for the tokens that people need.
var shorthands = map[string][]permission{
	// deploy uploads and deploys. It never reads stored data, logs or the values of
	// secrets (which nobody reads). The figures are what a rollout's gates ask for.
	"deploy": append([]permission{scriptsWrite, routesWrite, zoneRead, analyticsRead, vpcBind}, whoami...),
	"read":   append([]permission{scriptsRead, routesRead, zoneRead, analyticsRead, tunnelRead, dnsRead, vpcRead}, whoami...),
	// tunnels makes tunnels with all that belongs to them.
	"tunnels": append([]permission{tunnelWrite, dnsWrite, zoneRead, vpcAdmin}, whoami...),
	"data":    append([]permission{kvWrite, r2Write, d1Write, queuesWrite}, whoami...),
	"logs":    append([]permission{tailRead, logsRead}, whoami...),
	"audit":   append([]permission{auditRead}, whoami...),
	"admin": append([]permission{
		scriptsWrite, routesWrite, tailRead, kvWrite, r2Write, d1Write, queuesWrite,
		settingsWrite, zoneRead, logsWrite, auditRead, analyticsRead, tunnelWrite, dnsWrite, vpcAdmin, tokensWrite,
	}, whoami...),
}

// knownPermissions are all the groups that a token of this plane can carry.
var knownPermissions = []permission{
	scriptsRead, scriptsWrite, routesRead, routesWrite, tailRead, kvRead, kvWrite, r2Read, r2Write, d1Read, d1Write,
	queuesRead, queuesWrite, settingsRead, settingsWrite, zoneRead, logsRead, logsWrite, auditRead, analyticsRead, userRead, membershipsRead,
	tunnelRead, tunnelWrite, dnsRead, dnsWrite, vpcRead, vpcBind, vpcAdmin,
	tokensRead, tokensWrite,
}

// ExpandPermissions turns shorthands (deploy, read, tunnels, data, logs, audit, admin) and
// names of Cloudflare's permission groups into names of groups, sorted.
func ExpandPermissions(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		if set, ok := shorthands[name]; ok {
			for _, g := range set {
				out = append(out, string(g))
			}
			continue
		}
		if !slices.Contains(knownPermissions, permission(name)) {
			return nil, fmt.Errorf("the permission %q is not known: use one of deploy, read, tunnels, data, logs, audit, admin, or a Cloudflare permission group such as %q", name, scriptsWrite)
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// grants says whether a token with those groups has the wanted one. Write
// includes read, as at Cloudflare.
func grants(groups []string, want permission) bool {
	if slices.Contains(groups, string(want)) {
		return true
	}
	if want == vpcRead || want == vpcBind { // they are three, each with those before it
		return slices.Contains(groups, string(vpcAdmin)) || want == vpcRead && slices.Contains(groups, string(vpcBind))
	}
	base, ok := strings.CutSuffix(string(want), " Read")
	return ok && slices.Contains(groups, base+" Write")
}
