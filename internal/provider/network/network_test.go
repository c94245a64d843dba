// SPDX-License-Identifier: MPL-2.0

package network_test

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

const (
	route   = "hybridge_tunnel_route"
	virtual = "hybridge_tunnel_virtual_network"
	tunnel  = "hybridge_tunnel"
)

// settled says that state is what is read, planned and imported again.
func settled(t *testing.T, p *tfproto.Provider, account string, state tfproto.State, config tfproto.Object) {
	t.Helper()
	read, d := p.Read(t.Context(), t, state)
	if d.HasError() || !cmp.Equal(state.Object, read.Object) {
		t.Errorf("Read is no fixpoint: %s%s", d, cmp.Diff(state.Object, read.Object))
	}
	if plan, d := p.Plan(t.Context(), t, read, config); d.HasError() || !plan.Empty() {
		t.Errorf("the second plan is not empty: %s%s", d, cmp.Diff(plan.Prior.Object, plan.Object))
	}
	for _, by := range []func() (tfproto.State, tfproto.Diagnostics){
		func() (tfproto.State, tfproto.Diagnostics) {
			return p.Import(t.Context(), t, state.Type, account+"/"+state.Object["id"].(string), nil)
		},
		func() (tfproto.State, tfproto.Diagnostics) {
			return p.Import(t.Context(), t, state.Type, "", state.Identity)
		},
	} {
		imported, d := by()
		if d.HasError() || !cmp.Equal(state.Object, imported.Object) || !cmp.Equal(state.Identity, imported.Identity) {
			t.Errorf("imported: %s%s", d, cmp.Diff(state.Object, imported.Object))
		}
	}
}

func TestRoutesAndVirtualNetworks(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	p := acctest.Proto(t, plane.Env, nil)
	a := p.Create(t.Context(), t, tunnel, tfproto.Object{"name": "a"}).Object["id"]
	b := p.Create(t.Context(), t, tunnel, tfproto.Object{"name": "b"}).Object["id"]
	netConfig := tfproto.Object{"name": "customer", "comment": "of a customer"}
	net := p.Create(t.Context(), t, virtual, netConfig)
	settled(t, p, plane.AccountID, net, netConfig)
	config := tfproto.Object{"network": "10.20.0.0/16", "tunnel_id": a}
	inDefault := p.Create(t.Context(), t, route, config)
	settled(t, p, plane.AccountID, inDefault, config)
	config = tfproto.Object{"network": "10.20.0.0/16", "tunnel_id": a, "virtual_network_id": net.Object["id"]}
	state := p.Create(t.Context(), t, route, config)
	settled(t, p, plane.AccountID, state, config)

	// The same network twice in one virtual network.
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: route}, config)
	if d.HasError() {
		t.Fatal(d)
	}
	if _, d := p.Apply(t.Context(), t, plan); !strings.Contains(d.String(), "one route in each virtual network") {
		t.Errorf("a second route: %s", d)
	}
	// Everything changes in place.
	config = tfproto.Object{"network": "fd00:1::/64", "tunnel_id": b, "virtual_network_id": net.Object["id"], "comment": "moved"}
	moved := p.Change(t.Context(), t, state, config)
	if moved.Object["id"] != state.Object["id"] {
		t.Error("the change made another route")
	}
	settled(t, p, plane.AccountID, moved, config)
	netConfig = tfproto.Object{"name": "customer-1", "default": true}
	renamed := p.Change(t.Context(), t, net, netConfig)
	settled(t, p, plane.AccountID, renamed, netConfig)

	// What is in use stays, with the reason.
	if kept, d := p.Apply(t.Context(), t, tfproto.Plan{Type: virtual, Prior: renamed}); !d.HasError() || kept.Object == nil {
		t.Errorf("the default network is deleted: %s", d)
	}
	p.Change(t.Context(), t, moved, nil)
	if read, d := p.Read(t.Context(), t, moved); d.HasError() || read.Object != nil {
		t.Errorf("a deleted route is read as %v; %s", read.Object, d)
	}
	p.Create(t.Context(), t, virtual, tfproto.Object{"name": "other", "default": true})
	p.Change(t.Context(), t, renamed, nil)
	if read, d := p.Read(t.Context(), t, renamed); d.HasError() || read.Object != nil {
		t.Errorf("a deleted network is read as %v; %s", read.Object, d)
	}

	// The default moves from one to another in one apply, in whatever order.
	ca, cb := tfproto.Object{"name": "a", "default": true}, tfproto.Object{"name": "b", "default": false}
	one, two := p.Create(t.Context(), t, virtual, ca), p.Create(t.Context(), t, virtual, cb)
	ca, cb = tfproto.Object{"name": "a", "default": false}, tfproto.Object{"name": "b", "default": true}
	one = p.Change(t.Context(), t, one, ca)
	two = p.Change(t.Context(), t, two, cb)
	settled(t, p, plane.AccountID, one, ca)
	settled(t, p, plane.AccountID, two, cb)
}

func TestLostAnswersMakeNoSecondRouteOrNetwork(t *testing.T) {
	t.Parallel()
	for _, k := range []fault.Kind{fault.ErrorAfter, fault.ResetAfter, fault.Truncated, fault.ErrorBefore} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			plane := acctest.NewPlane(t)
			p := acctest.Proto(t, plane.Env, nil)
			for _, path := range []string{"routes", "virtual_networks"} {
				plane.Faults.Add(fault.Rule{Method: http.MethodPost, Path: "/client/v4/accounts/*/teamnet/" + path, Kind: k})
			}
			id := p.Create(t.Context(), t, tunnel, tfproto.Object{"name": "a"}).Object["id"]
			for of, config := range map[string]tfproto.Object{virtual: {"name": "customer"}, route: {"network": "10.0.0.0/8", "tunnel_id": id}} {
				plan, d := p.Plan(t.Context(), t, tfproto.State{Type: of}, config)
				if d.HasError() {
					t.Fatal(d)
				}
				// What was made cannot be told from what somebody else had made before.
				state, d := p.Apply(t.Context(), t, plan)
				if d.HasError() != k.Committed() || d.HasError() && !strings.Contains(d.String(), "whether this run made it is unknown") {
					t.Errorf("%s: %v; %s", of, state.Object, d)
				}
			}
		})
	}
}

func TestBadNetworksAreRefused(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	for network, want := range map[string]string{"10.20.0.1/16": "10.20.0.0/16", "10.20.0.0": "10.20.0.1/32", "example.com": "address range", "FD00::/64": "fd00::/64"} {
		d := p.Validate(t.Context(), t, route, tfproto.Object{"network": network, "tunnel_id": uuid.NewString()})
		if !strings.Contains(d.String(), "network") || !strings.Contains(d.String(), want) {
			t.Errorf("%s: %s", network, d)
		}
	}
	if d := p.Validate(t.Context(), t, route, tfproto.Object{"network": tfproto.Unknown, "tunnel_id": tfproto.Unknown}); d.HasError() {
		t.Errorf("what is not known yet is refused: %s", d)
	}
}
