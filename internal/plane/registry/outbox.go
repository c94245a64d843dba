// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Message is something that is still to be told to a receiver.
type Message struct {
	Seq       int64
	Topic     string // what it is about, e.g. a rollout's id; messages of one are told in order
	ID        string // the same for every attempt
	Body      json.RawMessage
	CreatedOn time.Time
	Attempts  int
}

// queue stores what receivers are to be told, in the transaction of what it tells of.
func queue(ctx context.Context, tx *sql.Tx, receivers []string, m Message) error {
	for _, receiver := range receivers {
		_, err := tx.ExecContext(ctx, `INSERT INTO outbox (receiver, topic, message_id, body, created_on, attempts, next_on) VALUES (?, ?, ?, ?, ?, 0, 0)`,
			receiver, m.Topic, m.ID, string(m.Body), m.CreatedOn.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// messageBatch bounds what is read at a time.
const messageBatch = 50

// Messages are what a receiver is to be told next, at most one of each topic: the
// oldest, so that it hears of that in order. due are those whose time has come, but
// not all at once; next is when the first of the others is, zero if there is none.
func (r *Registry) Messages(ctx context.Context, receiver string, now time.Time) (due []Message, next time.Time, err error) {
	const heads = `WHERE seq IN (SELECT MIN(seq) FROM outbox WHERE receiver = ? GROUP BY topic)`
	err = r.view(ctx, "looking for messages", func(tx *sql.Tx) error {
		var at sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT MIN(next_on) FROM outbox `+heads+` AND next_on > ?`, receiver, now.UnixMicro()).Scan(&at); err != nil {
			return err
		}
		if at.Valid {
			next = fromMicros(at.Int64)
		}
		rows, err := tx.QueryContext(ctx, `SELECT seq, topic, message_id, body, created_on, attempts FROM outbox `+heads+` AND next_on <= ? ORDER BY seq LIMIT ?`,
			receiver, now.UnixMicro(), messageBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c Message
			var body string
			var created int64
			if err := rows.Scan(&c.Seq, &c.Topic, &c.ID, &body, &created, &c.Attempts); err != nil {
				return err
			}
			c.Body, c.CreatedOn = json.RawMessage(body), fromMicros(created)
			due = append(due, c)
		}
		return rows.Err()
	})
	return due, next, err
}

// ForgetMessages drops those from before a time: nobody tells them any more, e.g. because
// their receiver is not configured now.
func (r *Registry) ForgetMessages(ctx context.Context, before time.Time) error {
	return r.update(ctx, "forgetting old messages", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE created_on < ?`, before.UnixMicro())
		return err
	})
}

// DoneMessage forgets one that was told, or given up.
func (r *Registry) DoneMessage(ctx context.Context, seq int64) error {
	return r.update(ctx, "forgetting a message", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE seq = ?`, seq)
		return err
	})
}

// RetryMessage notes an attempt that failed, and when the next one is.
func (r *Registry) RetryMessage(ctx context.Context, seq int64, next time.Time) error {
	return r.update(ctx, "noting a message that was not taken", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET attempts = attempts + 1, next_on = ? WHERE seq = ?`, next.UnixMicro(), seq)
		return err
	})
}
