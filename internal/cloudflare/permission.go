// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"net/http"
	"strings"
)

// Cloudflare's permission groups that the calls of this package need.
const (
	PermissionScriptsRead  = `"Workers Scripts Read"`
	PermissionScriptsWrite = `"Workers Scripts Write"`
	PermissionAccountRead  = `"Account Settings Read"`
	PermissionTunnelRead   = `"Cloudflare Tunnel Read"`
	PermissionTunnelWrite  = `"Cloudflare Tunnel Write"`
	PermissionVPCRead      = `"Connectivity Directory Read"`
	PermissionVPCAdmin     = `"Connectivity Directory Admin"`
	PermissionDNSRead      = `"DNS Read"`
	PermissionDNSWrite     = `"DNS Write"`
)

// permissions maps the start of a path below the account to what reading and
// writing there need. The first match counts.
var permissions = [...]struct{ prefix, read, write string }{
	{"workers/", PermissionScriptsRead, PermissionScriptsWrite},
	{"cfd_tunnel", PermissionTunnelRead, PermissionTunnelWrite},
	{"teamnet/", PermissionTunnelRead, PermissionTunnelWrite},
	{"connectivity/", PermissionVPCRead, PermissionVPCAdmin},
	{"", PermissionAccountRead, PermissionAccountRead},
}

// permissionFor names the permission group that a call needs; empty if unknown.
// path is below the base URL.
func permissionFor(method, path string) string {
	isRead := method == http.MethodGet || method == http.MethodHead
	path = strings.TrimPrefix(path, "/")
	if strings.HasPrefix(path, "zones/") {
		if isRead {
			return PermissionDNSRead
		}
		return PermissionDNSWrite
	}
	rest, ok := strings.CutPrefix(path, "accounts/")
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, "/")
	if strings.HasPrefix(rest, "cfd_tunnel/") && strings.HasSuffix(rest, "/token") {
		return PermissionTunnelWrite // the token is the secret
	}
	for _, p := range permissions {
		if strings.HasPrefix(rest, p.prefix) {
			if isRead {
				return p.read
			}
			return p.write
		}
	}
	return ""
}
