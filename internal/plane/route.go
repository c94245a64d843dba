// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// apiPrefix is where the Cloudflare API lives.
const apiPrefix = "/client/v4"

// route is one endpoint. To add one, put it into the slice of its file, and that
// slice into Plane.allRoutes.
type route struct {
	method string
	// pattern is the whole path, matched segment by segment against the ESCAPED
	// request path: literal segments, {name} for any one segment, and {name...} as
	// the last one for all the rest (at least one). Literals win over {name}. A
	// route with {account} is refused to tokens of other accounts.
	pattern string
	// permission is what the token needs. public routes take none and no token;
	// anyToken ones take any token.
	permission permission
	// maxBody bounds the request's body in bytes; 0 means defaultMaxBody.
	maxBody int64
	handle  handler
}

// handler answers one request. An error is answered as an envelope: an *Error as
// it says, any other one as code 10002 with its text in the log only.
type handler func(r *request) (*reply, error)

const (
	// defaultMaxBody is far above any JSON that is not an upload.
	defaultMaxBody = 1 << 20
	// uploadMaxBody holds the 64 MiB of code that Cloudflare takes, as base64.
	uploadMaxBody = 96 << 20
)

// table finds the route of a request.
type table struct {
	root   *node
	routes []route
}

type node struct {
	literals map[string]*node
	param    *node
	name     string // of the parameter that leads here
	rest     *node  // a {name...} below here
	methods  map[string]*route
}

func newTable(routes []route) (*table, error) {
	t := &table{root: &node{}, routes: routes}
	for i := range routes {
		if err := t.add(&routes[i]); err != nil {
			return nil, fmt.Errorf("route %s %s: %w", routes[i].method, routes[i].pattern, err)
		}
	}
	return t, nil
}

func (t *table) add(r *route) error {
	if r.permission == "" {
		return fmt.Errorf("it states no permission")
	}
	n := t.root
	segments := strings.Split(strings.TrimPrefix(r.pattern, "/"), "/")
	for i, s := range segments {
		name, isParam := strings.CutPrefix(strings.TrimSuffix(s, "}"), "{")
		switch {
		case !isParam:
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			if n.literals[s] == nil {
				n.literals[s] = &node{}
			}
			n = n.literals[s]
		case strings.HasSuffix(name, "..."):
			if i != len(segments)-1 {
				return fmt.Errorf("%s is not its last segment", s)
			}
			if n.rest == nil {
				n.rest = &node{name: strings.TrimSuffix(name, "...")}
			}
			n = n.rest
		default:
			if n.param == nil {
				n.param = &node{name: name}
			}
			if n.param.name != name {
				return fmt.Errorf("{%s} is called {%s} in another route", name, n.param.name)
			}
			n = n.param
		}
	}
	if n.methods == nil {
		n.methods = map[string]*route{}
	}
	if n.methods[r.method] != nil {
		return fmt.Errorf("it is there twice")
	}
	n.methods[r.method] = r
	return nil
}

// find returns the route for a method and an escaped path with the decoded path
// parameters. If only the method is wrong, allowed lists those that are right.
func (t *table) find(method, escapedPath string) (found *route, params map[string]string, allowed []string) {
	segments := strings.Split(strings.Trim(escapedPath, "/"), "/")
	params = map[string]string{}
	found = match(t.root, segments, method, params, &allowed)
	if found != nil {
		return found, params, nil
	}
	slices.Sort(allowed)
	return nil, nil, slices.Compact(allowed)
}

func match(n *node, segments []string, method string, params map[string]string, allowed *[]string) *route {
	if len(segments) == 0 {
		if r := n.methods[method]; r != nil {
			return r
		}
		if method == http.MethodHead && n.methods[http.MethodGet] != nil {
			return n.methods[http.MethodGet]
		}
		for m := range n.methods {
			*allowed = append(*allowed, m)
		}
		return nil
	}
	if next := n.literals[segments[0]]; next != nil {
		if r := match(next, segments[1:], method, params, allowed); r != nil {
			return r
		}
	}
	if n.param != nil && segments[0] != "" {
		if value, err := url.PathUnescape(segments[0]); err == nil {
			if r := match(n.param, segments[1:], method, params, allowed); r != nil {
				params[n.param.name] = value
				return r
			}
		}
	}
	if n.rest != nil {
		if value, err := url.PathUnescape(strings.Join(segments, "/")); err == nil {
			if r := match(n.rest, nil, method, params, allowed); r != nil {
				params[n.rest.name] = value
				return r
			}
		}
	}
	return nil
}
