// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// hopByHop are the headers that concern one connection only: RFC 9110 section
// 7.6.1 and what proxies remove besides. Expect is answered by our own server.
var hopByHop = map[string]bool{
	"Connection":          true,
	"Proxy-Connection":    true,
	"Keep-Alive":          true,
	"Proxy-Authenticate":  true,
	"Proxy-Authorization": true,
	"Te":                  true,
	"Trailer":             true,
	"Transfer-Encoding":   true,
	"Upgrade":             true,
	"Expect":              true,
	"Content-Length":      true, // written from the parsed length
}

// reserved reports whether a header is ours to set: who the client is, and what
// the plane tells its own parts. A client that sends one is not believed.
// key is in canonical form.
func reserved(key string) bool {
	switch {
	case strings.HasPrefix(key, "Cf-"),
		strings.HasPrefix(key, "X-Forwarded-"),
		strings.HasPrefix(key, "X-Hybridge-"):
		return true
	}
	switch key {
	case "Forwarded", "X-Real-Ip", "True-Client-Ip":
		return true
	}
	return false
}

// identity is what the ingress tells a Worker about a request from outside.
type identity struct {
	clientIP string
	scheme   string // http or https
	ray      string
}

// appendRequestHead appends the request line and header that go to a version.
// id is nil for requests between Workers, which keep the headers they have.
// ok is false if the request cannot be written as HTTP/1.1.
func appendRequestHead(b []byte, r *http.Request, id *identity) (head []byte, ok bool) {
	target := r.RequestURI // byte for byte as received
	if !strings.HasPrefix(target, "/") {
		target = r.URL.RequestURI() // absolute form, "*", or made by a program
	}
	if !fieldSafe(r.Method) || !fieldSafe(target) || !fieldSafe(r.Host) {
		return b, false
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, '\r', '\n')

	named := connectionNamed(r.Header)
	for key, values := range r.Header {
		if hopByHop[key] || key == "Host" || named.has(key) || id != nil && reserved(key) {
			continue
		}
		for _, v := range values {
			if b, ok = appendField(b, key, v); !ok {
				return b, false
			}
		}
	}
	if id != nil {
		b = append(b, "Cf-Connecting-Ip: "...)
		b = append(b, id.clientIP...)
		b = append(b, "\r\nX-Real-Ip: "...)
		b = append(b, id.clientIP...)
		b = append(b, "\r\nX-Forwarded-For: "...)
		b = append(b, id.clientIP...)
		b = append(b, "\r\nX-Forwarded-Proto: "...)
		b = append(b, id.scheme...)
		b = append(b, "\r\nCf-Visitor: {\"scheme\":\""...)
		b = append(b, id.scheme...)
		b = append(b, "\"}\r\nCf-Ray: "...)
		b = append(b, id.ray...)
		b = append(b, '\r', '\n')
	}
	switch {
	case wantsWebSocket(r):
		b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case r.ContentLength > 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.ContentLength, 10)
		b = append(b, '\r', '\n')
	case hasBody(r):
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		for key := range r.Trailer {
			if !hopByHop[key] && !reserved(key) && fieldSafe(key) {
				b = append(b, "Trailer: "...)
				b = append(b, key...)
				b = append(b, '\r', '\n')
			}
		}
	case r.Header["Content-Length"] != nil || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		b = append(b, "Content-Length: 0\r\n"...)
	}
	return append(b, '\r', '\n'), true
}

// appendField appends one header line, unless its value could end the line.
func appendField(b []byte, key, value string) ([]byte, bool) {
	if !fieldSafe(key) || strings.ContainsAny(value, "\r\n\x00") {
		return b, false
	}
	b = append(b, key...)
	b = append(b, ':', ' ')
	b = append(b, value...)
	return append(b, '\r', '\n'), true
}

// fieldSafe reports whether s can stand in a request line or as a field name:
// no space and no control character.
func fieldSafe(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// wantsWebSocket reports whether the request asks for a WebSocket, the only
// protocol that a Worker can switch to.
func wantsWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && !hasBody(r) &&
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		headerHasToken(r.Header["Connection"], "upgrade")
}

func headerHasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

// nameSet is a small set of canonical header names.
type nameSet []string

func (s nameSet) has(key string) bool {
	for _, n := range s {
		if n == key {
			return true
		}
	}
	return false
}

// connectionNamed are the headers that the Connection header makes hop-by-hop.
func connectionNamed(h http.Header) nameSet {
	var set nameSet
	for _, v := range h["Connection"] {
		for t := range strings.SplitSeq(v, ",") {
			switch t = textproto.TrimString(t); {
			case t == "", strings.EqualFold(t, "keep-alive"), strings.EqualFold(t, "close"), strings.EqualFold(t, "upgrade"):
			default:
				set = append(set, textproto.CanonicalMIMEHeaderKey(t))
			}
		}
	}
	return set
}

// moveResponseHeader puts a version's header into the client's.
func moveResponseHeader(dst, src http.Header) {
	named := connectionNamed(src)
	for key, values := range src {
		if hopByHop[key] && key != "Content-Length" || named.has(key) {
			continue
		}
		dst[key] = values
	}
	if _, ok := src["Content-Type"]; !ok {
		dst["Content-Type"] = nil // or net/http would guess one
	}
}
