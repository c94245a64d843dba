// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	zonesPath   = apiPrefix + "/zones"
	recordsPath = zonesPath + "/{zone}/dns_records"

	codeZoneNotFound   = 1049  // ours
	codeRecordNotFound = 81044 // as at Cloudflare
	codeRecordExcluded = 81053
	codeRecordExists   = 81058
	codeRecordInvalid  = 9005 // the content does not fit the type
)

// zonesRoutes keep the records of zones, so that what belongs to a hostname can be
// applied offline. Nobody answers DNS queries from them.
func (p *Plane) zonesRoutes() []route {
	const get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	return []route{
		{method: get, pattern: zonesPath, permission: zoneRead, handle: p.listZones},
		{method: get, pattern: zonesPath + "/{zone}", permission: zoneRead, handle: p.getZone},
		{method: get, pattern: recordsPath, permission: dnsRead, handle: p.listRecords},
		{method: post, pattern: recordsPath, permission: dnsWrite, handle: p.postRecord},
		{method: get, pattern: recordsPath + "/{record}", permission: dnsRead, handle: p.getRecord},
		{method: put, pattern: recordsPath + "/{record}", permission: dnsWrite, handle: p.putRecord},
		{method: patch, pattern: recordsPath + "/{record}", permission: dnsWrite, handle: p.patchRecord},
		{method: del, pattern: recordsPath + "/{record}", permission: dnsWrite, handle: p.deleteRecord},
	}
}

func zoneJSON(r *request, z registry.Zone) object {
	return object{"id": z.ID, "name": z.Name, "status": "active", "paused": false, "type": "full", "created_on": stamp(z.CreatedOn), "modified_on": stamp(z.CreatedOn),
		"account": object{"id": r.account.ID, "name": r.account.Name}, "name_servers": []string{}}
}

func (p *Plane) zone(r *request) (registry.Zone, error) {
	z, err := p.reg.Zone(r.Context(), r.account.ID, r.param("zone"))
	return z, orElse(err, fail(http.StatusNotFound, codeZoneNotFound, "Zone not found: %q.", r.param("zone")))
}

func (p *Plane) listZones(r *request) (*reply, error) {
	all, err := p.reg.Zones(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	name := r.URL.Query().Get("name")
	var out []object
	for _, z := range all {
		if name == "" || name == z.Name {
			out = append(out, zoneJSON(r, z))
		}
	}
	cut, info, err := paginate(r, out)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

func (p *Plane) getZone(r *request) (*reply, error) {
	z, err := p.zone(r)
	if err != nil {
		return nil, err
	}
	return ok(zoneJSON(r, z)), nil
}

// recordBody is what a client says about a record.
type recordBody struct {
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Content  string          `json:"content"`
	Proxied  bool            `json:"proxied"`
	TTL      int             `json:"ttl"` // seconds; 1 is automatic
	Comment  *string         `json:"comment"`
	Tags     []string        `json:"tags"`
	Settings json.RawMessage `json:"settings,omitempty"`
}

var recordTypes = []string{"A", "AAAA", "CNAME", "MX", "TXT", "NS"}

// applyTo makes d what the body says. A name is completed by the zone's.
func (b recordBody) applyTo(z registry.Zone, d *registry.DNSRecord) error {
	bad := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, codeRecordInvalid, format, args...)
	}
	if !slices.Contains(recordTypes, b.Type) {
		return bad("A plane keeps records of the types %s: %q.", strings.Join(recordTypes, ", "), b.Type)
	}
	name := strings.ToLower(strings.TrimSuffix(b.Name, "."))
	switch {
	case name == "" || name == "@":
		name = z.Name
	case name != z.Name && !strings.HasSuffix(name, "."+z.Name):
		name += "." + z.Name
	}
	addr, err := netip.ParseAddr(b.Content)
	switch {
	case b.Content == "":
		return bad("content must not be empty.")
	case b.Type == "A" && (err != nil || !addr.Is4()):
		return bad("Content for A record must be a valid IPv4 address.")
	case b.Type == "AAAA" && (err != nil || !addr.Is6()):
		return bad("Content for AAAA record must be a valid IPv6 address.")
	case b.Type == "CNAME" && err == nil:
		return bad("Content for CNAME record must be a host name.")
	}
	if b.TTL == 0 {
		b.TTL = 1
	}
	if b.TTL != 1 && (b.TTL < 60 || b.TTL > 86400) {
		return bad("ttl must be 1 (automatic) or from 60 to 86400 seconds.")
	}
	b.Tags = orEmpty(b.Tags)
	if b.Settings == nil {
		b.Settings = json.RawMessage(`{}`)
	}
	d.Type, d.Name, d.Content = b.Type, name, b.Content
	d.Body, err = json.Marshal(b)
	return err
}

func recordJSON(z registry.Zone, d registry.DNSRecord) (object, error) {
	var b recordBody
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return nil, err
	}
	return object{"id": d.ID, "zone_id": z.ID, "zone_name": z.Name, "name": d.Name, "type": d.Type, "content": d.Content, "proxiable": isProxiable(d.Type),
		"proxied": b.Proxied, "ttl": b.TTL, "comment": b.Comment, "tags": b.Tags, "settings": b.Settings, "meta": object{},
		"created_on": stamp(d.CreatedOn), "modified_on": stamp(d.ModifiedOn)}, nil
}

func isProxiable(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

// record is the zone and the record that the path names.
func (p *Plane) record(r *request) (registry.Zone, registry.DNSRecord, error) {
	z, err := p.zone(r)
	if err != nil {
		return z, registry.DNSRecord{}, err
	}
	d, err := p.reg.DNSRecord(r.Context(), z.ID, r.param("record"))
	return z, d, orElse(err, fail(http.StatusNotFound, codeRecordNotFound, "Record does not exist."))
}

func (p *Plane) listRecords(r *request) (*reply, error) {
	z, err := p.zone(r)
	if err != nil {
		return nil, err
	}
	all, err := p.reg.DNSRecords(r.Context(), z.ID)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	first := func(names ...string) string {
		for _, n := range names {
			if v := q.Get(n); v != "" {
				return v
			}
		}
		return ""
	}
	name, content, kind := first("name", "name.exact"), first("content", "content.exact"), q.Get("type")
	var out []object
	for _, d := range all {
		if name != "" && !strings.EqualFold(name, d.Name) || content != "" && content != d.Content || kind != "" && kind != d.Type {
			continue
		}
		view, err := recordJSON(z, d)
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	cut, info, err := paginate(r, out)
	if err != nil {
		return nil, err
	}
	return page(cut, info), nil
}

func (p *Plane) getRecord(r *request) (*reply, error) {
	z, d, err := p.record(r)
	if err != nil {
		return nil, err
	}
	view, err := recordJSON(z, d)
	if err != nil {
		return nil, err
	}
	return ok(view), nil
}

func (p *Plane) postRecord(r *request) (*reply, error) {
	z, err := p.zone(r)
	if err != nil {
		return nil, err
	}
	return p.storeRecord(r, z, registry.DNSRecord{ZoneID: z.ID}, recordBody{})
}

func (p *Plane) putRecord(r *request) (*reply, error) {
	z, d, err := p.record(r)
	if err != nil {
		return nil, err
	}
	return p.storeRecord(r, z, d, recordBody{})
}

func (p *Plane) patchRecord(r *request) (*reply, error) {
	z, d, err := p.record(r)
	if err != nil {
		return nil, err
	}
	var body recordBody
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return nil, err
	}
	return p.storeRecord(r, z, d, body)
}

func (p *Plane) storeRecord(r *request, z registry.Zone, d registry.DNSRecord, body recordBody) (*reply, error) {
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if err := body.applyTo(z, &d); err != nil {
		return nil, err
	}
	d, err := p.reg.PutDNSRecord(r.Context(), d)
	p.routesChanged()
	switch {
	case errors.Is(err, registry.ErrConflict):
		return nil, fail(http.StatusBadRequest, codeRecordExcluded, "An A, AAAA, or CNAME record with that host already exists.")
	case errors.Is(err, registry.ErrNameTaken):
		return nil, fail(http.StatusBadRequest, codeRecordExists, "An identical record already exists.")
	case err != nil:
		return nil, err
	}
	view, err := recordJSON(z, d)
	if err != nil {
		return nil, err
	}
	return ok(view), nil
}

func (p *Plane) deleteRecord(r *request) (*reply, error) {
	_, d, err := p.record(r)
	if err != nil {
		return nil, err
	}
	err = p.reg.DeleteDNSRecord(r.Context(), d.ID)
	p.routesChanged()
	return ok(object{"id": d.ID}), err
}
