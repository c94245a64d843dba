// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Why a rollout cannot begin or change.
var (
	ErrRolloutActive = errors.New("another rollout of the Worker goes on")
	ErrRolloutExists = errors.New("there is another rollout with this id")
	ErrRolloutEnded  = errors.New("the rollout has ended")
	ErrRolloutTaken  = errors.New("the plane has taken the rollout over")
	ErrRolloutFull   = errors.New("the rollout has too many events")
)

const (
	// keptRollouts is how many ended rollouts of a Worker are kept, and of all deleted
	// Workers of an account together.
	keptRollouts = 100
	// maxRolloutEvents is far above what a rollout of 100 steps with ten gates has. What
	// ends a rollout is noted nevertheless.
	maxRolloutEvents = 2500
)

const rolloutColumns = `r.id, r.account_id, r.worker_id, COALESCE(w.name, r.worker_name), r.created_on, r.updated_on, r.ended_on, r.taken_on,
	r.plan, r.state, r.base, r.deployment, r.sequence`

const fromRollouts = ` FROM rollouts r LEFT JOIN workers w ON w.id = r.worker_id `

func scanRollout(row interface{ Scan(...any) error }) (r Rollout, err error) {
	var created, updated int64
	var ended, taken sql.NullInt64
	var plan string
	err = row.Scan(&r.ID, &r.AccountID, &r.WorkerID, &r.Worker, &created, &updated, &ended, &taken, &plan, &r.State, &r.Base, &r.Deployment, &r.Sequence)
	if err != nil {
		return Rollout{}, notFound(err)
	}
	r.CreatedOn, r.UpdatedOn = fromMicros(created), fromMicros(updated)
	r.EndedOn, r.TakenOn, r.Plan = fromNullMicros(ended), fromNullMicros(taken), json.RawMessage(plan)
	return r, nil
}

// withLive fills in what is live; of a deleted Worker nothing is.
func withLive(ctx context.Context, tx *sql.Tx, ro Rollout) (Rollout, error) {
	var err error
	if ro.Live, err = liveShares(ctx, tx, ro.WorkerID); errors.Is(err, ErrNotFound) {
		err = nil
	}
	return ro, err
}

func rolloutByID(ctx context.Context, tx *sql.Tx, id string) (Rollout, error) {
	ro, err := scanRollout(tx.QueryRowContext(ctx, `SELECT `+rolloutColumns+fromRollouts+`WHERE r.id = ?`, id))
	if err != nil {
		return Rollout{}, err
	}
	return withLive(ctx, tx, ro)
}

// CreateRollout begins a rollout of ro.WorkerID with ro.ID, ro.Plan and ro.State; the rest
// is set here. Where ro.Base is given, and is not the live deployment, it gives ErrLiveChanged. That it is there already, with the same plan, is no error, also if it has
// ended. Another one of the Worker that goes on gives ErrRolloutActive, and is returned; an
// id that is taken gives ErrRolloutExists. Ended rollouts above keptRollouts are forgotten.
func (r *Registry) CreateRollout(ctx context.Context, ro Rollout) (out Rollout, err error) {
	err = r.update(ctx, "beginning the rollout "+ro.ID, func(tx *sql.Tx) error {
		switch out, err = rolloutByID(ctx, tx, ro.ID); {
		case err == nil && out.WorkerID == ro.WorkerID && string(out.Plan) == string(ro.Plan):
			return nil
		case err == nil:
			out = Rollout{} // it may be of another account
			return ErrRolloutExists
		case !errors.Is(err, ErrNotFound):
			return err
		}
		out, err = scanRollout(tx.QueryRowContext(ctx, `SELECT `+rolloutColumns+fromRollouts+`WHERE r.worker_id = ? AND r.ended_on IS NULL`, ro.WorkerID))
		if err == nil {
			return ErrRolloutActive
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		base, err := liveID(ctx, tx, ro.WorkerID)
		if err != nil {
			return err
		}
		if ro.Base != "" && ro.Base != base {
			return ErrLiveChanged
		}
		now := r.stamp().UnixMicro()
		_, err = tx.ExecContext(ctx, `INSERT INTO rollouts (id, account_id, worker_id, worker_name, created_on, updated_on, plan, state, base, deployment, sequence)
			SELECT ?, account_id, id, name, ?, ?, ?, ?, ?, '', 0 FROM workers WHERE id = ?`, ro.ID, now, now, string(ro.Plan), ro.State, base, ro.WorkerID)
		if err != nil {
			return err
		}
		if out, err = rolloutByID(ctx, tx, ro.ID); err != nil {
			return err
		}
		return forgetRollouts(ctx, tx, out)
	})
	return out, err
}

// forgetRollouts keeps the history bounded.
func forgetRollouts(ctx context.Context, tx *sql.Tx, ro Rollout) error {
	for where, key := range map[string]string{
		`ended_on IS NOT NULL AND worker_id = ?`:                                                ro.WorkerID,
		`ended_on IS NOT NULL AND account_id = ? AND worker_id NOT IN (SELECT id FROM workers)`: ro.AccountID,
	} {
		_, err := tx.ExecContext(ctx, `DELETE FROM rollouts WHERE `+where+` AND id NOT IN (SELECT id FROM rollouts WHERE `+where+`
			ORDER BY created_on DESC, rowid DESC LIMIT ?)`, key, key, keptRollouts)
		if err != nil {
			return err
		}
	}
	return nil
}

// OpenRollouts are those that go on, of all accounts.
func (r *Registry) OpenRollouts(ctx context.Context) ([]Rollout, error) {
	return r.rollouts(ctx, `r.ended_on IS NULL`)
}

// LastRollouts are the newest one of each Worker, of all accounts, if it has ended in one
// of these states.
func (r *Registry) LastRollouts(ctx context.Context, states ...string) ([]Rollout, error) {
	list, err := json.Marshal(states)
	if err != nil {
		return nil, fmt.Errorf("listing rollouts: %w", err)
	}
	return r.rollouts(ctx, `r.ended_on IS NOT NULL AND w.id IS NOT NULL AND r.state IN (SELECT value FROM json_each(?))
		AND r.rowid = (SELECT n.rowid FROM rollouts n WHERE n.worker_id = r.worker_id ORDER BY n.created_on DESC, n.rowid DESC LIMIT 1)`, string(list))
}

// Rollouts lists those of an account, newest first; of one Worker if worker, an id or a
// name, is not empty, and in one state if state is not.
func (r *Registry) Rollouts(ctx context.Context, accountID, worker, state string, limit int) ([]Rollout, error) {
	return r.rollouts(ctx, `r.account_id = ?1 AND (?2 = '' OR r.worker_id = ?2 OR COALESCE(w.name, r.worker_name) = ?2) AND (?3 = '' OR r.state = ?3)
		ORDER BY r.created_on DESC, r.rowid DESC LIMIT ?4`, accountID, worker, state, limit)
}

func (r *Registry) rollouts(ctx context.Context, where string, args ...any) (list []Rollout, err error) {
	err = r.view(ctx, "listing rollouts", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+rolloutColumns+fromRollouts+`WHERE `+where, args...)
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
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range list {
			if list[i], err = withLive(ctx, tx, list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// Rollout returns a rollout and its events after a number, oldest first.
func (r *Registry) Rollout(ctx context.Context, id string, after int64) (ro Rollout, events []RolloutEvent, err error) {
	err = r.view(ctx, "reading the rollout "+id, func(tx *sql.Tx) (err error) {
		if ro, err = rolloutByID(ctx, tx, id); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT sequence, at, event FROM rollout_events WHERE rollout_id = ? AND sequence > ? ORDER BY sequence`, id, after)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanRolloutEvent(rows)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return rows.Err()
	})
	return ro, events, err
}

func scanRolloutEvent(row interface{ Scan(...any) error }) (e RolloutEvent, err error) {
	var at int64
	var text string
	if err := row.Scan(&e.Sequence, &at, &text); err != nil {
		return RolloutEvent{}, fmt.Errorf("an event: %w", notFound(err))
	}
	e.At, e.Event = fromMicros(at), json.RawMessage(text)
	return e, nil
}
