// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

const deploymentColumns = `seq, id, worker_id, created_on, source, strategy, author_id, author_email, annotations`

func scanDeployment(row interface{ Scan(...any) error }) (seq int64, d Deployment, err error) {
	var created int64
	var annotations string
	if err := row.Scan(&seq, &d.ID, &d.WorkerID, &created, &d.Source, &d.Strategy, &d.AuthorID, &d.AuthorEmail, &annotations); err != nil {
		return 0, Deployment{}, notFound(err)
	}
	d.CreatedOn = fromMicros(created)
	if err := json.Unmarshal([]byte(annotations), &d.Annotations); err != nil {
		return 0, Deployment{}, fmt.Errorf("annotations of the deployment %s: %w", d.ID, err)
	}
	return seq, d, nil
}

func readShares(ctx context.Context, tx *sql.Tx, seq int64) ([]Share, error) {
	rows, err := tx.QueryContext(ctx, `SELECT version_id, percentage FROM deployment_shares WHERE seq = ? ORDER BY position`, seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var shares []Share
	for rows.Next() {
		var s Share
		if err := rows.Scan(&s.VersionID, &s.Percentage); err != nil {
			return nil, err
		}
		shares = append(shares, s)
	}
	return shares, rows.Err()
}

func liveShares(ctx context.Context, tx *sql.Tx, workerID string) ([]Share, error) {
	var seq sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT live FROM workers WHERE id = ?`, workerID).Scan(&seq); err != nil {
		return nil, notFound(err)
	}
	if !seq.Valid {
		return nil, nil
	}
	return readShares(ctx, tx, seq.Int64)
}

// liveID returns the id of the Worker's live deployment, "" if there is none.
func liveID(ctx context.Context, tx *sql.Tx, workerID string) (string, error) {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(d.id, '') FROM workers w LEFT JOIN deployments d ON d.seq = w.live WHERE w.id = ?`, workerID).Scan(&id)
	return id, notFound(err)
}

// CreateDeployment makes d the Worker's live deployment, if the live one is
// expectLive until then ("" where nothing may be live); otherwise ErrLiveChanged.
// Its versions must be versions of that Worker and deployable: ErrNotFound,
// ErrNotDeployable. Identity and time are set here.
func (r *Registry) CreateDeployment(ctx context.Context, d Deployment, expectLive string) (Deployment, error) {
	return r.createDeployment(ctx, d, expectLive, nil)
}

// CreateRolloutDeployment is CreateDeployment for a step of a rollout: note is a change of
// the rollout, which gets the deployment as its last one, in the same transaction. A crash
// in between would make the rollout's own step look like somebody else's.
func (r *Registry) CreateRolloutDeployment(ctx context.Context, d Deployment, expectLive, rolloutID string, note Note) (out Deployment, ro Rollout, err error) {
	out, err = r.createDeployment(ctx, d, expectLive, func(tx *sql.Tx, made Deployment) (err error) {
		note.Deployment = made.ID
		ro, err = r.noteRollout(ctx, tx, rolloutID, note)
		return err
	})
	return out, ro, err
}

func (r *Registry) createDeployment(ctx context.Context, d Deployment, expectLive string, then func(*sql.Tx, Deployment) error) (Deployment, error) {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	annotations, err := json.Marshal(d.Annotations)
	if err != nil {
		return Deployment{}, fmt.Errorf("creating a deployment: %w", err)
	}
	d.ID = uuid.NewString()
	err = r.update(ctx, "creating a deployment of the Worker "+d.WorkerID, func(tx *sql.Tx) error {
		live, err := liveID(ctx, tx, d.WorkerID)
		if err != nil {
			return err
		}
		if live != expectLive {
			return ErrLiveChanged
		}
		for _, s := range d.Shares {
			if err := checkDeployable(ctx, tx, d.WorkerID, s.VersionID); err != nil {
				return fmt.Errorf("version %s: %w", s.VersionID, err)
			}
		}
		d.CreatedOn = r.stamp()
		res, err := tx.ExecContext(ctx, `INSERT INTO deployments (id, worker_id, created_on, source, strategy, author_id, author_email, annotations) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			d.ID, d.WorkerID, d.CreatedOn.UnixMicro(), d.Source, d.Strategy, d.AuthorID, d.AuthorEmail, string(annotations))
		if err != nil {
			return err
		}
		seq, err := res.LastInsertId()
		if err != nil {
			return err
		}
		for i, s := range d.Shares {
			_, err := tx.ExecContext(ctx, `INSERT INTO deployment_shares (seq, position, version_id, percentage) VALUES (?, ?, ?, ?)`, seq, i, s.VersionID, s.Percentage)
			if err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE workers SET live = ?, deployed_on = ? WHERE id = ?`, seq, d.CreatedOn.UnixMicro(), d.WorkerID); err != nil || then == nil {
			return err
		}
		return then(tx, d)
	})
	return d, err
}

func checkDeployable(ctx context.Context, tx *sql.Tx, workerID, versionID string) error {
	var newer int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM versions n WHERE n.worker_id = v.worker_id AND n.number > v.number)
		FROM versions v WHERE v.worker_id = ? AND v.id = ?`, workerID, versionID).Scan(&newer)
	if err != nil {
		return notFound(err)
	}
	if newer >= DeployableVersions {
		return ErrNotDeployable
	}
	return nil
}

// LiveDeployment returns the Worker's live deployment; found is false where
// nothing is deployed.
func (r *Registry) LiveDeployment(ctx context.Context, workerID string) (d Deployment, found bool, err error) {
	err = r.view(ctx, "reading the live deployment", func(tx *sql.Tx) error {
		id, err := liveID(ctx, tx, workerID)
		if err != nil || id == "" {
			return err
		}
		found = true
		d, err = deploymentByID(ctx, tx, workerID, id)
		return err
	})
	return d, found, err
}

func deploymentByID(ctx context.Context, tx *sql.Tx, workerID, id string) (Deployment, error) {
	seq, d, err := scanDeployment(tx.QueryRowContext(ctx, `SELECT `+deploymentColumns+` FROM deployments WHERE worker_id = ? AND id = ?`, workerID, id))
	if err != nil {
		return Deployment{}, err
	}
	d.Shares, err = readShares(ctx, tx, seq)
	return d, err
}

// Deployment returns one deployment of the Worker.
func (r *Registry) Deployment(ctx context.Context, workerID, id string) (d Deployment, err error) {
	err = r.view(ctx, "reading the deployment "+id, func(tx *sql.Tx) (err error) {
		d, err = deploymentByID(ctx, tx, workerID, id)
		return err
	})
	return d, err
}

// Deployments lists a Worker's deployments, newest first: the first one is live.
func (r *Registry) Deployments(ctx context.Context, workerID string, limit int) (list []Deployment, err error) {
	err = r.view(ctx, "listing deployments", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+deploymentColumns+` FROM deployments WHERE worker_id = ? ORDER BY seq DESC LIMIT ?`, workerID, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		var seqs []int64
		for rows.Next() {
			seq, d, err := scanDeployment(rows)
			if err != nil {
				return err
			}
			list, seqs = append(list, d), append(seqs, seq)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i, seq := range seqs {
			if list[i].Shares, err = readShares(ctx, tx, seq); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// DeleteDeployment removes a deployment from the history. The live one gives ErrLive.
func (r *Registry) DeleteDeployment(ctx context.Context, workerID, id string) error {
	return r.update(ctx, "deleting the deployment "+id, func(tx *sql.Tx) error {
		live, err := liveID(ctx, tx, workerID)
		if err != nil {
			return err
		}
		if live == id {
			return ErrLive
		}
		return oneRow(tx.ExecContext(ctx, `DELETE FROM deployments WHERE worker_id = ? AND id = ?`, workerID, id))
	})
}

// CheckDeployable says whether a version can be deployed now: nil, ErrNotFound or
// ErrNotDeployable.
func (r *Registry) CheckDeployable(ctx context.Context, workerID, versionID string) error {
	return r.view(ctx, "looking at the version "+versionID, func(tx *sql.Tx) error {
		return checkDeployable(ctx, tx, workerID, versionID)
	})
}
