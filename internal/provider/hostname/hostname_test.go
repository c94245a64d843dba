// SPDX-License-Identifier: MPL-2.0

package hostname_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/fault"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const kind = "hybridge_tunnel_hostname"

// call asks the plane itself about records.
func call(t *testing.T, p *acctest.Plane, method, path, body string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+"/zones/"+path, strings.NewReader(body))
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
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(&struct{ Result any }{out}); err != nil {
			t.Fatal(err)
		}
	}
}

func records(t *testing.T, p *acctest.Plane, zone, name string) []cloudflare.DNSRecord {
	t.Helper()
	var all []cloudflare.DNSRecord
	call(t, p, http.MethodGet, zone+"/dns_records?name="+name, "", &all)
	return all
}

func TestANameIsMadeMovedAndTakenAway(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	first, second := uuid.NewString(), uuid.NewString()
	config := func(tunnel string) tfproto.Object {
		return tfproto.Object{"zone_id": zone, "hostname": "app.example.com", "tunnel_id": tunnel}
	}
	state := p.Create(t.Context(), t, kind, config(first))
	got := records(t, plane, zone, "app.example.com")
	want := cloudflare.DNSRecord{ID: got[0].ID, Type: "CNAME", Name: "app.example.com", Content: first + ".cfargotunnel.com", Proxied: true, TTL: 1, Comment: got[0].Comment}
	if !regexp.MustCompile(`^Managed by Terraform: hybridge_tunnel_hostname [0-9a-f]{12}$`).MatchString(want.Comment) {
		t.Errorf("the comment is %q", want.Comment)
	}
	if diff := cmp.Diff([]cloudflare.DNSRecord{want}, got); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	moved := p.Change(t.Context(), t, state, config(second))
	if moved.Object["id"] != state.Object["id"] {
		t.Error("another tunnel made another record")
	}
	read, d := p.Read(t.Context(), t, moved)
	if d.HasError() || !cmp.Equal(read.Object, moved.Object) {
		t.Errorf("Read is no fixpoint: %s%s", d, cmp.Diff(moved.Object, read.Object))
	}
	if plan, d := p.Plan(t.Context(), t, read, config(second)); d.HasError() || !plan.Empty() {
		t.Errorf("the second plan is not empty: %s", d)
	}
	imported, d := p.Import(t.Context(), t, kind, plane.AccountID+"/"+zone+"/"+got[0].ID, nil)
	if d.HasError() || !cmp.Equal(imported.Object, moved.Object) || !cmp.Equal(imported.Identity, moved.Identity) {
		t.Errorf("imported: %s%s", d, cmp.Diff(moved.Object, imported.Object))
	}

	// Somebody points it elsewhere: shown, and put right in place.
	call(t, plane, http.MethodPatch, zone+"/dns_records/"+got[0].ID, `{"content": "www.example.net", "proxied": false}`, nil)
	drifted, d := p.Read(t.Context(), t, moved)
	if d.HasError() || drifted.Object["tunnel_id"] != "www.example.net" || drifted.Object["proxied"] != false {
		t.Errorf("the difference is read as %v; %s", drifted.Object, d)
	}
	// A destroy leaves alone what is somebody else's by then.
	p.Change(t.Context(), t, moved, nil)
	if left := records(t, plane, zone, "app.example.com"); len(left) != 1 {
		t.Fatal("a record that points elsewhere was deleted")
	}
	mended := p.Change(t.Context(), t, drifted, config(second))
	p.Change(t.Context(), t, mended, nil)
	if left := records(t, plane, zone, "app.example.com"); len(left) != 0 {
		t.Errorf("records are left: %v", left)
	}
	if read, d := p.Read(t.Context(), t, mended); d.HasError() || read.Object != nil {
		t.Errorf("what is gone is read as %v; %s", read.Object, d)
	}
}

func TestForeignRecordsAreRespected(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	tunnel := uuid.NewString()
	for _, content := range []string{"192.0.2.1", "192.0.2.2"} {
		call(t, plane, http.MethodPost, zone+"/dns_records", `{"type": "A", "name": "www.example.com", "content": "`+content+`"}`, nil)
	}
	before := records(t, plane, zone, "www.example.com")
	config := tfproto.Object{"zone_id": zone, "hostname": "www.example.com", "tunnel_id": tunnel}
	writes := plane.Writes()
	_, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, config)
	for _, want := range []string{"hostname", "A 192.0.2.1", "A 192.0.2.2", "Nothing was changed", "overwrite = true"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("the plan lacks %q:\n%s", want, d)
		}
	}
	// Also one that comes between plan and apply.
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"zone_id": zone, "hostname": "late.example.com", "tunnel_id": tunnel})
	if d.HasError() {
		t.Fatal(d)
	}
	call(t, plane, http.MethodPost, zone+"/dns_records", `{"type": "CNAME", "name": "late.example.com", "content": "`+tunnel+`.cfargotunnel.com"}`, nil)
	_, d = p.Apply(t.Context(), t, plan)
	for _, want := range []string{"CNAME " + tunnel, "overwrite = true", "import {", plane.AccountID + "/" + zone + "/"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("the apply lacks %q:\n%s", want, d)
		}
	}
	if got := plane.Writes() - writes; got != 1 {
		t.Errorf("refusals wrote %d times", got-1)
	}
	if diff := cmp.Diff(before, records(t, plane, zone, "www.example.com")); diff != "" {
		t.Errorf("foreign records changed:\n%s", diff)
	}

	config["overwrite"] = true
	plan, d = p.Plan(t.Context(), t, tfproto.State{Type: kind}, config)
	if d.HasError() || !strings.Contains(d.String(), "will be replaced") {
		t.Errorf("the plan does not say what it replaces: %s", d)
	}
	state, d := p.Apply(t.Context(), t, plan)
	if got := records(t, plane, zone, "www.example.com"); d.HasError() || len(got) != 1 || got[0].Type != "CNAME" {
		t.Errorf("records are %v; %s", got, d)
	}
	if plan, d := p.Plan(t.Context(), t, state, config); len(d) > 0 || !plan.Empty() {
		t.Errorf("the plan afterwards: %s", d)
	}
}

func TestANameOfAnotherZoneIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	plan, d := p.Plan(t.Context(), t, tfproto.State{Type: kind}, tfproto.Object{"zone_id": zone, "hostname": "app.example.net", "tunnel_id": uuid.NewString()})
	if d.HasError() {
		t.Fatal(d)
	}
	state, d := p.Apply(t.Context(), t, plan)
	if !strings.Contains(d.String(), "app.example.net.example.com") || state.Object != nil {
		t.Errorf("it says: %s", d)
	}
	if left := records(t, plane, zone, "app.example.net.example.com"); len(left) != 0 {
		t.Errorf("records are left: %v", left)
	}
}

func TestALostAnswerMakesNoSecondRecord(t *testing.T) {
	t.Parallel()
	for _, k := range []fault.Kind{fault.ErrorAfter, fault.ResetAfter, fault.Truncated, fault.ErrorBefore} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			plane := acctest.NewPlane(t)
			zone := plane.Zone(t, "example.com")
			p := acctest.Proto(t, plane.Env, nil)
			plane.Faults.Add(fault.Rule{Method: http.MethodPost, Path: "/client/v4/zones/*/dns_records", Kind: k})
			p.Create(t.Context(), t, kind, tfproto.Object{"zone_id": zone, "hostname": "*.example.com", "tunnel_id": uuid.NewString()})
			if got := records(t, plane, zone, "*.example.com"); len(got) != 1 {
				t.Errorf("there are %d records", len(got))
			}
		})
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	t.Parallel()
	p := acctest.Proto(t, acctest.NewPlane(t).Env, nil)
	for at, config := range map[string]tfproto.Object{
		"hostname":  {"zone_id": acctest.MissingID, "hostname": "App.example.com", "tunnel_id": uuid.NewString()},
		"zone_id":   {"zone_id": "example.com", "hostname": "app.example.com", "tunnel_id": uuid.NewString()},
		"tunnel_id": {"zone_id": acctest.MissingID, "hostname": "app.example.com", "tunnel_id": "vps"},
	} {
		if d := p.Validate(t.Context(), t, kind, config); !strings.Contains(d.String(), at) {
			t.Errorf("%s: %s", at, d)
		}
	}
	for _, name := range []string{"a.*.example.com", "app.example.com.", "example", "http://app.example.com", "192.0.2.1", "*"} {
		if d := p.Validate(t.Context(), t, kind, tfproto.Object{"zone_id": acctest.MissingID, "hostname": name, "tunnel_id": uuid.NewString()}); !d.HasError() {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestAZoneIsFoundByItsName(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	got, d := p.Data(t.Context(), t, "hybridge_zone", tfproto.Object{"name": "example.com"})
	if d.HasError() || got["id"] != zone || got["status"] != "active" {
		t.Errorf("the zone is %v; %s", got, d)
	}
	if _, d = p.Data(t.Context(), t, "hybridge_zone", tfproto.Object{"name": "example.net"}); !strings.Contains(d.String(), "hybridge dev --zone") {
		t.Errorf("one that is not there: %s", d)
	}
}

// A state is refreshed before a destroy: it cannot tell what was there before.
func TestADestroyLeavesWhatSomebodyHasMadeAnotherOne(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	config := tfproto.Object{"zone_id": zone, "hostname": "app.example.com", "tunnel_id": uuid.NewString()}
	state := p.Create(t.Context(), t, kind, config)
	record := records(t, plane, zone, "app.example.com")[0]
	call(t, plane, http.MethodPatch, zone+"/dns_records/"+record.ID, `{"content": "`+uuid.NewString()+`.cfargotunnel.com"}`, nil)
	read, d := p.Read(t.Context(), t, state)
	if d.HasError() || read.Object == nil {
		t.Fatalf("reading: %v; %s", read.Object, d)
	}
	p.Change(t.Context(), t, read, nil)
	if left := records(t, plane, zone, "app.example.com"); len(left) != 1 {
		t.Error("a record that points to another tunnel was deleted")
	}
}

// A resource that is renamed without a moved block is two for a moment: the new one takes
// the record over before the old one is destroyed, or after.
func TestARecordHasOneOwner(t *testing.T) {
	t.Parallel()
	plane := acctest.NewPlane(t)
	zone := plane.Zone(t, "example.com")
	p := acctest.Proto(t, plane.Env, nil)
	config := tfproto.Object{"zone_id": zone, "hostname": "app.example.com", "tunnel_id": uuid.NewString(), "overwrite": true}
	before := p.Create(t.Context(), t, kind, config)
	after := p.Create(t.Context(), t, kind, config)
	if read, d := p.Read(t.Context(), t, before); d.HasError() || read.Object != nil {
		t.Errorf("what is another resource's is read as %v; %s", read.Object, d)
	}
	p.Change(t.Context(), t, before, nil)
	if left := records(t, plane, zone, "app.example.com"); len(left) != 1 || left[0].ID != after.Object["id"] {
		t.Errorf("the record of the new resource: %v", left)
	}
	if read, d := p.Read(t.Context(), t, after); d.HasError() || read.Object == nil {
		t.Errorf("the new resource is read as %v; %s", read.Object, d)
	}
	// What else is a matter of taste stays, and a change of overwrite alone asks nobody.
	requests := plane.Requests()
	config["overwrite"] = false
	changed := p.Change(t.Context(), t, after, config)
	if got := plane.Requests() - requests; got != 0 {
		t.Errorf("a change of overwrite took %d requests", got)
	}
	p.Change(t.Context(), t, changed, nil)
	if left := records(t, plane, zone, "app.example.com"); len(left) != 0 {
		t.Errorf("records are left: %v", left)
	}
}
