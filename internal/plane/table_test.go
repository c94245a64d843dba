// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tableOf(t *testing.T) *table {
	t.Helper()
	tab, err := newTable((&Plane{}).allRoutes())
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// The table as a whole: whoever adds a route states here who may use it.
func TestEveryRouteNeedsThePermissionItShould(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range tableOf(t).routes {
		got = append(got, strings.Join([]string{string(r.permission), r.method, strings.TrimPrefix(r.pattern, apiPrefix)}, " | "))
	}
	slices.Sort(got)
	var want []string
	for line := range strings.Lines(routesByPermission) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

const routesByPermission = `
Account Analytics Read | GET | /metrics
Account Analytics Read | POST | /graphql
Account Settings Read | GET | /accounts
Account Settings Read | GET | /accounts/{account}
Memberships Read | GET | /memberships
User Details Read | GET | /user
Workers KV Storage Read | GET | /accounts/{account}/storage/kv/namespaces
Workers Scripts Read | GET | /accounts/{account}/workers/account-settings
Workers Scripts Read | GET | /accounts/{account}/workers/durable_objects/namespaces
Workers Scripts Read | GET | /accounts/{account}/workers/scripts
Workers Scripts Read | GET | /accounts/{account}/workers/scripts-search
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/content
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/content/v2
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/deployments
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/deployments/{deployment}
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/references
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/schedules
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/script-settings
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/secrets
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/secrets/{secret}
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/settings
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/subdomain
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/usage-model
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/versions
Workers Scripts Read | GET | /accounts/{account}/workers/scripts/{worker}/versions/{version}
Workers Scripts Read | GET | /accounts/{account}/workers/services/{worker}
Workers Scripts Read | GET | /accounts/{account}/workers/subdomain
Workers Scripts Read | GET | /accounts/{account}/workers/subdomains/{subdomain}
Workers Scripts Read | GET | /accounts/{account}/workers/tails/by-consumer/{worker}
Workers Scripts Read | GET | /accounts/{account}/workers/workers
Workers Scripts Read | GET | /accounts/{account}/workers/workers/{worker}
Workers Scripts Read | GET | /accounts/{account}/workers/workers/{worker}/versions
Workers Scripts Read | GET | /accounts/{account}/workers/workers/{worker}/versions/{version}
Workers Scripts Read | GET | /hybridge/v1/accounts/{account}/rollouts
Workers Scripts Read | GET | /hybridge/v1/accounts/{account}/rollouts/{rollout}
Workers Scripts Read | GET | /hybridge/v1/accounts/{account}/rollouts/{rollout}/events
Workers Scripts Read | GET | /hybridge/v1/plane
Workers Scripts Write | DELETE | /accounts/{account}/workers/scripts/{worker}
Workers Scripts Write | DELETE | /accounts/{account}/workers/scripts/{worker}/deployments/{deployment}
Workers Scripts Write | DELETE | /accounts/{account}/workers/scripts/{worker}/secrets/{secret}
Workers Scripts Write | DELETE | /accounts/{account}/workers/scripts/{worker}/subdomain
Workers Scripts Write | DELETE | /accounts/{account}/workers/services/{worker}
Workers Scripts Write | DELETE | /accounts/{account}/workers/workers/{worker}
Workers Scripts Write | DELETE | /accounts/{account}/workers/workers/{worker}/versions/{version}
Workers Scripts Write | PATCH | /accounts/{account}/workers/scripts/{worker}/script-settings
Workers Scripts Write | PATCH | /accounts/{account}/workers/scripts/{worker}/secrets-bulk
Workers Scripts Write | PATCH | /accounts/{account}/workers/scripts/{worker}/settings
Workers Scripts Write | PATCH | /accounts/{account}/workers/workers/{worker}
Workers Scripts Write | PATCH | /accounts/{account}/workers/workers/{worker}/versions/latest
Workers Scripts Write | POST | /accounts/{account}/workers/scripts/{worker}/deployments
Workers Scripts Write | POST | /accounts/{account}/workers/scripts/{worker}/subdomain
Workers Scripts Write | POST | /accounts/{account}/workers/scripts/{worker}/versions
Workers Scripts Write | POST | /accounts/{account}/workers/workers
Workers Scripts Write | POST | /accounts/{account}/workers/workers/{worker}/versions
Workers Scripts Write | POST | /hybridge/v1/accounts/{account}/workers/{worker}/rollouts
Workers Scripts Write | POST | /hybridge/v1/accounts/{account}/workers/{worker}/rollouts/{rollout}/transitions
Workers Scripts Write | PUT | /accounts/{account}/workers/scripts/{worker}
Workers Scripts Write | PUT | /accounts/{account}/workers/scripts/{worker}/content
Workers Scripts Write | PUT | /accounts/{account}/workers/scripts/{worker}/schedules
Workers Scripts Write | PUT | /accounts/{account}/workers/scripts/{worker}/secrets
Workers Scripts Write | PUT | /accounts/{account}/workers/scripts/{worker}/usage-model
Workers Scripts Write | PUT | /accounts/{account}/workers/subdomain
Workers Scripts Write | PUT | /accounts/{account}/workers/workers/{worker}
Workers Scripts Write | PUT | /hybridge/v1/accounts/{account}/workers/{worker}/rollouts/{rollout}/lease
Zone Read | GET | /zones
Zone Read | GET | /zones/{zone}
Cloudflare Tunnel Read | GET | /accounts/{account}/cfd_tunnel
Cloudflare Tunnel Read | GET | /accounts/{account}/cfd_tunnel/{tunnel}
Cloudflare Tunnel Read | GET | /accounts/{account}/cfd_tunnel/{tunnel}/configurations
Cloudflare Tunnel Read | GET | /accounts/{account}/cfd_tunnel/{tunnel}/connections
Cloudflare Tunnel Read | GET | /accounts/{account}/cfd_tunnel/{tunnel}/connectors/{connector}
Cloudflare Tunnel Read | GET | /accounts/{account}/teamnet/routes
Cloudflare Tunnel Read | GET | /accounts/{account}/teamnet/routes/{route}
Cloudflare Tunnel Read | GET | /accounts/{account}/teamnet/virtual_networks
Cloudflare Tunnel Read | GET | /accounts/{account}/teamnet/virtual_networks/{network}
Cloudflare Tunnel Read | GET | /accounts/{account}/tunnels
Cloudflare Tunnel Write | DELETE | /accounts/{account}/cfd_tunnel/{tunnel}
Cloudflare Tunnel Write | DELETE | /accounts/{account}/cfd_tunnel/{tunnel}/connections
Cloudflare Tunnel Write | DELETE | /accounts/{account}/teamnet/routes/{route}
Cloudflare Tunnel Write | DELETE | /accounts/{account}/teamnet/virtual_networks/{network}
Cloudflare Tunnel Write | GET | /accounts/{account}/cfd_tunnel/{tunnel}/token
Cloudflare Tunnel Write | PATCH | /accounts/{account}/cfd_tunnel/{tunnel}
Cloudflare Tunnel Write | PATCH | /accounts/{account}/teamnet/routes/{route}
Cloudflare Tunnel Write | PATCH | /accounts/{account}/teamnet/virtual_networks/{network}
Cloudflare Tunnel Write | POST | /accounts/{account}/cfd_tunnel
Cloudflare Tunnel Write | POST | /accounts/{account}/teamnet/routes
Cloudflare Tunnel Write | POST | /accounts/{account}/teamnet/virtual_networks
Cloudflare Tunnel Write | PUT | /accounts/{account}/cfd_tunnel/{tunnel}/configurations
Connectivity Directory Admin | DELETE | /accounts/{account}/connectivity/directory/services/{service}
Connectivity Directory Admin | POST | /accounts/{account}/connectivity/directory/services
Connectivity Directory Admin | PUT | /accounts/{account}/connectivity/directory/services/{service}
Connectivity Directory Read | GET | /accounts/{account}/connectivity/directory/services
Connectivity Directory Read | GET | /accounts/{account}/connectivity/directory/services/{service}
DNS Read | GET | /zones/{zone}/dns_records
DNS Read | GET | /zones/{zone}/dns_records/{record}
DNS Write | DELETE | /zones/{zone}/dns_records/{record}
DNS Write | PATCH | /zones/{zone}/dns_records/{record}
DNS Write | POST | /zones/{zone}/dns_records
DNS Write | PUT | /zones/{zone}/dns_records/{record}
Account API Tokens Read | GET | /accounts/{account}/tokens
Account API Tokens Read | GET | /accounts/{account}/tokens/permission_groups
Account API Tokens Read | GET | /accounts/{account}/tokens/{token}
Account API Tokens Write | DELETE | /accounts/{account}/tokens/{token}
Account API Tokens Write | POST | /accounts/{account}/tokens
any token | GET | /accounts/{account}/tokens/verify
any token | GET | /user/tokens/verify
public | GET | /hybridge/v1/health
public | GET | /hybridge/v1/openapi.json
`

func TestRoutesAreSafeToShow(t *testing.T) {
	t.Parallel()
	for _, r := range tableOf(t).routes {
		name := r.method + " " + r.pattern
		if r.permission != public && r.permission != anyToken && !slices.Contains(knownPermissions, r.permission) {
			t.Errorf("%s needs %q, which no token can have", name, r.permission)
		}
		if r.method != http.MethodGet && !strings.HasSuffix(string(r.permission), " Write") && r.permission != vpcAdmin && r.pattern != apiPrefix+"/graphql" { // a question too long for a URL
			t.Errorf("%s changes something with %q", name, r.permission)
		}
		if r.permission == public && !strings.HasPrefix(r.pattern, hybridgePrefix) {
			t.Errorf("%s is open to everybody", name)
		}
		if r.handle == nil {
			t.Errorf("%s has no handler", name)
		}
		if r.maxBody > 0 && r.method == http.MethodGet {
			t.Errorf("%s takes a body", name)
		}
	}
}

func TestShorthandsAreSetsOfCloudflaresGroups(t *testing.T) {
	t.Parallel()
	whoami := []string{"Account Settings Read", "Memberships Read", "User Details Read"}
	want := map[string][]string{
		"deploy": {"Account Analytics Read", "Connectivity Directory Bind", "Workers Routes Write", "Workers Scripts Write", "Zone Read"},
		"read": {"Account Analytics Read", "Cloudflare Tunnel Read", "Connectivity Directory Read", "DNS Read", "Workers Routes Read", "Workers Scripts Read",
			"Zone Read"},
		"tunnels": {"Cloudflare Tunnel Write", "Connectivity Directory Admin", "DNS Write", "Zone Read"},
		"data":    {"D1 Write", "Queues Write", "Workers KV Storage Write", "Workers R2 Storage Write"},
		"logs":    {"Logs Read", "Workers Tail Read"},
		"audit":   {"Access: Audit Logs Read"},
		"admin": {"Access: Audit Logs Read", "Account API Tokens Write", "Account Analytics Read", "Account Settings Write", "Cloudflare Tunnel Write", "Connectivity Directory Admin", "DNS Write", "D1 Write", "Logs Write", "Queues Write", "Workers KV Storage Write",
			"Workers R2 Storage Write", "Workers Routes Write", "Workers Scripts Write", "Workers Tail Read", "Zone Read"},
	}
	if len(want) != len(shorthands) {
		t.Errorf("there are %d shorthands, want %d", len(shorthands), len(want))
	}
	for name, groups := range want {
		groups = append(groups, whoami...)
		slices.Sort(groups)
		got, err := ExpandPermissions([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(groups, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := ExpandPermissions([]string{"everything"}); err == nil || !strings.Contains(err.Error(), "use one of deploy") {
		t.Errorf("an unknown permission: %v", err)
	}
	got, err := ExpandPermissions([]string{"D1 Read", "read", "D1 Read"})
	if err != nil || slices.Index(got, "D1 Read") != 4 {
		t.Errorf("a group beside a shorthand: %v, %v", got, err)
	}
}

// deploy is what CI gets. It must not reach data, logs or audit, and admin must
// reach every route.
func TestWhatShorthandsReach(t *testing.T) {
	t.Parallel()
	reach := func(name string) []permission {
		groups, err := ExpandPermissions([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		var out []permission
		for _, p := range knownPermissions {
			if grants(groups, p) {
				out = append(out, p)
			}
		}
		return out
	}
	for _, p := range reach("deploy") {
		for _, secret := range []string{"KV", "R2", "D1", "Queues", "Tail", "Logs", "Audit", "Settings Write"} {
			if strings.Contains(string(p), secret) {
				t.Errorf("deploy reaches %q", p)
			}
		}
	}
	for _, p := range reach("read") {
		if strings.HasSuffix(string(p), "Write") {
			t.Errorf("read reaches %q", p)
		}
	}
	if got := reach("admin"); len(got) != len(knownPermissions) {
		t.Errorf("admin reaches %d of %d permissions", len(got), len(knownPermissions))
	}
	if grants([]string{"Workers Scripts Read"}, scriptsWrite) || grants(nil, scriptsRead) {
		t.Error("read includes write, or nothing includes read")
	}
}

func TestFindMatchesTheEscapedPath(t *testing.T) {
	t.Parallel()
	none := func(*request) (*reply, error) { return nil, nil }
	tab, err := newTable([]route{
		{method: "GET", pattern: "/v/{key}", permission: public, handle: none},
		{method: "PUT", pattern: "/v/{key}", permission: public, handle: none},
		{method: "PATCH", pattern: "/v/latest", permission: public, handle: none},
		{method: "GET", pattern: "/o/{path...}", permission: public, handle: none},
		{method: "GET", pattern: "/v/{key}/sub", permission: public, handle: none},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path, pattern string
		params                map[string]string
		allowed               []string
	}{
		{"GET", "/v/k%2F1%20%C3%A9", "/v/{key}", map[string]string{"key": "k/1 é"}, nil},
		{"GET", "/v/a/", "/v/{key}", map[string]string{"key": "a"}, nil},
		{"HEAD", "/v/a", "/v/{key}", map[string]string{"key": "a"}, nil},
		{"PATCH", "/v/latest", "/v/latest", map[string]string{}, nil},
		{"GET", "/v/latest", "/v/{key}", map[string]string{"key": "latest"}, nil},
		{"GET", "/v/latest/sub", "/v/{key}/sub", map[string]string{"key": "latest"}, nil},
		{"GET", "/o/dir/a%20b", "/o/{path...}", map[string]string{"path": "dir/a b"}, nil},
		{"DELETE", "/v/a", "", nil, []string{"GET", "PUT"}},
		{"DELETE", "/v/latest", "", nil, []string{"GET", "PATCH", "PUT"}},
		{"GET", "/v/%zz", "", nil, nil},
		{"GET", "/v//sub", "", nil, nil},
		{"GET", "/o/", "", nil, nil},
		{"GET", "/w", "", nil, nil},
	} {
		found, params, allowed := tab.find(tc.method, tc.path)
		pattern := ""
		if found != nil {
			pattern = found.pattern
		}
		if pattern != tc.pattern || !cmp.Equal(params, tc.params) || !slices.Equal(allowed, tc.allowed) {
			t.Errorf("%s %s: %q %v %v, want %q %v %v", tc.method, tc.path, pattern, params, allowed, tc.pattern, tc.params, tc.allowed)
		}
	}
}

func TestTableRefusesMistakes(t *testing.T) {
	t.Parallel()
	for name, routes := range map[string][]route{
		"states no permission":    {{method: "GET", pattern: "/a"}},
		"is there twice":          {{method: "GET", pattern: "/a", permission: public}, {method: "GET", pattern: "/a", permission: public}},
		"is called {a} in":        {{method: "GET", pattern: "/{a}", permission: public}, {method: "PUT", pattern: "/{b}", permission: public}},
		"is not its last segment": {{method: "GET", pattern: "/{a...}/b", permission: public}},
	} {
		if _, err := newTable(routes); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

func TestMergePatchFollowsRFC7396(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{ // the RFC's appendix A, where the document is an object
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"a":"foo"}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		got, err := mergePatch([]byte(tc[0]), []byte(tc[1]))
		if err != nil && tc[1][0] == '{' || string(got) != tc[2] {
			t.Errorf("%s with %s: %s, %v, want %s", tc[0], tc[1], got, err, tc[2])
		}
	}
}
