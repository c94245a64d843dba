// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Alert is something that is wrong, from when it was raised until it is resolved.
type Alert struct {
	ID       string // of this time that it is wrong; RaiseAlert makes one if it is empty
	Kind     string
	Subject  string // what it is about; one alert of a kind and subject stands at a time
	Detail   string
	RaisedOn time.Time
}

// Topic is that of the messages about an alert.
func (a Alert) Topic() string { return "alert " + a.ID }

// MessageID is that of the message that an alert is raised, or resolved.
func (a Alert) MessageID(resolved bool) string {
	if resolved {
		return a.ID + "-resolved"
	}
	return a.ID + "-raised"
}

// AlertBody makes what receivers are told of an alert; resolved is nil where it is raised.
type AlertBody func(a Alert, resolved *time.Time) (json.RawMessage, error)

// RaiseAlert raises an alert of a.Kind and a.Subject and queues what receivers are told
// of it, in one transaction. One that stands is returned as it is, and nothing is told.
func (r *Registry) RaiseAlert(ctx context.Context, a Alert, body AlertBody, receivers []string) (Alert, error) {
	err := r.update(ctx, fmt.Sprintf("raising the alert %s of %q", a.Kind, a.Subject), func(tx *sql.Tx) error {
		standing, err := scanAlert(tx.QueryRowContext(ctx, `SELECT `+alertColumns+` FROM alerts WHERE kind = ? AND subject = ?`, a.Kind, a.Subject))
		if !errors.Is(err, ErrNotFound) {
			a = standing
			return err
		}
		a.ID, a.RaisedOn = cmp.Or(a.ID, newID()), r.stamp()
		if _, err := tx.ExecContext(ctx, `INSERT INTO alerts (kind, subject, id, detail, raised_on) VALUES (?, ?, ?, ?, ?)`, a.Kind, a.Subject, a.ID, a.Detail, a.RaisedOn.UnixMicro()); err != nil {
			return err
		}
		return queueAlert(ctx, tx, a, nil, body, receivers)
	})
	return a, err
}

// ResolveAlert removes an alert and queues that it has ended; ErrNotFound if none stands.
func (r *Registry) ResolveAlert(ctx context.Context, kind, subject string, body AlertBody, receivers []string) (a Alert, err error) {
	err = r.update(ctx, fmt.Sprintf("resolving the alert %s of %q", kind, subject), func(tx *sql.Tx) (err error) {
		if a, err = scanAlert(tx.QueryRowContext(ctx, `SELECT `+alertColumns+` FROM alerts WHERE kind = ? AND subject = ?`, kind, subject)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM alerts WHERE kind = ? AND subject = ?`, kind, subject); err != nil {
			return err
		}
		now := r.stamp()
		return queueAlert(ctx, tx, a, &now, body, receivers)
	})
	return a, err
}

func queueAlert(ctx context.Context, tx *sql.Tx, a Alert, resolved *time.Time, body AlertBody, receivers []string) error {
	if len(receivers) == 0 {
		return nil
	}
	m := Message{Topic: a.Topic(), ID: a.MessageID(resolved != nil), CreatedOn: a.RaisedOn}
	if resolved != nil {
		m.CreatedOn = *resolved
	}
	var err error
	if m.Body, err = body(a, resolved); err != nil {
		return err
	}
	return queue(ctx, tx, receivers, m)
}

const alertColumns = `id, kind, subject, detail, raised_on`

func scanAlert(row interface{ Scan(...any) error }) (a Alert, err error) {
	var raised int64
	err = row.Scan(&a.ID, &a.Kind, &a.Subject, &a.Detail, &raised)
	a.RaisedOn = fromMicros(raised)
	return a, notFound(err)
}

// Alerts lists those that stand, oldest first.
func (r *Registry) Alerts(ctx context.Context) (list []Alert, err error) {
	err = r.view(ctx, "listing alerts", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+alertColumns+` FROM alerts ORDER BY raised_on, kind, subject`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			a, err := scanAlert(rows)
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	return list, err
}
