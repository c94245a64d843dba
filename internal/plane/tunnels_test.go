// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// served notes what a plane has its ingress serve.
type served struct {
	mu   sync.Mutex
	list []plane.ServedTunnel
}

func (s *served) SetTunnels(list []plane.ServedTunnel) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
	return nil
}

func (s *served) rules() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for _, t := range s.list {
		out[t.Name] = len(t.Config.Ingress)
	}
	return out
}

type tunnelAnswer struct {
	ID          string
	Name        string
	Status      string
	Token       string
	DeletedAt   *string `json:"deleted_at"`
	ConfigSrc   string  `json:"config_src"`
	Connections []struct {
		ClientID string `json:"client_id"`
	}
	CredentialsFile struct{ AccountTag, TunnelID, TunnelName, TunnelSecret string } `json:"credentials_file"`
}

func result[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.env.Result, &v); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
	return v
}

const secretBase64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func newTunnel(t *testing.T, p *planetest.Plane, name string) tunnelAnswer {
	t.Helper()
	return result[tunnelAnswer](t, call(t, p, http.MethodPost, "/cfd_tunnel", `{"name":"`+name+`","config_src":"cloudflare"}`))
}

const oneRule = `{"config":{"ingress":[{"hostname":"app.example.com","service":"http://localhost:1"},{"service":"http_status:404"}]}}`

func TestATunnelLivesAndDiesAsAtCloudflare(t *testing.T) {
	t.Parallel()
	s := &served{}
	p := planetest.New(t, planetest.Options{Tunnels: s, ReconnectPause: time.Hour})
	made := newTunnel(t, p, "paris-1")
	if made.Status != "inactive" || made.ConfigSrc != "cloudflare" || made.CredentialsFile.TunnelID != made.ID || made.CredentialsFile.AccountTag != p.AccountID {
		t.Errorf("made: %+v", made)
	}
	raw, err := base64.StdEncoding.DecodeString(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	var token struct{ A, T, S string }
	if err := json.Unmarshal(raw, &token); err != nil || token.A != p.AccountID || token.T != made.ID || token.S != made.CredentialsFile.TunnelSecret {
		t.Errorf("token %s: %v", raw, err)
	}
	path := "/cfd_tunnel/" + made.ID
	if got := result[string](t, call(t, p, http.MethodGet, path+"/token", "")); got != made.Token {
		t.Errorf("the token is another one when it is read")
	}
	if strings.Contains(string(call(t, p, http.MethodGet, path, "").body), made.CredentialsFile.TunnelSecret) || strings.Contains(string(call(t, p, http.MethodGet, "/cfd_tunnel", "").body), "token") {
		t.Error("a tunnel shows its secret")
	}
	if strings.Contains(p.Log(), made.CredentialsFile.TunnelSecret) || strings.Contains(p.Log(), made.Token) {
		t.Error("the log has the secret")
	}

	refused(t, p, http.StatusConflict, 1013, "You already have a tunnel with this name", http.MethodPost, "/cfd_tunnel", `{"name":"paris-1"}`)
	refused(t, p, http.StatusBadRequest, 10026, "must not be a UUID", http.MethodPost, "/cfd_tunnel", `{"name":"`+made.ID+`"}`)
	refused(t, p, http.StatusBadRequest, 10026, "at least 32 bytes", http.MethodPost, "/cfd_tunnel", `{"name":"x","tunnel_secret":"c2hvcnQ="}`)
	refused(t, p, http.StatusBadRequest, 10026, "1 to 100 bytes", http.MethodPost, "/cfd_tunnel", `{}`)
	refused(t, p, http.StatusNotFound, 1002, "Tunnel not found", http.MethodGet, "/cfd_tunnel/00000000-0000-0000-0000-000000000000", "")

	// A configuration makes this plane its connector.
	version := func(a answer) int { return result[struct{ Version int }](t, a).Version }
	if v := version(call(t, p, http.MethodGet, path+"/configurations", "")); v != 0 {
		t.Errorf("version %d before the first configuration", v)
	}
	refused(t, p, http.StatusBadRequest, 1056, "Bad Configuration: ingress[0]: the last rule MUST match all requests", http.MethodPut, path+"/configurations",
		`{"config":{"ingress":[{"hostname":"a.example.com","service":"http://x"}]}}`)
	refused(t, p, http.StatusBadRequest, 1056, "whole numbers of seconds", http.MethodPut, path+"/configurations",
		`{"config":{"ingress":[{"service":"http://x","originRequest":{"connectTimeout":"30s"}}]}}`)
	for want := 1; want <= 2; want++ {
		if v := version(call(t, p, http.MethodPut, path+"/configurations", oneRule)); v != want {
			t.Errorf("version %d, want %d", v, want)
		}
	}
	if diff := cmp.Diff(map[string]int{"paris-1": 2}, s.rules()); diff != "" {
		t.Errorf("served: %s", diff)
	}
	got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, ""))
	if got.Status != "healthy" || len(got.Connections) != 1 {
		t.Errorf("served: %+v", got)
	}

	// A rotation: the new connector comes, the old one stays until it is dropped.
	call(t, p, http.MethodPatch, path, `{"tunnel_secret":"`+secretBase64+`"}`)
	if tok := result[string](t, call(t, p, http.MethodGet, path+"/token", "")); tok == made.Token {
		t.Error("the token is the old one after a rotation")
	}
	type connector struct {
		ID            string
		RunAt         time.Time `json:"run_at"`
		ConfigVersion int       `json:"config_version"`
	}
	list := result[[]connector](t, call(t, p, http.MethodGet, path+"/connections", ""))
	if len(list) != 2 || list[0].ID != got.Connections[0].ClientID || !list[1].RunAt.After(list[0].RunAt) || list[1].ConfigVersion != 2 {
		t.Fatalf("connectors after a rotation: %+v", list)
	}
	call(t, p, http.MethodDelete, path+"/connections?client_id="+list[0].ID, "")
	list = result[[]connector](t, call(t, p, http.MethodGet, path+"/connections", ""))
	if len(list) != 1 {
		t.Fatalf("connectors after the old one was dropped: %+v", list)
	}
	call(t, p, http.MethodGet, path+"/connectors/"+list[0].ID, "")

	// With live connections it stays; without them it goes, and is still seen.
	refused(t, p, http.StatusBadRequest, 1022, "active connectors", http.MethodDelete, path, "")
	call(t, p, http.MethodDelete, path+"/connections", "")
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")); got.Status != "down" {
		t.Errorf("without connections: %s", got.Status)
	}
	call(t, p, http.MethodDelete, path, "")
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")); got.DeletedAt == nil {
		t.Error("a deleted tunnel says when")
	}
	refused(t, p, http.StatusNotFound, 1002, "was deleted", http.MethodDelete, path, "")
	refused(t, p, http.StatusNotFound, 1002, "was deleted", http.MethodGet, path+"/token", "")
	if diff := cmp.Diff(map[string]int{}, s.rules()); diff != "" {
		t.Errorf("served: %s", diff)
	}
	again := newTunnel(t, p, "paris-1")
	if again.ID == made.ID {
		t.Error("a new tunnel of the name is the old one")
	}
	ids := func(query string) (list []string) {
		for _, v := range result[[]tunnelAnswer](t, call(t, p, http.MethodGet, "/cfd_tunnel?"+query, "")) {
			list = append(list, v.ID)
		}
		return list
	}
	for query, want := range map[string][]string{
		"": {again.ID, made.ID}, "is_deleted=false": {again.ID}, "is_deleted=true": {made.ID}, "name=paris-1&is_deleted=false": {again.ID}, "name_prefix=par": {again.ID, made.ID},
		"exclude_prefix=par": nil, "uuid=" + made.ID: {made.ID}, "status=healthy": nil, "page=2": nil, "name=other": nil,
	} {
		if diff := cmp.Diff(want, ids(query)); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
	refused(t, p, http.StatusBadRequest, 10004, "is_deleted", http.MethodGet, "/cfd_tunnel?is_deleted=perhaps", "")
}

// What serves a tunnel comes back after its connections were dropped, and after a restart.
func TestAPlaneServesItsTunnelsAgain(t *testing.T) {
	t.Parallel()
	s := &served{}
	p := planetest.New(t, planetest.Options{Tunnels: s, ReconnectPause: time.Millisecond})
	made := newTunnel(t, p, "a")
	path := "/cfd_tunnel/" + made.ID
	call(t, p, http.MethodPut, path+"/configurations", oneRule)
	call(t, p, http.MethodDelete, path+"/connections", "")
	deadline := time.Now().Add(patience)
	for result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")).Status != "healthy" {
		if time.Now().After(deadline) {
			t.Fatal("it is not served again")
		}
		time.Sleep(time.Millisecond)
	}
	dir, token := p.Dir, p.Token
	p.Close()
	s2 := &served{}
	p = planetest.New(t, planetest.Options{Tunnels: s2, Dir: dir, Token: token})
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")); got.Status != "healthy" || got.Name != "a" {
		t.Errorf("after a restart: %+v", got)
	}
	if diff := cmp.Diff(map[string]int{"a": 2}, s2.rules()); diff != "" {
		t.Error(diff)
	}
	if got := result[string](t, call(t, p, http.MethodGet, path+"/token", "")); got != made.Token {
		t.Error("the secret is another one after a restart")
	}
	// Without a server nobody serves it, and the configuration stays.
	dir = p.Dir
	p.Close()
	p = planetest.New(t, planetest.Options{Dir: dir, Token: token})
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")); got.Status != "inactive" {
		t.Errorf("without a server: %+v", got)
	}
	p.Plane.ConnectorUp(made.ID, plane.Connector{ID: "c", Wanted: 4, Connections: []plane.Connection{{ID: "1"}}})
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")); got.Status != "degraded" || len(got.Connections) != 1 {
		t.Errorf("with one connection of four: %+v", got)
	}
	p.Plane.ConnectorDown(made.ID, "c")
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, path, "")); got.Status != "down" {
		t.Errorf("with none: %+v", got)
	}
}

func TestPrivateNetworksAndTheirRoutes(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	type network struct {
		ID, Name  string
		IsDefault bool `json:"is_default_network"`
	}
	nets := func() []network {
		return result[[]network](t, call(t, p, http.MethodGet, "/teamnet/virtual_networks", ""))
	}
	list := nets()
	if len(list) != 1 || !list[0].IsDefault {
		t.Fatalf("the default network is there from the start: %+v", list)
	}
	blue := result[network](t, call(t, p, http.MethodPost, "/teamnet/virtual_networks", `{"name":"blue","comment":"c"}`))
	refused(t, p, http.StatusConflict, 1014, "blue", http.MethodPost, "/teamnet/virtual_networks", `{"name":"blue"}`)
	made := newTunnel(t, p, "a")
	type route struct {
		ID, Network        string
		VirtualNetworkID   string `json:"virtual_network_id"`
		VirtualNetworkName string `json:"virtual_network_name"`
		TunnelName         string `json:"tunnel_name"`
		Comment            string
	}
	r := result[route](t, call(t, p, http.MethodPost, "/teamnet/routes", `{"network":"10.0.0.0/16","tunnel_id":"`+made.ID+`"}`))
	if r.VirtualNetworkID != list[0].ID || r.TunnelName != "a" {
		t.Errorf("a route: %+v", r)
	}
	refused(t, p, http.StatusConflict, 1014, "10.0.0.0/16", http.MethodPost, "/teamnet/routes", `{"network":"10.0.0.0/16","tunnel_id":"`+made.ID+`"}`)
	refused(t, p, http.StatusBadRequest, 10026, "without bits after its length", http.MethodPost, "/teamnet/routes", `{"network":"10.0.0.1/16","tunnel_id":"`+made.ID+`"}`)
	refused(t, p, http.StatusNotFound, 1002, "Tunnel not found", http.MethodPost, "/teamnet/routes", `{"network":"10.1.0.0/16","tunnel_id":"x"}`)
	call(t, p, http.MethodPost, "/teamnet/routes", `{"network":"10.0.0.0/16","tunnel_id":"`+made.ID+`","virtual_network_id":"`+blue.ID+`"}`)
	r = result[route](t, call(t, p, http.MethodPatch, "/teamnet/routes/"+r.ID, `{"comment":"moved","network":"10.2.0.0/16"}`))
	if r.Comment != "moved" || r.Network != "10.2.0.0/16" {
		t.Errorf("a changed route: %+v", r)
	}
	refused(t, p, http.StatusBadRequest, 1023, "Routes lead through", http.MethodDelete, "/cfd_tunnel/"+made.ID, "")
	refused(t, p, http.StatusBadRequest, 1023, "Routes lie in", http.MethodDelete, "/teamnet/virtual_networks/"+blue.ID, "")
	call(t, p, http.MethodDelete, "/teamnet/routes/"+r.ID, "")
	refused(t, p, http.StatusNotFound, 1015, "Route not found", http.MethodGet, "/teamnet/routes/"+r.ID, "")
	call(t, p, http.MethodDelete, "/teamnet/virtual_networks/"+blue.ID+"?force=true", "")
	call(t, p, http.MethodDelete, "/cfd_tunnel/"+made.ID, "")
	refused(t, p, http.StatusBadRequest, 10026, "default virtual network", http.MethodDelete, "/teamnet/virtual_networks/"+list[0].ID, "")
	green := result[network](t, call(t, p, http.MethodPost, "/teamnet/virtual_networks", `{"name":"green","is_default_network":true}`))
	for _, v := range nets() {
		if v.IsDefault != (v.ID == green.ID) {
			t.Errorf("one default network: %+v", nets())
		}
	}
	if got := result[[]route](t, call(t, p, http.MethodGet, "/teamnet/routes?is_deleted=false", "")); len(got) != 0 {
		t.Errorf("routes that are left: %+v", got)
	}
}

func TestVPCServicesAreCheckedAsAtCloudflare(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	id := newTunnel(t, p, "a").ID
	const path = "/connectivity/directory/services"
	address := `"host":{"ipv4":"10.0.0.5","network":{"tunnel_id":"` + id + `"}}`
	for body, text := range map[string]string{
		`{"name":"","type":"http",` + address + `}`:                                                                    "1 to 128 bytes",
		`{"name":"x","type":"udp",` + address + `}`:                                                                    "type must be http or tcp",
		`{"name":"x","type":"tcp",` + address + `}`:                                                                    "needs tcp_port",
		`{"name":"x","type":"http","tcp_port":1,` + address + `}`:                                                      "belong to services of type tcp",
		`{"name":"x","type":"tcp","tcp_port":1,"http_port":1,` + address + `}`:                                         "belong to services of type http",
		`{"name":"x","type":"tcp","tcp_port":70000,` + address + `}`:                                                   "a port from 1 to 65535",
		`{"name":"x","type":"tcp","tcp_port":1,"app_protocol":"redis",` + address + `}`:                                "postgresql or mysql",
		`{"name":"x","type":"http","tls_settings":{"cert_verification_mode":"no"},` + address + `}`:                    "verify_full, verify_ca or disabled",
		`{"name":"x","type":"http"}`:                                                                                   "host must have either",
		`{"name":"x","type":"http","host":{"ipv4":"10.0.0.5","hostname":"a","network":{"tunnel_id":"` + id + `"}}}`:    "host must have either",
		`{"name":"x","type":"http","host":{"ipv4":"10.0.0.5"}}`:                                                        "go with network",
		`{"name":"x","type":"http","host":{"hostname":"a","network":{"tunnel_id":"` + id + `"}}}`:                      "goes with resolver_network",
		`{"name":"x","type":"http","host":{"ipv4":"::1","network":{"tunnel_id":"` + id + `"}}}`:                        "IPv4",
		`{"name":"x","type":"http","host":{"hostname":"a","resolver_network":{"tunnel_id":"x","resolver_ips":["y"]}}}`: "must be addresses",
		`{"name":"x","type":"http","host":{"ipv6":"10.0.0.1","network":{"tunnel_id":"` + id + `"}}}`:                   "IPv6",
	} {
		refused(t, p, http.StatusBadRequest, 10026, text, http.MethodPost, path, body)
	}
	refused(t, p, http.StatusNotFound, 1002, "Tunnel not found", http.MethodPost, path, `{"name":"x","type":"http","host":{"ipv4":"10.0.0.5","network":{"tunnel_id":"y"}}}`)
	type service struct {
		ServiceID string `json:"service_id"`
		Name      string
		HTTPPort  *int `json:"http_port"`
		TCPPort   *int `json:"tcp_port"`
	}
	made := result[service](t, call(t, p, http.MethodPost, path, `{"name":"db","type":"http","http_port":8080,`+address+`}`))
	if made.HTTPPort == nil || *made.HTTPPort != 8080 || made.TCPPort != nil {
		t.Errorf("made: %+v", made)
	}
	refused(t, p, http.StatusConflict, 1014, "db", http.MethodPost, path, `{"name":"db","type":"http",`+address+`}`)
	changed := result[service](t, call(t, p, http.MethodPut, path+"/"+made.ServiceID, `{"name":"db2","type":"tcp","tcp_port":5432,`+address+`}`))
	if changed.ServiceID != made.ServiceID || changed.Name != "db2" || changed.HTTPPort != nil {
		t.Errorf("changed: %+v", changed)
	}
	if got := result[[]service](t, call(t, p, http.MethodGet, path+"?type=http", "")); len(got) != 0 {
		t.Errorf("of type http: %+v", got)
	}
	call(t, p, http.MethodDelete, path+"/"+made.ServiceID, "")
	refused(t, p, http.StatusNotFound, 1015, "VPC service not found", http.MethodGet, path+"/"+made.ServiceID, "")
}

func TestRecordsOfAZone(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Zones: []string{"example.com"}})
	type object struct{ ID, Name, Type, Content string }
	zones := result[[]object](t, call(t, p, http.MethodGet, "/client/v4/zones?name=example.com", ""))
	if len(zones) != 1 {
		t.Fatalf("zones: %+v", zones)
	}
	call(t, p, http.MethodGet, "/client/v4/zones/"+zones[0].ID, "")
	refused(t, p, http.StatusNotFound, 1049, "Zone not found", http.MethodGet, "/client/v4/zones/x", "")
	path := "/client/v4/zones/" + zones[0].ID + "/dns_records"
	made := result[object](t, call(t, p, http.MethodPost, path, `{"type":"CNAME","name":"app","content":"x.cfargotunnel.com","proxied":true,"ttl":1}`))
	if made.Name != "app.example.com" {
		t.Errorf("made: %+v", made)
	}
	refused(t, p, http.StatusBadRequest, 81053, "already exists", http.MethodPost, path, `{"type":"A","name":"app.example.com","content":"192.0.2.1"}`)
	refused(t, p, http.StatusBadRequest, 9005, "valid IPv4", http.MethodPost, path, `{"type":"A","name":"b","content":"x"}`)
	refused(t, p, http.StatusBadRequest, 9005, "host name", http.MethodPost, path, `{"type":"CNAME","name":"b","content":"192.0.2.1"}`)
	refused(t, p, http.StatusBadRequest, 9005, "ttl", http.MethodPost, path, `{"type":"A","name":"b","content":"192.0.2.1","ttl":5}`)
	refused(t, p, http.StatusBadRequest, 9005, "types", http.MethodPost, path, `{"type":"LOC","name":"b","content":"x"}`)
	call(t, p, http.MethodPost, path, `{"type":"TXT","name":"app","content":"v=1"}`)
	refused(t, p, http.StatusBadRequest, 81058, "identical", http.MethodPost, path, `{"type":"TXT","name":"app","content":"v=1"}`)
	changed := result[object](t, call(t, p, http.MethodPatch, path+"/"+made.ID, `{"content":"y.cfargotunnel.com"}`))
	if changed.ID != made.ID || changed.Content != "y.cfargotunnel.com" || changed.Type != "CNAME" {
		t.Errorf("changed: %+v", changed)
	}
	for query, want := range map[string]int{"": 2, "?type=CNAME": 1, "?name=app.example.com": 2, "?name.exact=other.example.com": 0, "?content=v=1": 1} {
		if got := result[[]object](t, call(t, p, http.MethodGet, path+query, "")); len(got) != want {
			t.Errorf("%q: %+v", query, got)
		}
	}
	call(t, p, http.MethodDelete, path+"/"+made.ID, "")
	refused(t, p, http.StatusNotFound, 81044, "Record does not exist", http.MethodGet, path+"/"+made.ID, "")
}
