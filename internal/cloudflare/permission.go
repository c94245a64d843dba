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
)

// permissions maps the start of a path below the account to what reading and
// writing there need. The first match counts.
var permissions = [...]struct{ prefix, read, write string }{
	{"workers/", PermissionScriptsRead, PermissionScriptsWrite},
	{"", PermissionAccountRead, PermissionAccountRead},
}

// permissionFor names the permission group that a call needs; empty if unknown.
// path is below the base URL.
func permissionFor(method, path string) string {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(path, "/"), "accounts/")
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, "/")
	for _, p := range permissions {
		if strings.HasPrefix(rest, p.prefix) {
			if method == http.MethodGet || method == http.MethodHead {
				return p.read
			}
			return p.write
		}
	}
	return ""
}
