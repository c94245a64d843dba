// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

const workerColumns = `id, account_id, name, created_on, updated_on, deployed_on, enabled, previews_enabled, logpush, tags, observability, tail_consumers`

func scanWorker(row interface{ Scan(...any) error }) (Worker, error) {
	var w Worker
	var created, updated int64
	var deployed sql.NullInt64
	var tags string
	var observability, tails sql.NullString
	err := row.Scan(&w.ID, &w.AccountID, &w.Name, &created, &updated, &deployed, &w.Enabled, &w.PreviewsEnabled, &w.Logpush, &tags, &observability, &tails)
	if err != nil {
		return Worker{}, notFound(err)
	}
	w.CreatedOn, w.UpdatedOn, w.DeployedOn = fromMicros(created), fromMicros(updated), fromNullMicros(deployed)
	if err := json.Unmarshal([]byte(tags), &w.Tags); err != nil {
		return Worker{}, fmt.Errorf("tags of the Worker %q: %w", w.Name, err)
	}
	w.Observability, w.TailConsumers = fromNullJSON(observability), fromNullJSON(tails)
	return w, nil
}

func fromNullJSON(s sql.NullString) json.RawMessage {
	if !s.Valid {
		return nil
	}
	return json.RawMessage(s.String)
}

func nullJSON(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	return string(raw)
}

func encodeTags(tags []string) (string, error) {
	if tags == nil {
		tags = []string{}
	}
	b, err := json.Marshal(tags)
	return string(b), err
}

// CreateWorker adds a Worker without versions. ID and times of w are set here. A
// name that the account has already gives ErrNameTaken.
func (r *Registry) CreateWorker(ctx context.Context, w Worker) (Worker, error) {
	w.ID, w.CreatedOn, w.DeployedOn = newID(), r.stamp(), nil
	w.UpdatedOn = w.CreatedOn
	tags, err := encodeTags(w.Tags)
	if err != nil {
		return Worker{}, fmt.Errorf("creating the Worker %q: %w", w.Name, err)
	}
	err = r.update(ctx, fmt.Sprintf("creating the Worker %q", w.Name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO workers (`+workerColumns+`, last_number) VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, 0)`,
			w.ID, w.AccountID, w.Name, w.CreatedOn.UnixMicro(), w.UpdatedOn.UnixMicro(), w.Enabled, w.PreviewsEnabled, w.Logpush,
			tags, nullJSON(w.Observability), nullJSON(w.TailConsumers))
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	return w, err
}

// Worker returns a Worker of the account by its id or its name; an id wins.
func (r *Registry) Worker(ctx context.Context, accountID, idOrName string) (w Worker, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the Worker %q", idOrName), func(tx *sql.Tx) (err error) {
		w, err = scanWorker(tx.QueryRowContext(ctx, `SELECT `+workerColumns+` FROM workers
			WHERE account_id = ?1 AND (id = ?2 OR name = ?2) ORDER BY id = ?2 DESC LIMIT 1`, accountID, idOrName))
		return err
	})
	return w, err
}

// WorkerByID returns a Worker of whatever account by its id.
func (r *Registry) WorkerByID(ctx context.Context, id string) (w Worker, err error) {
	err = r.view(ctx, "reading the Worker "+id, func(tx *sql.Tx) (err error) {
		w, err = scanWorker(tx.QueryRowContext(ctx, `SELECT `+workerColumns+` FROM workers WHERE id = ?`, id))
		return err
	})
	return w, err
}

// Workers lists the account's Workers by name.
func (r *Registry) Workers(ctx context.Context, accountID string) (list []Worker, err error) {
	err = r.view(ctx, "listing Workers", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+workerColumns+` FROM workers WHERE account_id = ? ORDER BY name`, accountID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			w, err := scanWorker(rows)
			if err != nil {
				return err
			}
			list = append(list, w)
		}
		return rows.Err()
	})
	return list, err
}

// UpdateWorker stores the name and the settings of w and returns it with its new
// time of update. Identity and deployment stay as they are.
func (r *Registry) UpdateWorker(ctx context.Context, w Worker) (Worker, error) {
	tags, err := encodeTags(w.Tags)
	if err != nil {
		return Worker{}, fmt.Errorf("updating the Worker %q: %w", w.Name, err)
	}
	w.UpdatedOn = r.stamp()
	err = r.update(ctx, fmt.Sprintf("updating the Worker %q", w.Name), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE workers SET name = ?, updated_on = ?, enabled = ?, previews_enabled = ?, logpush = ?,
			tags = ?, observability = ?, tail_consumers = ? WHERE id = ?`,
			w.Name, w.UpdatedOn.UnixMicro(), w.Enabled, w.PreviewsEnabled, w.Logpush, tags, nullJSON(w.Observability), nullJSON(w.TailConsumers), w.ID)
		if isUnique(err) {
			return ErrNameTaken
		}
		return oneRow(res, err)
	})
	return w, err
}

// DeleteWorker removes a Worker with all its versions, secrets and deployments.
func (r *Registry) DeleteWorker(ctx context.Context, workerID string) error {
	return r.update(ctx, "deleting the Worker "+workerID, func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `DELETE FROM workers WHERE id = ?`, workerID))
	})
}

// Reference says that the live deployment of From binds to the Worker called To.
type Reference struct {
	FromID, FromName string
	To               string
}

// References lists who binds to whom in the account, by live deployments only. A
// Worker that binds to itself refers to nobody.
func (r *Registry) References(ctx context.Context, accountID string) (list []Reference, err error) {
	err = r.view(ctx, "listing references", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT DISTINCT w.id, w.name, s.service
			FROM workers w
			JOIN deployment_shares d ON d.seq = w.live
			JOIN version_services s ON s.version_id = d.version_id
			WHERE w.account_id = ? AND s.service <> w.name ORDER BY w.name, s.service`, accountID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var ref Reference
			if err := rows.Scan(&ref.FromID, &ref.FromName, &ref.To); err != nil {
				return err
			}
			list = append(list, ref)
		}
		return rows.Err()
	})
	return list, err
}
