// SPDX-License-Identifier: MPL-2.0

package vpcservice_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const kind = "hybridge_vpc_service"

func TestServicesAreMadeChangedAndImported(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	tunnel := p.Create(t.Context(), t, "hybridge_tunnel", tfproto.Object{"name": "a"}).Object["id"]
	var state tfproto.State
	for i, config := range []tfproto.Object{
		{"name": "api", "type": "http", "tunnel_id": tunnel, "ipv4": "10.0.0.1", "http_port": 8080.},
		{"name": "api", "type": "http", "tunnel_id": tunnel, "ipv6": "fd00::1", "https_port": 8443., "cert_verification_mode": "disabled"},
		{"name": "api-2", "type": "http", "tunnel_id": tunnel, "ipv4": "10.0.0.1", "ipv6": "fd00::1"},
		{"name": "api-2", "type": "http", "tunnel_id": tunnel, "hostname": "api.internal", "resolver_ips": []any{"10.0.0.53"}},
		{"name": "api-2", "type": "http", "tunnel_id": tunnel, "hostname": "api.internal"},
		{"name": "db", "type": "tcp", "tunnel_id": tunnel, "hostname": "db.internal", "tcp_port": 5432., "app_protocol": "postgresql"},
	} {
		if i == 0 {
			state = p.Create(t.Context(), t, kind, config)
		} else {
			was := state.Object["id"]
			state = p.Change(t.Context(), t, state, config)
			if kept := state.Object["id"] == was; kept != (config["type"] == "http") {
				t.Errorf("%v: in place: %v", config, kept)
			}
		}
		read, d := p.Read(t.Context(), t, state)
		if d.HasError() || !cmp.Equal(state.Object, read.Object) {
			t.Errorf("Read is no fixpoint: %s%s", d, cmp.Diff(state.Object, read.Object))
		}
		if plan, d := p.Plan(t.Context(), t, read, config); d.HasError() || !plan.Empty() {
			t.Errorf("the second plan is not empty: %s", d)
		}
		imported, d := p.Import(t.Context(), t, kind, plane.AccountID+"/"+state.Object["id"].(string), nil)
		if d.HasError() || !cmp.Equal(state.Object, imported.Object) {
			t.Errorf("imported: %s%s", d, cmp.Diff(state.Object, imported.Object))
		}
	}
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"name": "db", "type": "http", "tunnel_id": tunnel, "ipv4": "10.0.0.1"})
	if d.HasError() {
		t.Fatal(d)
	}
	if _, d := p.Apply(t.Context(), t, plan); !strings.Contains(d.String(), "exists already") {
		t.Errorf("a name that is taken: %s", d)
	}
	p.Change(t.Context(), t, state, nil)
	if read, d := p.Read(t.Context(), t, state); d.HasError() || read.Object != nil {
		t.Errorf("what is gone is read as %v; %s", read.Object, d)
	}
}

// TestALostAnswerIsNotTakenForSuccess: what was made cannot be told from what
// somebody else made.
func TestALostAnswerIsNotTakenForSuccess(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	tunnel := p.Create(t.Context(), t, "hybridge_tunnel", tfproto.Object{"name": "a"}).Object["id"]
	plane.Faults.Add(fault.Rule{Method: http.MethodPost, Path: "/client/v4/accounts/*/connectivity/directory/services", Kind: fault.ResetAfter})
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"name": "api", "type": "http", "tunnel_id": tunnel, "ipv4": "10.0.0.1"})
	if d.HasError() {
		t.Fatal(d)
	}
	if _, d := p.Apply(t.Context(), t, plan); !strings.Contains(d.String(), "whether this run made it is unknown") || !strings.Contains(d.String(), "import it, or delete it") {
		t.Errorf("it says: %s", d)
	}
}

func TestHostsAndPortsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	for at, more := range map[string]tfproto.Object{
		"hostname: needs a host":      {},
		"hostname: either an address": {"ipv4": "10.0.0.1", "hostname": "api.internal"},
		"ipv4":                        {"ipv4": "10.0.0"},
		"ipv6":                        {"ipv6": "FD00::1"},
		"resolver_ips[0]":             {"hostname": "api.internal", "resolver_ips": []any{"dns"}},
		"resolver_ips":                {"ipv4": "10.0.0.1", "resolver_ips": []any{"10.0.0.53"}},
		"http_port":                   {"ipv4": "10.0.0.1", "http_port": 0.},
		"tcp_port: type tcp":          {"ipv4": "10.0.0.1", "tcp_port": 1.},
		"app_protocol":                {"ipv4": "10.0.0.1", "app_protocol": "mysql"},
		"https_port: type http":       {"ipv4": "10.0.0.1", "type": "tcp", "https_port": 1., "tcp_port": 1.},
		"tcp_port: needs it":          {"ipv4": "10.0.0.1", "type": "tcp"},
		"cert_verification_mode":      {"ipv4": "10.0.0.1", "cert_verification_mode": "none"},
		"type":                        {"ipv4": "10.0.0.1", "type": "udp"},
	} {
		config := tfproto.Object{"name": "api", "type": "http", "tunnel_id": uuid.NewString()}
		for k, v := range more {
			config[k] = v
		}
		d := p.Validate(t.Context(), t, kind, config)
		where, what, _ := strings.Cut(at, ": ")
		if !strings.Contains(d.String(), where) || !strings.Contains(d.String(), what) {
			t.Errorf("%s: %s", at, d)
		}
	}
}

// A module passes its variables on, whose values are unknown while Terraform validates.
func TestWhatIsUnknownMayTurnOutToBeNull(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	config := tfproto.Object{"name": "api", "type": "http", "tunnel_id": uuid.NewString()}
	for _, name := range []string{"ipv4", "ipv6", "hostname", "tcp_port", "app_protocol"} {
		config[name] = tfproto.Unknown
	}
	if d := p.Validate(t.Context(), t, kind, config); d.HasError() {
		t.Error(d)
	}
}
