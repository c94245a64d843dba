// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Callback is something that is still to be told to a URL.
type Callback struct {
	Seq       int64
	URL       string
	RolloutID string
	MessageID string // the same for every attempt
	Body      json.RawMessage
	CreatedOn time.Time
	Attempts  int
}

func queueCallbacks(ctx context.Context, tx *sql.Tx, ro Rollout, note Note, now time.Time) error {
	if len(note.URLs) == 0 || note.Callback == nil {
		return nil
	}
	body, err := note.Callback(ro, now)
	if err != nil {
		return err
	}
	for _, url := range note.URLs {
		_, err := tx.ExecContext(ctx, `INSERT INTO callbacks (url, rollout_id, message_id, body, created_on, attempts, next_on) VALUES (?, ?, ?, ?, ?, 0, ?)`,
			url, ro.ID, fmt.Sprintf("%s-%d", ro.ID, ro.Sequence), string(body), now.UnixMicro(), now.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// DueCallbacks are those for a URL whose time has come, at most one of each rollout: the
// oldest, so that a URL hears of a rollout in order.
func (r *Registry) DueCallbacks(ctx context.Context, url string, now time.Time) (list []Callback, err error) {
	err = r.view(ctx, "looking for callbacks", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT seq, url, rollout_id, message_id, body, created_on, attempts FROM callbacks c
			WHERE url = ? AND next_on <= ? AND seq = (SELECT MIN(seq) FROM callbacks WHERE url = c.url AND rollout_id = c.rollout_id) ORDER BY seq`, url, now.UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c Callback
			var body string
			var created int64
			if err := rows.Scan(&c.Seq, &c.URL, &c.RolloutID, &c.MessageID, &body, &created, &c.Attempts); err != nil {
				return err
			}
			c.Body, c.CreatedOn = json.RawMessage(body), fromMicros(created)
			list = append(list, c)
		}
		return rows.Err()
	})
	return list, err
}

// ForgetCallbacks drops those from before a time: nobody tells them any more, e.g. because
// their URL is not configured now.
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
