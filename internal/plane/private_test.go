// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// backend is a private service on this machine, and its port.
func backend(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s%s", name, r.Method, r.Host, r.URL, body, strings.ReplaceAll(r.Header.Get("X-Forwarded-For")+r.Header.Get("Cf-Connecting-Ip"), "127.0.0.1", ""))
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestAWorkerReachesAPrivateServiceThroughThePlane: on real workerd, which itself may not
// connect to loopback.
func TestAWorkerReachesAPrivateServiceThroughThePlane(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Workerd: true})
	tunnel := newTunnel(t, p, "paris").ID
	const services = "/connectivity/directory/services"
	body := func(port, more string) string {
		return `{"name":"api","type":"http","http_port":` + port + `,"host":{"ipv4":"127.0.0.1","network":{"tunnel_id":"` + tunnel + `"}}` + more + `}`
	}
	service := result[struct {
		ServiceID string `json:"service_id"`
	}](t, call(t, p, http.MethodPost, services, body(backend(t, "one"), ""))).ServiceID
	newWorker(t, p, "shop")
	call(t, p, http.MethodPost, "/workers/scripts/shop/subdomain", `{"enabled":true}`)
	code := `export default { async fetch(request, env) {
		const path = new URL(request.url).pathname;
		if (path === "/direct") { try { return await fetch("http://127.0.0.1:1/"); } catch (e) { return new Response("refused"); } }
		return env.API.fetch("http://api.internal" + path, { method: request.method, body: request.body });
	} }`
	binding := func(id string) string {
		return `,"bindings":[{"type":"vpc_service","name":"API","service_id":"` + id + `"}]`
	}
	upload := func(more string) string { return uploadBody(code, more) }

	refused(t, p, http.StatusBadRequest, 10143, "VPC service", http.MethodPost, "/workers/workers/shop/versions", upload(binding("00000000-0000-4000-8000-000000000000")))
	version := call(t, p, http.MethodPost, "/workers/workers/shop/versions", upload(binding(service))).id(t)
	newDeployment(t, p, "shop", version, 100)
	want := func(path, text string) {
		t.Helper()
		if status, got := p.Get(t, "shop", path); status != http.StatusOK || got != text {
			t.Errorf("%s: %d %q, want %q", path, status, got, text)
		}
	}
	want("/x", "one GET api.internal /x ")
	want("/direct", "refused")
	// A changed service holds for the version that is live.
	call(t, p, http.MethodPut, services+"/"+service, body(backend(t, "two"), ""))
	want("/y", "two GET api.internal /y ")
	// The binding is what it was when it is read.
	var view struct {
		Bindings []map[string]any
	}
	if err := json.Unmarshal(call(t, p, http.MethodGet, "/workers/workers/shop/versions/"+version, "").env.Result, &view); err != nil || len(view.Bindings) != 1 || view.Bindings[0]["service_id"] != service {
		t.Errorf("the version's bindings are %v %v", view.Bindings, err)
	}
	call(t, p, http.MethodDelete, services+"/"+service, "")
	if status, got := p.Get(t, "shop", "/z"); status != http.StatusServiceUnavailable || !strings.Contains(got, "no VPC service "+service) {
		t.Errorf("without the service: %d %q", status, got)
	}
	tcp := result[struct {
		ServiceID string `json:"service_id"`
	}](t, call(t, p, http.MethodPost, services, `{"name":"db","type":"tcp","tcp_port":5432,"host":{"hostname":"db","resolver_network":{"tunnel_id":"`+tunnel+`"}}}`)).ServiceID
	refused(t, p, http.StatusBadRequest, 10143, "of type http only", http.MethodPost, "/workers/workers/shop/versions", upload(binding(tcp)))
}

// TestThePlaneServesTunnelsBesideItsWorkers: a tunnel's host names, and those of DNS
// records, at the ingress where Workers answer.
func TestThePlaneServesTunnelsBesideItsWorkers(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{Workerd: true, Zones: []string{"example.com"}})
	tunnel := newTunnel(t, p, "paris")
	get := func(host string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.IngressURL+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, _ := get("app.example.com"); status != http.StatusNotFound {
		t.Errorf("before there are rules: %d", status)
	}
	call(t, p, http.MethodPut, "/cfd_tunnel/"+tunnel.ID+"/configurations", `{"config":{"ingress":[
		{"hostname":"app.example.com","service":"http://127.0.0.1:`+backend(t, "app")+`"},
		{"path":"^/x","service":"http://127.0.0.1:`+backend(t, "rest")+`"},{"service":"http_status:404"}]}}`)
	if status, text := get("app.example.com"); status != http.StatusOK || text != "app GET app.example.com /x " {
		t.Errorf("a host name of a rule: %d %q", status, text)
	}
	if status, _ := get("other.example.com"); status != http.StatusNotFound {
		t.Errorf("a name that nothing sends to the tunnel: %d", status)
	}
	zones := result[[]struct{ ID string }](t, call(t, p, http.MethodGet, "/client/v4/zones", ""))
	records := "/client/v4/zones/" + zones[0].ID + "/dns_records"
	record := call(t, p, http.MethodPost, records, `{"type":"CNAME","name":"*","content":"`+tunnel.ID+`.cfargotunnel.com","proxied":true}`).id(t)
	if status, text := get("other.example.com"); status != http.StatusOK || text != "rest GET other.example.com /x " {
		t.Errorf("a name that a record sends to the tunnel: %d %q", status, text)
	}
	call(t, p, http.MethodDelete, records+"/"+record, "")
	if status, _ := get("other.example.com"); status != http.StatusNotFound {
		t.Errorf("after the record is gone: %d", status)
	}
	if got := result[tunnelAnswer](t, call(t, p, http.MethodGet, "/cfd_tunnel/"+tunnel.ID, "")); got.Status != "healthy" {
		t.Errorf("the tunnel that the plane serves is %q", got.Status)
	}
	call(t, p, http.MethodDelete, "/cfd_tunnel/"+tunnel.ID+"/connections", "")
	call(t, p, http.MethodDelete, "/cfd_tunnel/"+tunnel.ID, "")
	if status, _ := get("app.example.com"); status != http.StatusNotFound {
		t.Errorf("after the tunnel is gone: %d", status)
	}
}
