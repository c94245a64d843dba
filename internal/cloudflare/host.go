// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"net"
	"net/url"
	"strings"
)

// isLoopback reports whether the host never leaves this machine. Names below
// localhost are loopback by RFC 6761.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// isEdge reports whether base is Cloudflare itself.
func isEdge(base *url.URL) bool {
	host := strings.ToLower(base.Hostname())
	return host == "api.cloudflare.com" || strings.HasSuffix(host, ".cloudflare.com")
}
