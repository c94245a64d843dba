// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// storedContent is the part of a VersionContent that lies in versions.content.
type storedContent struct {
	MainModule         string            `json:"main_module,omitempty"`
	BodyPart           string            `json:"body_part,omitempty"`
	Bindings           []storedBinding   `json:"bindings"`
	CompatibilityDate  string            `json:"compatibility_date"`
	CompatibilityFlags []string          `json:"compatibility_flags"`
	UsageModel         string            `json:"usage_model,omitempty"`
	Limits             json.RawMessage   `json:"limits,omitempty"`
	Placement          json.RawMessage   `json:"placement,omitempty"`
	Annotations        map[string]string `json:"annotations,omitempty"`
}

type storedBinding struct {
	Name   string                     `json:"name"`
	Type   string                     `json:"type"`
	Fields map[string]json.RawMessage `json:"fields,omitempty"`
}

// CreateVersion stores v as the Worker's next version. Identity, number and time
// are set here; the result has them, and no secrets. v.Bindings carry the
// plaintext of secrets. Its modules must have been stored with Put.
func (r *Registry) CreateVersion(ctx context.Context, v Version) (Version, error) {
	bindings, secrets := splitSecrets(v.Bindings)
	v.Bindings = bindings
	content := storedContent{v.MainModule, v.BodyPart, make([]storedBinding, len(bindings)), v.CompatibilityDate, v.CompatibilityFlags, v.UsageModel, v.Limits, v.Placement, v.Annotations}
	for i, b := range bindings {
		content.Bindings[i] = storedBinding(b)
	}
	contentJSON, err := json.Marshal(content)
	if err != nil {
		return Version{}, fmt.Errorf("creating a version: %w", err)
	}
	handlers, err := json.Marshal(append([]string{}, v.Handlers...))
	if err != nil {
		return Version{}, fmt.Errorf("creating a version: %w", err)
	}
	var entrypoints json.RawMessage
	if v.Entrypoints != nil {
		if entrypoints, err = json.Marshal(v.Entrypoints); err != nil {
			return Version{}, fmt.Errorf("creating a version: %w", err)
		}
	}
	err = r.update(ctx, "creating a version of the Worker "+v.WorkerID, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE workers SET last_number = last_number + 1 WHERE id = ? RETURNING last_number, account_id`, v.WorkerID).
			Scan(&v.Number, &v.AccountID)
		if err != nil {
			return notFound(err)
		}
		// Read inside the transaction: times grow with numbers.
		v.CreatedOn = r.stamp()
		if v.ID, err = freeVersionID(ctx, tx, v.WorkerID); err != nil {
			return err
		}
		ciphertext, err := r.keys.seal(v.ID, secrets)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO versions (id, worker_id, number, created_on, source, author_id, author_email, content, handlers, named_handlers, entrypoints, startup_time_ms, secrets)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			v.ID, v.WorkerID, v.Number, v.CreatedOn.UnixMicro(), v.Source, v.AuthorID, v.AuthorEmail, string(contentJSON), string(handlers),
			nullJSON(v.NamedHandlers), nullJSON(entrypoints), v.StartupTimeMS, ciphertext)
		if err != nil {
			return err
		}
		return insertParts(ctx, tx, v)
	})
	return v, err
}

// freeVersionID makes an id whose first 8 hex digits no other version of the
// Worker has: they are its preview host.
func freeVersionID(ctx context.Context, tx *sql.Tx, workerID string) (string, error) {
	for {
		id := uuid.NewString()
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM versions WHERE worker_id = ? AND substr(id, 1, 8) = ?`, workerID, id[:8]).Scan(&n)
		if err != nil || n == 0 {
			return id, err
		}
	}
}

func insertParts(ctx context.Context, tx *sql.Tx, v Version) error {
	for i, m := range v.Modules {
		_, err := tx.ExecContext(ctx, `INSERT INTO version_modules (version_id, position, name, content_type, sha256, size) VALUES (?, ?, ?, ?, ?, ?)`,
			v.ID, i, m.Name, m.ContentType, m.SHA256, m.Size)
		if err != nil {
			return fmt.Errorf("module %q: %w", m.Name, err)
		}
	}
	for _, b := range v.Bindings {
		service, ok := b.Service()
		if !ok {
			continue
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO version_services (version_id, service) VALUES (?, ?) ON CONFLICT DO NOTHING`, v.ID, service)
		if err != nil {
			return fmt.Errorf("binding %q: %w", b.Name, err)
		}
	}
	return nil
}

// Service is the name of the Worker that a service binding refers to.
func (b Binding) Service() (name string, ok bool) {
	if b.Type != "service" || json.Unmarshal(b.Fields["service"], &name) != nil {
		return "", false
	}
	return name, name != ""
}

const versionColumns = `v.id, w.account_id, v.worker_id, v.number, v.created_on, v.source, v.author_id, v.author_email, v.content, v.handlers, v.named_handlers, v.entrypoints, v.startup_time_ms`

func scanVersion(row interface{ Scan(...any) error }) (Version, error) {
	var v Version
	var created int64
	var contentJSON, handlers string
	var named, entrypoints sql.NullString
	err := row.Scan(&v.ID, &v.AccountID, &v.WorkerID, &v.Number, &created, &v.Source, &v.AuthorID, &v.AuthorEmail, &contentJSON, &handlers, &named, &entrypoints, &v.StartupTimeMS)
	if err != nil {
		return Version{}, notFound(err)
	}
	v.CreatedOn, v.NamedHandlers = fromMicros(created), fromNullJSON(named)
	var c storedContent
	err = errors.Join(json.Unmarshal([]byte(contentJSON), &c), json.Unmarshal([]byte(handlers), &v.Handlers))
	if entrypoints.Valid {
		err = errors.Join(err, json.Unmarshal([]byte(entrypoints.String), &v.Entrypoints))
	}
	if err != nil {
		return Version{}, fmt.Errorf("content of the version %s: %w", v.ID, err)
	}
	v.VersionContent = VersionContent{
		MainModule: c.MainModule, BodyPart: c.BodyPart, CompatibilityDate: c.CompatibilityDate, CompatibilityFlags: c.CompatibilityFlags,
		UsageModel: c.UsageModel, Limits: c.Limits, Placement: c.Placement, Annotations: c.Annotations,
		Bindings: make([]Binding, len(c.Bindings)),
	}
	for i, b := range c.Bindings {
		v.Bindings[i] = Binding(b)
		if b.Fields == nil {
			v.Bindings[i].Fields = map[string]json.RawMessage{}
		}
	}
	return v, nil
}

func readModules(ctx context.Context, tx *sql.Tx, v *Version) error {
	rows, err := tx.QueryContext(ctx, `SELECT name, content_type, sha256, size FROM version_modules WHERE version_id = ? ORDER BY position`, v.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var m Module
		if err := rows.Scan(&m.Name, &m.ContentType, &m.SHA256, &m.Size); err != nil {
			return err
		}
		v.Modules = append(v.Modules, m)
	}
	return rows.Err()
}

func (r *Registry) oneVersion(ctx context.Context, what, where string, args ...any) (v Version, err error) {
	err = r.view(ctx, what, func(tx *sql.Tx) (err error) {
		v, err = scanVersion(tx.QueryRowContext(ctx, `SELECT `+versionColumns+` FROM versions v JOIN workers w ON w.id = v.worker_id WHERE `+where, args...))
		if err != nil {
			return err
		}
		return readModules(ctx, tx, &v)
	})
	return v, err
}

// Version returns one version of the Worker, without secrets.
func (r *Registry) Version(ctx context.Context, workerID, versionID string) (Version, error) {
	return r.oneVersion(ctx, "reading the version "+versionID, `v.worker_id = ? AND v.id = ?`, workerID, versionID)
}

// LatestVersion returns the Worker's version with the highest number.
func (r *Registry) LatestVersion(ctx context.Context, workerID string) (Version, error) {
	return r.oneVersion(ctx, "reading the latest version", `v.worker_id = ? ORDER BY v.number DESC LIMIT 1`, workerID)
}

// VersionByPrefix returns the version of the Worker whose id starts with prefix,
// 8 hex digits.
func (r *Registry) VersionByPrefix(ctx context.Context, workerID, prefix string) (Version, error) {
	return r.oneVersion(ctx, "reading the version "+prefix, `v.worker_id = ? AND substr(v.id, 1, 8) = ?`, workerID, prefix)
}

// Versions lists a Worker's versions, newest first, from offset on and at most
// limit of them, with their modules, and says how many there are in all.
// deployable leaves out those that are too old to be deployed.
func (r *Registry) Versions(ctx context.Context, workerID string, deployable bool, limit, offset int) (list []Version, total int, err error) {
	err = r.view(ctx, "listing versions", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM versions WHERE worker_id = ?`, workerID).Scan(&total); err != nil {
			return err
		}
		if deployable {
			total = min(total, DeployableVersions)
			limit = min(limit, total-offset)
		}
		if limit <= 0 {
			return nil
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+versionColumns+` FROM versions v JOIN workers w ON w.id = v.worker_id
			WHERE v.worker_id = ? ORDER BY v.number DESC LIMIT ? OFFSET ?`, workerID, limit, offset)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scanVersion(rows)
			if err != nil {
				return err
			}
			list = append(list, v)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range list {
			if err := readModules(ctx, tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, total, err
}

// DeleteVersion removes a version and its secrets. A live one gives ErrVersionLive.
func (r *Registry) DeleteVersion(ctx context.Context, workerID, versionID string) error {
	return r.update(ctx, "deleting the version "+versionID, func(tx *sql.Tx) error {
		live, err := liveShares(ctx, tx, workerID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(live, func(s Share) bool { return s.VersionID == versionID }) {
			return ErrVersionLive
		}
		return oneRow(tx.ExecContext(ctx, `DELETE FROM versions WHERE worker_id = ? AND id = ?`, workerID, versionID))
	})
}
