// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// DNSRecord is a record of a zone.
type DNSRecord struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Content string `json:"content"`
	Proxied bool   `json:"proxied"`
	TTL     int    `json:"ttl"` // seconds; 1 is automatic
	Comment string `json:"comment"`
}

// DNSRecords lists the records of a name, from the plane.
func (c *Client) DNSRecords(ctx context.Context, zoneID, name string) ([]DNSRecord, error) {
	all, err := listV4(ctx, c, url.Values{"name.exact": {name}}, func(d DNSRecord) string { return d.ID }, "zones", zoneID, "dns_records")
	if err != nil {
		return nil, fmt.Errorf("listing the records of %s: %w", name, err)
	}
	return all, nil
}

// CreateDNSRecord adds a record. If the answer is lost, it looks for exactly that record.
func (c *Client) CreateDNSRecord(ctx context.Context, zoneID string, in DNSRecord) (*DNSRecord, error) {
	var out DNSRecord
	err := c.lookThenRepeat(ctx, func() error {
		_, err := c.callV4(ctx, http.MethodPost, in, nil, &out, "zones", zoneID, "dns_records")
		return err
	}, func() (bool, error) {
		all, err := c.DNSRecords(ctx, zoneID, in.Name)
		for _, d := range all {
			if d.Type == in.Type && d.Content == in.Content && d.Comment == in.Comment {
				out = d
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("creating the record %s: %w", in.Name, err)
	}
	return &out, nil
}

// DNSRecord reads a record.
func (c *Client) DNSRecord(ctx context.Context, zoneID, id string) (*DNSRecord, error) {
	var out DNSRecord
	if _, err := c.callV4(ctx, http.MethodGet, nil, nil, &out, "zones", zoneID, "dns_records", id); err != nil {
		return nil, fmt.Errorf("reading the record %s: %w", id, err)
	}
	return &out, nil
}

// ReplaceDNSRecord makes a record what in says.
func (c *Client) ReplaceDNSRecord(ctx context.Context, zoneID, id string, in DNSRecord) (*DNSRecord, error) {
	var out DNSRecord
	if _, err := c.callV4(ctx, http.MethodPut, in, nil, &out, "zones", zoneID, "dns_records", id); err != nil {
		return nil, fmt.Errorf("replacing the record %s: %w", in.Name, err)
	}
	return &out, nil
}

// PatchDNSRecord changes a record to what in says, and leaves its tags and settings.
func (c *Client) PatchDNSRecord(ctx context.Context, zoneID, id string, in DNSRecord) (*DNSRecord, error) {
	var out DNSRecord
	err := c.lookThenRepeat(ctx, func() error {
		_, err := c.callV4(ctx, http.MethodPatch, in, nil, &out, "zones", zoneID, "dns_records", id)
		return err
	}, func() (bool, error) { return false, nil }) // it says the same each time
	if err != nil {
		return nil, fmt.Errorf("changing the record %s: %w", in.Name, err)
	}
	return &out, nil
}

// DeleteDNSRecord deletes a record. That it is gone already is no error.
func (c *Client) DeleteDNSRecord(ctx context.Context, zoneID, id string) error {
	if _, err := c.callV4(ctx, http.MethodDelete, nil, nil, nil, "zones", zoneID, "dns_records", id); err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting the record %s: %w", id, err)
	}
	return nil
}

// Zone is a DNS zone.
type Zone struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // active, pending, ...
}

// FindZone finds the zone of a name that the token may read; nil if there is none.
func (c *Client) FindZone(ctx context.Context, name string) (*Zone, error) {
	all, err := listV4(ctx, c, url.Values{"name": {name}, "account.id": {c.accountID}, "per_page": {"50"}}, func(z Zone) string { return z.ID }, "zones")
	if err != nil {
		return nil, fmt.Errorf("finding the zone %s: %w", name, err)
	}
	for _, z := range all {
		if z.Name == name {
			return &z, nil
		}
	}
	return nil, nil
}
