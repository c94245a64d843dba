// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Callback is something that is still to be told to a receiver.
type Callback struct {
	Seq       int64
	RolloutID string
	MessageID string // the same for every attempt
	Body      json.RawMessage
	CreatedOn time.Time
	Attempts  int
}

func queueCallbacks(ctx context.Context, tx *sql.Tx, ro Rollout, e RolloutEvent, note Note) error {
	if len(note.Receivers) == 0 {
		return nil
	}
	body, err := note.Callback(ro, e)
	if err != nil {
		return err
	}
	for _, receiver := range note.Receivers {
		_, err := tx.ExecContext(ctx, `INSERT INTO callbacks (receiver, rollout_id, message_id, body, created_on, attempts, next_on) VALUES (?, ?, ?, ?, ?, 0, 0)`,
			receiver, ro.ID, fmt.Sprintf("%s-%d", ro.ID, e.Sequence), string(body), e.At.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// callbackBatch bounds what is read at a time.
const callbackBatch = 50

// Callbacks are what a receiver is to be told next, at most one of each rollout: the
// oldest, so that it hears of a rollout in order. due are those whose time has come, but
// not all at once; next is when the first of the others is, zero if there is none.
func (r *Registry) Callbacks(ctx context.Context, receiver string, now time.Time) (due []Callback, next time.Time, err error) {
	const heads = `WHERE seq IN (SELECT MIN(seq) FROM callbacks WHERE receiver = ? GROUP BY rollout_id)`
	err = r.view(ctx, "looking for callbacks", func(tx *sql.Tx) error {
		var at sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT MIN(next_on) FROM callbacks `+heads+` AND next_on > ?`, receiver, now.UnixMicro()).Scan(&at); err != nil {
			return err
		}
		if at.Valid {
			next = fromMicros(at.Int64)
		}
		rows, err := tx.QueryContext(ctx, `SELECT seq, rollout_id, message_id, body, created_on, attempts FROM callbacks `+heads+` AND next_on <= ? ORDER BY seq LIMIT ?`,
			receiver, now.UnixMicro(), callbackBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c Callback
			var body string
			var created int64
			if err := rows.Scan(&c.Seq, &c.RolloutID, &c.MessageID, &body, &created, &c.Attempts); err != nil {
				return err
			}
			c.Body, c.CreatedOn = json.RawMessage(body), fromMicros(created)
			due = append(due, c)
		}
		return rows.Err()
	})
	return due, next, err
}

// ForgetCallbacks drops those from before a time: nobody tells them any more, e.g. because
// their receiver is not configured now.
func (r *Registry) ForgetCallbacks(ctx context.Context, before time.Time) error {
	return r.update(ctx, "forgetting old callbacks", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM callbacks WHERE created_on < ?`, before.UnixMicro())
		return err
	})
}

// DoneCallback forgets one that was told, or given up.
func (r *Registry) DoneCallback(ctx context.Context, seq int64) error {
	return r.update(ctx, "forgetting a callback", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM callbacks WHERE seq = ?`, seq)
		return err
	})
}

// RetryCallback notes an attempt that failed, and when the next one is.
func (r *Registry) RetryCallback(ctx context.Context, seq int64, next time.Time) error {
	return r.update(ctx, "noting a callback that failed", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE callbacks SET attempts = attempts + 1, next_on = ? WHERE seq = ?`, next.UnixMicro(), seq)
		return err
	})
}
