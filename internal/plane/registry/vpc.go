// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// VPCService is a private service that Workers can bind to.
type VPCService struct {
	ID        string // UUID
	AccountID string
	Name      string
	Type      string          // "http" or "tcp"
	Body      json.RawMessage // all else, as it was sent
	CreatedOn time.Time
	UpdatedOn time.Time
}

const vpcServiceColumns = `id, account_id, name, type, body, created_on, updated_on`

func scanVPCService(row interface{ Scan(...any) error }) (VPCService, error) {
	var v VPCService
	var created, updated int64
	var body string
	if err := row.Scan(&v.ID, &v.AccountID, &v.Name, &v.Type, &body, &created, &updated); err != nil {
		return VPCService{}, notFound(err)
	}
	v.Body, v.CreatedOn, v.UpdatedOn = json.RawMessage(body), fromMicros(created), fromMicros(updated)
	return v, nil
}

// VPCServices lists those of an account, oldest first.
func (r *Registry) VPCServices(ctx context.Context, accountID string) (list []VPCService, err error) {
	err = r.view(ctx, "listing VPC services", func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT `+vpcServiceColumns+` FROM vpc_services WHERE account_id = ? ORDER BY created_on, id`, accountID)
		list, err = scanAll(rows, err, scanVPCService)
		return err
	})
	return list, err
}

// VPCService returns one of the account.
func (r *Registry) VPCService(ctx context.Context, accountID, id string) (v VPCService, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the VPC service %q", id), func(tx *sql.Tx) (err error) {
		v, err = scanVPCService(tx.QueryRowContext(ctx, `SELECT `+vpcServiceColumns+` FROM vpc_services WHERE account_id = ? AND id = ?`, accountID, id))
		return err
	})
	return v, err
}

// PutVPCService adds one, or replaces that of its id if it has one. A name that is
// taken gives ErrNameTaken.
func (r *Registry) PutVPCService(ctx context.Context, v VPCService) (VPCService, error) {
	v.UpdatedOn = r.stamp()
	if v.ID == "" {
		v.ID, v.CreatedOn = uuid.NewString(), v.UpdatedOn
	}
	err := r.update(ctx, fmt.Sprintf("storing the VPC service %q", v.Name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO vpc_services (`+vpcServiceColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, body = excluded.body, updated_on = excluded.updated_on`,
			v.ID, v.AccountID, v.Name, v.Type, string(v.Body), v.CreatedOn.UnixMicro(), v.UpdatedOn.UnixMicro())
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	return v, err
}

// DeleteVPCService removes one.
func (r *Registry) DeleteVPCService(ctx context.Context, id string) error {
	return r.update(ctx, "deleting the VPC service "+id, func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `DELETE FROM vpc_services WHERE id = ?`, id))
	})
}
