// SPDX-License-Identifier: MPL-2.0

// Package hostname is a public host name of a tunnel in Terraform: the resource
// hybridge_tunnel_hostname, and the data source hybridge_zone that finds its zone.
package hostname

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// Mark begins the comment of records that this resource makes: who sees one in the
// dashboard knows where it comes from, and a plan knows one that another resource leaves.
// What follows tells which resource it is.
const Mark = "Managed by Terraform: hybridge_tunnel_hostname "

// kept is what private state has of a record: whose it is, and where it was last made to
// point. The state itself is refreshed, so it cannot tell that somebody has changed it.
type kept struct {
	Owner  string `json:"owner"`
	Target string `json:"target"`
}

// model is a hybridge_tunnel_hostname in plan and state.
type model struct {
	TunnelID  types.String `tfsdk:"tunnel_id"`
	ZoneID    types.String `tfsdk:"zone_id"`
	Hostname  types.String `tfsdk:"hostname"`
	Proxied   types.Bool   `tfsdk:"proxied"`
	Overwrite types.Bool   `tfsdk:"overwrite"`
	Plane     types.String `tfsdk:"plane"`
	AccountID types.String `tfsdk:"account_id"`
	ID        types.String `tfsdk:"id"`

	kept kept
}

type identity struct {
	AccountID types.String `tfsdk:"account_id"`
	ZoneID    types.String `tfsdk:"zone_id"`
	RecordID  types.String `tfsdk:"record_id"`
	Plane     types.String `tfsdk:"plane"`
}

var record = &tfkit.Object[model, identity]{
	Type: "hybridge_tunnel_hostname", Kind: "tunnel's host name",
	Schema: resourceSchema,
	Identity: map[string]identityschema.Attribute{
		"zone_id":   identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the zone."},
		"record_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the DNS record."},
	},
	Parts:      []string{"zone_id", "record_id"},
	Name:       func(m model) string { return m.Hostname.ValueString() },
	Where:      func(m *model) (plane, account *types.String) { return &m.Plane, &m.AccountID },
	IdentityOf: func(m model) identity { return identity{m.AccountID, m.ZoneID, m.ID, m.Plane} },
	FromIdentity: func(i identity) model {
		return model{AccountID: i.AccountID, ZoneID: i.ZoneID, ID: i.RecordID, Plane: i.Plane}
	},
	FromParts: func(parts []string) model {
		return model{ZoneID: types.StringValue(parts[0]), ID: types.StringValue(parts[1])}
	},
	Create: create,
	Read: func(ctx context.Context, c *cloudflare.Client, m *model) error {
		return m.set(c.DNSRecord(ctx, m.ZoneID.ValueString(), m.ID.ValueString()))
	},
	Update: update,
	Delete: remove,
	Keep: func(m model) []byte {
		text, _ := json.Marshal(m.kept) // two texts always marshal
		return text
	},
	Recall: func(m *model, text []byte) {
		_ = json.Unmarshal(text, &m.kept) // nothing, of an object that was moved, is nothing
	},
	Remedy:    remedy,
	Plan:      plan,
	MovedFrom: []string{"cloudflare_dns_record", "cloudflare_record"},
	Moved:     func(a map[string]any) []string { return tfkit.Texts(a, "zone_id", "id") },
}

// NewResource makes the resource hybridge_tunnel_hostname.
func NewResource() resource.Resource { return record.NewResource() }

func (m *model) wanted() cloudflare.DNSRecord {
	return cloudflare.DNSRecord{
		Type: "CNAME", Name: m.Hostname.ValueString(), Content: target(m.TunnelID.ValueString()), Proxied: m.Proxied.ValueBool(), TTL: 1, Comment: Mark + m.kept.Owner,
	}
}

// newOwner tells this resource's records from another one's.
func newOwner() string {
	b := make([]byte, 6)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// written notes what a record was made to be.
func (m *model) written(d *cloudflare.DNSRecord, err error) error {
	if err == nil {
		m.kept.Target = d.Content
	}
	return m.set(d, err)
}

// target is where the records of a tunnel's host names point to.
func target(tunnelID string) string { return tunnelID + "." + cloudflare.TunnelDomain }

// set makes the model what the record says. Where it points to no tunnel any more,
// tunnel_id is what it points to: the next plan shows it and puts it right.
func (m *model) set(d *cloudflare.DNSRecord, err error) error {
	if err != nil {
		return err
	}
	if owner, ok := strings.CutPrefix(d.Comment, Mark); ok && m.kept.Owner != "" && owner != m.kept.Owner {
		return fmt.Errorf("the record %s is another resource's now: %w", d.ID, cloudflare.ErrGone)
	} else if m.kept.Target == "" { // imported, or moved
		m.kept = kept{owner, d.Content}
	}
	m.ID, m.Hostname, m.Proxied = types.StringValue(d.ID), types.StringValue(d.Name), types.BoolValue(d.Proxied)
	m.TunnelID = types.StringValue(strings.TrimSuffix(d.Content, "."+cloudflare.TunnelDomain))
	if m.Overwrite.IsNull() {
		m.Overwrite = types.BoolValue(false)
	}
	return nil
}

// occupied are records that a CNAME cannot stand beside.
type occupied struct{ records []cloudflare.DNSRecord }

func (e *occupied) Error() string {
	var list []string
	for _, d := range e.records {
		list = append(list, fmt.Sprintf("%s %s (record %s)", d.Type, d.Content, d.ID))
	}
	return "the name has records that this resource has not made: " + strings.Join(list, ", ")
}

// inTheWay lists what a CNAME of the name could not stand beside.
func inTheWay(ctx context.Context, c *cloudflare.Client, zoneID, name string) ([]cloudflare.DNSRecord, error) {
	all, err := c.DNSRecords(ctx, zoneID, name)
	var out []cloudflare.DNSRecord
	for _, d := range all {
		if d.Type == "A" || d.Type == "AAAA" || d.Type == "CNAME" {
			out = append(out, d)
		}
	}
	return out, err
}

func create(ctx context.Context, c *cloudflare.Client, m *model) error {
	m.kept.Owner = newOwner()
	zone, want := m.ZoneID.ValueString(), m.wanted()
	there, err := inTheWay(ctx, c, zone, want.Name)
	if err != nil {
		return err
	}
	if len(there) == 0 {
		made, err := c.CreateDNSRecord(ctx, zone, want)
		if err == nil && made.Name != want.Name {
			err = errors.Join(fmt.Errorf("the zone is not that of this name: the record was made as %s, and taken away again", made.Name), c.DeleteDNSRecord(ctx, zone, made.ID))
		}
		return m.written(made, err)
	}
	if !m.Overwrite.ValueBool() {
		return &occupied{there}
	}
	// One is replaced, so that the name is never without an answer for longer than the
	// others, which a CNAME cannot stand beside, need to go.
	for _, d := range there[1:] {
		if err := c.DeleteDNSRecord(ctx, zone, d.ID); err != nil {
			return err
		}
	}
	return m.written(c.ReplaceDNSRecord(ctx, zone, there[0].ID, want))
}

// update changes what differs of a record, and leaves its tags and settings.
func update(ctx context.Context, c *cloudflare.Client, state model, m *model) error {
	m.ID = state.ID
	if m.TunnelID.Equal(state.TunnelID) && m.Proxied.Equal(state.Proxied) {
		return nil
	}
	if m.kept.Owner == "" {
		m.kept.Owner = newOwner()
	}
	return m.written(c.PatchDNSRecord(ctx, state.ZoneID.ValueString(), state.ID.ValueString(), m.wanted()))
}

// remove deletes the record, unless somebody has made it another one meanwhile.
func remove(ctx context.Context, c *cloudflare.Client, m model) error {
	zone, id := m.ZoneID.ValueString(), m.ID.ValueString()
	d, err := c.DNSRecord(ctx, zone, id)
	switch {
	case cloudflare.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case d.Type != "CNAME", d.Content != m.kept.Target, strings.HasPrefix(d.Comment, Mark) && d.Comment != Mark+m.kept.Owner:
		return nil // somebody has made it another one, or it is another resource's now
	}
	return c.DeleteDNSRecord(ctx, zone, id)
}

func remedy(err error, m model) string {
	var o *occupied
	if !errors.As(err, &o) {
		return ""
	}
	text := "nothing was changed. Delete the records, or set overwrite = true to have them replaced. If this configuration has made it under another address, say so in a moved block"
	if len(o.records) == 1 && o.records[0].Content == target(m.TunnelID.ValueString()) {
		id := tfkit.ImportID{Plane: m.Plane.ValueString(), AccountID: m.AccountID.ValueString(), Parts: []string{m.ZoneID.ValueString(), o.records[0].ID}}
		text += fmt.Sprintf(". The record points to this tunnel already: adopt it with\n\n  import {\n    to = hybridge_tunnel_hostname.<this resource's name>\n    id = %q\n  }\n\nand run terraform plan", id)
	}
	return text
}

// plan says before anything is done what stands in the way of a new name. What carries
// the mark may be gone by then: another resource's destruction may be part of the plan.
func plan(ctx context.Context, p *tfkit.Plane, req resource.ModifyPlanRequest, diags *diag.Diagnostics) {
	var m, state model
	diags.Append(req.Plan.Get(ctx, &m)...)
	if !req.State.Raw.IsNull() {
		diags.Append(req.State.Get(ctx, &state)...)
		if state.ZoneID.Equal(m.ZoneID) && state.Hostname.Equal(m.Hostname) && state.Plane.Equal(m.Plane) {
			return
		}
	}
	if diags.HasError() || m.ZoneID.IsUnknown() || m.Hostname.IsUnknown() {
		return
	}
	there, err := inTheWay(ctx, p.Client, m.ZoneID.ValueString(), m.Hostname.ValueString())
	attempt := tfkit.Attempt{Verb: "plan", Kind: "tunnel's host name", Name: m.Hostname.ValueString(), Plane: p}
	if err != nil {
		d := attempt.Failed(err)
		diags.AddAttributeError(path.Root("zone_id"), d.Summary(), d.Detail())
		return
	}
	foreign := &occupied{}
	for _, d := range there {
		if !strings.HasPrefix(d.Comment, Mark) {
			foreign.records = append(foreign.records, d)
		}
	}
	switch {
	case len(foreign.records) == 0:
	case m.Overwrite.ValueBool():
		diags.AddAttributeWarning(path.Root("overwrite"), "Foreign records will be replaced", tfkit.Sentence(foreign.Error())+" They will be replaced by a CNAME to the tunnel.")
	default:
		m.AccountID = types.StringValue(p.AccountID)
		d := attempt.FailedBecause(foreign, remedy(foreign, m))
		diags.AddAttributeError(path.Root("hostname"), d.Summary(), d.Detail())
	}
}
