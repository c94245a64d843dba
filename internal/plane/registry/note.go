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

// Note is a change of a rollout, with the event that tells it.
type Note struct {
	// Driver says that it comes from the driver, who can change nothing once the plane has
	// taken the rollout over. What a driver repeats, because the answer got lost, is no
	// second event.
	Driver bool
	// State is the new one; "" leaves it, and makes no event.
	State string
	Ended bool // by this event
	Taken bool // from the driver, by the plane
	// Deployment, if not "", is what the rollout has deployed.
	Deployment string
	// Event gets the rollout as it will be, and returns the event's JSON. Callback returns
	// what each of Receivers is told of it.
	Event     func(Rollout) (json.RawMessage, error)
	Callback  func(Rollout, RolloutEvent) (json.RawMessage, error)
	Receivers []string
}

// NoteRollout changes a rollout that goes on. ErrRolloutEnded, ErrRolloutTaken and
// ErrRolloutFull come with the rollout as it is. What is to be told of it is stored in
// the same transaction.
func (r *Registry) NoteRollout(ctx context.Context, id string, note Note) (out Rollout, err error) {
	err = r.update(ctx, "noting a change of the rollout "+id, func(tx *sql.Tx) (err error) {
		out, err = r.noteRollout(ctx, tx, id, note)
		return err
	})
	return out, err
}

func (r *Registry) noteRollout(ctx context.Context, tx *sql.Tx, id string, note Note) (Rollout, error) {
	ro, err := rolloutByID(ctx, tx, id)
	if err != nil {
		return Rollout{}, err
	}
	changed := ro
	if note.Deployment != "" {
		changed.Deployment = note.Deployment
	}
	var event json.RawMessage
	if note.State != "" {
		changed.State = note.State
		if event, err = note.Event(changed); err != nil {
			return ro, err
		}
		if again, err := repeats(ctx, tx, ro, event); err != nil || again && note.Driver {
			return ro, err
		}
	}
	switch {
	case ro.EndedOn != nil:
		return ro, ErrRolloutEnded
	case note.Driver && ro.TakenOn != nil:
		return ro, ErrRolloutTaken
	case event != nil && !note.Ended && ro.Sequence >= maxRolloutEvents:
		return ro, ErrRolloutFull
	}
	now := r.stamp()
	if note.Ended {
		changed.EndedOn = &now
	}
	if note.Taken {
		changed.TakenOn = &now
	}
	if event != nil {
		changed.Sequence++
		changed.UpdatedOn = now
		if _, err := tx.ExecContext(ctx, `INSERT INTO rollout_events (rollout_id, sequence, at, event) VALUES (?, ?, ?, ?)`, id, changed.Sequence, now.UnixMicro(), string(event)); err != nil {
			return ro, err
		}
		if err := queueEvent(ctx, tx, changed, RolloutEvent{changed.Sequence, now, event}, note); err != nil {
			return ro, err
		}
	}
	return changed, oneRow(tx.ExecContext(ctx, `UPDATE rollouts SET worker_name = ?, updated_on = ?, ended_on = ?, taken_on = ?, state = ?, deployment = ?, sequence = ? WHERE id = ?`,
		changed.Worker, changed.UpdatedOn.UnixMicro(), nullMicros(changed.EndedOn), nullMicros(changed.TakenOn), changed.State, changed.Deployment, changed.Sequence, id))
}

func queueEvent(ctx context.Context, tx *sql.Tx, ro Rollout, e RolloutEvent, note Note) error {
	if len(note.Receivers) == 0 {
		return nil
	}
	body, err := note.Callback(ro, e)
	if err != nil {
		return err
	}
	return queue(ctx, tx, note.Receivers, Message{Topic: ro.ID, ID: fmt.Sprintf("%s-%d", ro.ID, e.Sequence), Body: body, CreatedOn: e.At})
}

// repeats reports whether the newest event of a rollout says the same.
func repeats(ctx context.Context, tx *sql.Tx, ro Rollout, event json.RawMessage) (bool, error) {
	last, err := scanRolloutEvent(tx.QueryRowContext(ctx, `SELECT sequence, at, event FROM rollout_events WHERE rollout_id = ? AND sequence = ?`, ro.ID, ro.Sequence))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return string(last.Event) == string(event), err
}

func nullMicros(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}
