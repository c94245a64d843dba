// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const (
	kind      = "hybridge_tunnel"
	connected = "hybridge_tunnel_connected"
)

func rule(hostname, service string) map[string]any {
	return map[string]any{"hostname": hostname, "service": service}
}

func ingress(rules ...map[string]any) []any {
	out := make([]any, len(rules))
	for i, r := range rules {
		out[i] = r
	}
	return out
}

// call asks the plane itself.
func call(t *testing.T, p *acctest.Plane, method, path string, body, out any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+"/accounts/"+p.AccountID+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(&struct{ Result any }{out}); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode
}

func text(t *testing.T, s tfproto.State, name string) string {
	t.Helper()
	v, ok := s.Object[name].(string)
	if !ok {
		t.Fatalf("%s is %v", name, s.Object[name])
	}
	return v
}

func quiet(t *testing.T, p *tfproto.Provider, state tfproto.State, config tfproto.Object) {
	t.Helper()
	read, d := p.Read(t.Context(), t, state)
	if d.HasError() {
		t.Fatalf("reading: %s", d)
	}
	if diff := cmp.Diff(state.Object, read.Object); diff != "" {
		t.Errorf("Read is no fixpoint (-applied +read):\n%s", diff)
	}
	if plan, d := p.Plan(t.Context(), t, read, config); d.HasError() || !plan.Empty() {
		t.Errorf("the second plan is not empty: %s%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
	}
}

func TestATunnelIsMadeChangedAndDestroyed(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	config := tfproto.Object{"name": "paris-1", "ingress": ingress(
		rule("app.example.com", "http://localhost:8787"),
		map[string]any{"hostname": "db.example.com", "path": "^/admin", "service": "https://localhost:9443", "origin_request": map[string]any{"no_tls_verify": true, "connect_timeout": 10.}},
	)}
	state := p.Create(t.Context(), t, kind, config)
	if got := plane.Requests(); got != 2 {
		t.Errorf("creating took %d requests, not 2", got)
	}
	quiet(t, p, state, config)
	if text(t, state, "cname") != text(t, state, "id")+".cfargotunnel.com" {
		t.Errorf("cname is %v", state.Object["cname"])
	}
	var got struct {
		Config struct {
			Ingress []struct{ Hostname, Path, Service string }
		}
	}
	call(t, plane, http.MethodGet, "/cfd_tunnel/"+text(t, state, "id")+"/configurations", nil, &got)
	if n := len(got.Config.Ingress); n != 3 || got.Config.Ingress[2].Service != "http_status:404" {
		t.Errorf("the catch-all was not added: %+v", got.Config.Ingress)
	}

	// Everything there is, in place.
	everything := map[string]any{
		"connect_timeout": 5., "tls_timeout": 6., "tcp_keep_alive": 7., "no_happy_eyeballs": true, "keep_alive_connections": 8., "keep_alive_timeout": 9.,
		"http_host_header": "internal", "origin_server_name": "internal.example.com", "match_sni_to_host": true, "ca_pool": "/etc/ssl/ours.pem",
		"no_tls_verify": false, "disable_chunked_encoding": true, "http2_origin": true, "bastion_mode": false, "proxy_address": "127.0.0.1", "proxy_port": 0., "proxy_type": "socks",
		"ip_rules": []any{map[string]any{"prefix": "10.0.0.0/8", "ports": []any{80., 443.}, "allow": true}},
		"access":   map[string]any{"required": true, "team_name": "acme", "aud_tag": []any{"f0e1"}},
	}
	whole := tfproto.Object{
		"name": "paris-2", "warp_routing": true, "origin_request": everything, "rotation_trigger": "1",
		"ingress": ingress(map[string]any{"hostname": "*.example.com", "service": "https://localhost", "origin_request": everything}, map[string]any{"service": "hello_world"}),
	}
	changed := p.Change(t.Context(), t, state, whole)
	if text(t, changed, "id") != text(t, state, "id") {
		t.Error("the change made another tunnel")
	}
	quiet(t, p, changed, whole)
	imported, d := p.Import(t.Context(), t, kind, plane.AccountID+"/"+text(t, state, "id"), nil)
	if d.HasError() {
		t.Fatalf("importing: %s", d)
	}
	want := changed.Object
	want["rotation_trigger"] = nil // only Terraform knows it
	if diff := cmp.Diff(want, imported.Object); diff != "" {
		t.Errorf("imported (-state +imported):\n%s", diff)
	}
	again, d := p.Import(t.Context(), t, kind, "", changed.Identity)
	if d.HasError() || !cmp.Equal(again.Object, imported.Object) {
		t.Errorf("import by identity: %s", d)
	}

	p.Change(t.Context(), t, changed, nil)
	var dead struct {
		DeletedAt *time.Time `json:"deleted_at"`
	}
	if call(t, plane, http.MethodGet, "/cfd_tunnel/"+text(t, state, "id"), nil, &dead); dead.DeletedAt == nil {
		t.Error("the tunnel is not deleted")
	}
	// Deleted means gone: a state that still has it plans to make it again.
	read, d := p.Read(t.Context(), t, changed)
	if d.HasError() || read.Object != nil {
		t.Errorf("a deleted tunnel is read as %v; %s", read.Object, d)
	}
	if _, d := p.Import(t.Context(), t, kind, plane.AccountID+"/"+text(t, state, "id"), nil); !strings.Contains(d.String(), "was deleted") {
		t.Errorf("importing a deleted tunnel: %s", d)
	}
}

func TestADifferenceOfTheConfigurationIsShownAndMended(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	config := tfproto.Object{"name": "drift", "ingress": ingress(rule("a.example.com", "http://localhost:1"))}
	state := p.Create(t.Context(), t, kind, config)
	path := "/cfd_tunnel/" + text(t, state, "id") + "/configurations"
	call(t, plane, http.MethodPut, path, map[string]any{"config": map[string]any{"ingress": []any{
		map[string]any{"hostname": "b.example.com", "service": "http://localhost:2"}, map[string]any{"service": "http_status:503"},
	}}}, nil)
	read, d := p.Read(t.Context(), t, state)
	if d.HasError() {
		t.Fatal(d)
	}
	if rules, _ := read.Object["ingress"].([]any); len(rules) != 2 {
		t.Errorf("the difference is read as %v", read.Object["ingress"])
	}
	quiet(t, p, p.Change(t.Context(), t, read, config), config)

	// One whose configuration is not managed leaves it alone.
	loose := p.Create(t.Context(), t, kind, tfproto.Object{"name": "loose"})
	call(t, plane, http.MethodPut, "/cfd_tunnel/"+text(t, loose, "id")+"/configurations", map[string]any{"config": map[string]any{"ingress": []any{
		map[string]any{"service": "hello_world"}}}}, nil)
	quiet(t, p, loose, tfproto.Object{"name": "loose"})
}

func TestAnyConfigurationOfATunnelConverges(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		state, config := tfproto.State{Type: kind}, tfproto.Object(nil)
		for range rapid.IntRange(1, 2).Draw(rt, "changes") {
			config = drawTunnel(rt, fmt.Sprintf("t%d", n))
			state = p.Change(t.Context(), rt, state, config)
			read, d := p.Read(t.Context(), rt, state)
			if d.HasError() {
				rt.Fatalf("reading: %s", d)
			}
			if diff := cmp.Diff(state.Object, read.Object); diff != "" {
				rt.Fatalf("Read is no fixpoint (-applied +read):\n%s", diff)
			}
			if plan, d := p.Plan(t.Context(), rt, read, config); d.HasError() || !plan.Empty() {
				rt.Fatalf("the second plan is not empty: %s%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
			}
		}
		imported, d := p.Import(t.Context(), rt, kind, plane.AccountID+"/"+state.Object["id"].(string), nil)
		if d.HasError() {
			rt.Fatalf("importing: %s", d)
		}
		// What configurations can say in two ways is imported in one.
		if config != nil && !strings.Contains(fmt.Sprint(config), "map[]") && config["ingress"] != nil {
			if plan, d := p.Plan(t.Context(), rt, imported, config); d.HasError() || !plan.Empty() {
				rt.Fatalf("the plan after the import is not empty: %s%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
			}
		}
		p.Change(t.Context(), rt, state, nil)
	})
}

func drawTunnel(t *rapid.T, name string) tfproto.Object {
	config := tfproto.Object{"name": name}
	if !rapid.Bool().Draw(t, "ingress is set") {
		return config
	}
	origin := func(label string) any {
		switch rapid.IntRange(0, 2).Draw(t, label) {
		case 0:
			return nil
		case 1:
			return map[string]any{}
		}
		return map[string]any{"connect_timeout": float64(rapid.IntRange(1, 60).Draw(t, label+" timeout")), "no_tls_verify": rapid.Bool().Draw(t, label+" verify")}
	}
	var rules []any
	for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
		r := map[string]any{"hostname": fmt.Sprintf("h%d.example.com", i), "service": rapid.SampledFrom([]string{"http://localhost:1", "http_status:503", "unix:/run/x", "hello_world"}).Draw(t, "service"),
			"origin_request": origin("origin")}
		if rapid.Bool().Draw(t, "path is set") {
			r["path"] = "^/p"
		}
		rules = append(rules, r)
	}
	if rapid.Bool().Draw(t, "catch-all") {
		rules = append(rules, map[string]any{"service": rapid.SampledFrom([]string{"hello_world", "http_status:500"}).Draw(t, "last")})
	}
	config["ingress"], config["origin_request"] = rules, origin("whole")
	if rapid.Bool().Draw(t, "warp is set") {
		config["warp_routing"] = rapid.Bool().Draw(t, "warp")
	}
	return config
}

func TestInvalidRulesAreRefusedWithTheirPath(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	last := map[string]any{"service": "http_status:404"}
	origin := func(name string, v any) map[string]any {
		return map[string]any{"hostname": "a.example.com", "service": "http://localhost", "origin_request": map[string]any{name: v}}
	}
	for name, c := range map[string]struct {
		config tfproto.Object
		at     string
		want   string
	}{
		"wildcard in the middle":  {tfproto.Object{"ingress": ingress(rule("a.*.example.com", "http://x"))}, "ingress[0].hostname", ""},
		"two wildcards":           {tfproto.Object{"ingress": ingress(rule("*.*.example.com", "http://x"))}, "ingress[0].hostname", ""},
		"host with a port":        {tfproto.Object{"ingress": ingress(rule("a.example.com:80", "http://x"))}, "ingress[0].hostname", ""},
		"bad expression":          {tfproto.Object{"ingress": ingress(map[string]any{"path": "(", "service": "http://x"}, last)}, "ingress[0].path", ""},
		"unknown scheme":          {tfproto.Object{"ingress": ingress(rule("a.example.com", "gopher://x"))}, "ingress[0].service", ""},
		"service with a slash":    {tfproto.Object{"ingress": ingress(rule("a.example.com", "http://x/"))}, "ingress[0].service", ""},
		"service with a path":     {tfproto.Object{"ingress": ingress(rule("a.example.com", "http://x/path"))}, "ingress[0].service", ""},
		"service without a host":  {tfproto.Object{"ingress": ingress(rule("a.example.com", "http://"))}, "ingress[0].service", ""},
		"no such status":          {tfproto.Object{"ingress": ingress(rule("a.example.com", "http_status:999999"))}, "ingress[0].service", ""},
		"catch-all first":         {tfproto.Object{"ingress": ingress(last, rule("a.example.com", "http://x"))}, "ingress[0]", "never reached"},
		"no rules":                {tfproto.Object{"ingress": []any{}}, "ingress", ""},
		"negative timeout":        {tfproto.Object{"ingress": ingress(origin("connect_timeout", -1.))}, "ingress[0].origin_request.connect_timeout", ""},
		"port too high":           {tfproto.Object{"ingress": ingress(origin("proxy_port", 65536.))}, "ingress[0].origin_request.proxy_port", ""},
		"relative authority":      {tfproto.Object{"ingress": ingress(origin("ca_pool", "ours.pem"))}, "ingress[0].origin_request.ca_pool", ""},
		"bad range":               {tfproto.Object{"ingress": ingress(origin("ip_rules", []any{map[string]any{"prefix": "10.0.0.0", "allow": true}}))}, "ingress[0].origin_request.ip_rules[0].prefix", ""},
		"whole settings too":      {tfproto.Object{"ingress": ingress(last), "origin_request": map[string]any{"proxy_type": "sox"}}, "origin_request.proxy_type", ""},
		"settings without rules":  {tfproto.Object{"origin_request": map[string]any{"tls_timeout": 1.}}, "origin_request", "set ingress too"},
		"routing without rules":   {tfproto.Object{"warp_routing": true}, "warp_routing", "set ingress too"},
		"a name like an id":       {tfproto.Object{"name": uuid.NewString()}, "name", "take it for one"},
		"a name with blanks":      {tfproto.Object{"name": " x"}, "name", "without blanks"},
		"unknown service, bad ho": {tfproto.Object{"ingress": ingress(map[string]any{"hostname": "a.*", "service": tfproto.Unknown})}, "ingress[0].hostname", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.config["name"] == nil {
				c.config["name"] = "x"
			}
			d := p.Validate(t.Context(), t, kind, c.config)
			if !d.HasError() || !strings.Contains(d.String(), c.at) || !strings.Contains(d.String(), c.want) {
				t.Errorf("want an error at %s with %q, got: %s", c.at, c.want, d)
			}
		})
	}
	hidden := tfproto.Object{"name": "x", "ingress": ingress(rule("*.example.com", "http://x"), rule("a.example.com", "http://y"))}
	if d := p.Validate(t.Context(), t, kind, hidden); d.HasError() || !strings.Contains(d.String(), "ingress[0] fits every request that ingress[1] does") {
		t.Errorf("a rule that is never reached: %s", d)
	}
	fine := tfproto.Object{"name": "x", "ingress": ingress(map[string]any{"hostname": tfproto.Unknown, "service": tfproto.Unknown}, last)}
	for name, v := range map[string]any{
		"access":     map[string]any{"required": true, "team_name": tfproto.Unknown, "aud_tag": []any{tfproto.Unknown}},
		"ip_rules":   []any{map[string]any{"prefix": tfproto.Unknown, "allow": true, "ports": []any{tfproto.Unknown}}},
		"proxy_type": tfproto.Unknown, "connect_timeout": tfproto.Unknown,
	} {
		for _, config := range []tfproto.Object{{"name": "x", "ingress": ingress(origin(name, v))}, {"name": "x", "ingress": ingress(last), "origin_request": map[string]any{name: v}},
			{"name": "x", "origin_request": tfproto.Unknown}} {
			if d := p.Validate(t.Context(), t, kind, config); d.HasError() {
				t.Errorf("%s: what is not known yet is refused: %s", name, d)
			}
		}
	}
	if d := p.Validate(t.Context(), t, kind, fine); d.HasError() {
		t.Errorf("what is not known yet is refused: %s", d)
	}
}

// standIn makes connectors of a tunnel, as cloudflared would be.
type standIn struct {
	t      *testing.T
	plane  *acctest.Plane
	tunnel string
}

func (s standIn) up(id string, connections int) string {
	s.t.Helper()
	if id == "" {
		id = uuid.NewString()
	}
	c := plane.Connector{ID: id, Version: "2026.11.0", Arch: "linux_amd64", RunAt: time.Now(), Wanted: 4}
	for range connections {
		c.Connections = append(c.Connections, plane.Connection{ID: uuid.NewString(), Colo: "cdg01", OpenedAt: time.Now(), OriginIP: "192.0.2.1"})
	}
	s.plane.Plane.ConnectorUp(s.tunnel, c)
	return id
}

func (s standIn) ids() []string {
	s.t.Helper()
	var all []struct{ ID string }
	call(s.t, s.plane, http.MethodGet, "/cfd_tunnel/"+s.tunnel+"/connections", nil, &all)
	out := []string{}
	for _, c := range all {
		out = append(out, c.ID)
	}
	return out
}

func TestARotationWaitsForNewConnectorsBeforeItDropsTheOld(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	config := func(trigger, limit string) tfproto.Object {
		return tfproto.Object{"name": "rotating", "rotation_trigger": trigger, "timeouts": map[string]any{"update": limit}}
	}
	state := p.Create(t.Context(), t, kind, config("1", "1s"))
	s := standIn{t, plane, text(t, state, "id")}
	old := s.up("", 4)
	token := func() (out string) {
		call(t, plane, http.MethodGet, "/cfd_tunnel/"+s.tunnel+"/token", nil, &out)
		return out
	}
	first := token()

	// Nobody comes: an error, nothing dropped, the secret rotated.
	plan, d := p.Plan(t.Context(), t, state, config("2", "1s"))
	if d.HasError() {
		t.Fatal(d)
	}
	failed, d := p.Apply(t.Context(), t, plan)
	for _, want := range []string{"0 of 1 connectors", "within 1s", "no connection was ended", "does not rotate once more", "rotation_trigger"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("the diagnostic lacks %q:\n%s", want, d)
		}
	}
	second := token()
	if second == first {
		t.Error("the secret was not rotated")
	}
	if diff := cmp.Diff([]string{old}, s.ids()); diff != "" {
		t.Errorf("connectors after the timeout (-want +got):\n%s", diff)
	}
	if text(t, failed, "rotation_trigger") != "1" {
		t.Errorf("a failed rotation is kept as done: %v", failed.Object["rotation_trigger"])
	}

	// The next run goes on; one without a connection that stands does not count.
	fresh := s.up("", 0)
	var once sync.WaitGroup
	once.Go(func() {
		time.Sleep(300 * time.Millisecond)
		if got := s.ids(); len(got) != 2 {
			t.Errorf("the old connector was dropped before the new one stood: %v", got)
		}
		s.up(fresh, 4)
	})
	done := p.Change(t.Context(), t, failed, config("2", "1m"))
	once.Wait()
	if token() != second {
		t.Error("the second run rotated once more")
	}
	if diff := cmp.Diff([]string{fresh}, s.ids()); diff != "" {
		t.Errorf("connectors after the rotation (-want +got):\n%s", diff)
	}
	quiet(t, p, done, config("2", "1m"))

	// Taking the trigger away and setting it first rotate nothing.
	without := p.Change(t.Context(), t, done, tfproto.Object{"name": "rotating"})
	p.Change(t.Context(), t, without, config("3", "1m"))
	if token() != second {
		t.Error("a trigger that is set first rotates")
	}
	// What the plane serves itself comes anew at once, so the action needs no help.
	served := p.Create(t.Context(), t, kind, tfproto.Object{"name": "served", "ingress": ingress(map[string]any{"service": "hello_world"})})
	own := standIn{t, plane, text(t, served, "id")}
	was := own.ids()
	messages, d := p.Invoke(t.Context(), t, "hybridge_tunnel_rotate", tfproto.Object{"tunnel_id": own.tunnel, "timeout": "30s"})
	if d.HasError() || len(messages) == 0 || !strings.Contains(messages[len(messages)-1], "old connections are ended") {
		t.Errorf("the action: %s %v", d, messages)
	}
	if now := own.ids(); len(now) != 1 || now[0] == was[0] {
		t.Errorf("the plane's connector is %v, was %v", now, was)
	}
}

// A create that fails leaves no state, which Terraform would replace.
func TestATunnelThatCannotBeConfiguredIsTakenAway(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	plane.Faults.Add(fault.Rule{Method: http.MethodPut, Path: "/client/v4/accounts/*/cfd_tunnel/*/configurations", Kind: fault.Unauthorized})
	config := tfproto.Object{"name": "x", "ingress": ingress(map[string]any{"service": "hello_world"})}
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, config)
	if d.HasError() {
		t.Fatal(d)
	}
	state, d := p.Apply(t.Context(), t, plan)
	var all []struct{ ID string }
	call(t, plane, http.MethodGet, "/cfd_tunnel?is_deleted=false", nil, &all)
	if !d.HasError() || state.Object != nil || len(all) != 0 {
		t.Errorf("it leaves %v and %v; %s", state.Object, all, d)
	}
	p.Create(t.Context(), t, kind, config)
}

func TestADestroyEndsConnectionsAndWaits(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	// One connector comes back before the answer that it was sent away is there.
	s, id := standIn{t, plane, ""}, uuid.NewString()
	var stopped atomic.Bool
	to, err := url.Parse(plane.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", to.Host },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodDelete && strings.HasSuffix(r.Request.URL.Path, "/connections") && !stopped.Load() {
				s.up(id, 4)
			}
			return nil
		},
	})
	t.Cleanup(front.Close)
	behind := *plane
	behind.URL = front.URL + to.Path
	p := acctest.Proto(t, behind.Env, nil)
	config := tfproto.Object{"name": "busy", "timeouts": map[string]any{"delete": "1s"}, "ingress": ingress(map[string]any{"service": "hello_world"})}
	state := p.Create(t.Context(), t, kind, config)
	s.tunnel = text(t, state, "id")
	s.up(id, 4)
	kept, d := p.Apply(t.Context(), t, tfproto.Plan{Type: kind, Prior: state})
	for _, want := range []string{"still there, or come back", id, "Stop cloudflared"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("the diagnostic lacks %q:\n%s", want, d)
		}
	}
	if kept.Object == nil {
		t.Fatal("a refused destroy forgets the tunnel")
	}
	stopped.Store(true)
	if gone := p.Change(t.Context(), t, kept, nil); gone.Object != nil {
		t.Error("it is not destroyed")
	}
}

func TestATunnelIsAwaited(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	state := p.Create(t.Context(), t, kind, tfproto.Object{"name": "awaited"})
	id := text(t, state, "id")
	health := func() tfproto.Object {
		got, d := p.Data(t.Context(), t, "hybridge_tunnel_health", tfproto.Object{"tunnel_id": id})
		if d.HasError() {
			t.Fatal(d)
		}
		return got
	}
	if got := health(); got["status"] != "inactive" || got["healthy"] != false || got["error"] != nil {
		t.Errorf("before: %v", got)
	}
	config := func(n float64, limit string) tfproto.Object {
		return tfproto.Object{"tunnel_id": id, "connections": n, "timeouts": map[string]any{"create": limit, "update": limit}}
	}
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: connected}, config(1, "1s"))
	if d.HasError() {
		t.Fatal(d)
	}
	if _, d := p.Apply(t.Context(), t, plan); !strings.Contains(d.String(), "0 of 1 connections stand after 1s") {
		t.Errorf("nobody serves it, and the wait ends with: %s", d)
	}
	s := standIn{t, plane, id}
	timer := time.AfterFunc(200*time.Millisecond, func() { s.up("", 2) })
	defer timer.Stop()
	up := p.Create(t.Context(), t, connected, config(2, "1m"))
	imported, d := p.Import(t.Context(), t, connected, plane.AccountID+"/"+id, nil)
	if d.HasError() || imported.Object["connections"] != 1. || !cmp.Equal(imported.Identity, up.Identity) {
		t.Errorf("imported: %v; %s", imported.Object, d)
	}
	requests := plane.Requests()
	quiet(t, p, up, config(2, "1m"))
	p.Change(t.Context(), t, up, config(1, "1m"))
	if got := plane.Requests() - requests; got != 0 {
		t.Errorf("reading and lowering took %d requests, not 0", got)
	}
	got := health()
	if got["status"] != "degraded" || !cmp.Equal(got["colos"], []any{"cdg01"}) || !cmp.Equal(got["versions"], []any{"2026.11.0"}) {
		t.Errorf("with two of four connections: %v", got)
	}
	list, _ := got["connectors"].([]any)
	c, _ := list[0].(map[string]any)
	if len(list) != 1 || c["connections"] != 2. || c["arch"] != "linux_amd64" || c["id"] == "" || c["run_at"] == "" || c["config_version"] != 0. || c["version"] != "2026.11.0" {
		t.Errorf("connectors are %v", list)
	}
	p.Change(t.Context(), t, up, nil)
	// It reports what cannot be known.
	plane.Faults.Add(fault.Rule{Method: http.MethodGet, Path: "/client/v4/accounts/*/cfd_tunnel/*", Kind: fault.Unauthorized})
	if got := health(); got["status"] != "unknown" || got["healthy"] != false || got["error"] == nil {
		t.Errorf("when it may not be asked: %v", got)
	}
	p.Change(t.Context(), t, state, nil)
	if got := health(); got["status"] != "deleted" {
		t.Errorf("after the destroy: %v", got)
	}
}

func TestTunnelsAreListedForImport(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	made := map[string]tfproto.State{}
	for _, name := range []string{"a", "b", "c"} {
		made[name] = p.Create(t.Context(), t, kind, tfproto.Object{"name": name, "ingress": ingress(rule(name+".example.com", "http://localhost:1"))})
	}
	p.Change(t.Context(), t, made["c"], nil)
	list, d := p.List(t.Context(), t, kind, tfproto.Object{}, true, 0)
	if d.HasError() || len(list) != 2 {
		t.Fatalf("listed: %v; %s", list, d)
	}
	for _, one := range list {
		if diff := cmp.Diff(made[one.Name].Object, one.Resource); diff != "" {
			t.Errorf("%s (-made +listed):\n%s", one.Name, diff)
		}
		if diff := cmp.Diff(made[one.Name].Identity, one.Identity); diff != "" {
			t.Errorf("identity of %s (-made +listed):\n%s", one.Name, diff)
		}
	}
	before := plane.Requests()
	if list, d = p.List(t.Context(), t, kind, tfproto.Object{"name": "b"}, false, 1); d.HasError() || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("of one name: %v; %s", list, d)
	}
	if got := plane.Requests() - before; got != 1 {
		t.Errorf("a list of names took %d requests, not 1", got)
	}
	if _, d = p.List(t.Context(), t, kind, tfproto.Object{"plane": "paris"}, false, 0); !strings.Contains(d.String(), "paris") {
		t.Errorf("of a plane that is none: %s", d)
	}
}
