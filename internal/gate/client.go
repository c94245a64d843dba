// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// headLimit bounds the header of an answer.
const headLimit = 64 << 10

// userAgent is what gates call themselves, so that a log can tell their requests.
const userAgent = "hybridge-gate"

// newClient makes the client of one judgement.
//
// It follows no redirect: what answers there is not what was asked. It reuses no
// connection: each request is judged on its own, is never repeated behind our back,
// and nothing is left running. It takes no compression, which would make a bound of
// the answer's size meaningless. As the client of the API, it goes through the proxy
// of the environment (HTTPS_PROXY, NO_PROXY), but never to this machine's own names.
func newClient() *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: func(r *http.Request) (*url.URL, error) {
				if local(r.URL.Hostname()) {
					return nil, nil
				}
				return http.ProxyFromEnvironment(r)
			},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err == nil && localName(host) {
					address = net.JoinHostPort("127.0.0.1", port)
				}
				return dialer.DialContext(ctx, network, address)
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: headLimit,
		},
	}
}

// localName reports whether a name is one of this machine, whatever its resolver
// thinks of it (RFC 6761, section 6.3).
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// local reports whether a host can only be this machine.
func local(host string) bool {
	if localName(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// answer is what came back from one request.
type answer struct {
	status int
	header http.Header
	body   []byte // the beginning
	more   bool   // the body is longer
	broken error  // the body could not be read to its end, or to its limit
}

// send returns an error if there is no answer at all. It reads at most limit bytes of
// the body. The request's context bounds the time, also of the body.
func send(client *http.Client, r *http.Request, limit int64) (answer, error) {
	r.Header.Set("User-Agent", userAgent)
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	a.body, a.broken = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if int64(len(a.body)) > limit {
		a.body, a.more = a.body[:limit], true
	}
	return a, nil
}

// timedOut reports whether an error comes from the end of a request's own time.
func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// checkURL adds what is wrong with a URL that requests go to. Its text never is in a
// problem: it may hold credentials.
func checkURL(p *Problems, attribute, text string) *url.URL {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		p.add(attribute, "is not a URL")
		return nil
	case u.Scheme != "http" && u.Scheme != "https":
		p.add(attribute, "must begin with https:// or http://")
	case u.Hostname() == "" || u.Opaque != "":
		p.add(attribute, "has no host")
	case u.User != nil:
		p.add(attribute, "must not hold a user or password: they would reach logs and state")
	case u.Fragment != "":
		p.add(attribute, "must not have a fragment: it is never sent")
	default:
		return u
	}
	return nil
}

// checkPositive adds a problem if a setting is negative. 0 stands for its default.
func checkPositive[T int | time.Duration](p *Problems, attribute string, value T) {
	if value < 0 {
		p.add(attribute, "must be positive")
	}
}

// isToken reports whether s can be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isFieldValue reports whether s can be the value of a header: without it, an error
// of net/http would come late and name the header in another way.
func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
