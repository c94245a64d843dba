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

// Tunnel is a Cloudflare Tunnel. Deleted ones stay, as at Cloudflare.
type Tunnel struct {
	ID        string // UUID
	AccountID string
	Name      string // unique among those that are not deleted
	ConfigSrc string // "cloudflare" or "local"
	CreatedOn time.Time
	DeletedOn *time.Time
	SecretOn  time.Time // when its secret was set

	Config        json.RawMessage // as sent; nil before the first one
	ConfigVersion int             // 0 before the first one, then one more with each
	ConfigOn      *time.Time
}

const tunnelColumns = `id, account_id, name, config_src, created_on, deleted_on, secret_on, config, config_version, config_on`

func scanTunnel(row interface{ Scan(...any) error }) (Tunnel, error) {
	var t Tunnel
	var created, secretOn int64
	var deleted, configOn sql.NullInt64
	var config sql.NullString
	err := row.Scan(&t.ID, &t.AccountID, &t.Name, &t.ConfigSrc, &created, &deleted, &secretOn, &config, &t.ConfigVersion, &configOn)
	if err != nil {
		return Tunnel{}, notFound(err)
	}
	t.CreatedOn, t.SecretOn = fromMicros(created), fromMicros(secretOn)
	t.DeletedOn, t.ConfigOn, t.Config = fromNullMicros(deleted), fromNullMicros(configOn), fromNullJSON(config)
	return t, nil
}

func scanAll[T any](rows *sql.Rows, err error, scan func(interface{ Scan(...any) error }) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// tunnelSecret is the place of a tunnel's secret in Secrets.
const tunnelSecret = "tunnel_secret"

func (r *Registry) sealTunnelSecret(id string, secret []byte) ([]byte, error) {
	text, err := json.Marshal(secret)
	if err != nil {
		return nil, err
	}
	return r.keys.seal(id, Secrets{tunnelSecret: {tunnelSecret: text}})
}

// CreateTunnel adds a tunnel. ID and times of t are set here. A name that a tunnel has
// which is not deleted gives ErrNameTaken.
func (r *Registry) CreateTunnel(ctx context.Context, t Tunnel, secret []byte) (Tunnel, error) {
	t.ID, t.CreatedOn, t.DeletedOn = uuid.NewString(), r.stamp(), nil
	t.SecretOn = t.CreatedOn
	ciphertext, err := r.sealTunnelSecret(t.ID, secret)
	if err != nil {
		return Tunnel{}, err
	}
	err = r.update(ctx, fmt.Sprintf("creating the tunnel %q", t.Name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tunnels (id, account_id, name, config_src, created_on, secret, secret_on, config_version) VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
			t.ID, t.AccountID, t.Name, t.ConfigSrc, t.CreatedOn.UnixMicro(), ciphertext, t.SecretOn.UnixMicro())
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	return t, err
}

// Tunnel returns a tunnel of the account by its id, also a deleted one.
func (r *Registry) Tunnel(ctx context.Context, accountID, id string) (t Tunnel, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the tunnel %q", id), func(tx *sql.Tx) (err error) {
		t, err = scanTunnel(tx.QueryRowContext(ctx, `SELECT `+tunnelColumns+` FROM tunnels WHERE account_id = ? AND id = ?`, accountID, id))
		return err
	})
	return t, err
}

// Tunnels lists the tunnels of an account, newest first, deleted ones too; of all
// accounts if accountID is empty.
func (r *Registry) Tunnels(ctx context.Context, accountID string) (list []Tunnel, err error) {
	err = r.view(ctx, "listing tunnels", func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT `+tunnelColumns+` FROM tunnels WHERE account_id = ?1 OR ?1 = '' ORDER BY created_on DESC, id`, accountID)
		list, err = scanAll(rows, err, scanTunnel)
		return err
	})
	return list, err
}

// UpdateTunnel stores the name, and the secret if it is not nil.
func (r *Registry) UpdateTunnel(ctx context.Context, t Tunnel, secret []byte) (Tunnel, error) {
	var ciphertext []byte
	if secret != nil {
		var err error
		if ciphertext, err = r.sealTunnelSecret(t.ID, secret); err != nil {
			return Tunnel{}, err
		}
		t.SecretOn = r.stamp()
	}
	err := r.update(ctx, fmt.Sprintf("updating the tunnel %q", t.Name), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE tunnels SET name = ?, secret = COALESCE(?, secret), secret_on = ? WHERE id = ? AND deleted_on IS NULL`,
			t.Name, ciphertext, t.SecretOn.UnixMicro(), t.ID)
		if isUnique(err) {
			return ErrNameTaken
		}
		return oneRow(res, err)
	})
	return t, err
}

// TunnelSecret gives back the secret of a tunnel. Only what makes its token may ask.
func (r *Registry) TunnelSecret(ctx context.Context, id string) (secret []byte, err error) {
	var ciphertext []byte
	err = r.view(ctx, "reading the secret of the tunnel "+id, func(tx *sql.Tx) error {
		return notFound(tx.QueryRowContext(ctx, `SELECT secret FROM tunnels WHERE id = ? AND deleted_on IS NULL`, id).Scan(&ciphertext))
	})
	if err != nil {
		return nil, err
	}
	opened, err := r.keys.open(id, ciphertext)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(opened[tunnelSecret][tunnelSecret], &secret) != nil {
		return nil, fmt.Errorf("the secret of the tunnel %s is damaged: rotate it", id)
	}
	return secret, nil
}

// ConfigureTunnel stores a configuration, whose version is one more than the one before.
func (r *Registry) ConfigureTunnel(ctx context.Context, id string, config json.RawMessage) (t Tunnel, err error) {
	now := r.stamp()
	err = r.update(ctx, "configuring the tunnel "+id, func(tx *sql.Tx) (err error) {
		err = oneRow(tx.ExecContext(ctx, `UPDATE tunnels SET config = ?, config_version = config_version + 1, config_on = ?, config_src = 'cloudflare'
			WHERE id = ? AND deleted_on IS NULL`, string(config), now.UnixMicro(), id))
		if err != nil {
			return err
		}
		t, err = scanTunnel(tx.QueryRowContext(ctx, `SELECT `+tunnelColumns+` FROM tunnels WHERE id = ?`, id))
		return err
	})
	return t, err
}

// DeleteTunnel marks a tunnel as deleted and forgets its secret. Routes to it give
// ErrInUse.
func (r *Registry) DeleteTunnel(ctx context.Context, id string) (t Tunnel, err error) {
	now := r.stamp()
	err = r.update(ctx, "deleting the tunnel "+id, func(tx *sql.Tx) (err error) {
		var routes int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tunnel_routes WHERE tunnel_id = ? AND deleted_on IS NULL`, id).Scan(&routes); err != nil {
			return err
		}
		if routes > 0 {
			return ErrInUse
		}
		if err := oneRow(tx.ExecContext(ctx, `UPDATE tunnels SET deleted_on = ?, secret = x'' WHERE id = ? AND deleted_on IS NULL`, now.UnixMicro(), id)); err != nil {
			return err
		}
		t, err = scanTunnel(tx.QueryRowContext(ctx, `SELECT `+tunnelColumns+` FROM tunnels WHERE id = ?`, id))
		return err
	})
	return t, err
}
