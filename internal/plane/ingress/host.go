// SPDX-License-Identifier: MPL-2.0

package ingress

import "strings"

// previewDigits is how many hex digits of a version's id start a preview host,
// as on Cloudflare.
const previewDigits = 8

// normaliseHost brings a Host header into the form in which routes are kept:
// lower-case, without port and without the trailing dot of a rooted name.
func normaliseHost(host string) string {
	if strings.HasPrefix(host, "[") { // IPv6 literal, RFC 3986 section 3.2.2
		if i := strings.IndexByte(host, ']'); i > 0 {
			host = host[1:i]
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// splitPreviewHost cuts "<8 hex>-<name>.<rest>" into prefix and "-<name>.<rest>".
func splitPreviewHost(host string) (prefix, suffix string, ok bool) {
	if len(host) <= previewDigits || host[previewDigits] != '-' {
		return "", "", false
	}
	for i := range previewDigits {
		if c := host[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", "", false
		}
	}
	return host[:previewDigits], host[previewDigits:], true
}
