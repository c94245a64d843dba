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

// ErrRolloutActive says that a Worker has another rollout that goes on, ErrRolloutEnded
// that the rollout has ended.
var (
	ErrRolloutActive = errors.New("another rollout of the Worker goes on")
	ErrRolloutEnded  = errors.New("the rollout has ended")
)

// keptRollouts is how many ended rollouts of a Worker are kept.
const keptRollouts = 100

const rolloutColumns = `id, worker_id, created_on, updated_on, ended_on, lease_until, plan, state, deployment, sequence`

func scanRollout(row interface{ Scan(...any) error }) (r Rollout, err error) {
	var created, updated, lease int64
	var ended sql.NullInt64
	var plan string
	if err := row.Scan(&r.ID, &r.WorkerID, &created, &updated, &ended, &lease, &plan, &r.State, &r.Deployment, &r.Sequence); err != nil {
		return Rollout{}, notFound(err)
	}
	r.CreatedOn, r.UpdatedOn, r.LeaseUntil = fromMicros(created), fromMicros(updated), fromMicros(lease)
	r.EndedOn, r.Plan = fromNullMicros(ended), json.RawMessage(plan)
	return r, nil
}

// CreateRollout begins a rollout. That it is there already, with the same plan, is no
// error. Another one of the Worker that goes on gives ErrRolloutActive, and is returned.
func (r *Registry) CreateRollout(ctx context.Context, ro Rollout) (out Rollout, err error) {
	err = r.update(ctx, "beginning the rollout "+ro.ID, func(tx *sql.Tx) error {
		active, err := scanRollout(tx.QueryRowContext(ctx, `SELECT `+rolloutColumns+` FROM rollouts WHERE worker_id = ? AND ended_on IS NULL`, ro.WorkerID))
		switch {
		case err == nil && active.ID == ro.ID && string(active.Plan) == string(ro.Plan):
			out = active
			return nil
		case err == nil:
			out = active
			return ErrRolloutActive
		case !errors.Is(err, ErrNotFound):
			return err
		}
		ro.CreatedOn = r.stamp()
		ro.UpdatedOn = ro.CreatedOn
		_, err = tx.ExecContext(ctx, `INSERT INTO rollouts (`+rolloutColumns+`) VALUES (?, ?, ?, ?, NULL, ?, ?, ?, '', 0)`,
			ro.ID, ro.WorkerID, ro.CreatedOn.UnixMicro(), ro.UpdatedOn.UnixMicro(), ro.LeaseUntil.UnixMicro(), string(ro.Plan), ro.State)
		if err != nil {
			return err
		}
		out = ro
		_, err = tx.ExecContext(ctx, `DELETE FROM rollouts WHERE worker_id = ? AND ended_on IS NOT NULL AND id NOT IN
			(SELECT id FROM rollouts WHERE worker_id = ? AND ended_on IS NOT NULL ORDER BY created_on DESC LIMIT ?)`, ro.WorkerID, ro.WorkerID, keptRollouts)
		return err
	})
	return out, err
}

// Note is a change of a rollout.
type Note struct {
	State      string // "" leaves it as it is
	LeaseUntil time.Time
	Ended      bool
	// Event gets the rollout as it will be, and the time, and returns the event's JSON; nil
	// appends none. Callback returns what is told to each of URLs.
	Event    func(Rollout, time.Time) (json.RawMessage, error)
	Callback func(Rollout, time.Time) (json.RawMessage, error)
	URLs     []string
}

// NoteRollout changes a rollout that goes on; one that has ended gives ErrRolloutEnded, and
// is returned. What is to be told of it is stored in the same transaction.
func (r *Registry) NoteRollout(ctx context.Context, id string, note Note) (out Rollout, err error) {
	err = r.update(ctx, "noting a change of the rollout "+id, func(tx *sql.Tx) error {
		ro, err := scanRollout(tx.QueryRowContext(ctx, `SELECT `+rolloutColumns+` FROM rollouts WHERE id = ?`, id))
		if err != nil {
			return err
		}
		if out = ro; ro.EndedOn != nil {
			return ErrRolloutEnded
		}
		now := r.stamp()
		ro.UpdatedOn, ro.LeaseUntil = now, note.LeaseUntil
		if note.State != "" {
			ro.State = note.State
		}
		if note.Ended {
			ro.EndedOn = &now
		}
		if note.Event != nil {
			ro.Sequence++
			text, err := note.Event(ro, now)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO rollout_events (rollout_id, sequence, at, event) VALUES (?, ?, ?, ?)`, id, ro.Sequence, now.UnixMicro(), string(text)); err != nil {
				return err
			}
			if err := queueCallbacks(ctx, tx, ro, note, now); err != nil {
				return err
			}
		}
		var endedOn any
		if ro.EndedOn != nil {
			endedOn = ro.EndedOn.UnixMicro()
		}
		out = ro
		return oneRow(tx.ExecContext(ctx, `UPDATE rollouts SET updated_on = ?, ended_on = ?, lease_until = ?, state = ?, sequence = ? WHERE id = ?`,
			now.UnixMicro(), endedOn, note.LeaseUntil.UnixMicro(), ro.State, ro.Sequence, id))
	})
	return out, err
}

// ExtendLeases gives every rollout that goes on time until then: after a restart nobody
// could have renewed.
func (r *Registry) ExtendLeases(ctx context.Context, until time.Time) error {
	return r.update(ctx, "extending the leases of rollouts", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE rollouts SET lease_until = ? WHERE ended_on IS NULL`, until.UnixMicro())
		return err
	})
}

// ExpiredRollouts are those that go on and whose lease has ended.
func (r *Registry) ExpiredRollouts(ctx context.Context, now time.Time) ([]Rollout, error) {
	return r.rollouts(ctx, `ended_on IS NULL AND lease_until < ?`, now.UnixMicro())
}

// Rollouts lists those of an account, newest first; of one Worker if workerID is not
// empty, and in one state if state is not.
func (r *Registry) Rollouts(ctx context.Context, accountID, workerID, state string, limit int) ([]Rollout, error) {
	return r.rollouts(ctx, `worker_id IN (SELECT id FROM workers WHERE account_id = ?) AND (? = '' OR worker_id = ?) AND (? = '' OR state = ?)
		ORDER BY created_on DESC, id LIMIT ?`, accountID, workerID, workerID, state, state, limit)
}

func (r *Registry) rollouts(ctx context.Context, where string, args ...any) (list []Rollout, err error) {
	err = r.view(ctx, "listing rollouts", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+rolloutColumns+` FROM rollouts WHERE `+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			ro, err := scanRollout(rows)
			if err != nil {
				return err
			}
			list = append(list, ro)
		}
		return rows.Err()
	})
	return list, err
}

// Rollout returns a rollout and its events after a number, oldest first.
func (r *Registry) Rollout(ctx context.Context, id string, after int64) (ro Rollout, events []RolloutEvent, err error) {
	err = r.view(ctx, "reading the rollout "+id, func(tx *sql.Tx) (err error) {
		if ro, err = scanRollout(tx.QueryRowContext(ctx, `SELECT `+rolloutColumns+` FROM rollouts WHERE id = ?`, id)); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT sequence, at, event FROM rollout_events WHERE rollout_id = ? AND sequence > ? ORDER BY sequence`, id, after)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e RolloutEvent
			var at int64
			var text string
			if err := rows.Scan(&e.Sequence, &at, &text); err != nil {
				return fmt.Errorf("an event: %w", err)
			}
			e.At, e.Event = fromMicros(at), json.RawMessage(text)
			events = append(events, e)
		}
		return rows.Err()
	})
	return ro, events, err
}
