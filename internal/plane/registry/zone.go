// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Zone is a domain whose records the plane holds. It answers no DNS query.
type Zone struct {
	ID        string // 32 hex digits
	AccountID string
	Name      string
	CreatedOn time.Time
}

// DNSRecord is a record of a zone.
type DNSRecord struct {
	ID         string // 32 hex digits
	ZoneID     string
	Type       string
	Name       string
	Content    string
	Body       json.RawMessage // all else, as it was sent
	CreatedOn  time.Time
	ModifiedOn time.Time
}

// ErrConflict is the answer to a record beside which there is one that excludes it.
var ErrConflict = errors.New("another record excludes it")

func scanZone(row interface{ Scan(...any) error }) (Zone, error) {
	var z Zone
	var created int64
	if err := row.Scan(&z.ID, &z.AccountID, &z.Name, &created); err != nil {
		return Zone{}, notFound(err)
	}
	z.CreatedOn = fromMicros(created)
	return z, nil
}

const zoneColumns = `id, account_id, name, created_on`

// EnsureZone returns the zone of that name, and makes it if there is none. One of another
// account gives ErrNameTaken.
func (r *Registry) EnsureZone(ctx context.Context, accountID, name string) (z Zone, err error) {
	err = r.update(ctx, fmt.Sprintf("making the zone %q", name), func(tx *sql.Tx) (err error) {
		_, err = tx.ExecContext(ctx, `INSERT INTO zones (`+zoneColumns+`) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`, newID(), accountID, name, r.stamp().UnixMicro())
		if err != nil {
			return err
		}
		z, err = scanZone(tx.QueryRowContext(ctx, `SELECT `+zoneColumns+` FROM zones WHERE name = ?`, name))
		if err == nil && z.AccountID != accountID {
			return ErrNameTaken
		}
		return err
	})
	return z, err
}

// Zones lists the zones of an account by name.
func (r *Registry) Zones(ctx context.Context, accountID string) (list []Zone, err error) {
	err = r.view(ctx, "listing zones", func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT `+zoneColumns+` FROM zones WHERE account_id = ? ORDER BY name`, accountID)
		list, err = scanAll(rows, err, scanZone)
		return err
	})
	return list, err
}

// Zone returns a zone of the account.
func (r *Registry) Zone(ctx context.Context, accountID, id string) (z Zone, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the zone %q", id), func(tx *sql.Tx) (err error) {
		z, err = scanZone(tx.QueryRowContext(ctx, `SELECT `+zoneColumns+` FROM zones WHERE account_id = ? AND id = ?`, accountID, id))
		return err
	})
	return z, err
}

const dnsRecordColumns = `id, zone_id, type, name, content, body, created_on, modified_on`

func scanDNSRecord(row interface{ Scan(...any) error }) (DNSRecord, error) {
	var d DNSRecord
	var body string
	var created, modified int64
	if err := row.Scan(&d.ID, &d.ZoneID, &d.Type, &d.Name, &d.Content, &body, &created, &modified); err != nil {
		return DNSRecord{}, notFound(err)
	}
	d.Body, d.CreatedOn, d.ModifiedOn = json.RawMessage(body), fromMicros(created), fromMicros(modified)
	return d, nil
}

// DNSRecords lists the records of a zone by name and type.
func (r *Registry) DNSRecords(ctx context.Context, zoneID string) (list []DNSRecord, err error) {
	err = r.view(ctx, "listing records", func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT `+dnsRecordColumns+` FROM dns_records WHERE zone_id = ? ORDER BY name, type, created_on, id`, zoneID)
		list, err = scanAll(rows, err, scanDNSRecord)
		return err
	})
	return list, err
}

// CNAMEsBelow lists the records of type CNAME, of all zones, that point to a name below
// domain, by name.
func (r *Registry) CNAMEsBelow(ctx context.Context, domain string) (list []DNSRecord, err error) {
	err = r.view(ctx, "listing records", func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT `+dnsRecordColumns+` FROM dns_records WHERE type = 'CNAME' AND content LIKE ? ORDER BY name`, "%."+domain)
		list, err = scanAll(rows, err, scanDNSRecord)
		return err
	})
	return list, err
}

// DNSRecord returns a record of a zone.
func (r *Registry) DNSRecord(ctx context.Context, zoneID, id string) (d DNSRecord, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the record %q", id), func(tx *sql.Tx) (err error) {
		d, err = scanDNSRecord(tx.QueryRowContext(ctx, `SELECT `+dnsRecordColumns+` FROM dns_records WHERE zone_id = ? AND id = ?`, zoneID, id))
		return err
	})
	return d, err
}

// PutDNSRecord adds a record, or replaces that of its id if it has one. A CNAME stands
// alone at its name among address records, and no record is there twice: else
// ErrConflict or ErrNameTaken (RFC 1034, section 3.6.2).
func (r *Registry) PutDNSRecord(ctx context.Context, d DNSRecord) (DNSRecord, error) {
	d.ModifiedOn = r.stamp()
	if d.ID == "" {
		d.ID, d.CreatedOn = newID(), d.ModifiedOn
	}
	err := r.update(ctx, fmt.Sprintf("storing the record %q", d.Name), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+dnsRecordColumns+` FROM dns_records WHERE zone_id = ? AND name = ? AND id <> ?`, d.ZoneID, d.Name, d.ID)
		others, err := scanAll(rows, err, scanDNSRecord)
		if err != nil {
			return err
		}
		for _, o := range others {
			switch {
			case isHost(o.Type) && isHost(d.Type) && (o.Type == "CNAME" || d.Type == "CNAME"):
				return ErrConflict
			case o.Type == d.Type && o.Content == d.Content:
				return ErrNameTaken
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO dns_records (`+dnsRecordColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET type = excluded.type, name = excluded.name, content = excluded.content, body = excluded.body, modified_on = excluded.modified_on`,
			d.ID, d.ZoneID, d.Type, d.Name, d.Content, string(d.Body), d.CreatedOn.UnixMicro(), d.ModifiedOn.UnixMicro())
		return err
	})
	return d, err
}

func isHost(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

// DeleteDNSRecord removes a record.
func (r *Registry) DeleteDNSRecord(ctx context.Context, id string) error {
	return r.update(ctx, "deleting the record "+id, func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `DELETE FROM dns_records WHERE id = ?`, id))
	})
}
